"""What profiles predict for single operators."""

from __future__ import annotations

import pytest

from snsearch.latency.by_operator import OPERATOR_KINDS, priced
from snsearch.latency.profile import Profile, load_profile
from snsearch.network.costs import count_costs
from snsearch.solver.budget import load_budget
from snsearch.solver.design import Design
from snsearch.solver.solving import solve
from snsearch.solver.spec import load_space


@pytest.mark.parametrize("name", ["snapdragon-820", "ncnn-raspberry-pi-4"])
def test_operators_add_up_to_the_network_s_prediction_and_macs(name: str) -> None:
    profile: Profile = load_profile(name)
    arch = solve(load_space("shufflenet-v1"), load_budget("40"), Design(groups=3)).architecture
    ops = list(priced(arch, profile))
    assert sum(one.macs for one in ops) == count_costs(arch).macs
    assert {one.kind for one in ops} <= set(OPERATOR_KINDS)
    assert sum(one.ms or 0.0 for one in ops) == pytest.approx(profile.predict(arch).ms, rel=0.05)
    assert len({one.name for one in ops}) == len(ops)
