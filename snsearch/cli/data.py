"""snsearch data: a data set as a search or a training would use it. Loads no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from snsearch.cli.shared.console import print_json, print_table, print_text
from snsearch.cli.shared.options import RESOLUTION, Whole, reading_of, reading_options
from snsearch.cli.shared.progress import Progress
from snsearch.tables import Column, Table

if TYPE_CHECKING:
    from snsearch.training import ClassCount, Description


@click.command()
@click.argument("data", metavar="DATA")
@reading_options
@click.option("--resolution", type=RESOLUTION, help="Deployed input size  [default: 224]")
@click.option("--proxy-resolution", type=Whole(8, 512), help="Pixels per side to train on.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def data(
    data: str, resolution: tuple[int, int] | None, proxy_resolution: int | None, form: str, **reading: Any
) -> None:
    """Describe DATA as a search or a training would use it.

    DATA is fashion-mnist, digits, an image folder, a .parquet file, or a Hugging Face owner/name. Ends with 0 also
    where a search would refuse the data: the reason is among the remarks.
    """
    from snsearch.training import describe_data

    with Progress() as progress:
        description = describe_data(
            data,
            side=proxy_resolution,
            deployed=min(resolution or (224, 224)),
            options=reading_of(reading),
            progress=progress.read,
        )
    if form == "json":
        print_json(description.to_json())
        return
    for line in (*description.lines(), *description.named_lines()):
        print_text(line)
    if not description.refused:
        print_table(_classes(description))


def _classes(description: Description) -> Table[ClassCount]:
    return Table(
        columns=(
            Column("class", lambda one: one.name),
            Column("train", lambda one: one.train, text=lambda one: f"{one.train:,}", align="right"),
            Column("validation", lambda one: one.validation, text=lambda one: f"{one.validation:,}", align="right"),
            Column("test", lambda one: one.test, text=lambda one: f"{one.test:,}", align="right"),
        ),
        rows=description.classes,
    )
