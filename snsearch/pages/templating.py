"""Page data -> one self-contained HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

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
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False}  # in the document's own order
    text = environment.get_template(name).render(data=data, document=document)
    # File names need not be UTF-8; Python holds their bytes as lone surrogates, which a page cannot.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def write_page(text: str, path: Path) -> None:
    """Writes the page; an existing page is replaced in one step. Raises StudyError if it cannot be written."""
    with faults_as(StudyError, f"the page {str(path)!r} cannot be written"):
        write_whole(path, text)
