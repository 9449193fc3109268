"""Tables: columns that are declared once and printed for a terminal, as JSON, CSV, Markdown, HTML.

A column says how to get its cell from a row's record. For a terminal a table keeps to a width: cells wrap, columns
that do not fit are left out in the order that the columns declare, and their names follow in a line below.
"""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from itertools import zip_longest
from typing import Any, Generic, Literal, TypeVar

from snsearch.prose import padded, width_of, wrap

R = TypeVar("R")

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_GAP = "  "
_WORD = 20  # cells: a column is no narrower than its longest word, up to this
_DEPTH = 3  # lines of a wrapped cell, about: leave a column out, if possible, rather than make a cell deeper


def _words(value: Any) -> str:
    """A JSON value for people."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(map(_words, value)) if isinstance(value, list | tuple) else str(value)


def _csv_cell(value: Any) -> Any:
    """A JSON value as a CSV cell: numbers of a list joined by "-", texts by "; ".

    A text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    if isinstance(value, list | tuple):
        value = ("; " if any(isinstance(one, str) for one in value) else "-").join(map(str, value))
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


@dataclass(frozen=True)  # without slots, which Column[Record](...) does not work with on Python 3.11
class Column(Generic[R]):
    """One column of a table.

    Args:
        name: the key in JSON and CSV; without `heading` the heading too.
        value: the cell of a record, as JSON carries it.
        heading: the heading for people.
        unit: of the cells, printed behind the heading.
        text: the cell for people; by default the value's words.
        align: "right" for figures.
        place: "short" is always shown, "wide" on request, "data" in JSON and CSV alone.
        drop: if a table is too wide, the columns with the largest number are left out first; 0 is never left out.
        data: the machine-readable forms that have the column.
    """

    name: str
    value: Callable[[R], Any]
    _: KW_ONLY
    heading: str = ""
    unit: str = ""
    text: Callable[[R], str] | None = None
    align: Literal["left", "right"] = "left"
    place: Literal["short", "wide", "data"] = "short"
    drop: int = 0
    data: tuple[Literal["json", "csv"], ...] = ("json", "csv")

    @property
    def head(self) -> str:
        """The heading with its unit."""
        heading = self.heading or self.name
        return f"{heading}, {self.unit}" if self.unit else heading

    def cell(self, record: R) -> str:
        """The cell for people."""
        return _words(self.value(record)) if self.text is None else self.text(record)


@dataclass(frozen=True)
class _Laid(Generic[R]):
    """A column with its cells, and how wide it is at the least, at ease, without wrapped cells or heading."""

    column: Column[R]
    cells: tuple[str, ...]
    least: int
    eased: int
    unwrapped: int
    wanted: int


@dataclass(frozen=True, kw_only=True)
class Table(Generic[R]):
    """Records as rows under declared columns.

    Args:
        columns: what is shown of a record.
        rows: the records.
        title: a line above the table.
        notes: sentences below it.
        rules: indices of the rows that have a line above them.
    """

    columns: Sequence[Column[R]]
    rows: Sequence[R]
    title: str = ""
    notes: Sequence[str] = ()
    rules: Sequence[int] = ()

    def records(self) -> list[dict[str, Any]]:
        """The rows as JSON objects."""
        columns = [column for column in self.columns if "json" in column.data]
        return [{column.name: column.value(row) for column in columns} for row in self.rows]

    def csv(self) -> str:
        """The rows as CSV with a head line."""
        columns = [column for column in self.columns if "csv" in column.data]
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([column.name for column in columns])
        writer.writerows([_csv_cell(column.value(row)) for column in columns] for row in self.rows)
        return out.getvalue()

    def markdown(self, *, wide: bool = False) -> str:
        """The table in GitHub's Markdown, with the title in bold above and the notes as a list below."""
        columns = self._shown(wide)
        lines = [f"**{self.title}**", ""] if self.title else []
        lines += [
            "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
            for cells in (
                [column.head for column in columns],
                ["---:" if column.align == "right" else "---" for column in columns],
                *([column.cell(row) for column in columns] for row in self.rows),
            )
        ]
        notes = ["", *(f"- {note}" for note in self.notes)] if self.notes else []
        return "\n".join(lines + notes) + "\n"

    def html(self, *, wide: bool = False) -> str:
        """The table as HTML, every text escaped, for notebooks."""
        columns = self._shown(wide)

        def cells(tag: str, texts: Sequence[str]) -> str:
            filled = (
                f'<{tag} style="text-align: {column.align}">{html.escape(text)}</{tag}>'
                for column, text in zip(columns, texts, strict=True)
            )
            return f"<tr>{''.join(filled)}</tr>"

        caption = f"<caption>{html.escape(self.title)}</caption>" if self.title else ""
        head = cells("th", [column.head for column in columns])
        body = "".join(cells("td", [column.cell(row) for column in columns]) for row in self.rows)
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        return f"<table>{caption}<thead>{head}</thead><tbody>{body}</tbody></table>{notes}"

    def lines(self, width: int, *, wide: bool = False) -> list[str]:
        """The table for a terminal: no line has more than `width` cells.

        Columns that do not fit are left out as they declare, and named below. What still does not fit is printed as
        one block a record; so are `wide` columns that do not fit.
        """
        kept = [self._laid(column) for column in self._shown(wide)]
        while not wide and _sum(one.eased for one in kept) > width and (last := max(one.column.drop for one in kept)):
            kept = [one for one in kept if one.column.drop != last]
        if _sum(one.eased if wide else one.least for one in kept) > width:
            return self.blocks(width, wide=wide)
        widths = _shared_out(kept, width)
        lines = wrap(self.title, width) if self.title else []
        lines += _row([one.column.head for one in kept], kept, widths)
        rule = _GAP.join("─" * cells for cells in widths)
        lines.append(rule)
        for index in range(len(self.rows)):
            if index in self.rules:
                lines.append(rule)
            lines += _row([one.cells[index] for one in kept], kept, widths)
        return lines + self._below([one.column for one in kept], width)

    def blocks(self, width: int, *, wide: bool = True) -> list[str]:
        """Every record as lines of heading and cell, with an empty line between records; empty cells are left out."""
        columns = self._shown(wide)
        lines = wrap(self.title, width) if self.title else []
        left = min(max((width_of(column.head) for column in columns), default=0), width // 3)
        for index, row in enumerate(self.rows):
            lines += [""] if index else []
            for column in columns:
                if cell := column.cell(row):
                    pairs = zip_longest(wrap(column.head, left), wrap(cell, width - left - len(_GAP)), fillvalue="")
                    lines += [f"{padded(head, left)}{_GAP}{text}".rstrip() for head, text in pairs]
        return lines + self._below(columns, width)

    def fits(self, width: int) -> bool:
        """Whether every column fits without wrapped cells."""
        return _sum(self._laid(column).wanted for column in self._shown(wide=False)) <= width

    def _below(self, shown: Sequence[Column[R]], width: int) -> list[str]:
        hidden = [column for column in self.columns if column not in shown and column.place != "data"]
        dropped = "; ".join(column.head for column in hidden if column.place == "short")
        more = [f"Not shown: {dropped}. --wide shows all columns."] if dropped else []
        if hidden and not dropped:
            more = ["--wide shows more columns."]
        return [line for note in (*self.notes, *more) for line in wrap(note, width, indent=2)]

    def _shown(self, wide: bool) -> list[Column[R]]:
        return [column for column in self.columns if column.place == "short" or (wide and column.place == "wide")]

    def _laid(self, column: Column[R]) -> _Laid[R]:
        cells = tuple(column.cell(row) for row in self.rows)
        words = [word for text in (column.head, *cells) for word in text.split()]
        least = max((min(width_of(word), _WORD) for word in words), default=1)
        lines = [width_of(line) for cell in cells for line in wrap(cell, 10**6)]
        unwrapped = max([least, *lines])
        return _Laid(
            column=column,
            cells=cells,
            least=least,
            eased=max(least, -(-max(map(width_of, cells), default=0) // _DEPTH)),
            unwrapped=unwrapped,
            wanted=max([unwrapped, *map(width_of, wrap(column.head, 10**6))]),
        )


def _sum(widths: Iterable[int]) -> int:
    """The width of a row whose columns have these widths."""
    return sum(width + len(_GAP) for width in widths) - len(_GAP)


def _shared_out(laid: Sequence[_Laid[Any]], width: int) -> list[int]:
    """The columns' widths: each has its least; the rest goes evenly to wrapped cells first, then to headings."""
    widths = [one.least for one in laid]
    left = width - _sum(widths)
    for goals in ([one.unwrapped for one in laid], [one.wanted for one in laid]):
        while left > 0 and (wanting := [index for index, goal in enumerate(goals) if widths[index] < goal]):
            share = max(1, left // len(wanting))
            for index in wanting:
                more = min(share, left, goals[index] - widths[index])
                widths[index] += more
                left -= more
    return widths


def _row(cells: Sequence[str], laid: Sequence[_Laid[Any]], widths: Sequence[int]) -> list[str]:
    """One row: as many lines as its longest cell."""
    wrapped = [wrap(cell, width) for cell, width in zip(cells, widths, strict=True)]
    lines = []
    for texts in zip_longest(*wrapped, fillvalue=""):
        columns = zip(texts, widths, laid, strict=True)
        lines.append(_GAP.join(padded(text, width, one.column.align) for text, width, one in columns).rstrip())
    return lines
