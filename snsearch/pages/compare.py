"""Candidates side by side: the difference of their errors, paired by what their trainings share."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from snsearch.pages.candidate_rows import CandidateRow
from snsearch.pages.sections import Section
from snsearch.pages.view import View
from snsearch.study import Noise, common_seeds, difference, noise_of
from snsearch.tables import Column, Table

_MOST = 24  # networks; of more, the script compares without pairs


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """The error of one candidate less that of another, in points."""

    first: CandidateRow
    second: CandidateRow
    mean: float
    low: float
    high: float
    words: str  # what they share

    @property
    def told_apart(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0

    def document(self) -> dict[str, Any]:
        """The pair for the page's script."""
        trials = [self.first.number, self.second.number]
        return {"trials": trials, "mean": self.mean, "low": self.low, "high": self.high, "words": self.words}


_COLUMNS = (
    Column[Pair]("first", lambda p: f"#{p.first.number}"),
    Column[Pair]("second", lambda p: f"#{p.second.number}"),
    Column[Pair](
        "difference",
        lambda p: p.mean,
        heading="first less second",
        unit="points",
        text=lambda p: f"{p.mean:+.1f} [{p.low:+.1f}, {p.high:+.1f}]",
        align="right",
    ),
    Column[Pair](
        "cost_ratio",
        lambda p: p.first.cost / p.second.cost if p.second.cost else None,
        heading="cost",
        text=lambda p: f"{p.first.cost / p.second.cost - 1:+.0%}" if p.second.cost else "",
        align="right",
    ),
    Column[Pair]("told_apart", lambda p: p.told_apart, heading="told apart"),
    Column[Pair]("paired_by", lambda p: p.words, heading="paired by"),
)


def compare_section(view: View) -> Section:
    """Every pair of finalists; the page's script adds what the reader pins."""
    finals = [pair for pair in pairs_of(view) if pair.first.final and pair.second.final]
    return Section(
        name="compare",
        title="Compare",
        lines=("Finalists in pairs, trained with the same seeds and judged on the same images.",) if finals else (),
        tables=(Table(columns=_COLUMNS, rows=finals),) if finals else (),
    )


def pairs_of(view: View) -> tuple[Pair, ...]:
    """The paired differences of the candidates to look at closely."""
    finals = view.study.finals
    of_finals = noise_of(finals, otherwise=view.study.noise or 0.0)
    of_search = Noise(deviation=view.study.noise or 0.0, degrees=math.inf)

    def compared() -> Iterator[Pair]:
        for first, second in combinations(view.chosen[:_MOST], 2):
            both_final = bool(first.final and second.final)
            ours, theirs = (finals[row.number] if both_final else row.trial.results[:1] for row in (first, second))
            if not common_seeds({0: ours, 1: theirs}):
                continue
            found = difference(ours, theirs, of_finals if both_final else of_search)
            low, high = found.interval
            seeds = "1 seed" if found.seeds == 1 else f"{found.seeds} seeds"
            yield Pair(
                first=first,
                second=second,
                mean=100 * found.mean,
                low=100 * low,
                high=100 * high,
                words=f"{seeds} on {ours[0].scored_on or 'test'} images",
            )

    return tuple(compared())
