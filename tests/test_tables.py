"""Tables: one declaration of columns, five forms, and a terminal's width that is never exceeded."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snsearch.prose import width_of
from snsearch.tables import Column, Table


@dataclass(frozen=True)
class Board:
    """A record."""

    name: str
    ms: float
    cores: tuple[int, ...]
    remark: str | None


COLUMNS = (
    Column[Board]("name", lambda board: board.name),
    Column[Board](
        "latency_ms", lambda b: b.ms, heading="latency", unit="ms", text=lambda b: f"{b.ms:.1f}", align="right"
    ),
    Column[Board]("cores", lambda board: list(board.cores), drop=2, data=("csv",)),
    Column[Board]("remark", lambda board: board.remark, drop=1),
    Column[Board]("source", lambda board: "own figures", place="wide"),
    Column[Board]("id", lambda board: board.name[0], place="data", data=("json",)),
)
BOARDS = (Board("nano", 12.345, (4, 2), None), Board("mega", 5.0, (8,), "runs | hot <b>"))
TABLE = Table(columns=COLUMNS, rows=BOARDS, title="Boards", notes=["one thread"])


def test_json_holds_the_values_of_its_columns() -> None:
    assert TABLE.records() == [
        {"name": "nano", "latency_ms": 12.345, "remark": None, "source": "own figures", "id": "n"},
        {"name": "mega", "latency_ms": 5.0, "remark": "runs | hot <b>", "source": "own figures", "id": "m"},
    ]


def test_csv_holds_a_line_a_record_with_lists_in_one_cell() -> None:
    rows = list(csv.DictReader(io.StringIO(TABLE.csv())))
    assert list(rows[0]) == ["name", "latency_ms", "cores", "remark", "source"]
    assert [row["cores"] for row in rows] == ["4-2", "8"]
    assert [row["remark"] for row in rows] == ["", "runs | hot <b>"]
    named = Table(columns=[Column[int]("notes", lambda _: ["a, b", "c"])], rows=[1])
    assert named.csv() == 'notes\n"a, b; c"\n'


def test_markdown_is_aligned_and_escaped() -> None:
    assert TABLE.markdown().splitlines() == [
        "**Boards**",
        "",
        "| name | latency, ms | cores | remark |",
        "| --- | ---: | --- | --- |",
        "| nano | 12.3 | 4, 2 |  |",
        "| mega | 5.0 | 8 | runs \\| hot <b> |",
        "",
        "- one thread",
    ]


def test_html_escapes_every_text() -> None:
    page = TABLE.html(wide=True)
    assert "<caption>Boards</caption>" in page
    assert "runs | hot &lt;b&gt;" in page
    assert page.count("<tr>") == 3
    assert page.count("<th ") == 5


def test_a_terminal_has_short_columns_and_names_the_others() -> None:
    assert TABLE.lines(80) == [
        "Boards",
        "name  latency, ms  cores  remark",
        "────  ───────────  ─────  ──────────────",
        "nano         12.3  4, 2",
        "mega          5.0  8      runs | hot <b>",
        "  one thread",
        "  --wide shows more columns.",
    ]


def test_wide_shows_all_columns() -> None:
    assert TABLE.lines(80, wide=True)[1:4] == [
        "name  latency, ms  cores  remark          source",
        "────  ───────────  ─────  ──────────────  ───────────",
        "nano         12.3  4, 2                   own figures",
    ]


def test_columns_that_do_not_fit_go_in_the_declared_order_and_are_named() -> None:
    assert TABLE.lines(27)[1:] == [
        "name  latency,  remark",
        "            ms",
        "────  ────────  ───────────",
        "nano      12.3",
        "mega       5.0  runs | hot",
        "                <b>",
        "  one thread",
        "  Not shown: cores. --wide",
        "  shows all columns.",
    ]
    assert "Not shown: cores; remark." in " ".join(line.strip() for line in TABLE.lines(20))


def test_what_does_not_fit_at_all_is_a_block_a_record() -> None:
    assert TABLE.lines(30, wide=True) == [
        "Boards",
        "name        nano",
        "latency,    12.3",
        "ms",
        "cores       4, 2",
        "source      own figures",
        "",
        "name        mega",
        "latency,    5.0",
        "ms",
        "cores       8",
        "remark      runs | hot <b>",
        "source      own figures",
        "  one thread",
    ]


def test_rules_part_the_rows() -> None:
    table = Table(columns=[Column[int]("n", lambda n: n)], rows=[1, 2], rules=[1])
    assert table.lines(80) == ["n", "─", "1", "─", "2"]


def test_figures_and_switches_have_words() -> None:
    table = Table(columns=[Column[object]("v", lambda v: v)], rows=[True, 2.0, None, ["a", 1]])
    assert table.lines(80)[2:] == ["yes", "2", "", "a, 1"]


@pytest.mark.parametrize(("width", "fits"), [(40, True), (39, False)])
def test_a_table_knows_whether_it_fits_as_it_is(width: int, fits: bool) -> None:
    assert TABLE.fits(width) is fits
    assert max(map(width_of, TABLE.lines(40)[:5])) == 40


CELLS = st.text(st.characters(codec="utf-8"), max_size=60)


@given(
    st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS), max_size=4),
    st.lists(CELLS, min_size=4, max_size=4),
    st.lists(st.integers(0, 3), min_size=4, max_size=4),
    st.integers(20, 90),
    st.booleans(),
)
def test_no_line_is_ever_wider_than_the_terminal(
    rows: list[tuple[str, ...]], heads: list[str], drops: list[int], width: int, wide: bool
) -> None:
    columns = [
        Column[tuple[str, ...]](
            f"c{index}",
            lambda row, index=index: row[index],
            heading=head,
            drop=drop,
            place="wide" if index == 2 else "short",
        )
        for index, (head, drop) in enumerate(zip(heads, drops, strict=True))
    ]
    table = Table(columns=columns, rows=rows, title=heads[0], notes=heads)
    assert max(map(width_of, table.lines(width, wide=wide))) <= width
