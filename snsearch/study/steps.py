"""What a search trains next: which network, and how far.

Every search begins with the published designs and some that represent every choice, each trained to a share of the
full length that has left chance behind. The best of them goes on to the full length; like the pilot's networks, which
are trained to half of it, it says what short training gets wrong. Then top-two Thompson sampling (Russo 2016,
arXiv:1602.08448) spends the rest: a network is trained for twice as long as before where a draw from what is known of
all has it best, or on the front of error and cost.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from snsearch.study.pareto import front
from snsearch.study.posterior import Observation, Posterior, Space

FULL = 1.0
EARLY = 1  # networks trained in full before the choice is left to what is known
_ROUNDING = 1e-3  # of shares: batches are whole
_DRAWS = 64
_PARENTS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A network to train to a share of the full training."""

    network: int
    share: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How far the networks of a space are trained, by the search's own seed."""

    costs: Sequence[float]  # of every network: the second objective
    begin: Sequence[int]  # networks in the order in which they are begun
    start: int  # how many of them come before anything else
    short: float  # share of the first step
    done: Mapping[int, float]  # share that a network is trained to
    going: Mapping[int, float]  # share that it is being trained to
    gone: frozenset[int]  # networks that failed
    observations: Sequence[Observation]
    left: float  # full trainings that may still be spent

    @property
    def reached(self) -> dict[int, float]:
        """The share that a network is, or is being, trained to."""
        return {**self.done, **self.going}

    @property
    def known(self) -> int:
        """Thousandths of full trainings that are done or under way: every step adds to it."""
        return round(1000 * sum(self.reached.values()))

    def next_share(self, network: int) -> float:
        """The share that a network's next step trains it to: each step doubles what came before."""
        before = self.done.get(network, 0.0)
        doubled = 2 * before - _ROUNDING
        return self.short if before == 0.0 else doubled if doubled < FULL - 2 * _ROUNDING else FULL

    def cost_of(self, step: Step) -> float:
        """Full trainings that a step takes."""
        return step.share - self.done.get(step.network, 0.0)


def step_seed(seed: int, known: int) -> int:
    """The seed of a decision: it follows from the search's own, and from how much is known."""
    return seed * 7919 + known


def next_step(standing: Standing, space: Space, seed: int) -> Step | None:
    """The next step; None where nothing is left to spend, or to train, or where results must come first."""
    open_to = [network for network in standing.begin if _may_go_on(standing, network)]
    fresh = [network for network in open_to if network not in standing.reached]
    if first := [network for network in fresh if network in standing.begin[: standing.start]]:
        return _step(standing, first[0])  # as many as were asked for, whatever is left
    affordable = [n for n in open_to if standing.cost_of(_step(standing, n)) <= standing.left + 1e-9]
    if not affordable:
        return None
    if not standing.observations:
        return None if standing.going else _step(standing, affordable[0])
    full = [network for network, share in standing.reached.items() if share >= FULL]
    if len(full) < EARLY and (able := [n for n in open_to if standing.cost_of(_whole(n)) <= standing.left + 1e-9]):
        return _early(standing, able)
    known = space.posterior(standing.observations)
    return _step(standing, _chosen(standing, known, affordable, seed))


def is_informed(standing: Standing) -> bool:
    """Whether enough is trained for the choice to be left to what is known."""
    full = sum(share >= FULL for share in standing.done.values())
    begun = len(standing.done) + len(standing.gone)
    return bool(standing.observations) and full >= EARLY and begun >= standing.start


def is_used_up(standing: Standing) -> bool:
    """Whether every network is trained in full, or failed."""
    return not standing.going and not any(_may_go_on(standing, network) for network in standing.begin)


def parents_of(standing: Standing, known: Posterior, seed: int) -> list[int]:
    """Networks next to which others may be better: each is the best by a draw, or on the front, of those tried."""
    draw, tried = random.Random(seed), list(standing.done)
    found = []
    for drawn in known.draws(_PARENTS, draw.getrandbits(32)):
        if draw.random() < 0.5:
            best = int(np.argmin(drawn[tried]))
        else:
            best = draw.choice(front([(float(drawn[network]), standing.costs[network]) for network in tried]))
        found.append(tried[best])
    return list(dict.fromkeys(found))


def _may_go_on(standing: Standing, network: int) -> bool:
    idle = network not in standing.gone and network not in standing.going
    return idle and standing.done.get(network, 0.0) < FULL


def _step(standing: Standing, network: int) -> Step:
    return Step(network=network, share=standing.next_share(network))


def _whole(network: int) -> Step:
    return Step(network=network, share=FULL)


def _early(standing: Standing, affordable: Sequence[int]) -> Step | None:
    """The network that goes on to the full length early: the best of the short trainings."""
    short = {one.network: one.error for one in sorted(standing.observations, key=lambda one: -one.share)}
    ranked = [network for network in affordable if network in short]
    if not ranked:
        return None if standing.going else _step(standing, affordable[0])
    return _whole(min(ranked, key=lambda network: short[network]))


def _chosen(standing: Standing, known: Posterior, affordable: Sequence[int], seed: int) -> int:
    draw = random.Random(seed)
    possible = set(affordable)
    for drawn in known.draws(_DRAWS, draw.getrandbits(32)):
        if draw.random() < 0.5:
            network = int(np.argmin(drawn))
        else:
            network = draw.choice(front([*zip(drawn.tolist(), standing.costs, strict=True)]))
        if network in possible:  # else it is known already, and the next draw has its place
            return network
    return min(affordable, key=lambda network: known.mean[network])
