"""A section of the page about one device or core, as plain data: sentences, a chart, a table and facts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from snsearch.pages.charts import Scatter
from snsearch.pages.error_chart import Candidate, Palette, error_scatter
from snsearch.study import Score, TrialRecord, front

# A heading, and how its cells are set: "" for numbers, "text", or "text wrap" for text that wraps.
Column = tuple[str, str]
Facts = tuple[tuple[str, str], ...]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """A cell with a coloured word and what explains it."""

    word: str
    tone: str  # "good", "bad" or ""
    more: str

    def __str__(self) -> str:
        return self.word


@dataclass(frozen=True, kw_only=True, slots=True)
class SectionRow:
    """One candidate in a section's table; the cells are those of the section's columns."""

    number: int
    words: str
    on_front: bool
    cells: tuple[str | Judged, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """Everything that the page shows of one device or core."""

    title: str
    summary: tuple[str, ...]
    scatter: Scatter | None  # None if no candidate has a cost here
    axis: str
    cost: str  # what the chart shows the error against: "measured latency"
    caption: str  # how to read the chart
    columns: tuple[Column, ...]
    rows: tuple[SectionRow, ...]
    facts: Facts

    def column(self, name: str) -> tuple[str, ...]:
        """The cells of a column, by row. Raises ValueError for an unknown name."""
        at = [heading for heading, _ in self.columns].index(name)
        return tuple(str(row.cells[at]) for row in self.rows)


def sections_of(
    by_name: Mapping[str, Mapping[str, T]],
    scored: Sequence[tuple[TrialRecord, Score]],
    section: Callable[[str, list[tuple[TrialRecord, Score, T]]], Section],
) -> tuple[Section, ...]:
    """One section per device or core that has figures of at least one candidate.

    Args:
        by_name: name of a device or core -> architecture's key -> figures.
        section: makes the section from the name and the candidates with their figures.
    """
    found = {
        name: [
            (t, score, of[t.architecture.key]) for t, score in scored if t.architecture and t.architecture.key in of
        ]
        for name, of in by_name.items()
    }
    return tuple(section(name, ours) for name, ours in found.items() if ours)


def drawn(candidates: Sequence[Candidate], groups: Palette) -> tuple[Scatter | None, set[int]]:
    """The chart of candidates against this section's own cost, None without any, and who is on its front."""
    if not candidates:
        return None, set()
    on_front = front([(one.score.error, one.cost) for one in candidates])
    numbers = {candidates[index].trial.number for index in on_front}
    return error_scatter(candidates, numbers, groups, height=400), numbers


def with_interval(value: float, low: float, high: float) -> str:
    """A figure with its interval: "2.05 [2, 2.1]"."""
    return f"{value:.3g} [{low:.3g}, {high:.3g}]"
