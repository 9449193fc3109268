"""The bench's tables: networks of one budget, with learning curves to the end by several seeds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from snsearch.errors import StudyError
from snsearch.lab.bench.files import RESULTS, FrozenSet, read_frozen, read_members, read_scores
from snsearch.lab.bench.reliability import Components, components, interval, reliability_of
from snsearch.lab.logs import read_log
from snsearch.latency import load_profile
from snsearch.network import Architecture

Array = npt.NDArray[np.float64]
_PROFILE = "snapdragon-820"  # whose predictions are the costs
_DRAWS = 500  # for the interval of a reliability


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Table:
    """The members of a table with their curves by seed."""

    name: str
    data: str  # in words
    held_out: bool  # nothing was chosen by it
    budget_mflops: float
    archs: tuple[Architecture, ...]
    published: tuple[int, ...]  # members
    errors: Array  # (seeds, members, points), only the seeds that every member has
    costs: tuple[float, ...]  # predicted milliseconds
    scores: dict[str, Array]  # (members,) training-free scores by name; the lower, the better

    @property
    def final(self) -> Array:
        """(seeds, members) errors of full trainings."""
        last: Array = self.errors[:, :, -1]
        return last

    @property
    def chance(self) -> float:
        """The error of always answering one class: there are as many images of each."""
        return 1 - 1 / self.archs[0].classes

    @property
    def components(self) -> Components:
        """The members' true spread, the noise of a training, and the reliability of the mean over all seeds."""
        return components(self.final.T)

    def judged_without(self, seed: int) -> Array:
        """(members,) mean errors over the other seeds."""
        mean: Array = np.delete(self.final, seed, axis=0).mean(0)
        return mean

    def truth_without(self, seed: int) -> Array:
        """The same, shrunk towards their mean by their reliability: what is noise of the best is no merit."""
        found, judged = self.components, self.judged_without(seed)
        share = reliability_of(found.spread**2, found.noise**2, found.seeds - 1)
        shrunk: Array = judged.mean() + share * (judged - judged.mean())
        return shrunk


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """What a table is, and how far its order can be trusted; figures are None where no two seeds are complete."""

    name: str
    data: str
    held_out: bool
    budget_mflops: float
    members: int
    seeds: int
    spread: float | None  # standard deviation of the networks' true errors, in points
    noise: float | None  # ... of one training
    reliability: float | None  # of the mean over the seeds
    interval: tuple[float, float] | None


def table_summaries(results: Path = RESULTS) -> tuple[Summary, ...]:
    """All tables."""
    return tuple(_summary(one, results) for one in read_frozen(results / "recipe.json")[0].values())


def _summary(frozen: FrozenSet, results: Path) -> Summary:
    seeds = _whole_seeds(frozen, results)
    found = bounds = None
    if len(seeds) >= 2:
        errors = 100 * read_table(frozen.name, results).final.T
        found, bounds = components(errors), interval(errors, draws=_DRAWS)
    return Summary(
        name=frozen.name,
        data=_data_of(frozen.name, results),
        held_out=frozen.held_out,
        budget_mflops=frozen.budget_mflops,
        members=len(read_members(results / frozen.name / "members.csv")),
        seeds=len(seeds),
        spread=None if found is None else found.spread,
        noise=None if found is None else found.noise,
        reliability=None if found is None else found.reliability,
        interval=bounds,
    )


def complete_tables(results: Path = RESULTS) -> Iterator[Table]:
    """The tables that have two seeds of every member."""
    for one in read_frozen(results / "recipe.json")[0].values():
        if len(_whole_seeds(one, results)) >= 2:
            yield read_table(one.name, results)


def _data_of(name: str, results: Path) -> str:
    return (results / name / "data.txt").read_text(encoding="utf-8").strip()


def _whole_seeds(frozen: FrozenSet, results: Path) -> tuple[int, ...]:
    """The seeds that every member is trained with."""
    members = read_members(results / frozen.name / "members.csv")
    curves = read_log(results / frozen.name / "trainings.csv")
    seeds = sorted({seed for _, recipe, seed in curves if recipe == frozen.digest})
    return tuple(s for s in seeds if all((member.label, frozen.digest, s) in curves for member in members))


def read_table(name: str, results: Path = RESULTS) -> Table:
    """The table of that name. Raises StudyError where no two seeds of it are complete."""
    frozen, folder = read_frozen(results / "recipe.json")[0][name], results / name
    whole = _whole_seeds(frozen, results)
    if len(whole) < 2:
        raise StudyError(f"table {name!r}: {len(whole)} of its seeds are complete, and two are needed")
    members = read_members(folder / "members.csv")
    curves = read_log(folder / "trainings.csv")
    archs = tuple(Architecture.from_key(member.key) for member in members)
    profile, scores = load_profile(_PROFILE), read_scores(folder / "scores.csv")
    return Table(
        name=name,
        data=_data_of(name, results),
        held_out=frozen.held_out,
        budget_mflops=frozen.budget_mflops,
        archs=archs,
        published=tuple(at for at, member in enumerate(members) if member.published),
        errors=np.array(
            [[[p.test_error for p in curves[m.label, frozen.digest, seed]] for m in members] for seed in whole]
        ),
        costs=tuple(profile.predict(arch).ms for arch in archs),
        scores={
            one: -np.array([scores[member.label][one] for member in members])
            for one in (scores[members[0].label] if scores else ())
        },
    )
