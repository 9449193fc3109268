"""How well cheap scores rank a reference set's members as long training does, and what they cost.

A proxy is a recipe, a number of images of it, and what is read off the learning curve there. All are judged alike:
against the mean error of the long trainings over their seeds, by rank correlation, with the noise ceiling of that
reference beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.stats import rankdata

from snsearch.errors import StudyError
from snsearch.lab.logs import Curve
from snsearch.lab.pooling import design_matrix, long_run_ranks, pooled
from snsearch.lab.ranking import Agreement, Array, Ceiling, agreement, noise_ceiling
from snsearch.lab.reference import REFERENCE, ReferenceSet, curves_of, read_scores, read_set
from snsearch.lab.scores import ScoreResult
from snsearch.training import default_recipe

DEFAULT = "default"  # the fixed short training, as `snsearch paper` has it
DEFAULT_SCORING = "error, pooled, with parameters"
FEWEST_MEMBERS = 6

Kind = Literal["training", "reference cut short", "zero-cost", "combination"]


def _extrapolated(curve: Curve) -> float:
    """The test loss at infinitely many images: a line over the inverse root of the images, through the last three."""
    points = curve[-3:]
    if len(points) < 2:
        return points[-1].test_loss
    _, end = np.polyfit([1 / math.sqrt(point.images_seen) for point in points], [p.test_loss for p in points], 1)
    return float(end)


# What is read off a learning curve up to some point; less is better.
SCORINGS: dict[str, Callable[[Curve], float]] = {
    "error": lambda curve: curve[-1].test_error,
    "loss": lambda curve: curve[-1].test_loss,
    "training loss": lambda curve: curve[-1].train_loss,
    "area under the error curve": lambda curve: float(np.mean([point.test_error for point in curve])),
    "extrapolated loss": _extrapolated,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Fidelity:
    """One proxy at one cost, against the reference."""

    proxy: str
    kind: Kind
    images: int | None  # training images seen; None where nothing was trained
    seeds: int  # that one use of the proxy takes
    cost_seconds: float  # CPU seconds of a candidate
    cost_ratio: float  # to one long training
    agreement: Agreement
    default: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class SetFidelity:
    """All proxies of a reference set."""

    reference: ReferenceSet
    members: int  # that have all seeds of the reference
    seeds: int
    ceiling: Ceiling
    errors: tuple[float, ...]  # of the reference, member by member
    seed_errors: dict[int, tuple[float, ...]]  # the same by seed
    reference_seconds: float  # CPU seconds of one long training
    rows: tuple[Fidelity, ...]


def notable(found: SetFidelity) -> tuple[Fidelity, ...]:
    """The rows worth a first look: the default, every proxy at its whole length, and what needs no training."""
    longest: dict[str, Fidelity] = {}
    for row in found.rows:
        kept = longest.get(row.proxy)
        if kept is None or row.cost_seconds > kept.cost_seconds:
            longest[row.proxy] = row
    cheap = [row for row in longest.values() if row.kind != "reference cut short"]
    cut = [row for row in found.rows if row.kind == "reference cut short"]
    return (*cheap, *sorted(cut, key=lambda row: row.cost_seconds)[:2])


def _whole_seeds(curves: dict[tuple[str, str, int], Curve], labels: Sequence[str], recipe: str) -> list[int]:
    """The seeds of a recipe that every member is trained with; one that is under way does not count yet."""
    seeds = sorted({seed for _, name, seed in curves if name == recipe})
    return [seed for seed in seeds if all((label, recipe, seed) in curves for label in labels)]


def fidelity_of(folder: Path) -> SetFidelity:
    """The fidelity of every proxy that a set's folder holds.

    Raises StudyError if fewer than two seeds of the reference, or six members with all of them, are trained yet.
    """
    reference, curves = read_set(folder), curves_of(folder)
    labels = [member.label for member in reference.members]
    seeds = _whole_seeds(curves, labels, REFERENCE)
    if len(seeds) < 2:
        raise StudyError(
            f"the set {reference.name!r} has {len(seeds)} whole seeds of the reference; fidelity needs two, and at "
            f"least {FEWEST_MEMBERS} members: the command that makes it goes on where it stopped"
        )
    if len(labels) < FEWEST_MEMBERS:
        raise StudyError(f"the set {reference.name!r} has {len(labels)} members; fidelity needs {FEWEST_MEMBERS}")
    judge = _Judge(reference, curves)
    rows = [*judge.trained(), *judge.cut_short()]
    default = next((row for row in rows if row.default), None)
    rows += judge.training_free(_zero_cost(read_scores(folder), labels), default)
    return SetFidelity(
        reference=reference,
        members=len(labels),
        seeds=len(seeds),
        ceiling=noise_ceiling(judge.errors),
        errors=tuple(float(error) for error in judge.errors.mean(0)),
        seed_errors={seed: tuple(map(float, row)) for seed, row in zip(seeds, judge.errors, strict=True)},
        reference_seconds=judge.seconds,
        rows=tuple(rows),
    )


class _Judge:
    """Judges the proxies of a set by the errors of its long trainings, (seeds, members)."""

    def __init__(self, reference: ReferenceSet, curves: dict[tuple[str, str, int], Curve]) -> None:
        self._reference, self._curves = reference, curves
        self._labels = [member.label for member in reference.members]
        self._archs = [member.architecture for member in reference.members]
        self._params = [member.params for member in reference.members]
        self._matrix = design_matrix(self._archs)
        self._long = self._whole(REFERENCE)
        self.errors = _read(SCORINGS["error"], self._long)
        self.seconds = _seconds(self._long)  # of one long training

    def trained(self) -> Iterator[Fidelity]:
        """Every recipe of short trainings, at each point of its curves."""
        for recipe in sorted({recipe for _, recipe, _ in self._curves} - {REFERENCE}):
            whole = self._whole(recipe)
            if not whole:
                continue
            points = len(whole[0][0])
            for point in range(1, points):
                part = _until(whole, point)
                for scoring, read in SCORINGS.items():
                    yield self._row(f"{recipe}: {scoring}", _read(read, part), part)
            yield from self._to_the_end(recipe, whole)

    def _to_the_end(self, recipe: str, whole: list[list[Curve]]) -> Iterator[Fidelity]:
        """What whole short trainings say, also where the designs' effects are pooled, and means over seeds."""
        is_current = self._reference.recipes.get(recipe) == default_recipe(self._reference.train_images)
        for scoring, read in SCORINGS.items():
            values = _read(read, whole)
            for name, of in ((scoring, np.asarray), (f"{scoring}, pooled", partial(_pooled, self._matrix))):
                yield self._row(f"{recipe}: {name}", of(values), whole)
                if len(whole) > 1 and scoring in ("error", "loss"):
                    mean = of(values.mean(0, keepdims=True))
                    yield self._row(f"{recipe}: {name}, mean of {len(whole)} seeds", mean, whole, seeds=len(whole))
            if scoring == "error":
                ranks = np.array([long_run_ranks(self._archs, row, self._params) for row in values])
                default = recipe == DEFAULT and is_current
                yield self._row(f"{recipe}: {DEFAULT_SCORING}", ranks, whole, default=default)

    def cut_short(self) -> Iterator[Fidelity]:
        """The long trainings on their way; each seed by the others only, for with itself it shares its noise."""
        for point in range(1, len(self._long[0][0])):
            part = _until(self._long, point)
            how = _of_others(_read(SCORINGS["error"], part), self.errors)
            yield self._judged(
                "reference cut short: error", "reference cut short", how, _seconds(part), _images(part)
            )

    def training_free(self, scores: dict[str, tuple[Array, float]], default: Fidelity | None) -> Iterator[Fidelity]:
        """Scores that need no training, their mean rank, and the default proxy pooled with them."""
        if not scores:
            return
        for name, (values, seconds) in scores.items():
            yield self._judged(name, "zero-cost", agreement(values, self.errors), seconds)
        shared = min(len(values) for values, _ in scores.values())
        ranks = np.mean([rankdata(values[:shared], axis=1) for values, _ in scores.values()], axis=0)
        of_all = sum(seconds for _, seconds in scores.values())
        how = agreement(ranks, self.errors)
        yield self._judged("mean rank of the zero-cost scores", "combination", how, of_all)
        if default is not None:
            informed = design_matrix(self._archs, np.array([values.mean(0) for values, _ in scores.values()]).T)
            short = _read(SCORINGS["error"], self._whole(DEFAULT))
            how = agreement(_pooled(informed, short), self.errors)
            name = f"{DEFAULT}: error, pooled with zero-cost scores"
            yield self._judged(name, "combination", how, default.cost_seconds + of_all, default.images)

    def _whole(self, recipe: str) -> list[list[Curve]]:
        """The curves of a recipe, by seed and member."""
        seeds = _whole_seeds(self._curves, self._labels, recipe)
        return [[self._curves[label, recipe, seed] for label in self._labels] for seed in seeds]

    def _row(
        self, proxy: str, scores: Array, curves: list[list[Curve]], *, seeds: int = 1, default: bool = False
    ) -> Fidelity:
        """The row of a trained proxy, from its (seeds, members) scores. One use of it trains with `seeds` seeds."""
        how = agreement(scores, self.errors)
        row = self._judged(proxy, "training", how, _seconds(curves) * seeds, _images(curves))
        return replace(row, seeds=seeds, default=default)

    def _judged(self, proxy: str, kind: Kind, how: Agreement, seconds: float, images: int | None = None) -> Fidelity:
        return Fidelity(
            proxy=proxy,
            kind=kind,
            images=images,
            seeds=1,
            cost_seconds=seconds,
            cost_ratio=seconds / self.seconds,
            agreement=how,
            default=False,
        )


def _until(curves: list[list[Curve]], point: int) -> list[list[Curve]]:
    return [[curve[:point] for curve in row] for row in curves]


def _read(read: Callable[[Curve], float], curves: list[list[Curve]]) -> Array:
    """(seeds, members) scores, read off curves."""
    return np.array([[read(curve) for curve in row] for row in curves])


def _seconds(curves: list[list[Curve]]) -> float:
    """CPU seconds of one training."""
    return float(np.mean([curve[-1].cpu_seconds for row in curves for curve in row]))


def _images(curves: list[list[Curve]]) -> int:
    return curves[0][0][-1].images_seen


def _pooled(matrix: Array, values: Array) -> Array:
    return np.array([pooled(matrix, row) for row in values])


def _of_others(values: Array, errors: Array) -> Agreement:
    """The mean agreement of each seed's values with the errors of the other seeds."""
    each = [agreement(values[i : i + 1], np.delete(errors, i, axis=0)) for i in range(len(errors))]

    def mean(read: Callable[[Agreement], float]) -> float:
        return float(np.mean([read(one) for one in each]))

    return Agreement(
        kendall_tau=mean(lambda a: a.kendall_tau),
        interval=(mean(lambda a: a.interval[0]), mean(lambda a: a.interval[1])),
        spearman=mean(lambda a: a.spearman),
        spearman_interval=(mean(lambda a: a.spearman_interval[0]), mean(lambda a: a.spearman_interval[1])),
        regret_top1=mean(lambda a: a.regret_top1),
        regret_top3=mean(lambda a: a.regret_top3),
    )


def _zero_cost(scores: Sequence[tuple[str, ScoreResult]], labels: list[str]) -> dict[str, tuple[Array, float]]:
    """Of each training-free score, (seeds, members) values where less is better, and CPU seconds of one."""
    by_name: dict[str, dict[tuple[str, int], ScoreResult]] = {}
    for label, score in scores:
        by_name.setdefault(score.name, {})[label, score.seed] = score
    result = {}
    for name, found in by_name.items():
        seeds = sorted({seed for _, seed in found})
        seeds = [seed for seed in seeds if all((label, seed) in found for label in labels)]
        if seeds:
            values = np.array([[-found[label, seed].value for label in labels] for seed in seeds])
            result[name] = (values, float(np.mean([score.cpu_seconds for score in found.values()])))
    return result
