"""Latency budgets against the whole lattice, and what solutions say of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from snsearch.errors import InfeasibleBudgetError, SpecError
from snsearch.latency.profile import Profile, load_profile
from snsearch.network.arch import Architecture
from snsearch.network.costs import count_costs
from snsearch.solver.budget import Budget, load_budget
from snsearch.solver.design import Design
from snsearch.solver.solution_table import networks_as_rows
from snsearch.solver.solving import solve
from snsearch.solver.spec import load_space
from tests.latency.test_arrays import KERNELS, STREAMED

SHUFFLENET = load_space("shufflenet-v1")
PI, SNAPDRAGON = load_profile("ncnn-raspberry-pi-4"), load_profile("snapdragon-820")

MOST = 352  # channels of a first stage


def _budget(ms: float, profile: Profile = PI, **bounds: object) -> Budget:
    return Budget(name="b", latency_ms=ms, profile=profile, resolution=(64, 64), classes=10, **bounds)  # type: ignore[arg-type]


def _lattice(arch: Architecture, step: int, most: int) -> Iterator[Architecture]:
    """All networks of 1:2:4 whose stages leave their proportion by a third at most, up to a first width."""
    for first, second in itertools.product(range(step, most, step), range(step, 4 * most, step)):
        if first < second and 9 * max(2 * first, second) <= 16 * min(2 * first, second):
            for third in range(second + step, 8 * most, step):
                parts = (4 * first, 2 * second, third)
                if 9 * max(parts) <= 16 * min(parts):  # a third either way
                    yield replace(arch, stage_channels=(first, second, third))


@pytest.mark.long
@pytest.mark.parametrize("profile", [PI, SNAPDRAGON, KERNELS, STREAMED], ids=lambda profile: profile.form)
@pytest.mark.parametrize("tenths", [7, 9, 11])
def test_the_network_is_the_one_of_most_macs_in_the_whole_lattice(profile: Profile, tenths: int) -> None:
    design = Design(groups=8, scale=0.5, depth="1-2-1")
    base = solve(SHUFFLENET, Budget(name="b", macs=1_100_000, resolution=(64, 64), classes=10), design)
    limit = profile.predict(base.architecture).ms * tenths / 10
    found = solve(SHUFFLENET, _budget(limit, profile), design)

    best = 0
    for arch in _lattice(base.architecture, 32, MOST):
        try:
            ms = profile.predict(arch).ms
        except SpecError:
            continue
        assert ms > limit or arch.stage_channels[0] < MOST - 32  # what lies beyond is slower
        if 0.98 * limit <= ms <= limit:
            best = max(best, count_costs(arch).macs)
    assert found.costs.macs == best
    assert found.latency is not None
    assert 0.98 * limit <= found.latency.ms <= limit
    assert (found.binding, found.notes[1:]) == ("latency", ())


def test_further_bounds_hold_beside_the_latency() -> None:
    design = Design(groups=4, scale=0.5)
    free = solve(SHUFFLENET, _budget(2.0), design)
    bounds = {
        "params": round(free.costs.params * 0.9),
        "weight_bytes": round(free.costs.weight_bytes * 0.95),
        "peak_activation_bytes": free.costs.peak_activation_bytes,
    }
    for name, limit in bounds.items():
        found = solve(SHUFFLENET, _budget(2.0, **{name: limit}), design)
        assert getattr(found.costs, name) <= limit
        assert found.latency is not None
        assert found.latency.ms <= 2.0
        assert found.costs.macs <= free.costs.macs


def test_a_reason_is_given_where_another_bound_binds_first() -> None:
    found = solve(SHUFFLENET, _budget(50.0, macs=2_000_000), Design(groups=3), tight=True)
    assert found.binding == "mflops"
    assert abs(found.deviation or 0) <= 0.001
    assert found.notes[-1].startswith("latency: mflops binds first, at ")


def test_mflops_are_not_reached_where_the_latency_binds() -> None:
    alone = solve(SHUFFLENET, _budget(2.0), Design(groups=3))
    for match in ("nearest", "under"):
        found = solve(SHUFFLENET, _budget(2.0, macs=400_000_000, match=match), Design(groups=3), tight=True)
        assert (found.binding, found.architecture) == ("latency", alone.architecture)
        assert found.deviation is not None
        assert found.deviation < 0


def test_a_confidence_keeps_the_upper_end_of_the_interval_inside() -> None:
    found = solve(SHUFFLENET, _budget(2.0, confidence=0.95), Design(groups=2))
    assert found.latency is not None
    assert 2.0 * 0.98 <= found.latency.high_ms <= 2.0


def test_all_group_counts_share_the_first_convolution() -> None:
    budget = Budget(name="b", latency_ms=40.0, profile=SNAPDRAGON)
    found = [solve(SHUFFLENET, budget, Design(groups=groups)) for groups in (1, 2, 3, 4, 8)]
    assert {one.architecture.stem_channels for one in found} == {24}


def test_packed_widths_keep_the_latency() -> None:
    found = solve(SHUFFLENET, _budget(3.0), Design(groups=3), packed=True)
    assert found.latency is not None
    assert 3.0 * 0.98 <= found.latency.ms <= 3.0
    assert any(note.startswith("packed: ") for note in found.notes)


def test_a_latency_that_no_network_meets_names_the_smallest() -> None:
    with pytest.raises(InfeasibleBudgetError, match=r"0\.001 ms cannot be met by .* needs .* ms \(predicted\); r"):
        solve(SHUFFLENET, _budget(0.001), Design(groups=3))


def test_a_profile_whose_rates_do_not_rise_bounds_nothing() -> None:
    flat = replace(PI, rates=(("operators", 1000.0),))
    with pytest.raises(SpecError, match="its rates hardly rise with the widths"):
        solve(SHUFFLENET, _budget(25.0, flat), Design(groups=3))


def test_widths_whose_operators_the_profile_refuses_are_not_taken() -> None:
    wary = replace(KERNELS, unseen=("read_1_bytes",))
    limit = KERNELS.predict(solve(SHUFFLENET, _budget(1.0, macs=4_000_000), Design(groups=2)).architecture).ms
    found = solve(SHUFFLENET, _budget(limit, wary), Design(groups=2))
    assert found.latency is not None
    assert wary.terms(found.architecture)["read_1_bytes"] == 0


def test_a_budget_needs_a_profile_for_its_latency() -> None:
    with pytest.raises(SpecError, match="a latency needs a device"):
        solve(SHUFFLENET, Budget(name="b", latency_ms=25.0), Design(groups=3))
    with pytest.raises(SpecError, match="profile belongs to a latency"):
        Budget(name="b", macs=1, profile=PI)


@pytest.fixture
def budget_file(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        path = tmp_path / "mine.toml"
        path.write_text(f'schema = 1\nname = "mine"\n{text}', encoding="utf-8")
        return str(path)

    return write


def test_a_budget_file_holds_a_latency(budget_file: Callable[[str], str], tmp_path: Path) -> None:
    for latency in ("25", '"25ms"', '"0.025s"'):
        text = f'latency_ms = {latency}\nprofile = "ncnn-raspberry-pi-4"\nconfidence = "95%"'
        assert load_budget(budget_file(text)) == Budget(name="mine", latency_ms=25.0, profile=PI, confidence=0.95)
    (tmp_path / "phone.toml").write_text(SNAPDRAGON.to_toml(), encoding="utf-8")  # beside the budget's file
    budget = load_budget(budget_file('latency_ms = 25\nprofile = "phone.toml"'))
    assert budget.describe() == "at most 25 ms on Snapdragon 820 (predicted)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("latency_ms = 0", "latency_ms: 0 is out of range; expected a latency"),
        ("latency_ms = 25\nprofile = 'pixel'", "profile: no profile is named"),
        ("latency_ms = 25\nconfidence = 0.9", 'confidence: confidence 0.9: expected "95%"'),
    ],
)
def test_a_wrong_latency_in_a_file_is_refused(budget_file: Callable[[str], str], text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_budget(budget_file(text))
    assert message in str(caught.value)


def test_the_table_says_what_the_prediction_promises() -> None:
    for confidence, words in ((None, "predicted, not promised"), (0.95, "with the upper end of its 95 % interval")):
        found = solve(SHUFFLENET, _budget(2.0, confidence=confidence), Design(groups=3))
        assert any(words in note for note in networks_as_rows([found]).notes)
        assert math.isfinite(found.latency.ms if found.latency else math.inf)
