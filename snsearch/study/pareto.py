"""Non-dominated sets of two objectives, both minimised, with and without noise."""

from __future__ import annotations

import math
from collections.abc import Sequence

from snsearch.intervals import Z95

Point = tuple[float, float]


def front(points: Sequence[Point]) -> list[int]:
    """Indices of the non-dominated points, in ascending order of the second objective.

    A point dominates another if it is no worse in both objectives and better in one. Of equal points the first is
    kept.
    """
    order = sorted(range(len(points)), key=lambda index: (points[index][1], points[index][0], index))
    best = math.inf
    kept = []
    for index in order:
        if points[index][0] < best:
            best = points[index][0]
            kept.append(index)
    return kept


def possible_front(points: Sequence[Point], deviations: Sequence[float]) -> list[int]:
    """Indices of the points that may be on the front given noise in the first objective, ascending in the second.

    A point is out if another costs no more and is better by more than the 95 % interval of their difference.
    """

    def beaten(index: int) -> bool:
        first, second = points[index]
        return any(
            points[other][1] <= second
            and first - points[other][0] > Z95 * math.hypot(deviations[index], deviations[other])
            for other in range(len(points))
            if other != index
        )

    order = sorted(range(len(points)), key=lambda index: (points[index][1], points[index][0], index))
    return [index for index in order if not beaten(index)]
