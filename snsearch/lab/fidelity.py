"""How well cheap scores rank a reference set's members as long training does, and what they cost.

A proxy is a recipe, a number of images of it, and what is read off the learning curve there. All are judged alike:
against the mean error of the long trainings over their seeds, by rank correlation, with the noise ceiling of that
reference beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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

DEFAULT = "default"  # the recipe that a search trains with
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
    ends = [[curves[label, REFERENCE, seed][-1] for label in labels] for seed in seeds]
    errors = np.array([[point.test_error for point in row] for row in ends])  # (seeds, members)
    long = float(np.mean([point.cpu_seconds for row in ends for point in row]))
    archs = [member.architecture for member in reference.members]
    params = [member.params for member in reference.members]
    rows: list[Fidelity] = []

    def add(
        proxy: str,
        kind: Kind,
        how: Agreement,
        seconds: float,
        *,
        images: int | None,
        seeds: int = 1,
        default: bool = False,
    ) -> None:
        rows.append(
            Fidelity(
                proxy=proxy,
                kind=kind,
                images=images,
                seeds=seeds,
                cost_seconds=seconds,
                cost_ratio=seconds / long,
                agreement=how,
                default=default,
            )
        )

    matrix = design_matrix(archs)
    for recipe in sorted({recipe for _, recipe, _ in curves} - {REFERENCE}):
        tried = _whole_seeds(curves, labels, recipe)
        if not tried:
            continue
        whole = [[curves[label, recipe, seed] for label in labels] for seed in tried]
        current = recipe == DEFAULT and reference.recipes.get(recipe) == default_recipe(reference.train_images)
        for index, last in enumerate(whole[0][0]):
            parts = [[curve[: index + 1] for curve in row] for row in whole]
            seconds = float(np.mean([part[-1].cpu_seconds for row in parts for part in row]))
            final = index + 1 == len(whole[0][0])
            for scoring, read in SCORINGS.items():
                values = np.array([[read(part) for part in row] for row in parts])
                kinds = [(scoring, values)]
                if final:
                    kinds.append((f"{scoring}, pooled", _pooled(matrix, values)))
                if final and scoring == "error":
                    kinds.append((DEFAULT_SCORING, np.array([long_run_ranks(archs, row, params) for row in values])))
                for name, array in kinds:
                    default = current and final and name == DEFAULT_SCORING
                    label = f"{recipe}: {name}"
                    how = agreement(array, errors)
                    add(label, "training", how, seconds, images=last.images_seen, default=default)
                    if final and len(tried) > 1 and scoring in ("error", "loss") and name != DEFAULT_SCORING:
                        mean = (
                            array.mean(0, keepdims=True)
                            if name == scoring
                            else _pooled(matrix, values.mean(0, keepdims=True))
                        )
                        add(
                            f"{label}, mean of {len(tried)} seeds", "training", agreement(mean, errors),
                            seconds * len(tried), images=last.images_seen, seeds=len(tried),
                        )  # fmt: skip
    for index, last in enumerate(curves[labels[0], REFERENCE, seeds[0]][:-1]):
        # A seed is judged by the others only: with itself it shares its noise.
        parts = [[curves[label, REFERENCE, seed][: index + 1] for label in labels] for seed in seeds]
        seconds = float(np.mean([part[-1].cpu_seconds for row in parts for part in row]))
        values = np.array([[SCORINGS["error"](part) for part in row] for row in parts])
        how = _of_others(values, errors)
        add("reference cut short: error", "reference cut short", how, seconds, images=last.images_seen)
    zero = _zero_cost(read_scores(folder), labels)
    for name, (values, seconds) in zero.items():
        add(name, "zero-cost", agreement(values, errors), seconds, images=None)
    if zero:
        shared = min(len(values) for values, _ in zero.values())
        ranks = np.mean([rankdata(values[:shared], axis=1) for values, _ in zero.values()], axis=0)
        seconds = sum(s for _, s in zero.values())
        add("mean rank of the zero-cost scores", "combination", agreement(ranks, errors), seconds, images=None)
        best = next((row for row in rows if row.default), None)
        if best is not None:
            informed = design_matrix(archs, np.array([values.mean(0) for values, _ in zero.values()]).T)
            tried = _whole_seeds(curves, labels, DEFAULT)
            short = np.array([[curves[label, DEFAULT, seed][-1].test_error for label in labels] for seed in tried])
            how, seconds = agreement(_pooled(informed, short), errors), best.cost_seconds + seconds
            name = "default: error, pooled with zero-cost scores"
            add(name, "combination", how, seconds, images=best.images)
    return SetFidelity(
        reference=reference,
        members=len(labels),
        seeds=len(seeds),
        ceiling=noise_ceiling(errors),
        errors=tuple(float(error) for error in errors.mean(0)),
        seed_errors={seed: tuple(map(float, row)) for seed, row in zip(seeds, errors, strict=True)},
        reference_seconds=long,
        rows=tuple(rows),
    )


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
