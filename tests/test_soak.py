"""A search that is struck by a signal at a seeded event ends as documented, and the same command ends its study.

`make soak` strikes at fifty moments; these five have a signal of each kind, one and two workers, and an event of
each kind.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.soak import Reference, draw, reference, strike

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds the processes of a search in /proc")

SEEDS = (11, 14, 33, 42, 44)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return reference(tmp_path_factory.mktemp("reference"))


@pytest.mark.long
@pytest.mark.parametrize("seed", SEEDS)
def test_a_search_struck_at_a_seeded_moment_loses_nothing(seed: int, undisturbed: Reference, tmp_path: Path) -> None:
    struck = strike(tmp_path, seed, undisturbed)
    assert not struck.faults
    assert struck.resumed


def test_the_seeds_strike_with_every_signal_and_at_every_event() -> None:
    drawn = [draw(seed, {"row": 200, "file": 20, "batch": 32, "worker": 0}) for seed in SEEDS]
    assert {moment.signal for _, moment in drawn} == {"SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"}
    assert {moment.event for _, moment in drawn} == {"row", "file", "batch", "worker"}
    assert {moment.to for _, moment in drawn} == {"process", "group"}
    assert {workers for workers, _ in drawn} == {1, 2}
