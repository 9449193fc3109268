"""The trained candidates as the page shows them, and what it says of the best ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from snsearch.network import Architecture, Costs
from snsearch.pages.evidence import standing
from snsearch.study import Score, TrialRecord, unit_of
from snsearch.units import three_digits


@dataclass(frozen=True, kw_only=True, slots=True)
class CandidateRow:
    """One trained candidate."""

    trial: TrialRecord
    architecture: Architecture
    costs: Costs
    cost: float  # the second objective
    score: Score
    on_front: bool
    tied: bool  # not on the front, but noise may hide that it belongs there
    provenance: str  # of the figures beside the error

    @property
    def number(self) -> int:
        """The trial's number."""
        return self.trial.number


def candidate_rows(
    scored: Sequence[tuple[TrialRecord, Score]], provenance_of: Callable[[str], str]
) -> tuple[CandidateRow, ...]:
    """The rows of these candidates; `provenance_of` names the figures of an architecture, by its key."""
    fronts, possible = standing([trial for trial, _ in scored])
    rows = []
    for trial, score in scored:
        assert trial.architecture is not None
        assert trial.costs is not None
        assert trial.cost is not None
        rows.append(
            CandidateRow(
                trial=trial,
                architecture=trial.architecture,
                costs=trial.costs,
                cost=trial.cost,
                score=score,
                on_front=trial.number in fronts,
                tied=trial.number in possible - fronts,
                provenance=provenance_of(trial.architecture.key),
            )
        )
    return tuple(rows)


def summary(rows: Sequence[CandidateRow], cost_axis: str) -> tuple[str, ...]:
    """What the front says, in sentences that claim no more than the noise allows."""
    unit = unit_of(cost_axis)
    best = min(rows, key=lambda row: (row.score.error, row.cost))
    lines = [
        f"Lowest proxy error: #{best.number} ({best.trial.words}), {_error(best)} "
        f"({best.score.seeds} seed{'s' if best.score.seeds > 1 else ''}) at {three_digits(best.cost)} {unit}."
    ]
    near = [
        row
        for row in rows
        if row.score.error - best.score.error <= math.hypot(row.score.deviation_95, best.score.deviation_95)
    ]
    cheapest = min(near, key=lambda row: row.cost)
    if cheapest.number != best.number:
        lines.append(
            f"Cheapest that cannot be told apart from it: #{cheapest.number} ({cheapest.trial.words}), "
            f"{_error(cheapest)} at {three_digits(cheapest.cost)} {unit}, {1 - cheapest.cost / best.cost:.0%} less."
        )
    if len(near) > 1:
        lines.append(
            f"{len(near)} of {len(rows)} candidates cannot be told apart from the lowest error: before you choose, "
            "train those that you consider for longer."
        )
    return tuple(lines)


def _error(row: CandidateRow) -> str:
    return f"{row.score.error:.1%} ± {row.score.deviation_95:.1%}"
