"""Terms: by hand for a small network, and as sums against the cost report."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given

from snsearch.errors import SpecError
from snsearch.latency.terms import MEANINGS, Terms, network_terms, ops_terms
from snsearch.network.arch import Architecture
from snsearch.network.costs import count_macs, op_macs
from snsearch.network.graph import OpGraph
from snsearch.network.operators import BlockBuilder
from tests.architectures import architectures, shufflenet

# ShuffleNet, g=3, a 32x32 image, a stem of 6 channels, one stage of two units of 12 channels (bottleneck 3).
# Sizes: image 32x32, first convolution 16x16, pool 8x8, stage 4x4. Bytes are four per value.
TINY = shufflenet(3, 12, stem=6, stage_repeats=(2,), resolution=(32, 32), classes=10)

BY_HAND: Terms = {
    "dense_pointwise_macs": 64 * 3 * 6,  # the first expansion, which is not grouped
    "grouped_pointwise_macs": 16 * 6 * 1 + 16 * 3 * 4 + 16 * 12 * 1,
    "dense_3x3_macs": 0,
    "dense_spatial_macs": 256 * 6 * 3 * 9,  # the first convolution has a stride
    "grouped_spatial_macs": 0,
    "depthwise_macs": 2 * 16 * 3 * 9,
    "depthwise_bytes": 4 * ((192 + 48) + (48 + 48)),
    # first convolution, expansion, projection; expansion and projection of the second unit
    "conv_bytes": 4 * ((3 * 1024 + 6 * 256) + (6 * 64 + 3 * 64) + (48 + 96) + (192 + 48) + (48 + 192)),
    "weight_bytes": 4 * (162 + 18 + 6 + 12 + 12),
    "linear_bytes": 4 * 120,
    # pool, shuffle, shortcut, concatenation; shuffle and sum of the second unit; global pool
    "element_bytes": 4 * ((1536 + 384) + 2 * 192 + (384 + 96) + 2 * 192 + 2 * 48 + 3 * 192 + (192 + 12)),
    "gate_bytes": 0,
    "group_pixels": 256 + 64 + 16 + 3 * 16 + 3 * 16 + 16 + 3 * 16,
    # 3 -> 6 channels run as 4 -> 8, 6 -> 3 as 8 -> 4, and a group's 1 -> 2, 4 -> 1 and 1 -> 4 as 4 -> 4
    "padding_macs": 41472 * (32 / 18 - 1) + 1152 * (32 / 18 - 1) + 96 * 7 + 192 * 3 + 192 * 3,
    "far_bytes": 0,
    "operators": 15,
}


@pytest.mark.parametrize("term", MEANINGS)
def test_each_term_is_what_it_is_by_hand(term: str) -> None:
    assert network_terms(TINY)[term] == pytest.approx(BY_HAND[term], abs=1e-6)


def test_what_exceeds_a_cache_is_counted_an_operator_at_a_time() -> None:
    # The first convolution moves 18432 bytes and 648 of weights; the next largest convolution moves 2376.
    assert network_terms(TINY, 10_000)["far_bytes"] == 18432 + 648 - 10_000
    assert network_terms(TINY, 1 << 20)["far_bytes"] == 0
    assert network_terms(TINY, None)["far_bytes"] == 0


def test_squeeze_and_excitation_is_counted_apart_from_other_element_wise_operators() -> None:
    plain, gated = network_terms(TINY), network_terms(replace(TINY, se_reduction=4))
    # Each unit pools 192 values into 12, and scales 192 by 12 into 192; two layers of 12 x 3 weights.
    assert gated["gate_bytes"] == 4 * 2 * ((192 + 12) + (192 + 12 + 192))
    assert gated["element_bytes"] == plain["element_bytes"]
    assert gated["linear_bytes"] - plain["linear_bytes"] == 4 * 2 * 72
    assert gated["operators"] - plain["operators"] == 2 * 4


@pytest.mark.parametrize(
    ("kernel", "stride", "groups", "term"),
    [
        (1, 1, 1, "dense_pointwise_macs"),
        (1, 2, 1, "dense_pointwise_macs"),
        (1, 1, 2, "grouped_pointwise_macs"),
        (3, 1, 1, "dense_3x3_macs"),
        (3, 2, 1, "dense_spatial_macs"),
        (5, 1, 1, "dense_spatial_macs"),
        (3, 1, 2, "grouped_spatial_macs"),
        (3, 1, 8, "depthwise_macs"),
        (3, 2, 8, "depthwise_macs"),
    ],
)
def test_macs_go_to_the_term_of_their_kind_of_convolution(kernel: int, stride: int, groups: int, term: str) -> None:
    net = BlockBuilder(8, 6, 6)
    net.conv("conv", 0, 8, kernel=kernel, stride=stride, groups=groups)
    terms = ops_terms(net.ops)
    macs = {
        name: value for name, value in terms.items() if name.endswith("macs") and name != "padding_macs" and value
    }
    assert macs == {term: op_macs(net.ops[1])}


@given(architectures())
def test_macs_of_all_kinds_add_up_to_the_network_s(arch: Architecture) -> None:
    try:
        terms = network_terms(arch)
    except SpecError:
        assume(False)
        raise
    kinds = ("dense_pointwise", "grouped_pointwise", "dense_3x3", "dense_spatial", "grouped_spatial", "depthwise")
    convolved = sum(terms[f"{kind}_macs"] for kind in kinds)
    # A fully connected layer has one MAC a weight.
    assert convolved + terms["linear_bytes"] / 4 == count_macs(arch)
    assert terms["operators"] == len(OpGraph.of(arch).ops) - 1
    assert min(terms.values()) >= 0
