"""snsearch report: the HTML page of a study, or of a reference set, and its figures in other forms."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snsearch.cli.shared.console import print_json, print_lines, print_table, printable, say, terminal_width
from snsearch.cli.shared.options import study_options
from snsearch.errors import MissingStudyError, StudyError
from snsearch.interrupt import stop_on_signals
from snsearch.prose import runs_of

if TYPE_CHECKING:
    from snsearch.api import Place
    from snsearch.pages import Report, Section
    from snsearch.tables import Table

_PAUSE = 5  # seconds between two looks at a study
FORMS = ("html", "text", "json", "csv", "markdown")


@click.command()
@click.argument("studies", nargs=-1, metavar="[STUDY[#TRIAL]]...")
@study_options
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Page to write; a missing folder is made  [default: in the study's folder]",
)
@click.option("--format", "form", type=click.Choice(FORMS), default="html", show_default=True)
@click.option("--wide", is_flag=True, help="With all columns (text).")
@click.option(
    "--watch",
    is_flag=True,
    help="Write the page again as trainings end, until the search ends, or Ctrl-C; waits for a study "
    "that is not there yet.",
)
def report(
    studies: tuple[str, ...],
    storage: str | None,
    out: Path,
    html: Path | None,
    form: str,
    wide: bool,
    watch: bool,
) -> None:
    """Write the HTML page of STUDY (a name, a folder, or a study.db file), or of a reference set.

    Without STUDY, the only one in the output folder; several studies are one page, compared. The other formats are
    printed: text is the verdict, the candidates and the channels of the front; markdown is every section, csv the
    table of candidates, and json all figures. Of STUDY#TRIAL they print that candidate.
    """
    from snsearch import api
    from snsearch.lab import find_set

    if watch and (form != "html" or len(studies) > 1):
        raise click.UsageError("--watch writes the page of one study")
    if html is not None and form != "html":
        raise click.UsageError(
            f"--html writes the page, and --format {form} prints figures instead; give one of them"
        )
    if len(studies) > 1:
        _report_several(studies, storage, out, html, form, wide=wide)
        return
    study = studies[0] if studies else None
    if study is not None and storage is None and (folder := find_set(study)) is not None:
        _report_set(folder, out, html, form, wide=wide)
        return
    name, trial = (study and api.split_trial(study)) or (study, None)
    if form == "html" and trial is not None:
        raise StudyError("a page shows a whole study; for one trial, name a --format: text, json, csv or markdown")
    if watch:
        _watch(name, storage, out, html)
        return
    place = api.place_of(name, storage, out)
    if form == "html":
        path = html or place.page
        api.report(api.load_study(place.name, storage=place.url), path)
        click.echo(f"report: {path}")
        return
    from snsearch.pages import report_data

    found = report_data(api.load_study(place.name, storage=place.url))
    if trial is None:
        sections = found.in_short if form == "text" else found.sections
        _print(form, sections, found.table, found.document, wide=wide)
    else:
        _print_one(form, found, trial)


def _watch(study: str | None, storage: str | None, out: Path, html: Path | None) -> None:
    """Writes the page whenever the study has changed, until no search is at work on it, or a signal."""
    from snsearch import api
    from snsearch.study import is_searched

    before: object = None
    with stop_on_signals() as stopped:
        place, name = _awaited(study, storage, out, stopped)
        path = html or place.page
        while not stopped():
            goes_on = is_searched(place.url, name)  # first: what comes after the last look is on the page
            record = api.load_study(name, storage=place.url)
            now = [(trial.number, trial.status, len(trial.repeats)) for trial in record.trials], record.attachments
            if now != before and record.candidates:
                api.report(record, path)
                click.echo(f"report: {path}, {record.tried_words}")
                before = now
            if not goes_on:
                say(f"no search is at work on {name}: it has ended, or was stopped")
                return
            _pause(stopped)


def _awaited(study: str | None, storage: str | None, out: Path, stopped: Callable[[], bool]) -> tuple[Place, str]:
    """The study's place and name, once a search has made it. Raises KeyboardInterrupt at a signal before."""
    from snsearch import api

    is_said = False
    while not stopped():
        try:
            place = api.place_of(study, storage, out)
            return place, api.load_study(place.name, storage=place.url).name
        except MissingStudyError as error:
            if not is_said:
                say(f"{error}\nwaiting until a search makes it; Ctrl-C ends the waiting")
            is_said = True
        _pause(stopped)
    raise KeyboardInterrupt


def _pause(stopped: Callable[[], bool]) -> None:
    for _ in range(_PAUSE):
        if not stopped():
            time.sleep(1)


def _report_several(
    studies: Sequence[str], storage: str | None, out: Path, html: Path | None, form: str, *, wide: bool
) -> None:
    from snsearch import api
    from snsearch.pages import Page, render_page, report_data, several_sections, write_page

    if form == "csv":
        raise click.UsageError("csv is one table; name one study")
    if one := next((study for study in studies if api.split_trial(study)), None):
        raise click.UsageError(
            f"{one} is one trial, and a page of several compares whole studies: name these without a #TRIAL; "
            "`snsearch compare STUDY#TRIAL...` puts trials side by side"
        )
    places = [api.place_of(study, storage, out) for study in studies]
    reports = [report_data(api.load_study(place.name, storage=place.url)) for place in places]
    sections = tuple(several_sections(reports))
    if form != "html":
        shown = [section for section in sections if form != "text" or not section.name.startswith("front")]
        _print(form, shown, None, [report.document for report in reports], wide=wide)
        return
    path = html or out / "report.html"
    names = ", ".join(report.view.study.name for report in reports)
    documents = [{"study": one.view.study.name, "candidates": one.table.records()} for one in reports]
    page = Page(title=f"{len(reports)} studies", subtitle=names, sections=sections, document={"studies": documents})
    write_page(render_page(page), path)
    click.echo(f"report: {path}")


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


def _print(form: str, sections: Sequence[Section], table: Table[Any] | None, document: Any, *, wide: bool) -> None:
    """Prints a report in a form other than HTML."""
    if form == "json":
        print_json(document)
    elif form == "csv" and table is not None:
        print_table(table, form)
    elif form == "markdown":
        for line in "\n".join(section.markdown() for section in sections).splitlines():
            sys.stdout.write(f"{printable(line)}\n")
    else:
        for index, section in enumerate(sections):
            print_lines([*([""] if index else []), *section.text(terminal_width(), wide=wide)])


def _print_one(form: str, found: Report, trial: int) -> None:
    """Prints a candidate in a form. Raises StudyError where the trial is no candidate."""
    rows = [row for row in found.table.rows if row.number == trial]
    if not rows:
        known = runs_of(row.number for row in found.table.rows)
        raise StudyError(f"no candidate has the number {trial}; those with a score are {known}")
    print_table(replace(found.table, rows=rows, notes=()), "table" if form == "text" else form, blocks=True)
