"""The candidates as the page shows them, and the columns that their table has everywhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal

from snsearch.network import Architecture, Costs, cost_column
from snsearch.pages.evidence import standing
from snsearch.study import Choice, Score, Settings, TrialRecord, extrapolated, front_shares, scores_of, unit_of
from snsearch.tables import Column, Table
from snsearch.units import format_duration, format_interval, format_stages, three_digits

Status = Literal["front", "tied", "trained", "stopped"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CandidateRow:
    """One candidate that was trained to the end, or stopped on its way."""

    trial: TrialRecord
    architecture: Architecture
    costs: Costs
    cost: float  # the second objective
    cost_interval: tuple[float, float] | None  # 95 %, of a prediction
    extrapolated: bool  # whether the cost lies outside of what its profile was judged on
    score: Score
    status: Status
    share: float | None  # of the draws in which it is on the front; None where it was stopped
    final: Choice | None  # its full trainings by other seeds, on test images
    provenance: str  # of the figures beside the error

    @property
    def number(self) -> int:
        """The trial's number."""
        return self.trial.number

    @property
    def on_front(self) -> bool:
        """Whether no candidate is better in both error and cost."""
        return self.status == "front"

    @property
    def tied(self) -> bool:
        """Whether it is not on the front, but noise may hide that it belongs there."""
        return self.status == "tied"

    @property
    def error_interval(self) -> tuple[float, float]:
        """The 95 % interval of the error, from 0 to 1."""
        return self.score.interval

    @property
    def unlike(self) -> str:
        """What its squeeze-and-excitation and shuffle are, in a few words."""
        arch = self.architecture
        gates = arch.se_reduction
        words = "no" if not max(gates) else "yes" if min(gates) else format_stages(gates)
        return words + ("" if arch.shuffle or max(arch.groups) == 1 else ", no shuffle")


def candidate_rows(
    trials: Sequence[TrialRecord],
    stopped: Sequence[TrialRecord],
    settings: Settings,
    finals: Mapping[int, Choice],
    provenance_of: Callable[[str], str],
) -> tuple[CandidateRow, ...]:
    """The rows of candidates that were trained to the end, then of those that were stopped.

    Args:
        trials: those that were trained to the end.
        stopped: those that were not.
        settings: of the study.
        finals: full trainings by trial number.
        provenance_of: names the figures of an architecture, by its key.
    """
    scores = [*scores_of([trial.results for trial in trials]), *scores_of([trial.results for trial in stopped])]
    fronts, possible = standing(trials)
    costs = [trial.cost or 0.0 for trial in trials]
    shares = front_shares([(s.error, s.deviation) for s in scores[: len(trials)]], costs)
    rows = []
    for index, (trial, score) in enumerate(zip((*trials, *stopped), scores, strict=True)):
        assert trial.architecture is not None
        assert trial.costs is not None
        assert trial.cost is not None
        number, factor = trial.number, settings.cost_factor
        status: Status = "front" if number in fronts else "tied" if number in possible else "trained"
        rows.append(
            CandidateRow(
                trial=trial,
                architecture=trial.architecture,
                costs=trial.costs,
                cost=trial.cost,
                cost_interval=None if factor is None else (trial.cost / factor, trial.cost * factor),
                extrapolated=extrapolated(settings, trial.cost),
                score=score,
                status=status if index < len(trials) else "stopped",
                share=shares[index] if index < len(trials) else None,
                final=finals.get(number),
                provenance=provenance_of(trial.architecture.key),
            )
        )
    return tuple(rows)


def candidate_table(
    rows: Sequence[CandidateRow], settings: Settings, further: Sequence[Column[CandidateRow]] = ()
) -> Table[CandidateRow]:
    """The table of candidates; further columns hold what was measured and counted of them."""
    unit = unit_of(settings.cost_axis)
    mixed = len({row.provenance for row in rows}) > 1
    notes = [
        "front: no candidate is better in both error and cost. tied: dominated by less than the noise. stopped: left "
        "on its way, its error is that of a shorter training.",
        "on front: of 1,000 draws of the errors within their noise, the share in which it is on the front.",
    ]
    if not mixed and rows:
        notes.append(f"All costs are {rows[0].provenance}.")
    return Table(columns=(*_columns(unit, mixed), *further), rows=rows, notes=notes)


def _depth_words(row: CandidateRow) -> str:
    """The depth's name and the units per stage; those alone where the space names none."""
    units, name = "-".join(map(str, row.architecture.stage_repeats)), row.trial.design.depth or "default"
    return units if name == units else f"{name} {units}"


def _columns(unit: str, mixed: bool) -> tuple[Column[CandidateRow], ...]:
    of, costs = Column[CandidateRow], attrgetter("costs")
    return (
        of("trial", lambda r: r.number, text=lambda r: f"#{r.number}", align="right"),
        of("status", lambda r: r.status, text=_status_words),
        of("g", lambda r: format_stages(r.architecture.groups)),
        of("conv1", lambda r: r.architecture.stem_channels, align="right", drop=2),
        of(
            "depth",
            lambda r: r.trial.design.depth or "default",
            text=_depth_words,
            drop=5,
        ),
        of("se", lambda r: r.unlike, heading="SE", drop=4),
        of("channels", lambda r: "/".join(map(str, r.architecture.stage_channels)), drop=1),
        of(
            "error",
            lambda r: r.score.error,
            heading="error ± 95 %",
            text=lambda r: _percent(r.score.error, r.score.interval),
            align="right",
        ),
        of("error_low", lambda r: r.error_interval[0], place="data"),
        of("error_high", lambda r: r.error_interval[1], place="data"),
        of(
            "test_error",
            lambda r: None if r.final is None else r.final.error,
            heading="on test images",
            text=_final_words,
            align="right",
            drop=3,
        ),
        of("test_error_low", lambda r: None if r.final is None else r.final.error_interval[0], place="data"),
        of("test_error_high", lambda r: None if r.final is None else r.final.error_interval[1], place="data"),
        of("cost", lambda r: r.cost, heading=unit, text=_cost_words, align="right"),
        of("cost_low", lambda r: r.cost_interval and r.cost_interval[0], place="data"),
        of("cost_high", lambda r: r.cost_interval and r.cost_interval[1], place="data"),
        of("extrapolated", lambda r: r.extrapolated, place="data"),
        of(
            "front_share",
            lambda r: r.share,
            heading="on front",
            text=lambda r: "" if r.share is None else f"{r.share:.0%}",
            align="right",
            drop=6,
        ),
        cost_column("mflops", costs),
        cost_column("params", costs, heading="params", drop=7),
        cost_column("peak_activation_bytes", costs, name="peak_bytes", heading="peak act.", drop=8),
        cost_column("model_size_bytes", costs, name="size_bytes", heading="size", drop=9),
        of(
            "deviation",
            lambda r: r.trial.deviation,
            heading="from budget",
            text=lambda r: "" if r.trial.deviation is None else f"{r.trial.deviation:+.2%}",
            align="right",
            place="wide",
        ),
        of("seeds", lambda r: r.score.seeds, align="right", place="wide"),
        of("loss", lambda r: r.score.loss, text=lambda r: f"{r.score.loss:.3f}", align="right", place="wide"),
        of(
            "seconds",
            _seconds,
            heading="time",
            text=lambda r: format_duration(_seconds(r)),
            align="right",
            place="wide",
        ),
        of("provenance", lambda r: r.provenance, place="short" if mixed else "data", drop=10),
        of("published", lambda r: r.trial.published, place="data"),
        of("words", lambda r: r.trial.words, place="data"),
        of("key", lambda r: r.architecture.key, place="wide"),
    )


def _seconds(row: CandidateRow) -> float:
    return math.fsum(result.seconds for result in row.trial.results)


def _status_words(row: CandidateRow) -> str:
    return row.status + (", published" if row.trial.published else "")


def _final_words(row: CandidateRow) -> str:
    return "" if row.final is None else _percent(row.final.error, row.final.error_interval)


def _percent(error: float, interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{100 * error:.2f} {format_interval(100 * error, (100 * low, 100 * high), '.2f')} %"


def _cost_words(row: CandidateRow) -> str:
    words = three_digits(row.cost)
    if row.cost_interval is not None:
        low, high = map(three_digits, row.cost_interval)
        words += f" [{low}, {high}]"
    return words + ("*" if row.extrapolated else "")


def summary(rows: Sequence[CandidateRow], cost_axis: str) -> tuple[str, ...]:
    """What the front says, in sentences that claim no more than the noise allows."""
    unit = unit_of(cost_axis)
    rows = [row for row in rows if row.status != "stopped"]
    best = min(rows, key=lambda row: (row.score.error, row.cost))
    lines = [
        f"Lowest proxy error: #{best.number} ({best.trial.words}), {_error(best)} "
        f"({best.score.seeds} seed{'s' if best.score.seeds > 1 else ''}) at {three_digits(best.cost)} {unit}."
    ]
    near = not_told_apart(rows, best)
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


def not_told_apart(rows: Sequence[CandidateRow], best: CandidateRow) -> list[CandidateRow]:
    """The rows whose error differs from that of the best by no more than the noise; the best is among them."""
    return [
        row
        for row in rows
        if row.score.error - best.score.error <= math.hypot(row.score.deviation_95, best.score.deviation_95)
    ]


def _error(row: CandidateRow) -> str:
    return f"{row.score.error:.1%} {format_interval(row.score.error, row.score.interval, '.1%')}"


def record_of(table: Table[CandidateRow]) -> dict[str, Any]:
    """The table for the page's script: columns, values by row, and the cells whose words are not their value."""
    columns = table.columns
    cells = [[column.value(row) for column in columns] for row in table.rows]
    return {
        "columns": [
            {"name": column.name, "head": column.head, "right": column.align == "right", "place": column.place}
            for column in columns
        ],
        "values": cells,
        "words": [
            [
                None if column.place == "data" or (text := column.cell(row)) == value else text
                for column, value in zip(columns, values, strict=True)
            ]
            for row, values in zip(table.rows, cells, strict=True)
        ],
    }
