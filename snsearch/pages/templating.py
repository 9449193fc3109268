"""Sections -> one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from snsearch import __version__
from snsearch.errors import StudyError
from snsearch.files import faults_as, write_whole
from snsearch.pages.sections import Section
from snsearch.pages.vega import CONFIG, script, still

MOST_ROWS = 300  # of a table for readers without scripts


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Everything that a page shows."""

    title: str
    subtitle: str
    sections: Sequence[Section]
    document: Any  # the figures for programs, embedded as JSON


def render_page(page: Page) -> str:
    """A page as HTML text: no outside resources, every text escaped."""
    environment = Environment(
        loader=PackageLoader("snsearch.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False}  # in the document's own order
    charts = {chart.name: chart for section in page.sections for chart in section.charts}
    own_script = (files("snsearch.pages") / "templates" / "page.js").read_text(encoding="utf-8")
    stills = {name: still(chart.still or chart.spec, name) for name, chart in charts.items()}
    text = environment.get_template("page.html.j2").render(
        page=page,
        most_rows=MOST_ROWS,
        stills={name: Markup(svg) for name, svg in stills.items()},  # nosec B704  # vl-convert escapes what a chart says
        charts={name: {"spec": chart.spec, "options": chart.options} for name, chart in charts.items()},
        config=CONFIG,
        vega=Markup(script()),  # nosec B704  # of a package
        own_script=Markup(own_script),  # nosec B704  # ours
        version=__version__,
        written=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
    )
    # File names need not be UTF-8; Python holds their bytes as lone surrogates, which a page cannot.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def write_page(text: str, path: Path) -> None:
    """Writes the page; an existing page is replaced in one step. Raises StudyError if it cannot be written."""
    with faults_as(StudyError, f"the page {str(path)!r} cannot be written"):
        write_whole(path, text)
