"""Kernel terms: by hand for a small network, and as sums against the cost report."""

from __future__ import annotations

import pytest
from hypothesis import assume, given

from snsearch.errors import SpecError
from snsearch.latency.kernels import KERNEL_MEANINGS, block_kernel_terms, network_kernel_terms, pack_of
from snsearch.latency.terms import Terms
from snsearch.network.arch import Architecture
from snsearch.network.costs import count_macs
from snsearch.network.graph import OpGraph
from snsearch.network.operators import BlockBuilder
from tests.architectures import architectures
from tests.latency.test_terms import TINY

BY_HAND = dict.fromkeys(KERNEL_MEANINGS, 0.0) | {
    # The expansion of 6 -> 3 channels, then groups of 1 -> 2, 4 -> 1 and 1 -> 4.
    "rows_4_macs": 16 * 3 * 4,
    "rows_2_macs": 64 * 6 * 2 + 16 * 3 * 2,
    "rows_1_macs": 64 * 6 * 1 + 16 * 3 * 4,
    "read_4_bytes": 4 * 192,
    "read_1_bytes": 4 * (6 * 64 + 48 + 48),
    "write_4_bytes": 4 * 192,
    "write_1_bytes": 4 * (3 * 64 + 96 + 48),
    "weight_bytes": 4 * (162 + 18 + 6 + 12 + 12),
    "group_calls": 9,
    "depthwise_1_macs": 2 * 16 * 3 * 9,
    "strided_depthwise_macs": 16 * 3 * 9,
    "first_macs": 256 * 6 * 3 * 9,
    "single_shuffle_bytes": 4 * (2 * 192 + 2 * 48),  # three channels are not packed
    "element_bytes": 4 * (2 * 192 + 3 * 192),  # concatenation, sum
    "pool_bytes": 4 * ((1536 + 384) + (384 + 96) + (192 + 12)),
    "linear_bytes": 4 * 120,
    "operators": 15,
    "spatial_operators": 1,
    "edge_bytes": 4 * (3 * 1024 + 10),
    "runs": 1,
    "networks": 1,
}


@pytest.mark.parametrize("term", KERNEL_MEANINGS)
def test_each_term_is_what_it_is_by_hand(term: str) -> None:
    assert network_kernel_terms(TINY)[term] == BY_HAND[term]


def test_channels_are_packed_by_the_widest_register_that_divides_them() -> None:
    assert [pack_of(channels) for channels in (48, 24, 20, 18, 3)] == [16, 8, 4, 1, 1]


def test_a_group_whose_channels_divide_less_than_all_is_repacked() -> None:
    build = BlockBuilder(240, 14, 14)
    build.conv("expand", 0, 60, groups=3)
    terms = block_kernel_terms(build.ops)
    # 240 channels lie in packs of 16, the 80 of a group too; 60 in packs of 4, the 20 of a group too.
    assert terms["repacked_bytes"] == 0
    assert (terms["read_16_bytes"], terms["write_4_bytes"]) == (4 * 240 * 196, 4 * 60 * 196)
    # 20 output channels per group are 16 at once and then 4.
    assert (terms["rows_16_macs"], terms["rows_4_macs"]) == (196 * 3 * 80 * 16, 196 * 3 * 80 * 4)
    build = BlockBuilder(200, 28, 28)
    build.conv("expand", 0, 50, groups=2)
    terms = block_kernel_terms(build.ops)
    # 200 channels lie in packs of 8, the 100 of a group in packs of 4; 50 and 25 lie singly.
    assert terms["repacked_bytes"] == 4 * 200 * 784
    assert (terms["read_4_bytes"], terms["write_1_bytes"]) == (4 * 200 * 784, 4 * 50 * 784)
    # 25 output channels per group: 16, 8 and 1.
    macs = 784 * 2 * 100
    assert (terms["rows_16_macs"], terms["rows_8_macs"], terms["rows_1_macs"]) == (macs * 16, macs * 8, macs)


def test_only_packed_channels_in_more_than_four_groups_take_the_slow_shuffle() -> None:
    def shuffled(channels: int, groups: int) -> Terms:
        build = BlockBuilder(channels, 7, 7)
        build.channel_shuffle("shuffle", 0, groups)
        return block_kernel_terms(build.ops)

    moved = 4 * 2 * 48 * 49
    assert shuffled(48, 4)["shuffle_bytes"] == moved
    assert shuffled(48, 8)["wide_shuffle_bytes"] == moved
    assert shuffled(50, 2)["single_shuffle_bytes"] == 4 * 2 * 50 * 49


def test_what_a_convolution_touches_beyond_each_cache_is_counted() -> None:
    build = BlockBuilder(1000, 10, 10)
    build.conv("conv", 0, 100)
    touched = 4 * (1000 * 100 + 100 * 100 + 1000 * 100)
    terms = block_kernel_terms(build.ops)
    assert terms["far_256k_bytes"] == touched - (256 << 10)
    assert terms["far_512k_bytes"] == touched - (512 << 10)
    assert terms["far_1m_bytes"] == terms["far_2m_bytes"] == 0


def test_squeeze_and_excitation_has_its_own_operators_weights_and_bytes() -> None:
    build = BlockBuilder(32, 4, 4)
    build.squeeze_excite(0, 16)
    terms = block_kernel_terms(build.ops)
    assert (terms["operators"], terms["gate_operators"]) == (0, 4)
    assert (terms["runs"], terms["networks"]) == (1, 0), "a block is no network"
    assert terms["gate_weight_bytes"] == 4 * 2 * 32 * 2
    # The pool reads 32x4x4 and makes 32; the scale reads both and makes 32x4x4.
    assert terms["gate_bytes"] == 4 * ((512 + 32) + (512 + 32 + 512))


def test_weights_beyond_what_a_cache_keeps_are_streamed() -> None:
    build = BlockBuilder(1024, 4, 4)
    build.conv("conv", build.conv("conv", 0, 200), 512)
    weights = 4 * (1024 * 200 + 200 * 512)
    assert block_kernel_terms(build.ops)["streamed_weight_bytes"] == weights - (1 << 20)
    assert network_kernel_terms(TINY)["streamed_weight_bytes"] == 0


def test_a_block_that_is_measured_alone_reads_and_writes_its_edges() -> None:
    build = BlockBuilder(16, 8, 8)
    build.add("add", 0, 0)
    assert block_kernel_terms(build.ops)["edge_bytes"] == 4 * (1024 + 1024)


@given(architectures())
def test_the_macs_of_all_kinds_add_up(arch: Architecture) -> None:
    try:
        terms = network_kernel_terms(arch)
    except SpecError:
        assume(False)
    kinds = [value for name, value in terms.items() if name.endswith("_macs") and not name.startswith("strided")]
    assert sum(kinds) + terms["linear_bytes"] / 4 + terms["gate_weight_bytes"] / 4 == count_macs(arch)


@given(architectures(most_repeats=3))
def test_a_network_has_the_terms_of_its_graph(arch: Architecture) -> None:
    try:
        ops = OpGraph.of(arch).ops
    except SpecError:
        assume(False)
    assert network_kernel_terms(arch) == {**block_kernel_terms(ops), "networks": 1}
