"""The channels of the front's networks, stage by stage, in the layout of ShuffleNet's Table 1."""

from __future__ import annotations

from operator import itemgetter

from snsearch.pages.candidate_rows import CandidateRow
from snsearch.pages.sections import Section
from snsearch.pages.view import View
from snsearch.solver import Row, Solution, layout
from snsearch.study import StudyRecord
from snsearch.tables import Column, Table
from snsearch.units import format_stages

_MOST = 12  # networks: further columns cannot be compared


def channels_section(view: View) -> Section:
    """A column for each network of the front, from the cheapest."""
    front = sorted((row for row in view.rows if row.on_front), key=lambda row: row.cost)[:_MOST]
    head, layers, totals = layout(
        [_solution(row, view.study) for row in front],
        [f"#{row.number} g={format_stages(row.architecture.groups)}" for row in front],
    )
    columns = [
        Column[Row](name, itemgetter(index), align="left" if index < 2 else "right")
        for index, name in enumerate(head)
    ]
    return Section(
        name="channels",
        title="Channels of the front",
        tables=(Table(columns=columns, rows=(*layers, *totals), rules=[len(layers)]),),
        lines=tuple(f"#{row.number}: {note}" for row in front for note in row.trial.notes),
    )


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
