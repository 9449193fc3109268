"""Evidence: how short training and predictions fared, what counts mean, how to make the page."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from scipy.stats import kendalltau

from snsearch.network import OpGraph, count_conventions
from snsearch.pages.device_log import log_charts
from snsearch.pages.sections import Chart, Facts, Section, Spec
from snsearch.pages.view import View
from snsearch.study import errors_that_tell
from snsearch.tables import Column, Table
from snsearch.units import format_mflops

_Counted = tuple[str, str, int]


def evidence_section(view: View) -> Section:
    """What the figures of the other sections rest on."""
    points = _predictions(view)
    pick = view.row(view.verdict.pick.trial) if view.verdict else min(view.rows, key=lambda row: row.score.error)
    counts = [(one.convention, one.meaning, one.total) for one in count_conventions(OpGraph.of(pick.architecture))]
    return Section(
        name="evidence",
        title="Evidence",
        lines=_ranking(view),
        charts=(
            *([_predicted_chart(points)] if points else []),
            *log_charts(view),
        ),
        tables=(
            Table(
                columns=(
                    Column[_Counted]("convention", lambda one: one[0]),
                    Column[_Counted]("counts", lambda one: one[1]),
                    Column[_Counted](
                        "millions", lambda one: one[2], text=lambda one: format_mflops(one[2]), align="right"
                    ),
                ),
                rows=counts,
                title=f"What each convention counts of #{pick.number}",
            ),
        ),
        facts=_facts(view),
    )


def _ranking(view: View) -> tuple[str, ...]:
    """How short training ranked the networks that were trained in full, in this study."""
    short = None if view.study.lengths is None else view.study.lengths.short
    pairs = []
    for row in view.rows:
        proxy = row.trial.proxy
        if short is None or proxy is None or len(proxy.curve) < 2:
            continue
        (_, early), *further = errors_that_tell(proxy, short)
        if further:
            pairs.append((early, proxy.error))
    if short is None or len(pairs) < 4 or any(len(set(errors)) < 2 for errors in zip(*pairs, strict=True)):
        return ()
    tau = float(kendalltau(*zip(*pairs, strict=True)).statistic)
    return (
        f"In this study, the order after {short:.0%} of a full training and the order after all of it have a Kendall "
        f"tau of {tau:+.2f}, over {len(pairs)} networks that the search chose to train on; of all, it is unknown.",
    )


def _predictions(view: View) -> list[dict[str, Any]]:
    """Predicted and measured latencies of candidates, by device."""
    if view.profile is None:
        return []
    return [
        {
            "device": device,
            "trial": f"#{row.number}",
            "predicted": row.cost,
            "measured": one.statistics.median_ms,
            "low": one.statistics.low_ms,
            "high": one.statistics.high_ms,
        }
        for device, found in view.measured.items()
        for row in view.rows
        if (one := found.get(row.architecture.key)) is not None and one.latency_ms is not None
    ]


def _predicted_chart(points: Sequence[dict[str, Any]]) -> Chart:
    return Chart(
        name="predicted-chart",
        spec=_spec(points),
        label="Measured against predicted latency; on the line, both are equal",
    )


def _spec(points: Sequence[dict[str, Any]]) -> Spec:
    most = max(max(one["predicted"], one["high"]) for one in points)
    y: Spec = {"type": "quantitative", "title": "measured ms"}
    x: Spec = {"field": "predicted", "type": "quantitative", "title": "predicted ms"}
    return {
        "width": "container",
        "height": 300,
        "data": {"values": list(points)},
        "layer": [
            {
                "data": {"values": [{"predicted": 0, "measured": 0}, {"predicted": most, "measured": most}]},
                "mark": {"type": "line", "color": "var(--soft)", "strokeDash": [4, 4]},
                "encoding": {"x": x, "y": {"field": "measured", **y}},
            },
            {
                "mark": {"type": "rule", "color": "var(--c0)"},
                "encoding": {"x": x, "y": {"field": "low", **y}, "y2": {"field": "high"}},
            },
            {
                "mark": {"type": "circle", "size": 80, "opacity": 1, "color": "var(--c0)", "tooltip": True},
                "encoding": {"x": x, "y": {"field": "measured", **y}},
            },
        ],
    }


def _facts(view: View) -> Facts:
    study, settings = view.study, view.study.settings
    return (
        ("Predicted", settings.cost_label),
        ("Measured", _measured_words(view)),
        ("Data", settings.data_description),
        ("Its licence", "is that of the data; it is not kept here"),
        ("This page again", f"snsearch report {shlex.quote(study.name)}"),
        ("snsearch", "MIT licence"),
    )


def _measured_words(view: View) -> str:
    if not view.measured:
        return "nothing: latencies are predictions until snsearch measure has measured them on a device"
    return "; ".join(f"{len(found)} on {device}" for device, found in view.measured.items())
