"""Why: what each choice does to the error, and what the search learned of it on its way.

The effects come from the search's own surrogate, which knows all lengths of training: for every value of a choice,
the mean over its networks of the predicted error of a full training, with the interval that the surrogate gives it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from snsearch.codec import encode
from snsearch.pages.candidate_rows import CandidateRow
from snsearch.pages.choices import Choice, Effect, effects_of
from snsearch.pages.facts import groups_words
from snsearch.pages.palette import by_number, legend_of
from snsearch.pages.sections import Chart, Section, Spec
from snsearch.pages.view import Families, View
from snsearch.study import Observation, errors_by_share, errors_that_tell, first_long_enough, front, thinned
from snsearch.tables import Column, Table

_FEWEST = 8
_STEPS = 60  # of a distribution


def why_section(view: View) -> tuple[Section, ...]:
    """What the choices do, by the search's surrogate; empty for few networks, and for studies without lengths."""
    rows = [row for row in (*view.rows, *view.stopped) if row.trial.proxy and row.trial.proxy.curve]
    if view.study.lengths is None or len(rows) < _FEWEST:
        return ()
    short, settings = view.study.lengths.short, view.study.settings
    seen = _seen(rows)
    choices = list(effects_of([row.architecture for row in seen], list(_observations(seen, short))))
    families = view.families
    distribution = _distribution(rows, families, short)
    matched = "latency" if settings.budget.macs is None and settings.budget.latency_ms is not None else "MFLOPs"
    group_costs = groups_words(view.study.candidates, settings.cost_axis, matched=matched)
    charts = [
        Chart(
            name="effects-chart",
            title="Points of error that a choice adds",
            spec=_effects_spec(choices),
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
                legend=legend_of(families.names),
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
                "choice differ in widths too, for all meet the budget."
                + (f" The surrogate looks at {len(seen)} of the {len(rows):,} networks." if seen != rows else ""),
                *((group_costs,) if group_costs else ()),
            ),
            charts=tuple(charts),
            tables=(_importance(choices),),
        ),
    )


def _seen(rows: Sequence[CandidateRow]) -> list[CandidateRow]:
    """The rows that the search's surrogate would look at."""
    last = {}
    for row in rows:
        points = errors_by_share(row.trial.proxy) if row.trial.proxy else {}
        last[row.number] = (max(points), points[max(points)])
    wanted = set(thinned(last))
    return [row for row in rows if row.number in wanted]


def _observations(rows: Sequence[CandidateRow], short: float) -> Iterator[Observation]:
    """The error of every network where it first was long enough, and where it is, as the search gives them."""
    for network, row in enumerate(rows):
        proxy = row.trial.proxy
        if proxy is None or not proxy.curve:
            continue
        for share, error in errors_that_tell(proxy, short):
            yield Observation(network=network, share=share, error=error)


def _importance(choices: Sequence[Choice]) -> Table[Choice]:
    """The choices by how far apart their values are."""
    of = Column[Choice]

    def words(one: Effect) -> str:
        return f"{one.value} ({one.points:+.2f} [{one.low:+.2f}, {one.high:+.2f}])"

    return Table(
        columns=(
            of("choice", lambda one: one.name),
            of("range", lambda one: one.points, unit="points", text=lambda one: f"{one.points:.2f}", align="right"),
            of("95 % interval", lambda one: f"{one.low:.2f} to {one.high:.2f}", align="right", drop=1),
            of("best", lambda one: words(one.best)),
            of("worst", lambda one: words(one.worst) + (": not told apart" if one.low <= 0 else "")),
        ),
        rows=sorted(choices, key=lambda one: -one.points),
    )


def _distribution(rows: Sequence[CandidateRow], families: Families, short: float) -> list[dict[str, Any]]:
    """The steps of the errors' distribution at the first length that all networks have, one for each family."""
    at: dict[int, float] = {}
    for index, row in enumerate(rows):
        points = errors_by_share(row.trial.proxy) if row.trial.proxy and row.trial.proxy.curve else {}
        near = first_long_enough(points, short)
        if near is not None and near <= short + 0.02:
            at[index] = points[near]
    found = []
    for color, name in enumerate(families.names):
        errors = sorted(
            error for index, error in at.items() if families.color[rows[index].architecture.groups] == color
        )
        few = min(_STEPS, len(errors))
        for step in range(1, few + 1):
            place = step * len(errors) // few
            share, error = place / len(errors), errors[place - 1]
            found.append({"g": name, "color": color, "error": error, "share": share})
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
    points: list[tuple[float, float]] = []  # the front so far
    for row in ended:
        spent += sum(result.curve[-1].cpu_seconds for result in row.trial.results if result.curve) / 60
        points.append((row.score.error, row.cost))
        points = [points[at] for at in front(points)]
        covered, edge = 0.0, worst[1]
        for error, cost in reversed(points):
            covered += (edge - cost) / size[1] * (worst[0] - error) / size[0]
            edge = cost
        found.append({"minutes": spent, "covered": covered})
    return found


def _effects_spec(choices: Sequence[Choice]) -> Spec:
    effects = [
        {"label": f"{choice.name}: {one.value}", "choice": choice.name, **encode(one)}
        for choice in choices
        for one in choice.effects
    ]
    y: Spec = {"field": "label", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 220}}
    x: Spec = {"type": "quantitative", "title": "points of error beside the mean"}
    dot = {"type": "circle", "size": 70, "opacity": 1, "color": "var(--c0)", "tooltip": {"content": "data"}}
    return {
        "width": "container",
        "height": 22 * len(effects),
        "data": {"values": effects},
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
            "color": by_number(),
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
