"""Several studies on one page: their answers side by side, then each one's verdict and front."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from snsearch.pages.cards import error_words
from snsearch.pages.page import Report
from snsearch.pages.palette import COLORS, by_number, legend_of
from snsearch.pages.sections import Chart, Section, Spec
from snsearch.tables import Column, Table
from snsearch.units import format_resolution, three_digits

_COLUMNS: tuple[Column[Report], ...] = (
    Column("study", lambda r: r.view.study.name),
    Column("space", lambda r: r.view.study.settings.space),
    Column("budget", lambda r: r.view.study.settings.budget.describe()),
    Column("input", lambda r: format_resolution(r.view.study.settings.budget.resolution)),
    Column("data", lambda r: r.view.study.settings.data),
    Column("networks", lambda r: len(r.rows) + len(r.view.stopped), align="right"),
    Column("balanced", lambda r: f"#{r.view.balanced.number} ({r.view.balanced.trial.words})"),
    Column("error", lambda r: error_words(r.view.balanced)),
    Column("cost", lambda r: f"{three_digits(r.view.balanced.cost)} {r.view.study.settings.cost_axis}"),
    Column("told apart", lambda r: r.view.verdict is not None and r.view.verdict.separated),
)


def several_sections(reports: Sequence[Report]) -> Iterator[Section]:
    """The sections of a page of several studies."""
    settings = [report.view.study.settings for report in reports]
    same_cost = len({one.cost_axis for one in settings}) == 1
    same_data = len({(one.data_fingerprint, one.recipe) for one in settings}) == 1
    lines = (
        [] if same_data else ["These studies differ in data or recipe: compare their costs, and not their errors."]
    )
    if not same_cost:
        lines.append("Their costs are of different kinds: the chart has MFLOPs, which all have.")
    yield Section(
        name="studies",
        title="Studies side by side",
        lines=tuple(lines),
        charts=(
            Chart(
                name="studies-chart",
                spec=_spec(reports, same_cost=same_cost),
                label="Error against cost of the candidates of every study; the tables hold the values",
                legend=legend_of(report.view.study.name for report in reports),
            ),
        ),
        tables=(Table(columns=_COLUMNS, rows=reports),),
    )
    for at, report in enumerate(reports):
        for section in (report.section("verdict"), report.section("front"), *report.in_short[1:2]):
            yield replace(
                section,
                name=f"{section.name}-{at}",
                title=f"{report.view.study.name}: {section.title.lower()}",
                charts=tuple(_alone(chart, at) for chart in section.charts),
            )


def _alone(chart: Chart, at: int) -> Chart:
    """A chart that needs no table of candidates beside it."""
    return replace(chart, name=f"{chart.name}-{at}", spec=chart.still or chart.spec, still=None, options=None)


def _spec(reports: Sequence[Report], *, same_cost: bool) -> Spec:
    points = [
        {
            "study": report.view.study.name,
            "color": at % COLORS,
            "candidate": f"#{row.number} {row.trial.words}",
            "on_front": row.on_front,
            "cost": row.cost if same_cost else row.costs.mflops,
            "error": row.score.error,
            "low": row.error_interval[0],
            "high": row.error_interval[1],
        }
        for at, report in enumerate(reports)
        for row in report.rows
    ]
    title = reports[0].view.study.settings.cost_axis if same_cost else "MFLOPs"
    x: Spec = {"field": "cost", "type": "quantitative", "title": title, "scale": {"zero": False}}
    y: Spec = {"type": "quantitative", "title": "error", "scale": {"zero": False}, "axis": {"format": ".1~%"}}
    color = by_number()
    size = {"condition": {"test": "datum.on_front", "value": 110}, "value": 50}
    shown = [{"field": name} for name in ("study", "candidate", "cost", "error")]
    return {
        "width": "container",
        "height": 400,
        "data": {"values": points},
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 1.2},
                "encoding": {"x": x, "y": {"field": "low", **y}, "y2": {"field": "high"}, "color": color},
            },
            {
                "mark": {"type": "circle", "opacity": 1},
                "encoding": {"x": x, "y": {"field": "error", **y}, "color": color, "size": size, "tooltip": shown},
            },
            {
                "transform": [{"filter": "datum.on_front"}],
                "mark": {"type": "line", "interpolate": "step-after", "strokeDash": [5, 4]},
                "encoding": {"x": x, "y": {"field": "error", **y}, "color": color},
            },
        ],
    }
