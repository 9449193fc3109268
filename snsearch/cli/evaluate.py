"""snsearch evaluate: errors of a trained or exported network, with intervals, in all and by class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import snsearch
from snsearch.cli.shared.console import print_json, print_table, print_text
from snsearch.cli.shared.options import NORMALISE, Whole, reading_options
from snsearch.cli.shared.progress import Progress
from snsearch.codec import encode


@click.command()
@click.argument("model", type=click.Path(path_type=Path), metavar="FILE|FOLDER|NETWORK")
@click.option("--weights", type=click.Path(path_type=Path), metavar="FILE", help="Weights of NETWORK.")
@click.option("--normalise", metavar="imagenet|MEAN/STD", help=NORMALISE)
@click.option("--data", required=True, metavar="DATA", help="As search takes it.")
@click.option(
    "--on",
    type=click.Choice(["test", "validation", "train"]),
    default="test",
    show_default=True,
    help="Which images.",
)
@reading_options
@click.option("--device", default="auto", show_default=True, metavar="DEVICE", help="auto, cpu, cuda or mps.")
@click.option("--threads", type=Whole(1), help="CPU threads  [default: one per core]")
@click.option(
    "--stream/--no-stream", default=None, help="Decode images as needed  [default: where memory would not suffice]"
)
@click.option("--decoders", type=Whole(0, 256), default=1, show_default=True, help="Processes that decode.")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
def evaluate(model: Path, data: str, form: str, **options: Any) -> None:
    """Test a network: a weights file, or the folder or model file that `snsearch export` wrote.

    NETWORK is an architecture key or a name of `snsearch networks`; it needs --weights, a state dict under snsearch's
    own names or torchvision's.

    Errors are printed with 95 % intervals, for every class too; json has the whole confusion matrix.
    """
    progress = Progress()
    with progress:
        found = snsearch.evaluate(model, data, observer=progress, **options)
    if form == "json":
        print_json(encode(found))
        return
    if form == "table":
        for line in found.lines:
            print_text(line)
    print_table(found.table, form)
