"""Populations: random networks of a space that meet a budget."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice

import pytest

from snsearch.errors import InfeasibleBudgetError, SpecError
from snsearch.network.arch import Architecture
from snsearch.network.costs import count_costs
from snsearch.solver.budget import mflops_budget
from snsearch.solver.sampling import population_table, sample
from snsearch.solver.solving import Solution
from snsearch.solver.spec import load_space

FREE, V1 = load_space("shufflenet-free"), load_space("shufflenet-v1")
BUDGET = mflops_budget(40)
V1_DESIGNS = 120


def _noted(keys: list[str], found: Iterator[Solution]) -> Iterator[str]:
    """Notes every key as it comes; gives none."""
    for one in found:
        keys.append(one.architecture.key)
    yield from ()


def test_networks_meet_the_budget_and_none_comes_twice() -> None:
    found = list(sample(FREE, BUDGET, 300))
    assert len({one.architecture.key for one in found}) == 300
    assert sum(abs(one.deviation or 0) <= 0.001 for one in found) >= 294
    assert all(one.budget == BUDGET for one in found)


def test_the_seed_decides_and_a_larger_sample_begins_with_the_smaller_one() -> None:
    keys = [one.architecture.key for one in sample(FREE, BUDGET, 30, seed=5)]
    assert keys[:10] == [one.architecture.key for one in sample(FREE, BUDGET, 10, seed=5)]
    assert not set(keys) & {one.architecture.key for one in sample(FREE, BUDGET, 30, seed=6)}


def test_structure_is_uniform_and_growth_of_widths_log_uniform() -> None:
    found = [one.design for one in sample(FREE, BUDGET, 600)]
    last = [one.groups[-1] if isinstance(one.groups, tuple) else one.groups for one in found]
    counts = [last.count(groups) for groups in (1, 2, 3, 4, 8)]
    assert all(abs(count - 120) < 4 * math.sqrt(120 * 0.8) for count in counts)
    low, high = FREE.search_growth or (0, 0)
    middle = math.sqrt(low * high)
    below = sum(one.ratios[1] < middle for one in found if one.ratios)
    assert abs(below - 300) < 4 * math.sqrt(150)


def test_rows_hold_what_the_network_has() -> None:
    for row in population_table(list(islice(sample(FREE, BUDGET, 20), 20))).records():
        arch = Architecture.from_key(row["key"])
        costs = count_costs(arch)
        assert (row["macs"], row["params"]) == (costs.macs, costs.params)
        assert row["deviation"] == pytest.approx(costs.macs / 40e6 - 1)
        assert row["peak_activation_bytes"] == costs.peak_activation_bytes
        assert (row["resolution"], row["classes"]) == ("224x224", 1000)
        assert all(isinstance(row[name], str) for name in ("groups", "se", "stage_channels", "units"))


def test_a_small_space_says_how_many_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snsearch.solver.sampling._VAIN", 300)
    given: list[str] = []
    with pytest.raises(SpecError, match=r"different networks for 40.00 MFLOPs, and 300 further draws") as raised:
        given.extend(_noted(given, sample(V1, BUDGET, 1000)))
    assert 80 < len(given) <= V1_DESIGNS
    assert f"space shufflenet-v1: {len(given)} different" in str(raised.value)


def test_a_budget_that_nothing_meets_is_refused_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snsearch.solver.sampling._FIRST", 50)
    with pytest.raises(InfeasibleBudgetError, match=r"none of 50 designs .* the smallest network"):
        next(sample(FREE, mflops_budget(0.1), 3))
