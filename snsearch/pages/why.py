"""Why: what each choice does to the error, and what the search learned of it on its way.

The effects come from the search's own surrogate, which knows all lengths of training: for every value of a choice,
the mean over its networks of the predicted error of a full training, with the interval that the surrogate gives it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from snsearch.intervals import Z95
from snsearch.network import Architecture
from snsearch.pages.candidate_rows import CandidateRow
from snsearch.pages.facts import groups_words
from snsearch.pages.front_section import COLORS
from snsearch.pages.sections import Chart, Section, Spec
from snsearch.pages.view import View
from snsearch.study import Observation, Space, errors_by_share, features_of, first_long_enough, front
from snsearch.tables import Column, Table
from snsearch.units import format_stages

_MOST = 100  # networks that the surrogate is given, those trained to the end first: its work grows by the cube
_FEWEST = 8

CHOICES: dict[str, Callable[[CandidateRow], str]] = {
    "groups": lambda row: format_stages(row.architecture.groups),
    "units": lambda row: "-".join(map(str, row.architecture.stage_repeats)),
    "first convolution": lambda row: str(row.architecture.stem_channels),
    "squeeze-and-excitation": lambda row: format_stages(row.architecture.se_reduction),
    "shuffle": lambda row: "yes" if row.architecture.shuffle else "no",
}


def _groups_at(stage: int, row: CandidateRow) -> str:
    return str(row.architecture.groups[stage])


def _per_stage(rows: Sequence[CandidateRow]) -> dict[str, Callable[[CandidateRow], str]]:
    """The choices, those of single stages among them where stages differ."""
    choices = dict(CHOICES)
    for stage in range(len(rows[0].architecture.groups)):
        if any(len(set(row.architecture.groups)) > 1 for row in rows):
            choices[f"groups of stage {stage + 2}"] = partial(_groups_at, stage)
    return choices


def why_section(view: View) -> tuple[Section, ...]:
    """What the choices do, by the search's surrogate; empty for few networks, and for studies without lengths."""
    rows = [*view.rows, *view.stopped][:_MOST]
    if view.study.lengths is None or len(rows) < _FEWEST:
        return ()
    short, settings = view.study.lengths.short, view.study.settings
    effects, distribution = list(_effects(rows, short)), _distribution(rows, short)
    matched = "latency" if settings.budget.macs is None and settings.budget.latency_ms is not None else "MFLOPs"
    groups = groups_words(view.study.candidates, settings.cost_axis, matched=matched)
    charts = [
        Chart(
            name="effects-chart",
            title="Points of error that a choice adds",
            spec=_effects_spec(effects),
            label="The effect of each choice on the error; the table of choices holds the ends",
        )
    ]
    if distribution:
        charts.append(
            Chart(
                name="edf-chart",
                title=f"Share of networks that are no more wrong, after {short:.0%} of a full training",
                spec=_distribution_spec(distribution),
                label="Distribution of the error after a short training, by group count",
                legend=tuple((f"g = {format_stages(g)}", f"--c{at % COLORS}") for at, g in enumerate(view.groups)),
            )
        )
    volumes = _volumes(view)
    if len(volumes) > 2:
        charts.append(
            Chart(
                name="volume-chart",
                title="Hypervolume of the front, as trainings to the end ended",
                spec=_volume_spec(volumes),
                label="Hypervolume of the front against compute spent",
            )
        )
    return (
        Section(
            name="why",
            title="Why",
            lines=(
                "What each choice adds to the error of a full training, by the surrogate that the search chose with: "
                "the mean over the networks with that value, and its 95 % interval. Networks that differ in one "
                "choice differ in widths too, for all meet the budget.",
                *((groups,) if groups else ()),
            ),
            charts=tuple(charts),
            tables=(_importance(effects),),
        ),
    )


def _effects(rows: Sequence[CandidateRow], short: float) -> Iterator[dict[str, Any]]:
    """The effect of every value of every choice that varies."""
    archs: list[Architecture] = [row.architecture for row in rows]
    known = Space(features_of(archs)).posterior(list(_observations(rows, short)))
    mean = known.mean - known.mean.mean()
    whole = np.full(len(rows), 1 / len(rows))
    for choice, value_of in _per_stage(rows).items():
        values = [value_of(row) for row in rows]
        for value in sorted(set(values), key=_in_order):
            having = np.array([one == value for one in values], dtype=np.float64)
            if having.all():
                break
            weights = having / having.sum()
            half = Z95 * float(np.sqrt(max(0.0, (weights - whole) @ known.covariance @ (weights - whole))))
            effect = float(weights @ mean)
            yield {
                "choice": choice,
                "value": value,
                "networks": int(having.sum()),
                # Rounded: what the last digits are depends on the machine.
                "points": round(100 * effect, 3),
                "low": round(100 * (effect - half), 3),
                "high": round(100 * (effect + half), 3),
            }


def _in_order(value: str) -> list[int]:
    """By numbers: 2-4-2 before 16."""
    return [int(part) if part.isdigit() else 0 for part in value.split("-")]


def _observations(rows: Sequence[CandidateRow], short: float) -> Iterator[Observation]:
    """The error of every network where it first was long enough, and where it is, as the search gives them."""
    for network, row in enumerate(rows):
        proxy = row.trial.proxy
        if proxy is None or not proxy.curve:
            continue
        points = errors_by_share(proxy)
        first = first_long_enough(points, short)
        for share in sorted({max(points) if first is None else first, max(points)}):
            yield Observation(network=network, share=share, seed=proxy.seed, error=points[share])


def _importance(effects: Sequence[dict[str, Any]]) -> Table[tuple[str, float, str, str]]:
    """The choices by how far apart their values are."""
    found = []
    for choice in dict.fromkeys(one["choice"] for one in effects):
        ours = sorted((one for one in effects if one["choice"] == choice), key=lambda one: float(one["points"]))
        best, worst = ours[0], ours[-1]
        apart = best["high"] < worst["low"]
        found.append(
            (
                choice,
                worst["points"] - best["points"],
                f"{best['value']} ({best['points']:+.2f} [{best['low']:+.2f}, {best['high']:+.2f}])",
                f"{worst['value']} ({worst['points']:+.2f} [{worst['low']:+.2f}, {worst['high']:+.2f}])"
                + ("" if apart else ": not told apart"),
            )
        )
    of = Column[tuple[str, float, str, str]]
    return Table(
        columns=(
            of("choice", lambda one: one[0]),
            of("range", lambda one: one[1], unit="points", text=lambda one: f"{one[1]:.2f}", align="right"),
            of("best", lambda one: one[2]),
            of("worst", lambda one: one[3]),
        ),
        rows=sorted(found, key=lambda one: -one[1]),
    )


def _distribution(rows: Sequence[CandidateRow], short: float) -> list[dict[str, Any]]:
    """The steps of each group count's distribution of the error at the first length that all networks have."""
    at: dict[int, float] = {}
    for index, row in enumerate(rows):
        points = errors_by_share(row.trial.proxy) if row.trial.proxy and row.trial.proxy.curve else {}
        near = first_long_enough(points, short)
        if near is not None and near <= short + 0.02:
            at[index] = points[near]
    groups = sorted({rows[index].architecture.groups for index in at})
    found = []
    for color, group in enumerate(groups):
        errors = sorted(error for index, error in at.items() if rows[index].architecture.groups == group)
        found += [
            {"g": format_stages(group), "color": color % COLORS, "error": error, "share": (place + 1) / len(errors)}
            for place, error in enumerate(errors)
        ]
    return found


def _volumes(view: View) -> list[dict[str, float]]:
    """CPU minutes spent and the share of the plane that the front covers, after each training to the end."""
    ended = sorted(
        (row for row in view.rows if row.trial.finished is not None), key=lambda row: str(row.trial.finished)
    )
    if not ended:
        return []
    worst = [max(row.score.error for row in ended), max(row.cost for row in ended)]
    best = [min(row.score.error for row in ended), min(row.cost for row in ended)]
    size = [worst[0] - best[0] or 1.0, worst[1] - best[1] or 1.0]
    spent, found = 0.0, []
    for count, row in enumerate(ended, start=1):
        spent += sum(result.curve[-1].cpu_seconds for result in row.trial.results if result.curve) / 60
        points = [(one.score.error, one.cost) for one in ended[:count]]
        covered, edge = 0.0, worst[1]
        for error, cost in sorted((points[at] for at in front(points)), key=lambda point: -point[1]):
            covered += (edge - cost) / size[1] * (worst[0] - error) / size[0]
            edge = cost
        found.append({"minutes": spent, "covered": covered})
    return found


def _effects_spec(effects: Sequence[dict[str, Any]]) -> Spec:
    y: Spec = {"field": "label", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 220}}
    x: Spec = {"type": "quantitative", "title": "points of error beside the mean"}
    dot = {"type": "circle", "size": 70, "opacity": 1, "color": "var(--c0)", "tooltip": {"content": "data"}}
    return {
        "width": "container",
        "height": 22 * len(effects),
        "data": {"values": [{"label": f"{one['choice']} {one['value']}", **one} for one in effects]},
        "layer": [
            {
                "mark": {"type": "rule", "color": "var(--soft)", "strokeDash": [3, 3]},
                "encoding": {"x": {"datum": 0, "type": "quantitative"}},
            },
            {
                "mark": {"type": "rule", "color": "var(--c0)", "strokeWidth": 1.6},
                "encoding": {"y": y, "x": {"field": "low", **x}, "x2": {"field": "high"}},
            },
            {"mark": dot, "encoding": {"y": y, "x": {"field": "points", **x}}},
        ],
    }


def _distribution_spec(points: Sequence[dict[str, Any]]) -> Spec:
    return {
        "width": "container",
        "height": 240,
        "data": {"values": list(points)},
        "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 1.8, "tooltip": {"content": "data"}},
        "encoding": {
            "x": {
                "field": "error",
                "type": "quantitative",
                "title": "error after a short training",
                "scale": {"zero": False},
                "axis": {"format": ".1~%"},
            },
            "y": {"field": "share", "type": "quantitative", "title": "share of networks", "axis": {"format": "~%"}},
            "color": {
                "field": "color",
                "type": "ordinal",
                "scale": {"domain": [*range(COLORS)], "range": [f"var(--c{at})" for at in range(COLORS)]},
                "legend": None,
            },
        },
    }


def _volume_spec(points: Sequence[dict[str, float]]) -> Spec:
    return {
        "width": "container",
        "height": 200,
        "data": {"values": list(points)},
        "mark": {
            "type": "line",
            "interpolate": "step-after",
            "color": "var(--c0)",
            "strokeWidth": 1.8,
            "point": {"color": "var(--c0)"},
        },
        "encoding": {
            "x": {"field": "minutes", "type": "quantitative", "title": "CPU minutes of trainings to the end"},
            "y": {"field": "covered", "type": "quantitative", "title": "hypervolume, share of the plane"},
        },
    }
