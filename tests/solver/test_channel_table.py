"""The channel table as data: rows, columns and sizes in the layout of ShuffleNet's Table 1."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from snsearch.solver.budget import mflops_budget
from snsearch.solver.channel_table import layout
from snsearch.solver.design import Design
from snsearch.solver.solving import Solution, solve
from snsearch.solver.spec import load_space


def _solved(space: str, groups: int = 1, **changes: Any) -> Solution:
    return solve(replace(load_space(space), **changes), mflops_budget(38), Design(groups=groups))


def test_a_layout_gives_every_row_a_cell_a_column() -> None:
    found = [_solved("resnet"), _solved("xception-like"), _solved("shufflenet-v1", 3)]
    head, layers, totals = layout(found)
    assert len(head) == 5 + len(found)
    assert {len(row) for row in (*layers, *totals)} == {len(head)}
    assert [row[0] for row in layers] == [
        "Image",
        "Conv1",
        "MaxPool",
        "Stage2",
        "Stage3",
        "Stage4",
        "GlobalPool",
        "FC",
    ]


def test_a_layout_without_pool_has_no_row_for_it() -> None:
    _, layers, _ = layout([_solved("mobilenet-v1")])
    rows = {row[0]: row[1:] for row in layers}
    assert "MaxPool" not in rows
    assert rows["Stage2"][:4] == ("112x112", "", "1", "1")
    assert rows["Stage5"][:4] == ("14x14", "", "2/1", "1+5")
    assert rows["GlobalPool"][:2] == ("1x1", "7x7")


def test_a_layout_of_networks_that_differ_in_depth_says_so() -> None:
    space = load_space("shufflenet-v1")
    found = [solve(space, mflops_budget(140), Design(groups=3, depth=depth)) for depth in ("paper", "2-8-4")]
    _, layers, _ = layout(found)
    rows = {row[0]: row[1:] for row in layers}
    assert rows["Stage2"][3] == "varies"
    assert [cell.split(" ")[1] for cell in rows["Stage2"][4:]] == ["x4", "x2"]
    assert rows["Stage3"][3] == "1+7"


@pytest.mark.parametrize(
    ("strides", "outputs"),
    [
        ((2, 2, 2), ["28x28", "14x14", "7x7"]),
        ((1, 2, 2), ["56x56", "28x28", "14x14"]),
        ((2, 2, 1), ["28x28", "14x14", "14x14"]),
        ((2, 1, 2), ["28x28", "28x28", "14x14"]),
        ((1, 1, 1), ["56x56", "56x56", "56x56"]),
    ],
)
def test_a_layout_gives_each_stage_its_output_size(strides: tuple[int, ...], outputs: list[str]) -> None:
    _, layers, _ = layout([_solved("resnet", strides=strides)])
    assert [row[1] for row in layers if row[0].startswith("Stage")] == outputs


def test_a_layout_rounds_odd_sizes_up() -> None:
    solution = solve(load_space("shufflenet-v1"), replace(mflops_budget(38), resolution=(225, 97)), Design(groups=3))
    _, layers, _ = layout([solution])
    assert [row[1] for row in layers[:6]] == ["225x97", "113x49", "57x25", "29x13", "15x7", "8x4"]
    assert layers[6][2] == "8x4"


def test_a_layout_follows_the_stride_of_the_first_convolution() -> None:
    _, layers, _ = layout([_solved("resnet", stem_stride=1)])
    assert [row[1] for row in layers[:4]] == ["224x224", "224x224", "112x112", "56x56"]
    assert layers[1][3] == "1"


def test_a_layout_names_the_bound_where_it_is_not_the_mflops() -> None:
    budget = replace(mflops_budget(140), params=1_000_000)
    found = [solve(load_space("shufflenet-v1"), budget, Design(groups=groups)) for groups in (1, 3)]
    _, _, totals = layout(found)
    assert totals[-1] == ("Bound by", "", "", "", "", "params", "params")
