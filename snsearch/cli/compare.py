"""snsearch compare: networks side by side."""

from __future__ import annotations

from pathlib import Path

import click

import snsearch
from snsearch.cli.shared.console import print_table, say
from snsearch.cli.shared.options import complete_names, complete_networks, table_options
from snsearch.files import check_new


@click.command()
@click.argument(
    "networks", nargs=-1, required=True, metavar="KEY|NETWORK|STUDY#TRIAL...", shell_complete=complete_networks
)
@click.option(
    "--profile",
    metavar="NAME|FILE",
    shell_complete=complete_names("profiles"),
    help="Predict latencies by this profile, or that of a device of your own.",
)
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Draw them on a page too; a missing folder is made.",
)
@click.option("--force", is_flag=True, help="Overwrite the page.")
@click.option("--storage", metavar="URL", help="Optuna storage of the studies  [default: SQLite in their folders]")
@table_options("json", "csv", "markdown")
def compare(
    networks: tuple[str, ...],
    profile: str | None,
    html: Path | None,
    force: bool,
    storage: str | None,
    form: str,
    wide: bool,
) -> None:
    """Compare networks side by side: costs, predicted latencies, printed errors and a study's.

    Each is an architecture key, a name of `snsearch networks`, or a candidate of a study (reports/my-study#7).
    """
    if html is not None and not force:
        check_new(html, ", or give --force")
    found = snsearch.compare(*networks, profile=profile, storage=storage)
    print_table(found.table, form, wide=wide, under="networks")
    if html is not None:
        say(f"wrote {found.save(html)}")
