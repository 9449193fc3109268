"""Costs: by hand, by a second implementation, and by brute force over all running orders."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import networkx as nx
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from snsearch.errors import SpecError
from snsearch.files import bundled_names
from snsearch.network.arch import Architecture
from snsearch.network.costs import (
    BYTES_PER_VALUE,
    Precision,
    StageMacs,
    cost_report,
    count_costs,
    count_macs,
    peak_elements,
)
from snsearch.network.graph import OpGraph, block_ops, blocks
from snsearch.network.operators import Op
from snsearch.network.structure_units import BlockSpec
from snsearch.solver.budget import mflops_budget
from snsearch.solver.design import Design
from snsearch.solver.solving import solve
from snsearch.solver.spec import load_space
from tests.architectures import architectures, shufflenet
from tests.closed_form import network

TINY = shufflenet(3, 12, stem=6, stage_repeats=(2,), resolution=(32, 32), classes=10)

# ShuffleNet, g=3, 32x32 image, a stem of 6 channels, one stage of two units of 12 channels (bottleneck 12/4 = 3).
# Sizes: image 32x32, conv 16x16, pool 8x8, stage 4x4.
# Each row: operator, output, MACs, parameters (weights + 2 per channel of batch norm, or + bias), and elements moved
# (inputs + output + weights + one folded bias per channel).
BY_HAND = [
    # 16*16 pixels * 6 channels * 3 inputs * 9; 6*3*9 weights + 2*6
    ("stem.conv", (6, 16, 16), 41472, 174, 3 * 32 * 32 + 6 * 256 + 162 + 6),
    ("stem.pool", (6, 8, 8), 0, 0, 6 * 256 + 6 * 64),
    # 8*8 * 3 * 6, the one pointwise convolution that is not grouped; 18 weights + 2*3
    ("stage2.0.expand", (3, 8, 8), 1152, 24, 6 * 64 + 3 * 64 + 18 + 3),
    ("stage2.0.shuffle", (3, 8, 8), 0, 0, 3 * 64 + 3 * 64),
    # 4*4 * 3 * 9; 27 weights + 2*3
    ("stage2.0.depthwise", (3, 4, 4), 432, 33, 3 * 64 + 3 * 16 + 27 + 3),
    # to 12 - 6 channels in 3 groups: 4*4 * 6 * 1; 6 weights + 2*6
    ("stage2.0.project", (6, 4, 4), 96, 18, 3 * 16 + 6 * 16 + 6 + 6),
    ("stage2.0.shortcut", (6, 4, 4), 0, 0, 6 * 64 + 6 * 16),
    ("stage2.0.concat", (12, 4, 4), 0, 0, 6 * 16 + 6 * 16 + 12 * 16),
    # 4*4 * 3 * 12/3; 12 weights + 2*3
    ("stage2.1.expand", (3, 4, 4), 192, 18, 12 * 16 + 3 * 16 + 12 + 3),
    ("stage2.1.shuffle", (3, 4, 4), 0, 0, 3 * 16 + 3 * 16),
    ("stage2.1.depthwise", (3, 4, 4), 432, 33, 3 * 16 + 3 * 16 + 27 + 3),
    # 4*4 * 12 * 3/3; 12 weights + 2*12
    ("stage2.1.project", (12, 4, 4), 192, 36, 3 * 16 + 12 * 16 + 12 + 12),
    ("stage2.1.add", (12, 4, 4), 0, 0, 3 * 12 * 16),
    ("head.pool", (12, 1, 1), 0, 0, 12 * 16 + 12),
    # 12 * 10; with bias
    ("head.classifier", (10, 1, 1), 120, 130, 12 + 10 + 120 + 10),
]


@pytest.mark.parametrize("index", range(len(BY_HAND)), ids=[row[0] for row in BY_HAND])
def test_each_operator_costs_what_it_costs_by_hand(index: int) -> None:
    name, output, macs, params, moved = BY_HAND[index]
    operator = cost_report(OpGraph.of(TINY)).operators[index]
    assert (operator.name, operator.output, operator.macs, operator.params) == (name, output, macs, params)
    assert operator.bytes_moved == 4 * moved


def test_the_totals_by_hand() -> None:
    costs = count_costs(TINY)
    # 41472 + 1152 + 432 + 96 + 192 + 432 + 192 + 120
    assert costs.macs == count_macs(TINY) == 44088
    assert costs.mflops == 0.044088
    # 174 + 24 + 33 + 18 + 18 + 33 + 36 + 130
    assert costs.params == 466
    # A folded batch norm leaves one of its two values per channel: 466 - (6 + 3 + 3 + 6 + 3 + 3 + 12)
    assert costs.weight_bytes == 4 * 430
    assert costs.bytes_moved == 4 * sum(row[4] for row in BY_HAND)
    # The first convolution: the image, 3*32*32, and its output, 6*16*16, are live.
    assert costs.peak_activation_bytes == 4 * (3072 + 1536)


def test_squeeze_and_excitation_by_hand() -> None:
    # Reduction 4 of 12 channels, on both units: 12*3 + 3*12 MACs; with biases 36 + 3 and 36 + 12 parameters.
    operators = {op.name: op for op in cost_report(OpGraph.of(replace(TINY, se_reduction=4))).operators}
    for unit, size in (("stage2.0", 16), ("stage2.1", 16)):
        assert [
            (kind, operators[f"{unit}.se.{kind}"].macs, operators[f"{unit}.se.{kind}"].params)
            for kind in ("pool", "reduce", "expand", "scale")
        ] == [("pool", 0, 0), ("reduce", 36, 39), ("expand", 36, 48), ("scale", 0, 0)]
        assert operators[f"{unit}.se.scale"].bytes_moved == 4 * (2 * 12 * size + 12)
    costs = count_costs(replace(TINY, se_reduction=4))
    assert costs.macs == 44088 + 2 * 72
    assert costs.params == 466 + 2 * 87
    assert costs.weight_bytes == 4 * (430 + 2 * 87)


@pytest.mark.parametrize(
    ("unit", "macs", "params"),
    [
        # One stage of two units, 4 -> 8 channels at 5x3 pixels with stride 2, then at 3x2.
        # reduce 15*2*4 + 3x3 6*2*2*9/2 + expand 6*8*2 + shortcut 6*8*4; then 6*2*8 + 6*2*2*9/2 + 6*8*2
        # weights 8 + 18 + 16 + 32 and 16 + 18 + 16, batch norms 2*(2 + 2 + 8 + 8) and 2*(2 + 2 + 8)
        ("bottleneck", (120 + 108 + 96 + 192) + (96 + 108 + 96), (74 + 40) + (50 + 24)),
        # 6*8*4*9 + 6*8*8*9; then twice 6*8*8*9
        ("plain", (1728 + 3456) + 2 * 3456, (288 + 576 + 2 * 16) + (2 * 576 + 2 * 16)),
        # depthwise 6*4*9 + pointwise 6*8*4; then 6*8*9 + 6*8*8
        ("separable", (216 + 192) + (432 + 384), (36 + 32 + 2 * 12) + (72 + 64 + 2 * 16)),
    ],
)
def test_the_other_units_by_hand(unit: str, macs: int, params: int) -> None:
    arch = replace(
        TINY,
        unit=unit,
        groups=2,
        stem_channels=4,
        stem_stride=1,
        stem_pool=False,
        stage_channels=(8,),
        input_channels=1,
        resolution=(5, 3),
    )
    costs = count_costs(arch)
    # The stem: 15 pixels * 4 * 9, 36 weights + 8; the classifier: 80 weights + 10.
    assert costs.macs == macs + 540 + 80
    assert costs.params == params + 44 + 90


# ShuffleNet (arXiv:1707.01083), Table 1, recounted as convolutions and classifier: groups, stage 2 channels, MACs.
@pytest.mark.parametrize(
    ("groups", "width", "macs"),
    [
        (1, 144, 143_078_976),
        (2, 200, 140_836_512),
        (3, 240, 137_460_672),
        (4, 272, 134_339_776),
        (8, 384, 138_365_952),
    ],
)
def test_the_networks_of_the_papers_table_1(groups: int, width: int, macs: int) -> None:
    arch = shufflenet(groups, width, 2 * width, 4 * width)
    assert count_macs(arch) == network(arch).macs == macs


@pytest.mark.parametrize(
    ("precision", "size"), [("float32", 4), ("float16", 2), ("int8", 1)], ids=["float32", "float16", "int8"]
)
def test_sizes_follow_the_precision_and_counts_do_not(precision: Precision, size: int) -> None:
    costs, values = count_costs(TINY, precision), count_costs(TINY, "int8")
    assert BYTES_PER_VALUE[precision] == size
    assert (costs.macs, costs.params) == (values.macs, values.params)
    assert costs.weight_bytes == size * values.weight_bytes
    assert costs.bytes_moved == size * values.bytes_moved
    assert costs.peak_activation_bytes == size * values.peak_activation_bytes
    report = cost_report(OpGraph.of(TINY), precision)
    assert (report.precision, report.totals, report.architecture) == (precision, costs, TINY)
    assert sum(op.bytes_moved for op in report.operators) == costs.bytes_moved


@settings(max_examples=300)
@given(architectures(units=("shufflenet",), least_side=32, most_repeats=12))
def test_shufflenet_counts_as_a_second_implementation_does(arch: Architecture) -> None:
    tally, costs = network(arch), count_costs(arch)
    assert count_macs(arch) == costs.macs == tally.macs
    assert costs.params == tally.params
    assert costs.weight_bytes == 4 * tally.deployed


@settings(max_examples=200)
@given(architectures(units=("bottleneck", "plain", "separable")))
def test_the_other_units_count_as_a_second_implementation_does(arch: Architecture) -> None:
    tally, costs = network(arch), count_costs(arch)
    assert count_macs(arch) == costs.macs == tally.macs
    assert costs.params == tally.params
    assert costs.weight_bytes == 4 * tally.deployed


@settings(max_examples=100)
@given(architectures())
def test_the_operators_of_a_report_sum_to_its_totals(arch: Architecture) -> None:
    report = cost_report(OpGraph.of(arch))
    assert report.totals == count_costs(arch)
    assert sum(op.macs for op in report.operators) == report.totals.macs
    assert sum(op.params for op in report.operators) == report.totals.params
    assert sum(op.bytes_moved for op in report.operators) == report.totals.bytes_moved


@settings(max_examples=200)
@given(architectures(most_repeats=3), st.integers(1, 3), st.booleans())
def test_the_macs_of_stages_sum_to_those_of_the_network(arch: Architecture, factor: int, narrow_stem: bool) -> None:
    # Widths other than those that the counter is made with.
    stem = arch.groups[0] if narrow_stem else arch.stem_channels
    widths = tuple(width * factor for width in arch.stage_channels)
    other = replace(arch, stage_channels=widths, stem_channels=stem)
    try:
        macs = count_macs(other)
    except SpecError:
        reject()
    assert StageMacs(arch).total(stem, widths) == macs


def test_the_macs_of_a_network_that_cannot_be_built_are_0() -> None:
    widths = (TINY.stem_channels, *TINY.stage_channels[1:])
    with pytest.raises(SpecError, match="cannot become"):
        count_macs(replace(TINY, stage_channels=widths))
    assert StageMacs(TINY).total(TINY.stem_channels, widths) == 0


def _running_orders(ops: Sequence[Op]) -> Iterator[list[int]]:
    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(ops)))
    graph.add_edges_from((source, index) for index, op in enumerate(ops) for source in op.inputs)
    return nx.all_topological_sorts(graph)


def _peak_of(ops: Sequence[Op], order: Sequence[int]) -> int:
    """The peak of live elements when the operators run in that order."""
    live: set[int] = set()
    peak = 0
    for position, index in enumerate(order):
        live.add(index)
        peak = max(peak, sum(ops[tensor].channels * ops[tensor].height * ops[tensor].width for tensor in live))
        to_come = {source for later in order[position + 1 :] for source in ops[later].inputs}
        live = {tensor for tensor in live if tensor in to_come}
    return peak


def _least_peak(ops: Sequence[Op]) -> int:
    return min(_peak_of(ops, order) for order in _running_orders(ops))


def _variants() -> Iterator[tuple[str, Design]]:
    for name in bundled_names("spaces"):
        space = load_space(name)
        for groups, se in itertools.product(space.groups, (False, True)):
            yield name, Design(groups=groups, se=se)


@pytest.mark.parametrize(
    ("name", "design"), [pytest.param(n, d, id=f"{n}-g{d.groups}{'-se' if d.se else ''}") for n, d in _variants()]
)
def test_the_peak_of_every_block_is_the_least_over_all_running_orders(name: str, design: Design) -> None:
    arch = solve(load_space(name), mflops_budget(38), design).architecture
    peaks = []
    for placed in blocks(arch):
        ops = block_ops(arch, placed.spec)
        peaks.append(_least_peak(ops))
        assert peak_elements(ops) == peaks[-1]
    assert count_costs(arch).peak_activation_bytes == 4 * max(peaks)


@pytest.mark.parametrize("unit", ["shufflenet", "bottleneck", "plain", "separable"])
@pytest.mark.parametrize("se", [0, 4])
@pytest.mark.parametrize("resolution", [(32, 32), (17, 9)])
def test_the_peak_of_a_network_is_the_least_over_all_its_running_orders(
    unit: str, se: int, resolution: tuple[int, int]
) -> None:
    # Wide stages behind a narrow stem, so that the peak lies in a unit and not in the stem.
    arch = replace(
        TINY,
        unit=unit,
        stem_stride=1,
        stem_pool=False,
        stage_channels=(60, 120),
        stage_repeats=(1, 2),
        stage_strides=(2, 2),
        groups=TINY.groups[0],
        se_reduction=se,
        resolution=resolution,
    )
    ops = OpGraph.of(arch).ops
    assert count_costs(arch).peak_activation_bytes == 4 * _least_peak(ops)
    assert _least_peak(ops) > sum(op.elements for op in ops[:2])


def test_the_best_order_counts_and_not_the_written_one() -> None:
    ops = [
        Op("input", "input", (), 128, 128, 1, 1),
        Op("shortcut", "conv", (0,), 128, 40, 1, 1),
        Op("wide", "conv", (0,), 128, 100, 1, 1),
        Op("narrow", "conv", (2,), 100, 2, 1, 1),
        Op("concat", "concat", (1, 3), 42, 42, 1, 1),
    ]
    # As written: 128 + 40 + 100. With the shortcut last: 128 + 100 + 2, and only then 128 + 2 + 40.
    assert _peak_of(ops, [0, 1, 2, 3, 4]) == 268
    assert peak_elements(ops) == _least_peak(ops) == 230


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.sets(st.integers(0, 7), min_size=1, max_size=3)), min_size=1, max_size=6
    )
)
def test_the_peak_of_any_operators_is_the_least_over_all_running_orders(rows: list[tuple[int, set[int]]]) -> None:
    ops = [Op("input", "input", (), 1, 7, 1, 1)]
    for channels, sources in rows:
        inputs = tuple(sorted({source % len(ops) for source in sources}))
        ops.append(Op(f"op{len(ops)}", "conv", inputs, 1, channels, 1, 1))
    read = {source for op in ops for source in op.inputs}
    unread = tuple(index for index in range(len(ops)) if index not in read)
    ops.append(Op("output", "concat", unread, 1, 3, 1, 1))
    assert peak_elements(ops) == _least_peak(ops)


def test_the_input_image_counts_into_the_peak() -> None:
    stem = BlockSpec("stem", 3, 1, 32, 32, 1, False)
    # One channel behind the first convolution: 3*32*32 + 16*16, then the pool frees the image.
    assert peak_elements(block_ops(TINY, stem)) == 3 * 1024 + 256
