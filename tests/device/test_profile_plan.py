"""A profile's plan: networks over the whole space, and pieces that determine every term."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from snsearch.device.profile_plan import (
    OTHER_RESOLUTIONS,
    OTHER_SPACES,
    Plan,
    alone,
    chained,
    chosen_pieces,
    drawn_networks,
    plan_of,
)
from snsearch.engine.ncnn_model import write_model
from snsearch.files import bundled_names
from snsearch.latency.kernels import KERNEL_MEANINGS, block_kernel_terms, network_kernel_terms
from snsearch.network.graph import OpGraph
from snsearch.network.operators import BlockBuilder
from snsearch.solver.spec import load_space
from tests.architectures import shufflenet

SPACE = load_space("shufflenet-v1")


@cache
def plan() -> Plan:
    return plan_of(SPACE)


def _terms() -> np.ndarray:
    """Rows of everything that is measured, each column over its largest value."""
    chosen = plan()
    rows = [*map(network_kernel_terms, (*chosen.networks, *chosen.others))]
    rows += [block_kernel_terms(piece.ops) for piece in chosen.pieces]
    found = np.array([tuple(row.values()) for row in rows])
    return found / found.max(axis=0)


def test_the_same_seed_plans_the_same_and_another_seed_other_networks() -> None:
    assert plan_of(SPACE) == plan()
    assert not set(drawn_networks(SPACE, 96, 0)) & set(drawn_networks(SPACE, 40, 1))


def test_networks_are_drawn_over_all_that_the_space_lets_vary() -> None:
    networks = plan().networks
    assert len({arch.key for arch in networks}) == len(networks) == 96
    for groups in SPACE.groups:
        assert sum(set(arch.groups) == {groups} for arch in networks) >= 15
    assert {arch.stage_repeats for arch in networks} == {repeats for _, repeats in SPACE.depths}
    assert {any(arch.se_reduction) for arch in networks} == {arch.shuffle for arch in networks} == {True, False}
    sides = [arch.resolution[0] for arch in networks]
    assert set(sides) == {224, *OTHER_RESOLUTIONS}
    assert sides.count(224) > len(sides) / 2
    # Other resolutions occur with every group count.
    assert len({arch.groups for arch in networks if arch.resolution[0] != 224}) == len(SPACE.groups)
    proportionate = [arch.stage_channels[1] == 2 * arch.stage_channels[0] for arch in networks]
    assert 0.2 < np.mean(proportionate) < 0.95


def test_grouped_pointwise_convolutions_are_measured_alone_at_every_group_count_and_several_widths() -> None:
    widths: dict[int, set[int]] = {}
    for piece in plan().pieces:
        last = piece.ops[-1]
        if len(piece.ops) == 2 and last.kind == "conv" and last.kernel == 1 and last.groups > 1:
            widths.setdefault(last.groups, set()).add(last.channels_in)
    assert set(widths) == {2, 3, 4, 8}
    assert all(len(found) >= 3 for found in widths.values())


def test_memory_bound_operators_the_stem_and_the_classifier_are_measured_alone() -> None:
    kinds = {piece.ops[-1].kind for piece in plan().pieces if len(piece.ops) <= 3}
    assert {"conv", "linear", "channel_shuffle", "max_pool", "avg_pool", "add"} & kinds >= {"conv", "channel_shuffle"}
    names = " ".join(piece.name for piece in plan().pieces)
    assert "SE" in names
    assert "conv 3x" in names


def test_the_plan_tells_every_term_from_every_other() -> None:
    rows = _terms()
    assert np.linalg.matrix_rank(rows, tol=1e-6) == len(KERNEL_MEANINGS)


@pytest.mark.parametrize("space", bundled_names("spaces"))
def test_no_network_of_any_space_has_a_term_that_the_plan_has_not(space: str) -> None:
    told = _terms().sum(axis=0) > 0
    for arch in drawn_networks(load_space(space), 12, 3):
        assert all(told[index] for index, value in enumerate(network_kernel_terms(arch).values()) if value)


def test_the_other_spaces_are_all_but_those_that_have_shufflenets_operators() -> None:
    assert {*OTHER_SPACES, "xception-like", "shufflenet-free", "igc"} == set(bundled_names("spaces"))
    assert {arch.unit for arch in plan().others} == {"bottleneck", "plain", "separable"}


def test_chained_blocks_are_the_part_of_the_network_that_they_stand_for() -> None:
    arch = shufflenet(3, 240, stage_repeats=(3,), resolution=(64, 64))
    from snsearch.network.graph import blocks

    placed = [block for block in blocks(arch) if block.spec.kind == "unit"]
    chain = chained(arch, [placed[0].spec, placed[1].spec, placed[1].spec])
    whole = [op for op in OpGraph.of(arch).ops if op.name.startswith("stage2")]
    assert [op._replace(name="", inputs=()) for op in chain[1:]] == [op._replace(name="", inputs=()) for op in whole]
    shift = next(index for index, op in enumerate(OpGraph.of(arch).ops) if op.name.startswith("stage2")) - 1
    assert [op.inputs for op in chain[1:]] == [tuple(source - shift for source in op.inputs) for op in whole]


def test_a_block_is_named_by_the_groups_and_se_of_its_own_stage() -> None:
    arch = shufflenet((1, 3), 240, 480, se_reduction=(0, 16), stage_repeats=(3, 3))
    blocks_of = [piece for piece in chosen_pieces([arch], 100) if piece.stage]
    assert sorted((piece.stage, piece.groups, piece.name.partition(", ")[2]) for piece in blocks_of) == [
        (1, 1, "g=1, no shuffle"),
        (2, 3, "g=3, SE"),
    ]


def test_an_operator_alone_reads_inputs_of_its_own() -> None:
    build = BlockBuilder(8, 4, 4)
    build.concat("concat", build.conv("a", 0, 12), build.conv("b", 0, 20))
    ops = alone(build.ops, 3)
    assert [(op.kind, op.channels, op.inputs) for op in ops] == [
        ("input", 12, ()),
        ("input", 20, ()),
        ("concat", 32, (0, 1)),
    ]


def test_every_piece_has_a_name_of_its_own_and_can_be_written_for_the_engine() -> None:
    pieces = plan().pieces
    assert len({piece.name for piece in pieces}) == len(pieces) == 48
    for piece in sorted(pieces, key=lambda piece: len(piece.ops))[::6]:
        assert write_model(piece.ops).files[".param"]
