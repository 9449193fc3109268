"""Sections: what a page, a terminal and a Markdown file show, as plain data.

A section is sentences, cards, charts, tables and facts. Every table declares its columns once (`tables`), so the
page, the CSV and the terminal have the same cells.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snsearch.prose import wrap
from snsearch.tables import Column, Table

Facts = tuple[tuple[str, str], ...]
Spec = dict[str, Any]  # Vega-Lite, with colors as CSS variables


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """A chart as a Vega-Lite specification.

    Args:
        name: of its element; unique on the page.
        spec: the specification with its data.
        label: what it shows, for screen readers.
        title: a line above it.
        legend: words with the CSS variable of their color.
        still: the specification for print and readers without scripts; None: `spec`.
        options: what the page's script needs to draw it with other axes.
    """

    name: str
    spec: Spec
    label: str
    title: str = ""
    legend: Facts = ()
    still: Spec | None = None
    options: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """One choice: its figures, what to know of it, and commands that take it."""

    title: str
    words: str
    trial: int
    figures: Facts
    marks: tuple[str, ...]  # such as "one seed"
    commands: Facts  # a button's name, and the text that it copies


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """One section of a page."""

    name: str  # of its element; unique on the page
    title: str
    lines: tuple[str, ...] = ()
    command: str | None = None  # that would say more
    cards: tuple[Card, ...] = ()
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table[Any], ...] = ()
    facts: Facts = ()
    folded: Mapping[str, Facts | Table[Any]] | None = None  # further facts and tables, closed at first

    @property
    def kind(self) -> str:
        """The name without the number that it has on a page of several studies."""
        return re.sub(r"-\d+$", "", self.name)

    def text(self, width: int, *, wide: bool = False) -> list[str]:
        """The section for a terminal, its cards without the commands that follow from one."""
        lines = [self.title, "─" * min(width, len(self.title))]
        for sentence in self.lines:
            lines += wrap(sentence, width)
        lines += [] if self.command is None else wrap(self.command, width, indent=2)
        lines += ["", *_beside(self.cards).lines(width)] if self.cards else []
        for card in {card.trial: card for card in self.cards}.values():
            taken = [text for name, text in card.commands if name == "train"]
            lines += wrap(f"Take #{card.trial}: {taken[0]}", width) if taken else []
        for table in self.tables:
            lines += ["", *table.lines(width, wide=wide)]
        for name, text in self.facts:
            lines += wrap(f"{name}: {text}", width)
        return lines

    def markdown(self) -> str:
        """The section in GitHub's Markdown."""
        parts = [f"## {_plain(self.title)}"]
        parts += map(_plain, self.lines)
        parts += [] if self.command is None else [_code(self.command)]
        for card in self.cards:
            figures = (*card.figures, *(("note", mark) for mark in card.marks))
            listed = [f"- {_plain(name)}: {_plain(text)}" for name, text in figures]
            listed += [f"- {_plain(name)}: {_code(text)}" for name, text in card.commands]
            parts += [f"### {_plain(card.title)}: {_plain(card.words)}", "\n".join(listed)]
        parts += [table.markdown().rstrip("\n") for table in self.tables]
        if self.facts:
            parts.append("\n".join(f"- {_plain(name)}: {_plain(text)}" for name, text in self.facts))
        return "\n\n".join(parts) + "\n"


def _beside(cards: Sequence[Card]) -> Table[str]:
    """A column for each card, a row for each figure."""
    figures = [dict(card.figures) | {"remarks": "; ".join(card.marks)} for card in cards]

    def column(card: Card, of: Mapping[str, str]) -> Column[str]:
        return Column(f"{card.title}: #{card.trial}", lambda name: of.get(name, ""))

    names = dict.fromkeys(name for of in figures for name in of)
    return Table(columns=(Column[str]("", str), *map(column, cards, figures)), rows=tuple(names))


def _plain(text: str) -> str:
    """A text that is no markup in Markdown."""
    one = " ".join(text.split())
    for mark in "\\`*_<>[]|":
        one = one.replace(mark, f"\\{mark}")
    return one


def _code(text: str) -> str:
    """A text as code, whatever backticks it has."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{text}{fence}" if len(fence) == 1 else f"{fence} {text} {fence}"


def with_interval(value: float, low: float, high: float) -> str:
    """A figure with its interval: "2.05 [2, 2.1]"."""
    return f"{value:.3g} [{low:.3g}, {high:.3g}]"


def column_of(table: Table[Any], heading: str) -> Sequence[str]:
    """The cells of a table's column for people. Raises StopIteration for an unknown heading."""
    column = next(one for one in table.columns if one.head == heading)
    return [column.cell(row) for row in table.rows]
