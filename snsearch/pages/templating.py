"""Page data -> one self-contained HTML file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from snsearch.errors import StudyError
from snsearch.files import faults_as, write_whole
from snsearch.units import format_bytes, format_count, format_duration, format_mflops, format_stages, three_digits

FILTERS = {
    "bytes": format_bytes,
    "count": format_count,
    "duration": format_duration,
    "mflops": format_mflops,
    "stages": format_stages,
    "three_digits": three_digits,
}


def render_template(name: str, data: Any, document: Any) -> str:
    """A page as HTML text: no outside resources, every text escaped.

    Args:
        name: the template's file name.
        data: what the template shows.
        document: the same figures for programs, embedded as JSON.
    """
    environment = Environment(
        loader=PackageLoader("snsearch.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    text = environment.get_template(name).render(data=data, document=_json_for_html(document))
    # File names need not be UTF-8; Python holds their bytes as lone surrogates, which a page cannot.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _json_for_html(value: Any) -> Markup:
    """JSON that cannot end its script element, whatever strings it holds."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=True)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def write_page(text: str, path: Path) -> None:
    """Writes the page; an existing page is replaced in one step. Raises StudyError if it cannot be written."""
    with faults_as(StudyError, f"the page {str(path)!r} cannot be written"):
        write_whole(path, text)
