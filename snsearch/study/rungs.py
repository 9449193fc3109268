"""Asynchronous multi-objective successive halving: at a rung a candidate stops or goes on at once.

After Schmucker, Donini, Zafar, Salinas and Archambeau 2021 (arXiv:2106.12639): candidates at a rung are ordered by
non-dominated rank, and those behind the best share stop. The second objective is the cost, known before training. The
first is a noisy score, so a candidate that trails by less than epsilon goes on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from snsearch.study.pareto import Point, front


@dataclass(frozen=True, kw_only=True, slots=True)
class Rungs:
    """Where candidates are compared, and who goes on."""

    at: tuple[float, ...] = (0.5,)  # fractions of the full training
    keep: float = 0.5  # fraction of the candidates at a rung that goes on
    epsilon: float = 0.03  # relative to the score; a smaller lag does not count as beaten
    fewest: int = 5  # no candidate stops at a rung that fewer have reached

    def reached(self, seen: int, whole: int) -> int:
        """How many rungs a training has passed after `seen` of `whole` images."""
        return sum(seen >= share * whole - 1e-9 for share in self.at)


def ranks(points: Sequence[Point]) -> list[int]:
    """The non-dominated rank of each point: 0 on the front, 1 on the front of the others, and so on."""
    result = [0] * len(points)
    left = list(range(len(points)))
    rank = 0
    while left:
        first = {left[index] for index in front([points[index] for index in left])}
        # Of equal points front() keeps one; they share its rank.
        first |= {index for index in left if any(points[index] == points[other] for other in first)}
        for index in first:
            result[index] = rank
        left = [index for index in left if index not in first]
        rank += 1
    return result


def goes_on(own: Point, peers: Sequence[Point], rungs: Rungs) -> bool:
    """Whether a candidate with this (score, cost) at a rung goes on, given the others that reached the rung."""
    if len(peers) + 1 < rungs.fewest:
        return True
    beaten = any(cost <= own[1] and score < own[0] * (1 - rungs.epsilon) for score, cost in peers)
    if not beaten:
        return True
    points = [*peers, own]
    every = ranks(points)
    before = sum(rank < every[-1] for rank in every)
    return before < math.ceil(rungs.keep * len(points))
