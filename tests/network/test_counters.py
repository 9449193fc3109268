"""The cost report against thop and torch's FlopCounterMode, on the real module."""

from __future__ import annotations

import copy
from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given, settings

from snsearch.errors import SpecError, VerificationError
from snsearch.files import bundled_names
from snsearch.network.arch import Architecture
from snsearch.network.counters import Verification, count_with_thop, count_with_torch, verify
from snsearch.network.torch_model import build_model
from snsearch.solver.budget import Budget
from snsearch.solver.design import Design
from snsearch.solver.solving import solve
from snsearch.solver.spec import load_space
from tests.architectures import architectures, shufflenet

SMALL = Budget(name="small", macs=4_000_000, resolution=(65, 97), classes=11, input_channels=1)
TINY = shufflenet(3, 24, stem=6, stage_repeats=(2,), resolution=(17, 23), classes=4)


@pytest.mark.parametrize("se", [False, True], ids=["plain", "se"])
@pytest.mark.parametrize("name", bundled_names("spaces"))
def test_every_counter_agrees_on_every_space_at_a_small_budget_and_an_odd_input(name: str, se: bool) -> None:
    space = load_space(name)
    solution = solve(space, SMALL, Design(groups=space.groups[-1], se=se))
    found = verify(solution.architecture)
    found.check()
    assert found.report_macs == found.thop_macs == found.torch_macs == solution.costs.macs
    assert found.report_params == found.module_params == solution.costs.params
    assert found.thop_total == found.thop_explained > found.thop_macs


@settings(max_examples=10)
@given(architectures(least_side=32, most_repeats=2))
def test_every_counter_agrees_on_any_architecture(arch: Architecture) -> None:
    height, width = arch.resolution
    found = verify(replace(arch, resolution=(height % 40 + 1, width % 40 + 1), classes=7))
    found.check()
    assert found.report_macs == found.thop_macs == found.torch_macs
    assert found.report_params == found.module_params


@pytest.fixture(scope="module")
def agreeing() -> Verification:
    """A verification in which all counters agree."""
    return verify(TINY)


@pytest.mark.parametrize("change", [1, -1])
@pytest.mark.parametrize("field", [field.name for field in fields(Verification)])
def test_a_counter_that_is_off_by_one_is_reported(agreeing: Verification, field: str, change: int) -> None:
    agreeing.check()
    wrong = getattr(agreeing, field) + change
    with pytest.raises(VerificationError, match=f"{wrong:,}"):
        replace(agreeing, **{field: wrong}).check()


@pytest.mark.parametrize("everything", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_counting_leaves_the_network_as_it_was(everything: bool, training: bool) -> None:
    network = build_model(TINY).train(training)
    before = copy.deepcopy(network.state_dict())
    count_with_thop(network, everything=everything)
    count_with_torch(network)
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert {module.training for module in network.modules()} == {training}
    assert not any(module._forward_hooks for module in network.modules())


def test_an_architecture_whose_channels_do_not_divide_is_refused() -> None:
    with pytest.raises(SpecError, match="3 groups"):
        verify(replace(TINY, stage_channels=(25,)))
