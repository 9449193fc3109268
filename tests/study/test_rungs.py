"""Rungs: who is beaten there stops, and who is not, never."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snsearch.codec import decode
from snsearch.study.pareto import Point
from snsearch.study.rungs import Rungs, goes_on, ranks

POINT = st.tuples(st.integers(0, 8), st.integers(0, 8)).map(lambda pair: (pair[0] / 10, float(pair[1])))
POINTS = st.lists(POINT, max_size=12)
RUNGS = st.builds(
    Rungs,
    keep=st.sampled_from((0.25, 0.4, 0.5, 0.75)),
    epsilon=st.sampled_from((0.0, 0.03, 0.3)),
    fewest=st.integers(1, 6),
)
STRICT = Rungs(at=(0.5,), keep=0.5, epsilon=0.0, fewest=2)


def _dominates(one: Point, other: Point) -> bool:
    return one[0] <= other[0] and one[1] <= other[1] and one != other


def test_ranks_are_fronts_behind_fronts() -> None:
    points = [(0.3, 1.0), (0.1, 2.0), (0.4, 1.0), (0.2, 3.0), (0.5, 4.0), (0.05, 9.0)]
    assert ranks(points) == [0, 0, 1, 1, 2, 0]


def test_equal_points_share_their_rank() -> None:
    assert ranks([(0.2, 2.0), (0.1, 1.0), (0.2, 2.0), (0.1, 1.0), (0.3, 3.0)]) == [1, 0, 1, 0, 2]
    assert ranks([]) == []


@given(POINTS)
def test_a_rank_is_the_longest_chain_of_points_that_dominate_one_another(points: list[Point]) -> None:
    found = ranks(points)
    for point, rank in zip(points, found, strict=True):
        before = [r for other, r in zip(points, found, strict=True) if _dominates(other, point)]
        assert rank == (1 + max(before) if before else 0)


def test_nobody_stops_before_the_fewest_have_come() -> None:
    worst = (0.9, 9.0)
    peers = [(0.1, 1.0), (0.2, 1.0), (0.3, 1.0)]
    assert goes_on(worst, peers, Rungs(fewest=5))
    assert not goes_on(worst, peers, Rungs(fewest=4))


def test_who_trails_by_less_than_epsilon_is_not_beaten() -> None:
    peers = [(0.1, 1.0)] * 9
    rungs = Rungs(keep=0.1, epsilon=0.1, fewest=2)
    assert goes_on((0.111, 1.0), peers, rungs)
    assert not goes_on((0.112, 1.0), peers, rungs)


def test_who_costs_less_than_all_that_are_better_goes_on() -> None:
    peers = [(0.1, 5.0)] * 9
    assert goes_on((0.8, 4.9), peers, STRICT)
    assert not goes_on((0.8, 5.0), peers, STRICT)


@pytest.mark.parametrize("keep", [0.25, 0.5, 0.7])
@pytest.mark.parametrize("count", [5, 6, 9, 12])
def test_of_candidates_that_all_beat_the_next_the_kept_part_goes_on(keep: float, count: int) -> None:
    chain = [(0.1 * (index + 1), 1.0) for index in range(count)]
    rungs = Rungs(keep=keep, epsilon=0.0, fewest=2)
    going = [goes_on(own, chain[:index] + chain[index + 1 :], rungs) for index, own in enumerate(chain)]
    kept = math.ceil(keep * count)
    assert going == [True] * kept + [False] * (count - kept)


@given(POINT, POINTS, RUNGS)
def test_a_candidate_that_nobody_dominates_goes_on(own: Point, peers: list[Point], rungs: Rungs) -> None:
    free = [peer for peer in peers if not _dominates(peer, own)]
    assert goes_on(own, free, rungs)


@given(POINTS.filter(bool), RUNGS)
def test_at_least_the_kept_part_goes_on(points: list[Point], rungs: Rungs) -> None:
    going = sum(goes_on(own, points[:i] + points[i + 1 :], rungs) for i, own in enumerate(points))
    assert going >= math.ceil(rungs.keep * len(points))


@given(POINT, POINT, POINTS, RUNGS)
def test_a_further_peer_that_one_dominates_never_stops_one(
    own: Point, further: Point, peers: list[Point], rungs: Rungs
) -> None:
    if _dominates(own, further) and len(peers) + 1 >= rungs.fewest and goes_on(own, peers, rungs):
        assert goes_on(own, [*peers, further], rungs)


@given(POINT, st.floats(0, 1), POINTS, RUNGS)
def test_a_better_score_never_stops_one_that_goes_on(
    own: Point, share: float, peers: list[Point], rungs: Rungs
) -> None:
    if goes_on(own, peers, rungs):
        assert goes_on((own[0] * share, own[1]), peers, rungs)


def test_a_rung_is_reached_with_the_last_image_of_its_share() -> None:
    rungs = Rungs(at=(0.1, 0.7))
    assert [rungs.reached(seen, 640) for seen in (0, 63, 64, 447, 448, 640)] == [0, 0, 1, 1, 2, 2]
    assert Rungs(at=(0.3,)).reached(3, 10) == 1, "0.3 * 10 is a little more than 3"
    assert Rungs(at=()).reached(640, 640) == 0


def test_rungs_round_trip_through_json() -> None:
    rungs = Rungs(at=(0.1, 0.2), keep=0.3, epsilon=0.4, fewest=7)
    assert decode(Rungs, json.loads(json.dumps(asdict(rungs))), "it") == rungs
