"""Blocks and graphs: shapes, wiring, and what cannot be built."""

from __future__ import annotations

from dataclasses import replace

import networkx as nx
import pytest
from hypothesis import given, settings

from snsearch.errors import SpecError
from snsearch.network.arch import Architecture
from snsearch.network.graph import OpGraph, block_ops, blocks
from snsearch.network.operators import BlockBuilder, Op
from snsearch.network.structure_units import STRUCTURE_UNITS, BlockSpec
from snsearch.solver.budget import mflops_budget
from snsearch.solver.design import Design
from snsearch.solver.solving import solve
from snsearch.solver.spec import load_space
from tests.architectures import UNIT_KINDS, architectures, shufflenet


def input_shapes(graph: OpGraph, index: int) -> list[tuple[int, int, int]]:
    """(channels, height, width) of each tensor that an operator reads."""
    return [(op.channels, op.height, op.width) for op in (graph.ops[i] for i in graph.ops[index].inputs)]


SMALL = shufflenet(3, 12, 24, stem=6, stage_repeats=(2, 1), resolution=(33, 47), classes=10)


def _named(arch: Architecture) -> dict[str, Op]:
    return {op.name: op for op in OpGraph.of(arch).ops}


def _shape(op: Op) -> tuple[int, int, int]:
    return op.channels, op.height, op.width


def test_sizes_are_halved_rounding_up_height_and_width_apart() -> None:
    # 33x47 -> 17x24 (conv) -> 9x12 (pool) -> 5x6 (stage 2) -> 3x3 (stage 3)
    ops = _named(SMALL)
    assert _shape(ops["input"]) == (3, 33, 47)
    assert _shape(ops["stem.conv"]) == (6, 17, 24)
    assert _shape(ops["stem.pool"]) == (6, 9, 12)
    assert _shape(ops["stage2.0.expand"]) == (3, 9, 12)
    assert _shape(ops["stage2.0.depthwise"]) == (3, 5, 6)
    assert _shape(ops["stage2.0.shortcut"]) == (6, 5, 6)
    assert _shape(ops["stage2.1.add"]) == (12, 5, 6)
    assert _shape(ops["stage3.0.concat"]) == (24, 3, 3)
    assert _shape(ops["head.classifier"]) == (10, 1, 1)


def test_a_stem_without_pool_passes_its_size_on() -> None:
    ops = _named(replace(SMALL, stem_pool=False))
    assert "stem.pool" not in ops
    assert _shape(ops["stage2.0.expand"]) == (3, 17, 24)


def test_the_stride_2_unit_concatenates_and_the_others_add() -> None:
    graph = OpGraph.of(SMALL)
    names = [op.name for op in graph.ops]
    ops = _named(SMALL)
    concat, add = ops["stage2.0.concat"], ops["stage2.1.add"]
    assert [names[i] for i in concat.inputs] == ["stage2.0.shortcut", "stage2.0.project"]
    assert [names[i] for i in add.inputs] == ["stage2.0.concat", "stage2.1.project"]
    assert ops["stage2.0.project"].channels == 12 - 6  # the shortcut brings the stem's 6
    assert ops["stage2.0.shortcut"].kind == "avg_pool"
    assert (concat.activation, add.activation) == ("relu", "relu")
    assert (ops["stage2.0.project"].activation, ops["stage2.0.depthwise"].activation) == ("none", "none")
    assert input_shapes(graph, names.index("stage2.0.concat")) == [(6, 5, 6), (6, 5, 6)]


def test_only_the_first_pointwise_convolution_of_the_network_is_not_grouped() -> None:
    ops = _named(SMALL)
    grouped = {name: op.groups for name, op in ops.items() if name.endswith((".expand", ".project"))}
    assert grouped.pop("stage2.0.expand") == 1
    assert set(grouped.values()) == {3}
    assert all(op.groups == op.channels for name, op in ops.items() if name.endswith(".depthwise"))


@pytest.mark.parametrize(("groups", "shuffle", "shuffles"), [(3, True, 3), (3, False, 0), (1, True, 0)])
def test_channels_are_shuffled_where_there_are_groups_and_the_switch_is_on(
    groups: int, shuffle: bool, shuffles: int
) -> None:
    ops = OpGraph.of(replace(SMALL, groups=groups, shuffle=shuffle)).ops
    found = [op for op in ops if op.kind == "channel_shuffle"]
    assert [op.groups for op in found] == [groups] * shuffles


def test_only_the_last_convolution_of_an_added_branch_ends_it() -> None:
    assert [name for name, op in _named(SMALL).items() if op.ends_branch] == ["stage2.1.project"]


def test_squeeze_and_excitation_is_before_the_sum_and_after_the_concatenation() -> None:
    graph = OpGraph.of(replace(SMALL, se_reduction=16))
    names = [op.name for op in graph.ops]
    ops = {op.name: op for op in graph.ops}
    assert names[ops["stage2.0.se.pool"].inputs[0]] == "stage2.0.concat"
    assert names[ops["stage2.1.expand"].inputs[0]] == "stage2.0.se.scale"
    assert [names[i] for i in ops["stage2.1.add"].inputs] == ["stage2.0.se.scale", "stage2.1.se.scale"]
    assert ops["stage2.1.se.reduce"].channels == 1  # 12 // 16, at least one
    assert ops["stage3.0.se.reduce"].channels == 24 // 16
    assert (ops["stage2.1.se.reduce"].activation, ops["stage2.1.se.expand"].activation) == ("relu", "sigmoid")


def _unit(arch: Architecture, channels_in: int, channels_out: int, stride: int) -> list[Op]:
    groups, se = arch.groups[0], arch.se_reduction[0]
    return block_ops(arch, BlockSpec("unit", channels_in, channels_out, 9, 7, stride, False, groups, se))


@pytest.mark.parametrize(
    ("channels_in", "stride", "projects"), [(64, 1, False), (32, 1, True), (64, 2, True), (32, 2, True)]
)
def test_a_bottleneck_projects_its_shortcut_where_shapes_change(
    channels_in: int, stride: int, projects: bool
) -> None:
    ops = _unit(replace(SMALL, unit="bottleneck", groups=16, bottleneck=2), channels_in, 64, stride)
    assert any(op.name == "shortcut" for op in ops) is projects
    assert ops[-1].kind == "add"
    assert ("shortcut" if projects else "input") == ops[ops[-1].inputs[0]].name
    assert [(op.name, op.channels, op.groups) for op in ops[1:4]] == [
        ("reduce", 32, 1),
        ("spatial", 32, 16),
        ("expand", 64, 1),
    ]
    assert [op.name for op in ops if op.ends_branch] == ["expand"]


@pytest.mark.parametrize(
    ("channels_out", "groups", "bottleneck", "inner"),
    [
        (192, 16, 2, 96),
        (184, 16, 2, 96),  # 92 = 5.75 x 16
        (176, 16, 2, 80),  # 88 = 5.5 x 16: a tie moves down
        (8, 16, 2, 16),  # at least one group
        (96, 1, 4, 24),
        (35, 1, 4, 9),  # 8.75
        (34, 1, 4, 8),  # 8.5: a tie moves down
        (33, 2, 2, 16),  # 16.5 = 8.25 x 2
        (1, 1, 4, 1),
    ],
)
def test_a_bottleneck_is_the_nearest_multiple_of_the_groups(
    channels_out: int, groups: int, bottleneck: int, inner: int
) -> None:
    arch = replace(SMALL, unit="bottleneck", groups=groups, bottleneck=bottleneck)
    assert _unit(arch, channels_out, channels_out, 1)[1].channels == inner


def test_a_plain_unit_is_two_3x3_convolutions() -> None:
    ops = _unit(replace(SMALL, unit="plain"), 8, 16, 2)
    assert [(op.kind, op.channels_in, op.channels, op.kernel, op.stride, op.groups) for op in ops[1:]] == [
        ("conv", 8, 16, 3, 2, 1),
        ("conv", 16, 16, 3, 1, 1),
    ]


def test_a_separable_unit_is_a_depthwise_and_a_pointwise_convolution() -> None:
    ops = _unit(replace(SMALL, unit="separable"), 8, 16, 2)
    assert [(op.kind, op.channels_in, op.channels, op.kernel, op.stride, op.groups) for op in ops[1:]] == [
        ("conv", 8, 8, 3, 2, 8),
        ("conv", 8, 16, 1, 1, 1),
    ]
    assert {op.activation for op in ops[1:]} == {"relu"}


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        (replace(SMALL, stage_channels=(16, 24)), "cannot be convolved in 3 groups; both must be multiples"),
        (replace(SMALL, stem_channels=7), "-> 5 channels cannot be convolved in 3 groups"),
        (replace(SMALL, groups=(3, 8)), r"^stage3: expand: 12 -> 6 channels cannot be convolved in 8 groups"),
        (replace(SMALL, groups=(8, 3)), r"^stage2: project: 3 -> 6 channels cannot be convolved in 8 groups"),
        (replace(SMALL, stage_channels=(6, 24)), "6 channels cannot become 6"),
        (replace(SMALL, stage_strides=(2, 1)), "changes width only where its stage has a stride of 2"),
        (replace(SMALL, stage_strides=(2, 3)), "stride"),
        (replace(SMALL, unit="shuffel"), "unknown structure unit 'shuffel'; known: bottleneck, interleaved, plain"),
    ],
)
def test_what_cannot_be_built_is_a_spec_error(arch: Architecture, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        OpGraph.of(arch)


def test_a_convolution_without_channels_cannot_be_built() -> None:
    with pytest.raises(SpecError, match="4 -> 0 channels"):
        BlockBuilder(4, 8, 8).conv("conv", 0, 0)


def test_blocks_count_equal_neighbours_once() -> None:
    placed = [(block.name, block.spec.kind, block.repeats) for block in blocks(shufflenet(3, 240, 480, 960))]
    assert placed == [
        ("stem", "stem", 1),
        ("stage2", "unit", 1),
        ("stage2", "unit", 3),
        ("stage3", "unit", 1),
        ("stage3", "unit", 7),
        ("stage4", "unit", 1),
        ("stage4", "unit", 3),
        ("head", "head", 1),
    ]


def test_the_tests_reach_every_unit() -> None:
    assert set(STRUCTURE_UNITS) == set(UNIT_KINDS)


@settings(max_examples=60)
@given(architectures())
def test_the_digraph_is_a_frozen_dag_from_one_input_to_one_output(arch: Architecture) -> None:
    graph = OpGraph.of(arch)
    directed = graph.digraph
    assert nx.is_directed_acyclic_graph(directed)
    assert nx.is_frozen(directed)
    assert [node for node, degree in directed.in_degree() if degree == 0] == [0]
    assert [node for node, degree in directed.out_degree() if degree == 0] == [len(graph.ops) - 1]
    assert set(directed.edges) == {(source, index) for index, op in enumerate(graph.ops) for source in op.inputs}
    assert [directed.nodes[index]["op"] for index in directed] == list(graph.ops)
    assert len({op.name for op in graph.ops}) == len(graph.ops)
    assert all(source < index for index, op in enumerate(graph.ops) for source in op.inputs)


@settings(max_examples=60)
@given(architectures())
def test_every_operator_reads_what_it_says(arch: Architecture) -> None:
    graph = OpGraph.of(arch)
    for index, op in enumerate(graph.ops[1:], start=1):
        channels = [shape[0] for shape in input_shapes(graph, index)]
        sizes = {shape[1:] for shape in input_shapes(graph, index)}
        if op.kind == "concat":
            assert op.channels == sum(channels)
            assert sizes == {(op.height, op.width)}
        elif op.kind == "add":
            assert channels == [op.channels] * 2
            assert sizes == {(op.height, op.width)}
        elif op.kind == "scale":
            assert channels == [op.channels] * 2
            assert input_shapes(graph, index) == [(op.channels, op.height, op.width), (op.channels, 1, 1)]
        else:
            assert channels == [op.channels_in]
            assert op.channels_in % op.groups == 0
            assert op.channels % op.groups == 0
            [(height, width)] = sizes
            assert op.kind in ("linear", "global_pool") or (op.height, op.width) == (
                -(-height // op.stride),
                -(-width // op.stride),
            )


@pytest.mark.parametrize(
    ("space", "depth", "layers"),
    # ShuffleNet's text: 50 layers, and 26 for the shallow one of Table 5; MobileNet's: 28. SE adds two to each unit.
    [("shufflenet-v1", "paper", 50), ("shufflenet-v1", "shallow", 26), ("mobilenet-v1", "paper", 28)],
)
def test_depth_is_the_papers_number_of_layers(space: str, depth: str, layers: int) -> None:
    budget = mflops_budget(140)
    plain = solve(load_space(space), budget, Design(groups=1, depth=depth)).architecture
    assert OpGraph.of(plain).depth == layers
    gated = solve(load_space(space), budget, Design(groups=1, depth=depth, se=True)).architecture
    assert OpGraph.of(gated).depth == layers + 2 * sum(gated.stage_repeats)
