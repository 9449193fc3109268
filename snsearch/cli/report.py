"""snsearch report: the HTML page of a study, or of a reference set."""

from __future__ import annotations

from pathlib import Path

import click

from snsearch.cli.shared.console import print_json
from snsearch.cli.shared.options import study_options


@click.command()
@click.argument("study", required=False)
@study_options
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), help="Page to write  [default: in the folder]"
)
@click.option("--format", "form", type=click.Choice(["html", "json"]), default="html", show_default=True)
def report(study: str | None, storage: str | None, out: Path, html: Path | None, form: str) -> None:
    """Write the HTML page of STUDY (a name, a folder, or a study.db file), or of a reference set.

    Without STUDY, the only one in the output folder.
    """
    from snsearch import api
    from snsearch.lab import SHIPPED, find_set

    if study is not None and storage is None and (folder := find_set(study)) is not None:
        from snsearch.lab import fidelity_of, set_document, write_fidelity_page

        found = fidelity_of(folder)
        path = html or (out / folder.name if folder.parent == SHIPPED else folder) / "report.html"
        if form == "json":
            print_json(set_document(found))
            return
        write_fidelity_page(found, path)
    else:
        place = api.place_of(study, storage, out)
        record = api.load_study(place.name, storage=place.url)
        if form == "json":
            from snsearch.pages import report_data

            print_json(report_data(record).document)
            return
        path = html or place.page
        api.report(record, path)
    click.echo(f"report: {path}")
