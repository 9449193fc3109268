"""The front under noise."""

from __future__ import annotations

import numpy as np
import pytest

from snsearch.study.noisy_front import front_band, front_shares


def test_who_is_clearly_best_is_on_the_front_and_what_is_clearly_beaten_is_not() -> None:
    shares = front_shares([(0.10, 0.001), (0.20, 0.001), (0.30, 0.001)], [1.0, 0.5, 2.0])
    assert shares == [1.0, 1.0, 0.0]


def test_two_that_differ_by_chance_share_the_front() -> None:
    cheap, even, _ = front_shares([(0.10, 0.01), (0.10, 0.01), (0.15, 0.01)], [1.0, 2.0, 3.0])
    assert cheap == 1.0, "nothing is cheaper"
    assert even == pytest.approx(0.5, abs=0.05)


def test_the_band_falls_with_the_cost_and_narrows_with_certainty() -> None:
    costs = [1.0, 2.0, 3.0]
    loose = front_band([(0.3, 0.01), (0.2, 0.01), (0.1, 0.01)], costs)
    close = front_band([(0.3, 0.001), (0.2, 0.001), (0.1, 0.001)], costs)
    assert [step["cost"] for step in loose] == costs
    for steps in (loose, close):
        assert [step["middle"] for step in steps] == pytest.approx([0.3, 0.2, 0.1], abs=0.01)
        assert all(step["low"] <= step["middle"] <= step["high"] for step in steps)
    assert all(b["high"] - b["low"] < a["high"] - a["low"] for a, b in zip(loose, close, strict=True))


def test_the_lowest_of_many_that_are_alike_is_not_believed() -> None:
    seen = np.random.default_rng(0).normal(0.2, 0.01, 50)
    [*_, last] = front_band([(float(error), 0.01) for error in seen], list(map(float, range(50))))
    assert last["middle"] > seen.min() + 0.003, "the true errors are all 20 %"
