"""Non-dominated sets, against their definition."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from snsearch.intervals import Z95
from snsearch.study.pareto import front, possible_front

POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=14)


def _dominates(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] <= other[0] and one[1] <= other[1] and one != other


@given(POINTS)
def test_the_front_is_what_nothing_dominates_each_value_once(points: list[tuple[float, float]]) -> None:
    kept = front(points)
    expected = {p for p in points if not any(_dominates(q, p) for q in points)}
    assert {points[index] for index in kept} == expected
    assert len(kept) == len(expected)
    assert [points[index][1] for index in kept] == sorted(points[index][1] for index in kept)


@given(POINTS, st.data())
def test_the_possible_front_holds_the_front_and_drops_what_is_beaten_beyond_noise(
    points: list[tuple[float, float]], data: st.DataObject
) -> None:
    deviations = data.draw(st.lists(st.floats(0, 3), min_size=len(points), max_size=len(points)))
    possible = set(possible_front(points, deviations))
    assert set(front(points)) <= possible
    for index, (error, cost) in enumerate(points):
        beaten = any(
            other_cost <= cost and error - other_error > Z95 * math.hypot(deviations[index], deviations[other])
            for other, (other_error, other_cost) in enumerate(points)
        )
        assert (index not in possible) == beaten


def test_without_noise_the_possible_front_is_the_front_and_its_equals() -> None:
    points = [(0.2, 10.0), (0.2, 12.0), (0.1, 12.0), (0.3, 9.0)]
    assert possible_front(points, [0.0] * 4) == [3, 0, 2]
    assert front(points) == [3, 0, 2]


def test_an_empty_set_has_an_empty_front() -> None:
    assert front([]) == possible_front([], []) == []
