"""snsearch train: one network, trained in full on the user's data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

import snsearch
from snsearch.cli.shared.architectures import architectures_of
from snsearch.cli.shared.console import print_json, print_table, print_text
from snsearch.cli.shared.options import DURATION, RESOLUTION, Number, Whole, complete_names, reading_options
from snsearch.cli.shared.progress import Progress
from snsearch.cli.shared.sections import SectionedCommand
from snsearch.errors import SpecError

SECTIONS = {
    "Data": ("data", "split", "image_column", "label_column", "resolution", "stream", "decoders"),
    "Recipe": ("recipe", "epochs", "batch", "learning_rate", "accumulate", "precision", "seed"),
    "Start": ("init_from", "freeze", "teacher"),
    "Machine": ("device", "threads"),
    "Output": ("out", "form", "save_every", "tensorboard", "force"),
}


@click.command(cls=SectionedCommand, sections=SECTIONS)
@click.argument("network", metavar="STUDY[#TRIAL]|KEY|NETWORK|FILE")
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="FOLDER", help="Folder of all files.")
@click.option("--data", metavar="DATA", help="As search takes it  [default: the study's]")
@reading_options
@click.option(
    "--recipe",
    default="paper",
    show_default=True,
    metavar="NAME|FILE",
    shell_complete=complete_names("recipes"),
    help="paper, modern, or a TOML file.",
)
@click.option("--resolution", type=RESOLUTION, help="Pixels per side to train on  [default: the network's]")
@click.option("--epochs", type=Whole(1, 100_000), help="Passes of the training images  [default: the recipe's]")
@click.option("--batch", type=Whole(2, 65_536), help="Images per step  [default: the recipe's, less on small data]")
@click.option(
    "--learning-rate",
    type=Number(0, 100, min_open=True),
    help="The highest  [default: the recipe's, scaled to the batch]",
)
@click.option(
    "--accumulate",
    type=Whole(1, 1024),
    default=1,
    show_default=True,
    help="Parts of a batch, to save memory.",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
    default="auto",
    show_default=True,
    help="Of multiplications.",
)
@click.option(
    "--init-from",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Weights file or checkpoint to start from; the classifier is new where classes differ.",
)
@click.option(
    "--freeze", multiple=True, metavar="PART", help="Part that stays as it is, such as stem; may be repeated."
)
@click.option(
    "--teacher", type=click.Path(path_type=Path), metavar="FILE", help="Weights file of a network to learn from."
)
@click.option("--seed", type=Whole(0, 2**31 - 1), default=0, show_default=True, help="Of all randomness.")
@click.option("--device", default="auto", show_default=True, metavar="DEVICE", help="auto, cpu, cuda or mps.")
@click.option("--threads", type=Whole(1), help="CPU threads  [default: one per core]")
@click.option(
    "--stream/--no-stream", default=None, help="Decode images as needed  [default: where memory would not suffice]"
)
@click.option(
    "--decoders",
    type=Whole(0, 256),
    default=1,
    show_default=True,
    help="Processes that decode streamed images.",
)
@click.option(
    "--save-every", type=DURATION, default="10min", show_default=True, metavar="TIME", help="Checkpoint this often."
)
@click.option("--tensorboard", is_flag=True, help="Write TensorBoard events beside the CSV log.")
@click.option("--storage", metavar="URL", help="Optuna storage of the study  [default: SQLite in its folder]")
@click.option("--force", is_flag=True, help="Train again in a FOLDER that holds another training.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def train(network: str, form: str, resolution: tuple[int, int] | None, **options: Any) -> None:
    """Train a network in full, and test it once, at the end.

    It is the best candidate of a study, one of its trials (reports/my-study#7), an architecture key, a known
    network's name, or a JSON file that `snsearch solve --format json` wrote for one network. The same command goes on
    where it was stopped or killed. `snsearch export FOLDER/weights.safetensors` takes what it wrote.
    """
    what: Any = network
    if network.endswith(".json"):
        own = [str(parameter.name) for parameter in click.get_current_context().command.params]
        found = architectures_of(network, {}, own)
        if len(found) != 1:
            raise SpecError(f"{network!r} holds {len(found)} networks; expected one")
        [what] = found
    progress = Progress()
    with progress:
        made = snsearch.train(
            what,
            resolution=None if resolution is None else "x".join(map(str, resolution)),
            observer=progress,
            **options,
        )
    if os.environ.get("RANK", "0") != "0":  # of several processes the first one prints
        return
    if form == "json":
        print_json(made.document)
        return
    for line in made.lines:
        print_text(line)
    print_table(made.result.test.table)
