"""snsearch report: the HTML page of a study, or of a reference set, and its figures in other forms."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snsearch.cli.shared.console import print_json, print_lines, print_table, terminal_width
from snsearch.cli.shared.options import study_options
from snsearch.errors import StudyError

if TYPE_CHECKING:
    from snsearch.pages import Report, Section
    from snsearch.tables import Table

FORMS = ("html", "text", "json", "csv", "markdown")


@click.command()
@click.argument("study", required=False, metavar="[STUDY[#TRIAL]]")
@study_options
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), help="Page to write  [default: in the folder]"
)
@click.option("--format", "form", type=click.Choice(FORMS), default="html", show_default=True)
@click.option("--wide", is_flag=True, help="With all columns (text).")
def report(study: str | None, storage: str | None, out: Path, html: Path | None, form: str, wide: bool) -> None:
    """Write the HTML page of STUDY (a name, a folder, or a study.db file), or of a reference set.

    Without STUDY, the only one in the output folder. The other formats are printed: text is the verdict, the
    candidates and the channels of the front; markdown is every section, csv the table of candidates, and json all
    figures. Of STUDY#TRIAL they print that candidate.
    """
    from snsearch import api
    from snsearch.lab import find_set

    if study is not None and storage is None and (folder := find_set(study)) is not None:
        _report_set(folder, out, html, form, wide=wide)
        return
    name, trial = study, None
    if study is not None and (match := re.fullmatch(r"(.+)#(\d{1,9})", study)):
        name, trial = match[1], int(match[2])
    place = api.place_of(name, storage, out)
    record = api.load_study(place.name, storage=place.url)
    if form == "html":
        if trial is not None:
            raise StudyError(
                "a page shows a whole study; for one trial, name a --format: text, json, csv or markdown"
            )
        path = html or place.page
        api.report(record, path)
        click.echo(f"report: {path}")
        return
    from snsearch.pages import report_data

    found = report_data(record)
    if trial is None:
        sections = found.in_short if form == "text" else found.sections
        _print(form, sections, found.table, found.document, wide=wide)
    else:
        _print_one(form, found, trial)


def _report_set(folder: Path, out: Path, html: Path | None, form: str, *, wide: bool) -> None:
    from snsearch.lab import SHIPPED, fidelity_of, proxy_table, set_document, set_sections, write_fidelity_page

    found = fidelity_of(folder)
    if form != "html":
        table = proxy_table([found], lambda one: one.rows)
        sections = tuple(set_sections(found))
        _print(form, sections[:2] if form == "text" else sections, table, set_document(found), wide=wide)
        return
    path = html or (out / folder.name if folder.parent == SHIPPED else folder) / "report.html"
    write_fidelity_page(found, path)
    click.echo(f"report: {path}")


def _print(form: str, sections: Sequence[Section], table: Table[Any], document: Any, *, wide: bool) -> None:
    """Prints a report in a form other than HTML."""
    if form == "json":
        print_json(document)
    elif form == "csv":
        print_table(table, form)
    elif form == "markdown":
        sys.stdout.write("\n".join(section.markdown() for section in sections))
    else:
        for index, section in enumerate(sections):
            print_lines([*([""] if index else []), *section.text(terminal_width(), wide=wide)])


def _print_one(form: str, found: Report, trial: int) -> None:
    """Prints a candidate in a form. Raises StudyError for a trial that is none."""
    rows = [row for row in found.table.rows if row.number == trial]
    if not rows:
        known = ", ".join(f"#{row.number}" for row in sorted(found.table.rows, key=lambda row: row.number))
        raise StudyError(f"no candidate has the number {trial}; those with a score are {known}")
    print_table(replace(found.table, rows=rows, notes=()), "table" if form == "text" else form, blocks=True)
