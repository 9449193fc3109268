"""Methods replayed on a table, without training: how far their picks lie behind the best network.

A replay chooses by the curves of one seed, and is judged by the other seeds, which it never sees. Regret is how much
larger the pick's true error is than the lowest one, in standard deviations of the networks' true errors. tau is
Kendall's tau-b between the predicted order of all networks and that of the judging seeds; its ceiling is what one
full training of every network reaches. Intervals are of a bootstrap over networks, with the trainings as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snsearch.intervals import percentiles_95
from snsearch.lab.bench.methods import Answer, methods_of
from snsearch.lab.bench.tables import Table
from snsearch.lab.ranking import kendall_tau
from snsearch.study import MARGIN, Space, features_of

Array = npt.NDArray[np.float64]
REPLAYS = 50
COMPUTE = 10.0  # full trainings
_BOOTSTRAPS, _OF_REPLAYS = 200, 10  # draws for the intervals, and replays that each looks at
_TOP = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """How a method does on a table, over all its replays."""

    table: str
    data: str
    held_out: bool
    budget_mflops: float
    method: str
    compute: float  # full trainings
    members: int
    seeds: int
    reliability: float  # of the mean over all seeds
    replays: int
    regret: float  # median
    mean_regret: float
    regret_interval: tuple[float, float]
    agree: float  # share of the picks whose true errors lie within the margin of each other
    tau: float | None
    tau_interval: tuple[float, float] | None
    tau_ceiling: float
    top5_recall: float | None
    better_than: Mapping[str, float]  # share of replays in which the pick is no worse than another method's


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Replayed:
    """A method's answers, each with the seed that it saw."""

    seeds: Sequence[int]
    answers: Sequence[Answer]

    def regrets(self, truths: Sequence[Array], present: npt.NDArray[np.bool_] | None = None) -> Array:
        """What the picks' true errors lie above the lowest one; nothing where no trained network is present."""
        found = []
        for seed, answer in zip(self.seeds, self.answers, strict=True):
            truth, pick = truths[seed], answer.pick(present)
            if pick is not None:
                found.append(truth[pick] - (truth if present is None else truth[present]).min())
        return np.array(found)

    def over_all(self, figure: Callable[[Array, int], float]) -> float | None:
        """The mean of a figure of predictions and the seed that made them; None where the method makes none."""
        pairs = zip(self.answers, self.seeds, strict=True)
        values = [figure(answer.predicted, seed) for answer, seed in pairs if answer.predicted is not None]
        return float(np.mean(values)) if values else None

    def first(self, count: int) -> _Replayed:
        """The first replays."""
        return _Replayed(seeds=self.seeds[:count], answers=self.answers[:count])


def replay(
    table: Table,
    methods: Sequence[str],
    *,
    compute: float = COMPUTE,
    replays: int = REPLAYS,
    done: Callable[[str, int], None] = lambda method, replays: None,
) -> Iterator[Result]:
    """The methods of those names on a table, by as many replays.

    `done` hears of a method and how many of its replays are done.
    """
    space, known = Space(features_of(table.archs)), methods_of(table)
    seeds = [draw % len(table.final) for draw in range(replays)]
    played: dict[str, _Replayed] = {}
    for name in methods:
        answers = []
        for draw, seed in enumerate(seeds):
            answers.append(known[name](table, space, seed, draw, compute))
            done(name, draw + 1)
        played[name] = _Replayed(seeds=seeds, answers=answers)
    judge = _Judge(table)
    regrets = {name: own.regrets(judge.truths) for name, own in played.items()}
    for name in played:
        better = {other: float(np.mean(regrets[name] <= regrets[other] + 1e-9)) for other in played if other != name}
        yield judge.result(name, played[name], compute, better)


class _Judge:
    """What the seeds that a replay did not see say of its answer."""

    def __init__(self, table: Table) -> None:
        seeds = range(len(table.final))
        self.table = table
        self.found = table.components
        self.spread = self.found.spread or 1.0
        self.truths = [table.truth_without(seed) for seed in seeds]
        self.judged = [table.judged_without(seed) for seed in seeds]
        self.ceiling = float(np.mean([kendall_tau(table.final[seed], self.judged[seed]) for seed in seeds]))

    def result(self, method: str, own: _Replayed, compute: float, better_than: Mapping[str, float]) -> Result:
        """What is said of a method's answers."""
        regrets, few, tau = own.regrets(self.truths), own.first(_OF_REPLAYS), self.tau_of(own)
        return Result(
            table=self.table.name,
            data=self.table.data,
            held_out=self.table.held_out,
            budget_mflops=self.table.budget_mflops,
            method=method,
            compute=compute if own.answers[0].spent is None else own.answers[0].spent,
            members=self.found.members,
            seeds=self.found.seeds,
            reliability=self.found.reliability,
            replays=len(own.seeds),
            regret=float(np.median(regrets)) / self.spread,
            mean_regret=float(np.mean(regrets)) / self.spread,
            regret_interval=self.interval(lambda at: self.regret_among(own, at)),
            agree=self.agreement(own),
            tau=tau,
            tau_interval=None if tau is None else self.interval(lambda at: self.tau_of(few, at)),
            tau_ceiling=self.ceiling,
            top5_recall=own.over_all(self.recall),
            better_than=better_than,
        )

    def tau_of(self, own: _Replayed, at: npt.NDArray[np.int64] | None = None) -> float | None:
        """The mean tau-b of the predictions, among the drawn members if any are given."""
        among = slice(None) if at is None else at
        return own.over_all(lambda predicted, seed: kendall_tau(predicted[among], self.judged[seed][among]))

    def recall(self, predicted: Array, seed: int) -> float:
        """The share of the five best that are among the five predicted best."""
        first, best = (np.argsort(errors, kind="stable")[:_TOP] for errors in (predicted, self.judged[seed]))
        return len(set(first.tolist()) & set(best.tolist())) / _TOP

    def regret_among(self, own: _Replayed, at: npt.NDArray[np.int64]) -> float | None:
        """The median regret if only the drawn members were there."""
        present = np.zeros(len(self.truths[0]), dtype=np.bool_)
        present[at] = True
        regrets = own.regrets(self.truths, present)
        return float(np.median(regrets)) / self.spread if len(regrets) else None

    def agreement(self, own: _Replayed) -> float:
        """The largest share of picks whose true errors lie within the margin of each other."""
        picks = (answer.pick() for answer in own.answers)
        mean = np.mean(self.truths, axis=0)
        errors = np.sort([mean[pick] for pick in picks if pick is not None])
        return float(max(np.mean((errors >= low) & (errors <= low + MARGIN / 100)) for low in errors))

    def interval(self, figure: Callable[[npt.NDArray[np.int64]], float | None]) -> tuple[float, float]:
        """The 95 % interval of a figure of drawn members."""
        random, count = np.random.default_rng(0), len(self.truths[0])
        drawn = [figure(random.integers(0, count, count)) for _ in range(_BOOTSTRAPS)]
        return percentiles_95([one for one in drawn if one is not None])
