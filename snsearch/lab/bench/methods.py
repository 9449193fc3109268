"""Ways to find the best network of a table: the search itself, and what it is measured against.

A method sees the curves of one seed, and may spend a number of full trainings on them. Another method is a function
and an entry in BENCH_METHODS.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from snsearch.codec import suggestion
from snsearch.errors import StudyError
from snsearch.lab.bench.tables import Table
from snsearch.study import (
    PILOT_SHARE,
    Effort,
    Observation,
    Space,
    Standing,
    next_step,
    pilots_of,
    short_of,
    step_seed,
)

Array = npt.NDArray[np.float64]
BENCH_SEARCH = "search"
_SHORT = 1 / 6  # share of the full length that a short training has, but for those of the search


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Answer:
    """What a method comes to."""

    trained: Sequence[int]  # the members among which it picks, such as those trained in full
    belief: Array  # (members,) by which it picks: the lowest
    predicted: Array | None = None  # (members,) errors, or what stands for them, where the method ranks all
    spent: float | None = None  # full trainings, where it is not what the method was given

    def pick(self, present: npt.NDArray[np.bool_] | None = None) -> int | None:
        """The member that it picks, if only some are present; None where none of them was trained."""
        among = [at for at in self.trained if present is None or present[at]]
        return min(among, key=lambda at: self.belief[at]) if among else None


Method = Callable[[Table, Space, int, int, float], Answer]  # table, space, seed, draw, full trainings


def search(table: Table, space: Space, seed: int, draw: int, compute: float) -> Answer:
    """The search's own decisions, its pilot's included. The members are its space; costs are predicted latencies."""
    count, points = len(table.archs), table.errors.shape[2]
    random = np.random.default_rng(draw)
    others = [int(at) for at in random.permutation(count) if at not in table.published]
    curves, pilots = table.errors[seed], pilots_of(table.published)
    shares = (np.arange(points) + 1) / points
    on_the_way = dict(zip(shares[shares <= PILOT_SHARE].tolist(), curves[pilots].mean(0).tolist(), strict=False))
    short = short_of(on_the_way, table.chance)
    effort = Effort(trainings=compute, seeds=0).settled(None, short)
    done: dict[int, float] = {}
    first: dict[int, Observation] = {}  # of every network that is begun
    last: dict[int, Observation] = {}  # of those that were trained on
    left = compute

    def train(network: int, share: float) -> None:
        nonlocal left
        left -= share - done.get(network, 0.0)
        point = math.ceil(share * points - 1e-6)
        done[network] = point / points
        seen = first if network not in first else last
        error = float(curves[network, point - 1])
        seen[network] = Observation(network=network, share=point / points, error=error)

    for network in pilots:
        train(network, short)
        train(network, PILOT_SHARE)
    while True:
        standing = Standing(
            costs=table.costs,
            begin=[*table.published, *others],
            start=effort.start,
            short=short,
            done=done,
            going={},
            gone=frozenset(),
            observations=(*first.values(), *last.values()),
            left=left,
        )
        step = next_step(standing, space, step_seed(draw, standing.known))
        if step is None:
            break
        train(step.network, step.share)
    predicted = space.posterior([*first.values(), *last.values()]).mean
    furthest = max(done.values())
    return Answer(
        trained=[at for at, share in done.items() if share == furthest], belief=predicted, predicted=predicted
    )


def random_full(table: Table, space: Space, seed: int, draw: int, compute: float) -> Answer:
    """Full trainings of networks taken at random."""
    chosen = np.random.default_rng(draw).permutation(len(table.archs))[: int(compute)]
    return Answer(trained=chosen.tolist(), belief=table.final[seed])


def published(table: Table, space: Space, seed: int, draw: int, compute: float) -> Answer:
    """Full trainings of the published designs."""
    return Answer(trained=table.published, belief=table.final[seed], spent=len(table.published))


def everything(table: Table, space: Space, seed: int, draw: int, compute: float) -> Answer:
    """One full training of every network, whatever that takes: what the noise of seeds leaves to be had."""
    final = table.final[seed]
    return Answer(trained=range(len(final)), belief=final, predicted=final, spent=len(final))


def short_then_full(table: Table, space: Space, seed: int, draw: int, compute: float) -> Answer:
    """A short training of as many networks as half the effort buys; then full ones of the best by it."""
    points, count = table.errors.shape[2], len(table.archs)
    screened = np.random.default_rng(draw).permutation(count)[: max(1, round(compute / 2 / _SHORT))]
    first = table.errors[seed, :, round(_SHORT * points) - 1]
    best = screened[np.argsort(first[screened], kind="stable")[: max(1, int(compute / 2))]]
    return Answer(
        trained=best.tolist(), belief=table.final[seed], predicted=first if len(screened) == count else None
    )


def tpe_hyperband(table: Table, space: Space, seed: int, draw: int, compute: float) -> Answer:
    """Optuna's TPE on the error, with Hyperband; its parameters are the features of the search's own model.

    A proposal means the network whose features are nearest to it, of those that are not trained in full yet; a
    training goes on where it was stopped.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    points = table.errors.shape[2]
    study = optuna.create_study(
        study_name=f"replay {draw}",  # from which Hyperband draws the brackets
        sampler=optuna.samplers.TPESampler(seed=draw),
        pruner=optuna.pruners.HyperbandPruner(min_resource=1, max_resource=points, reduction_factor=3),
    )
    ranges = {f"f{at}": (float(column.min()), float(column.max())) for at, column in enumerate(space.features.T)}
    reached = np.zeros(len(table.archs), dtype=np.int64)
    left = compute * points
    while left > 0 and reached.min() < points:
        trial = study.ask({name: optuna.distributions.FloatDistribution(*ends) for name, ends in ranges.items()})
        wanted = np.array([trial.params[name] for name in ranges])
        apart = ((space.features - wanted) ** 2).sum(1)
        network = int(np.argmin(np.where(reached < points, apart, np.inf)))
        before = reached[network]
        for point in range(1, points + 1):
            if point > before:
                reached[network], left = point, left - 1
            error = float(table.errors[seed, network, point - 1])
            trial.report(error, point)
            if left <= 0 or (before < point < points and trial.should_prune()):
                break
        study.tell(trial, error)  # a stopped trial counts with its last error, as Optuna's documents advise
    last = table.errors[seed, np.arange(len(reached)), np.maximum(reached, 1) - 1]
    return Answer(trained=np.flatnonzero(reached == reached.max()).tolist(), belief=last)


def by_score(name: str, table: Table, space: Space, seed: int, draw: int, compute: float) -> Answer:
    """Full trainings of the networks that a training-free score has first."""
    score = table.scores[name]
    first = np.argsort(score, kind="stable")[: int(compute)]
    return Answer(trained=first.tolist(), belief=table.final[seed], predicted=score)


BENCH_METHODS: dict[str, Method] = {
    BENCH_SEARCH: search,
    "random": random_full,
    "published": published,
    "everything": everything,
    "short": short_then_full,
    "tpe-hyperband": tpe_hyperband,
}


def methods_of(table: Table) -> dict[str, Method]:
    """All methods by name, and a table's training-free scores."""
    return BENCH_METHODS | {name: partial(by_score, name) for name in table.scores}


def check_methods(names: Sequence[str], table: Table) -> None:
    """Raises StudyError for a name that is no method on a table."""
    known = methods_of(table)
    for name in names:
        if name not in known:
            raise StudyError(f"no method {name!r} on table {table.name!r}{suggestion(name, known)}")
