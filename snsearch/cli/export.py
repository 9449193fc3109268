"""snsearch export: a network as files for a phone or another program, checked, with a model card."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click

import snsearch
from snsearch.cli.device import complete_devices
from snsearch.cli.shared.architectures import architectures_of
from snsearch.cli.shared.console import print_json, print_text
from snsearch.cli.shared.options import NORMALISE, Number, Whole, reading_options
from snsearch.cli.shared.progress import Progress
from snsearch.errors import LossyExportError, SpecError
from snsearch.exports import FormatName


@click.command()
@click.argument("network", metavar="STUDY[#TRIAL]|KEY|NETWORK|FILE")
@click.option("--to", required=True, type=click.Choice(get_args(FormatName)), help="The format.")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Folder of the files, missing or empty.",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A weights file (.safetensors) or a state dict (.pt)  [default: random ones]",
)
@click.option("--normalise", metavar="imagenet|MEAN/STD", help=NORMALISE)
@click.option("--data", metavar="DATA", help="Check on the test images of this data, as search takes it.")
@reading_options
@click.option("--images", type=Whole(1), default=1000, show_default=True, help="Test images at most.")
@click.option(
    "--device", metavar="NAME|URL", shell_complete=complete_devices, help="Measure the latency on this device."
)
@click.option("--keep-batch-norm", is_flag=True, help="Keep batch norms as layers (onnx); else they are folded.")
@click.option("--int8", is_flag=True, help="Also write an int8 model (onnx, litert), and compare it; needs --data.")
@click.option(
    "--keep-float",
    metavar="LAYERS|auto",
    help="Layers that int8 leaves in float32: stem,stage2.0 or the worst.",
)
@click.option("--max-drop", type=Number(0, 100), default=1.0, show_default=True, help="Points that int8 may lose.")
@click.option("--calibration-images", type=Whole(1), default=512, show_default=True, help="Training images for int8.")
@click.option("--seed", type=Whole(0, 2**31 - 1), default=0, show_default=True, help="Of random weights.")
@click.option("--storage", metavar="URL", help="Optuna storage of the study  [default: SQLite in its folder]")
@click.option("--force", is_flag=True, help="Overwrite files in FOLDER.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def export(network: str, form: str, keep_float: str | None, **options: Any) -> None:
    """Export a network as files for a phone or another program, checked against torch, with a model card.

    It is a candidate of a study (reports/my-study#7), an architecture key, a name of `snsearch networks`, a JSON file
    that `snsearch solve --format json` wrote for one network, or a weights file, which names its network.
    """
    what: Any = network
    if network.endswith(".json"):
        own = [str(parameter.name) for parameter in click.get_current_context().command.params]
        found = architectures_of(network, {}, own)
        if len(found) != 1:
            raise SpecError(f"{network!r} holds {len(found)} networks; expected one")
        [what] = found
    if keep_float and not options["int8"]:
        raise click.UsageError("--keep-float applies to --int8")
    kept: Any = keep_float if keep_float == "auto" else tuple(filter(None, (keep_float or "").split(",")))
    progress = Progress()
    with progress:
        made = snsearch.export(what, keep_float=kept, observer=progress, **options)
    if form == "json":
        print_json(made.document)
    else:
        for line in made.lines:
            print_text(line)
    if made.int8 is not None and made.int8.warnings:
        raise LossyExportError(f"{'; '.join(made.int8.warnings)}; the files are in {options['out']}")
