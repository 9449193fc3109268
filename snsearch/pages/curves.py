"""Learning curves of all lengths: the search's own trainings, stopped ones, and further seeds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from snsearch.pages.palette import by_number, legend_of
from snsearch.pages.sections import Chart, Section
from snsearch.pages.view import View

_MOST = 150  # trainings


def curves_section(view: View) -> Section:
    """The errors on the way of each training."""
    points = list(_points(view))
    return Section(
        name="curves",
        title="Learning curves",
        lines=(
            "Error while training; points inside an epoch are measured on a part of the images. Thick: candidates of "
            "the front. Dashed: further seeds of finalists, on test images. Grey: stopped on its way.",
        ),
        charts=(
            Chart(
                name="curves-chart",
                spec=_spec(points),
                label="Learning curves of the candidates: error against images seen",
                legend=legend_of(view.families.names),
            ),
        ),
    )


def _points(view: View) -> Iterator[dict[str, Any]]:
    colors = view.families.color
    rows = sorted((*view.rows, *view.stopped), key=lambda row: (not row.on_front, row.score.error))
    for row in rows[:_MOST]:
        for further, result in enumerate((row.trial.proxy, *row.trial.repeats)):
            for point in result.curve if result else ():
                yield {
                    "training": f"#{row.number} {row.trial.words}, seed {result.seed if result else 0}",
                    "images": point.images_seen,
                    "error": point.test_error,
                    "color": colors[row.architecture.groups],
                    "kind": "stopped"
                    if row.status == "stopped"
                    else "seed"
                    if further
                    else "front"
                    if row.on_front
                    else "trained",
                }


def _spec(points: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "width": "container",
        "height": 300,
        "data": {"values": points},
        "mark": {"type": "line", "tooltip": {"content": "encoding"}},
        "encoding": {
            "x": {"field": "images", "type": "quantitative", "title": "images seen"},
            "y": {
                "field": "error",
                "type": "quantitative",
                "title": "error",
                "scale": {"zero": False},
                "axis": {"format": ".1~%"},
            },
            "detail": {"field": "training"},
            "color": {
                "condition": {"test": "datum.kind == 'stopped'", "value": "var(--dim)"},
                **by_number(),
            },
            "strokeWidth": {"condition": {"test": "datum.kind == 'front'", "value": 3}, "value": 1.3},
            "strokeDash": {"condition": {"test": "datum.kind == 'seed'", "value": [4, 3]}, "value": [1, 0]},
        },
    }
