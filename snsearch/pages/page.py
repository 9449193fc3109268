"""StudyRecord -> ReportData: everything that a study's page shows, as plain data that tests read without HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from snsearch import __version__
from snsearch.codec import encode
from snsearch.errors import StudyError
from snsearch.pages.audit import Audit, audits, recount
from snsearch.pages.candidate_rows import CandidateRow, candidate_rows, summary
from snsearch.pages.charts import Axis, Frame, Line, Lines, Scatter
from snsearch.pages.counted_section import counted_document, counted_section
from snsearch.pages.device_section import device_section, measured_document, provenance_of
from snsearch.pages.error_chart import Candidate, Palette, error_scatter
from snsearch.pages.evidence import counted_by_core, measured_by_device
from snsearch.pages.facts import provenance_facts, proxy_facts, run_facts, unscored_facts
from snsearch.pages.sections import Facts, Section, sections_of
from snsearch.pages.templating import render_template, write_page
from snsearch.solver import Row, Solution, layout
from snsearch.study import StudyRecord, Verdict, explored, next_command, scores_of, unit_of, verdict_of
from snsearch.units import format_count, format_mflops, format_resolution, format_stages, three_digits


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportData:
    """Everything that the page shows."""

    title: str
    subtitle: str
    written: str
    version: str
    rows: tuple[CandidateRow, ...]
    summary: tuple[str, ...]
    cost_label: str
    cost_axis: str
    scatter: Scatter
    sections: tuple[Section, ...]  # of devices and cores
    lines: Lines
    groups: Palette
    channel_table: tuple[Row, list[Row], list[Row]]
    channel_notes: tuple[str, ...]
    audits: tuple[Audit, ...]
    recount: str
    proxy: Facts
    provenance: Facts
    runs: tuple[Facts, ...]
    unscored: Facts
    document: dict[str, Any]  # the same figures for programs, embedded as JSON

    @property
    def cost_unit(self) -> str:
        """The unit of the candidates' costs."""
        return unit_of(self.cost_axis)


def report_data(study: StudyRecord) -> ReportData:
    """Everything that a study's page shows.

    Raises StudyError if no candidate has been trained, or a stored cost is not what its network needs.
    """
    trials = study.candidates
    if not trials:
        raise StudyError(f"the study {study.name!r} has no trained candidate yet")
    settings = study.settings
    scored = list(zip(trials, scores_of([trial.results for trial in trials]), strict=True))
    counted, measured = counted_by_core(study), measured_by_device(study)
    rows = candidate_rows(scored, lambda key: provenance_of(key, settings.cost_name, counted, measured))
    counted_again = recount(rows, settings.budget)
    verdict = verdict_of(study)
    groups = tuple(sorted({row.architecture.groups for row in rows}))
    front = sorted((row for row in rows if row.on_front), key=lambda row: row.cost)
    at = f"{format_resolution(settings.budget.resolution)}, {settings.budget.classes} classes"
    return ReportData(
        title=f"{settings.space} for {settings.budget.describe()}",
        subtitle=f"at {at}; trained on {settings.data}; {len(explored(study.trials))} candidates tried, {len(rows)} "
        f"trained to the end, {len(front)} on the front",
        written=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        version=__version__,
        rows=rows,
        summary=_answer(study, verdict, rows),
        cost_label=settings.cost_label,
        cost_axis=settings.cost_axis,
        scatter=_scatter(rows, groups, unit_of(settings.cost_axis)),
        sections=(
            *sections_of(measured, scored, lambda name, ours: device_section(name, ours, study, groups)),
            *sections_of(counted, scored, lambda name, ours: counted_section(name, ours, groups)),
        ),
        lines=_lines(rows, groups),
        groups=groups,
        channel_table=layout(
            [_solution(row, study) for row in front],
            [f"#{row.number} g={format_stages(row.architecture.groups)}" for row in front],
        ),
        channel_notes=tuple(f"#{row.number}: {note}" for row in front for note in row.trial.notes),
        audits=audits(settings.budget, rows),
        recount=counted_again,
        proxy=proxy_facts(study, trials),
        provenance=provenance_facts(study),
        runs=run_facts(study),
        unscored=unscored_facts(study),
        document=_document(study, rows, verdict),
    )


def _scatter(rows: Sequence[CandidateRow], groups: Palette, unit: str) -> Scatter:
    drawn = [
        Candidate(
            trial=row.trial,
            score=row.score,
            cost=row.cost,
            cost_interval=None,
            # With many candidates, name the front only; the others have a tooltip and a row. The palette has eight
            # colors.
            label=(f"#{row.number}" if row.on_front or len(rows) <= 25 else "")
            + (f" g={format_stages(row.architecture.groups)}" if len(groups) > 8 else ""),
            cost_words=f"{three_digits(row.cost)} {unit}, {format_mflops(row.costs.macs)} MFLOPs, "
            f"{format_count(row.costs.params)} parameters",
        )
        for row in rows
    ]
    return error_scatter(drawn, {row.number for row in rows if row.on_front}, groups, height=460)


def _lines(rows: Sequence[CandidateRow], groups: Palette) -> Lines:
    frame = Frame(width=960, height=320)
    curves = [(row, row.trial.results[0].curve) for row in rows]
    points = [point for _, curve in curves for point in curve]
    x = Axis.over([0.0, *(float(point.images_seen) for point in points)], *frame.x_range)
    y = Axis.over([point.test_error for point in points], *frame.y_range, percent=True)
    lines = tuple(
        Line(
            number=row.number,
            points=" ".join(f"{x.at(point.images_seen):g},{y.at(point.test_error):g}" for point in curve),
            color=groups.index(row.architecture.groups),
            on_front=row.on_front,
            title=f"#{row.number} {row.trial.words}",
        )
        for row, curve in curves
    )
    return Lines(frame=frame, x=x, y=y, lines=lines)


def _solution(row: CandidateRow, study: StudyRecord) -> Solution:
    trial, budget = row.trial, study.settings.budget
    return Solution(
        space=study.settings.space,
        title=f"#{row.number}",
        design=trial.design,
        scale=trial.design.scale or 1.0,
        architecture=row.architecture,
        costs=row.costs,
        budget=budget,
        deviation=trial.deviation,
        binding=trial.binding,
        notes=trial.notes,
        latency=None if budget.latency_ms is None else budget.latency_profile.predict(row.architecture),
    )


def _answer(study: StudyRecord, verdict: Verdict | None, rows: Sequence[CandidateRow]) -> tuple[str, ...]:
    """What the study comes to, in sentences, and the command that would say more."""
    lines = tuple(verdict.lines()) if verdict is not None else summary(rows, study.settings.cost_axis)
    if study.lengths is None:  # of an earlier version
        return lines
    further = next_command(study, verdict)
    return (*lines, f"Next: {further}") if further else lines


def _document(study: StudyRecord, rows: Sequence[CandidateRow], verdict: Verdict | None) -> dict[str, Any]:
    return {
        "schema": 1,
        "verdict": None if verdict is None else verdict.document(next_command(study, verdict)),
        "study": study.name,
        "settings": encode(study.settings),
        "candidates": [
            {
                "number": row.number,
                "on_front": row.on_front,
                "tied": row.tied,
                "key": row.architecture.key,
                "architecture": encode(row.architecture),
                "costs": encode(row.costs),
                "deviation": row.trial.deviation,
                "cost": row.cost,
                "provenance": row.provenance,
                "proxy": encode(row.trial.proxy),
                "repeats": [encode(result) for result in row.trial.repeats],
                "error": row.score.error,
                "error_interval": [
                    max(0.0, row.score.error - row.score.deviation_95),
                    min(1.0, row.score.error + row.score.deviation_95),
                ],
            }
            for row in rows
        ],
        "measurements": measured_document(study),
        "counts": counted_document(study),
    }


def render(data: ReportData) -> str:
    """The study's page as HTML text."""
    return render_template("report.html.j2", data, data.document)


def write_report(data: ReportData, path: Path) -> None:
    """Writes the study's page in one step. Raises StudyError if it cannot be written."""
    write_page(render(data), path)
