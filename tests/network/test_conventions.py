"""The closed forms of other counters' conventions against those counters, run on the real module."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from snsearch.network.arch import Architecture
from snsearch.network.conventions import RULES, ConventionCount, count_conventions
from snsearch.network.costs import count_macs
from snsearch.network.counters import count_with_thop
from snsearch.network.graph import OpGraph
from snsearch.network.torch_model import build_model
from tests.architectures import shufflenet

PAPER_1X = shufflenet(3, 240, 480, 960)
SMALL = {
    "shufflenet g=1": shufflenet(1, 32, 64, stem=12, resolution=(49, 65), classes=10),
    "shufflenet g=8 SE": shufflenet(8, 64, 128, 256, stem=8, resolution=(64, 64), classes=10, se_reduction=16),
    "shufflenet no shuffle": shufflenet(2, 32, 64, shuffle=False, stem_pool=False, resolution=(33, 17), classes=3),
    "gray, no pooling": shufflenet(4, 32, stem=4, stem_pool=False, input_channels=1, resolution=(9, 9), classes=2),
    "resnet": shufflenet(1, 16, 32, unit="bottleneck", shuffle=False, resolution=(47, 47), classes=10),
    "shufflenet mixed": shufflenet(
        (8, 1, 3), 64, 132, 240, stem=8, resolution=(64, 64), classes=10, se_reduction=(0, 16, 4)
    ),
    "resnext SE": shufflenet(4, 16, 32, unit="bottleneck", bottleneck=2, se_reduction=4, resolution=(40, 30)),
    "vgg-like": shufflenet(1, 12, 24, unit="plain", shuffle=False, resolution=(40, 30), classes=10),
    "mobilenet": shufflenet(1, 12, 24, unit="separable", bottleneck=1, shuffle=False, resolution=(31, 64)),
}


def _input(arch: Architecture) -> torch.Tensor:
    return torch.zeros(1, arch.input_channels, *arch.resolution)


def by_thop(arch: Architecture) -> int:
    """thop's count by its own rules."""
    return count_with_thop(build_model(arch), everything=True)


def by_torch(arch: Architecture) -> int:
    """FlopCounterMode's count."""
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        build_model(arch).eval()(_input(arch))
    return int(counter.get_total_flops())


def by_fvcore(arch: Architecture) -> int:
    """FlopCountAnalysis' count in evaluation mode, without its warnings about operators that it does not count."""
    with warnings.catch_warnings():
        # fvcore scripts and traces with torch.jit, which torch marks as deprecated.
        warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
        from fvcore.nn import FlopCountAnalysis

        analysis = FlopCountAnalysis(build_model(arch).eval(), (_input(arch),))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        return int(analysis.total())


TOOLS: dict[str, Callable[[Architecture], int]] = {"thop": by_thop, "torch": by_torch, "fvcore": by_fvcore}


def counts_of(arch: Architecture) -> dict[str, ConventionCount]:
    """The closed forms by convention."""
    return {one.convention: one for one in count_conventions(OpGraph.of(arch))}


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("arch", SMALL.values(), ids=SMALL)
def test_a_closed_form_is_what_the_tool_counts(arch: Architecture, tool: str) -> None:
    assert counts_of(arch)[tool].total == TOOLS[tool](arch)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_closed_form_is_what_the_tool_counts_of_the_papers_network(tool: str) -> None:
    assert counts_of(PAPER_1X)[tool].total == TOOLS[tool](PAPER_1X)


def test_the_totals_of_1x_with_3_groups_are_golden() -> None:
    totals = {convention: one.total for convention, one in counts_of(PAPER_1X).items()}
    assert totals["fvcore"] == pytest.approx(143.5e6, rel=1e-3)
    del totals["fvcore"]
    assert totals == {"paper": 137_460_672, "thop": 149_593_248, "torch": 274_921_344}


def test_every_convention_is_counted_once_and_the_papers_first() -> None:
    counts = count_conventions(OpGraph.of(PAPER_1X))
    assert [one.convention for one in counts] == list(RULES)
    assert (counts[0].convention, counts[0].difference) == ("paper", {})
    assert all(one.meaning == RULES[one.convention][0] for one in counts)


@pytest.mark.parametrize("arch", [PAPER_1X, *SMALL.values()], ids=["1x", *SMALL])
def test_differences_sum_to_what_a_total_has_beyond_the_papers(arch: Architecture) -> None:
    counts = counts_of(arch)
    assert counts["paper"].total == count_macs(arch)
    for one in counts.values():
        assert one.total - counts["paper"].total == sum(one.difference.values())
        assert all(value > 0 for value in one.difference.values())


def test_differences_name_the_work_that_makes_them() -> None:
    # 8x8 pixels: a first convolution of 4 channels at 4x4, then one stride-2 unit of 8 channels at 2x2 with
    # an inner width of 2 (expand at 4x4, depthwise and project at 2x2) and a classifier. Batch norm is 4 an element.
    arch = shufflenet(1, 8, stem=4, stem_pool=False, stage_repeats=(1,), resolution=(8, 8), classes=2)
    counts = counts_of(arch)
    assert counts["thop"].difference == {
        "batch norm behind 3x3 convolutions": 4 * 4 * 4 * 4,
        "batch norm behind 1x1 convolutions": 4 * (2 * 4 * 4 + 4 * 2 * 2),
        "batch norm behind depthwise convolutions": 4 * 2 * 2 * 2,
        "average pooling": 4 * 2 * 2,
        "global pooling": 8 * (2 * 2 + 1),
    }
    assert counts["fvcore"].difference == {
        "batch norm behind 3x3 convolutions": 2 * 4 * 4 * 4,
        "batch norm behind 1x1 convolutions": 2 * (2 * 4 * 4 + 4 * 2 * 2),
        "batch norm behind depthwise convolutions": 2 * 2 * 2 * 2,
        "global pooling": 8 * 2 * 2,
    }
    assert counts["torch"].difference == {"two operations a multiply-add": counts["paper"].total}


def test_grouped_pointwise_convolutions_are_told_apart_from_plain_ones() -> None:
    arch = shufflenet(2, 16, stem=4, stem_pool=False, stage_repeats=(1,), resolution=(8, 8), classes=2)
    difference = counts_of(arch)["thop"].difference
    # The first pointwise convolution is not grouped (4 channels at 4x4); the second is (12 channels at 2x2).
    assert difference["batch norm behind 1x1 convolutions"] == 4 * 4 * 4 * 4
    assert difference["batch norm behind grouped 1x1 convolutions"] == 4 * 12 * 2 * 2


def test_a_grouped_pointwise_convolution_of_one_channel_a_group_is_not_called_depthwise() -> None:
    # An inner width of 2 in 2 groups: the second unit expands 8 channels to 2 at 2x2 pixels.
    arch = shufflenet(2, 8, stem=2, stem_pool=False, stage_repeats=(2,), resolution=(8, 8), classes=2)
    difference = counts_of(arch)["thop"].difference
    assert difference["batch norm behind depthwise convolutions"] == 4 * 2 * (2 * 2 * 2)
