"""The front of error against cost: every candidate with both intervals, and the front's band."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from snsearch.errors import SnsearchError
from snsearch.network import KNOWN, count_costs, named
from snsearch.pages.candidate_rows import CandidateRow
from snsearch.pages.palette import by_number, legend_of
from snsearch.pages.predicted import axis_name, predictions
from snsearch.pages.sections import Chart, Section, Spec
from snsearch.pages.view import Axis, Families, View, cost_axes
from snsearch.study import front_band
from snsearch.units import format_stages

MOST_STILL = 300  # marks of the picture for print

ERROR = Axis(name="error", title="error of the search's trainings", interval=True, percent=True)
TEST_ERROR = Axis(name="test_error", title="error of finalists on test images", interval=True, percent=True)


def front_section(view: View) -> Section:
    """The front as a chart; its table is the candidates' section."""
    settings = view.study.settings
    axes, errors = cost_axes(view), (ERROR, *([TEST_ERROR] if any(row.final for row in view.rows) else []))
    rows = sorted(view.rows, key=lambda row: (row.final is None, not row.on_front, not row.tied, row.score.error))
    band = front_band([(row.score.error, row.score.deviation) for row in view.rows], [row.cost for row in view.rows])
    landmarks, families, edge = _landmarks(view), view.families, _edge(view)
    still = spec_of(
        ERROR,
        axes[0],
        [_record(row, edge, families) for row in (*rows, *view.stopped)[:MOST_STILL]],
        band,
        view,
        _apart(landmarks, view.rows),
    )
    drawn = f", of {len(view.rows) + len(view.stopped):,} the first {MOST_STILL}" if len(rows) > MOST_STILL else ""
    return Section(
        name="front",
        title="Error against cost",
        lines=(
            f"{settings.cost_label}.",
            "Lower left is better. Bars are 95 % intervals of both; the band holds the front in 95 % of the draws of "
            "the errors within their noise. Hollow: the cost is outside of what its profile was judged on. Square: "
            "with squeeze-and-excitation. Grey: stopped on its way, at the error it had then; a triangle at the edge "
            "has a higher one. Above the chart: known networks by cost alone; they have no error on this data. The x "
            "axis can be any cost that is known: latencies of other devices are predicted by their profiles.",
        ),
        charts=(
            Chart(
                name="front-chart",
                spec=spec_of(ERROR, axes[0], [], band, view, landmarks),
                still=still,
                label=f"Error against {axes[0].title}{drawn}; the table of candidates holds the values",
                legend=legend_of(families.names),
                options={
                    "axes": [_axis(axis) for axis in axes],
                    "errors": [_axis(axis) for axis in errors],
                    "edge": edge,
                },
            ),
        ),
    )


def _axis(axis: Axis) -> dict[str, Any]:
    return {"name": axis.name, "title": axis.title, "interval": axis.interval, "note": axis.note}


def _chance(view: View) -> float:
    lengths = view.study.lengths
    return 1 - 1 / max(1, view.study.settings.budget.classes) if lengths is None else lengths.chance


def _record(row: CandidateRow, edge: float, families: Families) -> dict[str, Any]:
    """What the picture needs of a candidate; the page's script makes the same of the table."""
    low, high = row.error_interval
    cost_low, cost_high = row.cost_interval or (None, None)
    return {
        "trial": row.number,
        "status": row.status,
        "se": bool(max(row.architecture.se_reduction)),
        "extrapolated": row.extrapolated,
        **_drawn(row, families),
        "beyond": row.score.error > edge,
        "error": min(row.score.error, edge),
        "error_low": low,
        "error_high": high,
        "cost": row.cost,
        "cost_low": cost_low,
        "cost_high": cost_high,
    }


def drawn(rows: Sequence[CandidateRow], view: View) -> list[dict[str, Any]]:
    """The color and the label of each candidate, for the page's script."""
    families = view.families
    return [_drawn(row, families) for row in rows]


def _drawn(row: CandidateRow, families: Families) -> dict[str, Any]:
    return {"color": families.color[row.architecture.groups], "label": _label(row)}


def _label(row: CandidateRow) -> str:
    """What is written beside a candidate in the chart; empty for most."""
    if row.trial.published and row.status != "stopped":
        return f"#{row.number} published design for g={format_stages(row.architecture.groups)}"
    return f"#{row.number}" if row.on_front or row.final else ""


def _landmarks(view: View) -> list[dict[str, Any]]:
    """Known networks of about the same cost, at the budget's input; they have no error on this data."""
    budget = view.study.settings.budget
    middle = sorted(row.costs.macs for row in view.rows)[len(view.rows) // 2]
    found = []
    for known in KNOWN.values():
        try:
            network = named(known).at_input(
                channels=budget.input_channels, resolution=budget.resolution, classes=budget.classes
            )
            costs = count_costs(network, budget.precision)
            cost = view.profile.predict(network).ms if view.profile else None
            predicted = predictions(network, view.others)
        except SnsearchError:
            continue
        if middle / 2 <= costs.macs <= middle * 2:
            found.append(
                {
                    "name": known.title,
                    "cost": cost,
                    "mflops": costs.mflops,
                    "params": costs.params,
                    "peak_bytes": costs.peak_activation_bytes,
                    "size_bytes": costs.weight_bytes,
                    **{axis_name(at): ms for at, ms in enumerate(predicted)},
                }
            )
    return sorted(found, key=lambda one: abs(float(one["mflops"]) - middle / 1e6))


def _apart(landmarks: Sequence[dict[str, Any]], rows: Sequence[CandidateRow]) -> list[dict[str, Any]]:
    """Those within the candidates' costs whose names do not meet; the page's script chooses likewise."""
    ends = [end for row in rows for end in row.cost_interval or (row.cost,)]
    least, most = min(ends), max(ends)
    kept: list[dict[str, Any]] = []
    for one in landmarks:
        cost = one["cost"]
        within = cost is not None and least <= cost <= most
        if within and all(abs(cost - other["cost"]) >= (most - least) / 30 for other in kept):
            kept.append(one)
    return kept


def spec_of(
    error: Axis,
    cost: Axis,
    records: Sequence[dict[str, Any]],
    band: Sequence[dict[str, float]],
    view: View,
    landmarks: Sequence[dict[str, Any]],
) -> Spec:
    """The chart as a Vega-Lite specification; the script puts other columns in the place of "error" and "cost"."""
    x: Spec = {
        "type": "quantitative",
        "title": cost.title,
        "scale": {"zero": False, "domainRaw": {"expr": "domain_x"}},
        "axis": {"tickCount": 10, "format": "~s"},
    }
    y: Spec = {
        "type": "quantitative",
        "title": error.title,
        "scale": {"zero": False, "domain": _trained_range(view), "domainRaw": {"expr": "domain_y"}},
        "axis": {"tickCount": 8, "format": ".1~%"},
    }
    color = {
        "condition": {"test": "datum.status == 'stopped'", "value": "var(--dim)"},
        **by_number(),
    }
    dimmed = {"condition": {"test": "datum.status == 'trained'", "value": 0.75}, "value": 1}
    ring = {"type": "point", "clip": True, "size": 260, "strokeWidth": 2.5, "filled": False, "stroke": "var(--ink)"}
    trained = [{"filter": "datum.status != 'stopped'"}]
    at = {"x": {"field": "cost", **x}, "y": {"field": "error", **y}}
    layers: list[Spec] = [
        {
            "name": "band",
            "data": {"values": list(band)},
            "layer": [
                {
                    "mark": {"type": "area", "interpolate": "step-after", "color": "var(--band)", "clip": True},
                    "encoding": {"x": {"field": "cost", **x}, "y": {"field": "low", **y}, "y2": {"field": "high"}},
                },
                {
                    "mark": {
                        "type": "line",
                        "interpolate": "step-after",
                        "color": "var(--accent)",
                        "strokeDash": [5, 4],
                        "clip": True,
                    },
                    "encoding": {"x": {"field": "cost", **x}, "y": {"field": "middle", **y}},
                },
            ],
        },
        {
            "transform": [*trained, {"filter": "isValid(datum.error_low) && isValid(datum.cost)"}],
            "mark": {"type": "rule", "strokeWidth": 1.2, "clip": True},
            "encoding": {
                "x": at["x"],
                "y": {"field": "error_low", **y},
                "y2": {"field": "error_high"},
                "color": color,
                "opacity": dimmed,
            },
        },
        {
            "transform": [*trained, {"filter": "isValid(datum.cost_low) && isValid(datum.error)"}],
            "mark": {"type": "rule", "strokeWidth": 1.2, "clip": True},
            "encoding": {
                "x": {"field": "cost_low", **x},
                "x2": {"field": "cost_high"},
                "y": at["y"],
                "color": color,
                "opacity": dimmed,
            },
        },
        {
            "name": "points",
            "transform": [{"filter": "isValid(datum.cost) && isValid(datum.error)"}],
            "mark": {"type": "point", "strokeWidth": 1.5, "clip": True},
            "encoding": {
                **at,
                "stroke": color,
                "fill": {
                    **color,
                    "condition": [{"test": "datum.extrapolated", "value": "var(--card)"}, color["condition"]],
                },
                "opacity": dimmed,
                "shape": {
                    "condition": [
                        {"test": "datum.beyond", "value": "triangle-up"},
                        {"test": "datum.se", "value": "square"},
                    ],
                    "value": "circle",
                },
                "size": {
                    "condition": [
                        {"test": "datum.status == 'stopped'", "value": 26},
                        {"test": "datum.status == 'trained'", "value": 50},
                    ],
                    "value": 100,
                },
            },
        },
        {
            "name": "rings",
            "data": {"name": "rings", "values": []},
            "mark": ring,
            "encoding": {
                **at,
                "strokeDash": {"condition": {"test": "datum.pinned", "value": [1, 0]}, "value": [3, 3]},
            },
        },
        {
            "transform": [{"filter": "datum.label != '' && isValid(datum.cost) && isValid(datum.error)"}],
            "mark": {"type": "text", "align": "left", "dx": 9, "dy": -9, "fontWeight": 600, "clip": True},
            "encoding": {**at, "text": {"field": "label"}},
        },
    ]
    if landmarks:
        layers.append(_landmark_layer(landmarks, x))
    if _trained_range(view)[1] > 0.7 * _chance(view):
        layers.append(_chance_layer(_chance(view), y))
    return {
        "width": "container",
        "height": 420,
        "params": [{"name": "domain_x", "value": None}, {"name": "domain_y", "value": None}],  # what is zoomed to
        "data": {"name": "candidates", "values": list(records)},
        "layer": layers,
    }


def _trained_range(view: View) -> list[float]:
    """The errors of the networks that were trained to the end, with their intervals; others are at the edge."""
    ends = [end for row in view.rows for end in row.error_interval]
    room = 0.08 * (max(ends) - min(ends)) or 0.01
    return [max(0.0, min(ends) - room), min(1.0, max(ends) + room)]


def _edge(view: View) -> float:
    """Where the networks are drawn whose error is beyond the range."""
    low, high = _trained_range(view)
    return high - 0.015 * (high - low)


def _landmark_layer(landmarks: Sequence[dict[str, Any]], x: Spec) -> Spec:
    """Known networks at the upper edge: by cost alone."""
    return {
        "name": "landmarks",
        "data": {"values": list(landmarks)},
        "transform": [
            {"filter": "isValid(datum.cost) && (!isArray(domain_x) || inrange(datum.cost, domain_x))"},
        ],
        "layer": [
            {
                "mark": {"type": "tick", "orient": "vertical", "color": "var(--soft)", "thickness": 2, "size": 8},
                "encoding": {"x": {"field": "cost", **x}, "y": {"value": -5}},
            },
            {
                "mark": {"type": "text", "angle": 325, "align": "left", "color": "var(--soft)", "fontSize": 11},
                "encoding": {
                    "x": {"field": "cost", **x},
                    "y": {"value": -12},
                    "text": {"field": "name"},
                },
            },
        ],
    }


def _chance_layer(chance: float, y: Spec) -> Spec:
    return {
        "name": "chance",
        "data": {"values": [{"chance": chance, "name": "chance"}]},
        "layer": [
            {
                "mark": {"type": "rule", "color": "var(--bad)", "strokeDash": [2, 3], "strokeWidth": 1.5},
                "encoding": {"y": {"field": "chance", **y}},
            },
            {
                "mark": {"type": "text", "align": "left", "dy": -7, "color": "var(--bad)"},
                "encoding": {"y": {"field": "chance", **y}, "x": {"value": 4}, "text": {"field": "name"}},
            },
        ],
    }
