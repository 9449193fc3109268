"""Where a network's time and memory go: milliseconds by kind of operator, and memory along it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from snsearch.latency import OPERATOR_KINDS, Priced, priced
from snsearch.network import BYTES_PER_VALUE, Architecture, OpGraph
from snsearch.pages.candidate_rows import CandidateRow
from snsearch.pages.palette import by_name, legend_of
from snsearch.pages.sections import Chart, Section, Spec
from snsearch.pages.strips import strips_spec
from snsearch.pages.view import View
from snsearch.tables import Column, Table
from snsearch.units import format_bytes, format_mflops

_MOST = 10  # networks whose operators are priced


def kinds_of(view: View) -> dict[str, Any]:
    """Milliseconds by kind of operator of the candidates to look at closely, for the page's script."""
    if view.profile is None:
        return {"names": [], "ms": {}}
    ms = {
        str(row.number): [f"{sum(one.ms or 0.0 for one in ops if one.kind == kind):.2g}" for kind in OPERATOR_KINDS]
        for row in view.chosen[:_MOST]
        for ops in [list(priced(row.architecture, view.profile))]
    }
    return {"names": list(OPERATOR_KINDS), "ms": ms}


def operators_section(view: View) -> Section:
    """Time, memory and operators of the candidates to look at closely."""
    rows = view.chosen[:_MOST] or view.rows[:_MOST]
    shown = rows[:3]
    all_ops = {row.number: list(priced(row.architecture, view.profile)) for row in rows}
    first = rows[0]
    charts = [
        Chart(
            name="strips-chart",
            title="Stages: as long as they take multiply-adds, as high as they have channels",
            spec=strips_spec([(f"#{row.number}", row.architecture) for row in shown]),
            label="Stages of the networks: length is multiply-adds, height is channels",
        ),
        Chart(
            name="memory-chart",
            title="Activations that are live while each operator runs, in the order that is listed",
            spec=_memory_spec(shown, view),
            label="Live activations along the networks",
            legend=legend_of(f"#{row.number}" for row in shown),
        ),
    ]
    if view.profile is not None:
        time = Chart(
            name="time-chart",
            title=f"Predicted milliseconds by kind of operator, on {view.profile.device}",
            spec=_time_spec(rows, all_ops),
            label="Predicted milliseconds by kind of operator",
            legend=legend_of(OPERATOR_KINDS),
        )
        charts.insert(0, time)
    return Section(
        name="operators",
        title="Where time and memory go",
        lines=(
            *([f"Milliseconds by operator are {view.profile.provenance}."] if view.profile else []),
            "The peak of the best order is what a budget counts; another order may need more.",
        ),
        charts=tuple(charts),
        folded=dict(_stages(first, all_ops[first.number])),
    )


def _stages(row: CandidateRow, ops: Sequence[Priced]) -> Iterator[tuple[str, Table[Priced]]]:
    """The operators of each stage, with what the stage is and takes."""
    for name, stage in groupby(ops, key=lambda one: one.name.partition(".")[0]):
        ours = list(stage)
        last = ours[-1].op
        units = len({one.name.split(".")[1] for one in ours}) if name.startswith("stage") else 1
        words = [
            f"#{row.number}, {name}: {units} unit{'s' if units > 1 else ''}",
            f"{last.channels} channels",
            f"{last.height}x{last.width}",
            f"{format_mflops(sum(one.macs for one in ours))} MFLOPs",
            *([f"{sum(one.ms or 0.0 for one in ours):.2f} ms"] if ours[0].ms is not None else []),
        ]
        yield ", ".join(words), Table(columns=_COLUMNS, rows=ours)


_COLUMNS: tuple[Column[Priced], ...] = (
    Column("operator", lambda one: one.name),
    Column("kind", lambda one: one.kind),
    Column("groups", lambda one: one.op.groups, align="right"),
    Column("output", lambda one: f"{one.op.channels}x{one.op.height}x{one.op.width}", align="right"),
    Column("MFLOPs", lambda one: one.macs, text=lambda one: format_mflops(one.macs), align="right"),
    Column("parameters", lambda one: one.params, text=lambda one: f"{one.params:,}", align="right"),
    Column("ms", lambda one: one.ms, text=lambda one: "" if one.ms is None else f"{one.ms:.3f}", align="right"),
)


def _time_spec(rows: Sequence[CandidateRow], ops: dict[int, list[Priced]]) -> Spec:
    points = [
        {
            "trial": f"#{row.number}",
            "kind": kind,
            "at": at,
            "ms": sum(one.ms or 0.0 for one in ops[row.number] if one.kind == kind),
        }
        for row in rows
        for at, kind in enumerate(OPERATOR_KINDS)
    ]
    return {
        "width": "container",
        "height": 26 * len(rows),
        "data": {"values": points},
        "mark": {"type": "bar", "tooltip": {"content": "data"}},
        "encoding": {
            "y": {"field": "trial", "type": "nominal", "sort": None, "title": None},
            "x": {"field": "ms", "type": "quantitative", "title": "predicted ms"},
            "color": by_name("kind", OPERATOR_KINDS),
            "order": {"field": "at"},
        },
    }


def live_bytes(arch: Architecture, value_bytes: int) -> list[tuple[str, int]]:
    """The activations that are live while each operator runs, in the order that is listed."""
    ops = OpGraph.of(arch).ops
    last = {source: index for index, op in enumerate(ops) for source in op.inputs}
    live, found = ops[0].elements, []
    for index, op in enumerate(ops[1:], start=1):
        live += op.elements
        found.append((op.name, live * value_bytes))
        live -= sum(ops[source].elements for source in set(op.inputs) if last[source] == index)
    return found


def _memory_spec(rows: Sequence[CandidateRow], view: View) -> Spec:
    budget = view.study.settings.budget
    points = [
        {"trial": f"#{row.number}", "at": at, "operator": name, "KiB": size / 1024}
        for row in rows
        for at, (name, size) in enumerate(live_bytes(row.architecture, BYTES_PER_VALUE[budget.precision]))
    ]
    lines: list[Spec] = [
        {
            "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 1.6, "tooltip": {"content": "data"}},
            "encoding": {
                "x": {"field": "at", "type": "quantitative", "title": "operator"},
                "y": {"field": "KiB", "type": "quantitative", "title": "KiB live"},
                "color": by_name("trial", [f"#{row.number}" for row in rows]),
            },
        }
    ]
    if budget.peak_activation_bytes is not None:
        limit = {"KiB": budget.peak_activation_bytes / 1024}
        words = f"budget {format_bytes(budget.peak_activation_bytes)}"
        y = {"field": "KiB", "type": "quantitative"}
        rule = {"type": "rule", "color": "var(--bad)", "strokeDash": [5, 3], "strokeWidth": 1.5}
        text = {"type": "text", "align": "left", "dy": -7, "color": "var(--bad)", "text": words}
        lines += [
            {"data": {"values": [limit]}, "mark": rule, "encoding": {"y": y}},
            {"data": {"values": [limit]}, "mark": text, "encoding": {"y": y, "x": {"value": 4}}},
        ]
    return {"width": "container", "height": 240, "data": {"values": points}, "layer": lines}
