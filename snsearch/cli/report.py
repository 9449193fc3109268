"""snsearch report: the HTML page of a study."""

from __future__ import annotations

from pathlib import Path

import click

from snsearch.cli.shared.console import print_json
from snsearch.cli.shared.options import study_options
from snsearch.errors import StudyError


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
    if study is not None and storage is None and (folder := _set_folder(study)) is not None:
        _report_set(folder, out, html, form)
        return

    from snsearch.pages import report_data, write_report
    from snsearch.study import read_study

    name, url, folder = _locate(study, storage, out)
    data = report_data(read_study(url, name))
    if form == "json":
        print_json(data.document)
        return
    path = html or folder / "report.html"
    write_report(data, path)
    click.echo(f"report: {path}")


def located_study(text: str, storage: str | None, out: Path) -> tuple[str, str, Path] | None:
    """Storage URL, name and folder of the study that a text names; None where it names none."""
    from snsearch.study import read_study

    if storage is None and not any(
        path.is_file() for path in (Path(text), Path(text) / "study.db", out / text / "study.db")
    ):
        return None
    if storage is None and Path(text).is_file() and Path(text).suffix != ".db":
        return None
    name, url, folder = _locate(text, storage, out)
    return url, name or read_study(url).name, folder


def rewrite_page(url: str, name: str, folder: Path) -> Path:
    """Writes the page of a study with trained candidates anew; its path."""
    from snsearch.pages import report_data, write_report
    from snsearch.study import read_study

    path = folder / "report.html"
    write_report(report_data(read_study(url, name)), path)
    return path


def _set_folder(text: str) -> Path | None:
    """The folder of a reference set, where the text names one."""
    from snsearch.lab import set_folder

    try:
        return set_folder(text)
    except StudyError:
        return None


def _report_set(folder: Path, out: Path, html: Path | None, form: str) -> None:
    from snsearch.lab import REFERENCE, SHIPPED, curves_of, fidelity_of, fidelity_page, write_fidelity_page

    found = fidelity_of(folder)
    if form == "json":
        print_json(found.to_json())
        return
    errors: dict[str, tuple[float, ...]] = {}
    for (label, recipe, _), curve in sorted(curves_of(folder).items()):
        if recipe == REFERENCE:
            errors[label] = (*errors.get(label, ()), curve[-1].test_error)
    path = html or (out / folder.name if folder.parent == SHIPPED else folder) / "report.html"
    write_fidelity_page(fidelity_page(found, errors), path)
    click.echo(f"report: {path}")


def _locate(study: str | None, storage: str | None, out: Path) -> tuple[str | None, str, Path]:
    """Study name (None: the storage's only one), storage URL, and folder of the page. Raises StudyError."""
    if storage is not None:
        return study, storage, out / study if study else out
    if study is None:
        found = sorted(out.glob("*/study.db"))
        if len(found) != 1:
            names = ", ".join(path.parent.name for path in found) or "none"
            raise StudyError(f"{out} holds {len(found)} studies ({names}); name one: snsearch report STUDY")
        path = found[0]
    elif Path(study).is_file():
        path = Path(study)
    elif (Path(study) / "study.db").is_file():
        path = Path(study) / "study.db"
    else:
        path = out / study / "study.db"
    return None, f"sqlite:///{path}", path.parent
