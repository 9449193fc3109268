"""StudyRecord -> Report: all that a study's page shows, as sections that tests read without HTML."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from snsearch.codec import encode
from snsearch.pages.audit import audit_section, recount
from snsearch.pages.candidate_rows import CandidateRow, candidate_table, record_of
from snsearch.pages.cards import verdict_section
from snsearch.pages.channels import channels_section
from snsearch.pages.compare import compare_section, pairs_of
from snsearch.pages.counted_section import counted_document, counted_sections
from snsearch.pages.curves import curves_section
from snsearch.pages.deployed import deployed_section
from snsearch.pages.device_section import device_sections, measured_document
from snsearch.pages.evidence_section import evidence_section
from snsearch.pages.facts import meaning_section, provenance_section
from snsearch.pages.front_section import drawn, front_section
from snsearch.pages.operators_section import kinds_of, operators_section
from snsearch.pages.predicted import predicted_figures
from snsearch.pages.sections import Section
from snsearch.pages.templating import Page, render_page, write_page
from snsearch.pages.view import View, further_columns, view_of
from snsearch.pages.why import why_section
from snsearch.study import StudyRecord, Verdict, next_command, why_none
from snsearch.tables import Table
from snsearch.units import format_resolution


def candidates_section(view: View) -> Section:
    """The table of candidates."""
    rows = sorted((*view.rows, *view.stopped), key=lambda row: (row.status == "stopped", row.score.error, row.cost))
    table = candidate_table(rows, view.study.settings, further_columns(view))
    return Section(name="candidates", title="Candidates", tables=(table,))


# The sections in the order of the page: each makes some of a view.
SECTIONS: tuple[Callable[[View], Section | Sequence[Section]], ...] = (
    verdict_section,
    front_section,
    compare_section,
    candidates_section,
    deployed_section,
    operators_section,
    channels_section,
    why_section,
    curves_section,
    evidence_section,
    device_sections,
    counted_sections,
    audit_section,
    meaning_section,
    provenance_section,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """A study as its sections."""

    view: View
    title: str
    subtitle: str
    sections: tuple[Section, ...]

    @property
    def rows(self) -> tuple[CandidateRow, ...]:
        """The candidates that were trained to the end."""
        return self.view.rows

    @property
    def table(self) -> Table[CandidateRow]:
        """The table of candidates."""
        return self.section("candidates").tables[0]

    @property
    def document(self) -> dict[str, Any]:
        """Everything for programs."""
        return _document(self.view)

    @property
    def in_short(self) -> tuple[Section, ...]:
        """For a terminal: the verdict, the candidates that were trained to the end, and the front's channels."""
        whole = [row for row in self.table.rows if row.status != "stopped"]
        table = replace(self.table, rows=whole, notes=self.table.notes[:1])
        candidates = replace(self.section("candidates"), tables=(table,))
        return self.section("verdict"), candidates, self.section("channels")

    def section(self, name: str) -> Section:
        """The section of that name. Raises StopIteration."""
        return next(section for section in self.sections if section.name == name)


def report_data(study: StudyRecord) -> Report:
    """Everything that a study's page shows.

    Raises StudyError if no candidate has been trained, or a stored cost is not what its network needs.
    """
    view = view_of(study)
    recount(view.rows, study.settings.budget)
    settings = study.settings
    made = [section(view) for section in SECTIONS]
    return Report(
        view=view,
        title=f"{settings.space} for {settings.budget.describe()}",
        subtitle=f"at {format_resolution(settings.budget.resolution)}, {settings.budget.classes} classes; trained on "
        f"{settings.data}; {study.tried_words}",
        sections=tuple(section for found in made for section in ((found,) if isinstance(found, Section) else found)),
    )


def _document(view: View) -> dict[str, Any]:
    study, verdict = view.study, view.verdict
    return {
        "schema": 1,
        "verdict": _verdict_document(study, verdict),
        "study": study.name,
        "settings": encode(study.settings),
        "candidates": [
            {
                "number": row.number,
                "status": row.status,
                "on_front": row.on_front,
                "tied": row.tied,
                "front_share": row.share,
                "key": row.architecture.key,
                "architecture": encode(row.architecture),
                "costs": encode(row.costs),
                "deviation": row.trial.deviation,
                "cost": row.cost,
                "provenance": row.provenance,
                "proxy": encode(row.trial.proxy),
                "repeats": [encode(result) for result in row.trial.repeats],
                "error": row.score.error,
                "error_interval": list(row.error_interval),
            }
            for row in (*view.rows, *view.stopped)
        ],
        "measurements": measured_document(study),
        "counts": counted_document(study),
    }


def _verdict_document(study: StudyRecord, verdict: Verdict | None) -> dict[str, Any]:
    """The verdict for programs; where there is none, the reason and the command that makes one."""
    command = next_command(study, verdict)
    return {"why_none": why_none(study), "next": command} if verdict is None else verdict.document(command)


def render(report: Report) -> str:
    """The study's page as HTML text."""
    study, verdict = report.view.study, report.view.verdict
    return render_page(
        Page(
            title=report.title,
            subtitle=report.subtitle,
            sections=report.sections,
            document={
                "study": study.name,
                "verdict": _verdict_document(study, verdict),
                "settings": encode(study.settings),
                "candidates": record_of(report.table) | {"drawn": drawn(report.table.rows, report.view)},
                "predicted": predicted_figures(report.table.rows, report.view.others),
                "kinds": kinds_of(report.view),
                "pairs": [pair.document() for pair in pairs_of(report.view)],
            },
        )
    )


def write_report(report: Report, path: Path) -> None:
    """Writes the study's page in one step. Raises StudyError if it cannot be written."""
    write_page(render(report), path)
