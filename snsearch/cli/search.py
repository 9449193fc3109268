"""snsearch search: candidates that meet a budget, trained on the user's data, ending in a report."""

from __future__ import annotations

from typing import Any, get_args

import click

from snsearch.cli.device import complete_devices
from snsearch.cli.shared.console import print_table, print_text
from snsearch.cli.shared.machine import machine_options
from snsearch.cli.shared.options import (
    BUDGET,
    CLASSES,
    CONFIDENCE,
    DURATION,
    EXECUTOR,
    RESOLUTION,
    RESOURCES,
    TRAINED_IMAGES,
    Number,
    Whole,
    complete_names,
    reading_options,
    study_options,
)
from snsearch.cli.shared.options import LATENCY as LATENCY_LIMIT
from snsearch.cli.shared.progress import Progress, ending_with
from snsearch.cli.shared.sections import SectionedCommand
from snsearch.latency import DEFAULT_PROFILE
from snsearch.study import EFFORTS, LATENCY, MARGIN, OBJECTIVES, STANDARD, Sampler
from snsearch.training import ENGINES

SECTIONS = {
    "Budget and space": (
        "budget",
        "latency",
        "confidence",
        "space",
        "resolution",
        "classes",
        "tight",
        "search_shuffle",
    ),
    "Data": ("data", "split", "image_column", "label_column", "proxy_resolution"),
    "Effort": ("effort", "time_limit", "trials", "margin"),
    "Where trainings run": ("workers", "threads", "proxy_device", "executor", "resources"),
    "Objective and device": ("objective", "profile", "device"),
    "Output": ("study", "out", "storage"),
    "Advanced": ("seed", "full_images", "recipe", "sampler", "go_ahead"),
}


@click.command(cls=SectionedCommand, sections=SECTIONS)
@click.option(
    "--budget",
    type=BUDGET,
    metavar="N|NAME|FILE",
    shell_complete=complete_names("budgets"),
    help="MFLOPs at the deployed resolution, a name of `snsearch budgets`, or a TOML file.",
)
@click.option(
    "--latency",
    type=LATENCY_LIMIT,
    metavar="MS",
    help="At most this predicted latency, such as 25ms, beside the budget or alone; of --profile, else of --device.",
)
@click.option(
    "--confidence",
    type=CONFIDENCE,
    metavar="95%",
    help="Keep the upper end of the prediction's 95 % interval within --latency.",
)
@click.option(
    "--space",
    default="shufflenet-v1",
    show_default=True,
    metavar="NAME|FILE",
    shell_complete=complete_names("spaces"),
    help="Design space (snsearch spaces).",
)
@click.option(
    "--data",
    default="fashion-mnist",
    show_default=True,
    metavar="DATA",
    help="fashion-mnist, digits, an image folder, a .parquet file, or a Hugging Face owner/name.",
)
@reading_options
@click.option("--resolution", type=RESOLUTION, help="Deployed input size  [default: the budget's, 224]")
@click.option("--classes", type=CLASSES, help="Deployed classes  [default: the budget's, or the data's]")
@click.option(
    "--effort",
    type=click.Choice([*EFFORTS]),
    default=STANDARD,
    show_default=True,
    help="Work of the search, and of comparing its finalists.",
)
@click.option("--trials", type=Whole(1), help="Candidates to try at least  [default: the effort's number]")
@click.option(
    "--time-limit", type=DURATION, metavar="TIME", help="For all of it, such as 15min; what does not fit is cut."
)
@click.option(
    "--margin",
    type=Number(0, 100),
    default=MARGIN,
    show_default=True,
    help="Points of error below which two networks are equal, and the faster is taken.",
)
@click.option("--seed", type=Whole(0, 2**31 - 1), default=0, show_default=True, help="Of all randomness.")
@click.option(
    "--objective",
    type=click.Choice([LATENCY, *OBJECTIVES]),
    default=LATENCY,
    show_default=True,
    help="What is weighed against the error: predicted latency, parameters, peak activation memory, or MMACs + MB "
    "moved (counted).",
)
@click.option(
    "--profile",
    metavar="NAME|FILE|counted",
    shell_complete=complete_names("profiles", "counted"),
    help="Latency profile of the objective and of --latency (snsearch profiles); counted is --objective counted  "
    f"[default: the device's own, else {DEFAULT_PROFILE} (for the objective only)]",
)
@click.option(
    "--device",
    metavar="NAME|URL",
    shell_complete=complete_devices,
    help="Measure the front and the finalists on this device at the end (snsearch device).",
)
@click.option("--search-shuffle", is_flag=True, help="Search networks without channel shuffle too.")
@click.option("--tight/--no-tight", default=True, show_default=True, help="Match the MFLOPs within 0.1 %.")
@click.option("--study", metavar="NAME", help="Study to make or resume  [default: from space, budget, data]")
@study_options
@click.option(
    "--full-images",
    type=TRAINED_IMAGES,
    metavar="N",
    help="Images of a full training, at least 64  [default: found by a pilot]",
)
@click.option("--recipe", metavar="FILE", help="TOML file with what to change of how candidates are trained.")
@click.option(
    "--proxy-resolution",
    type=Whole(8, 512),
    help="Pixels per side in training  [default: 32 to 64, by the data]",
)
@click.option(
    "--sampler",
    type=click.Choice(get_args(Sampler)),
    default="surrogate",
    show_default=True,
    help="What proposes candidates; the others than surrogate are Optuna's, and train each in full.",
)
@click.option("--yes", "go_ahead", is_flag=True, help="Start also where memory is expected not to suffice.")
@click.option(
    "--executor",
    type=EXECUTOR,
    default="local",
    show_default=True,
    shell_complete=lambda ctx, param, incomplete: [name for name in ENGINES if name.startswith(incomplete)],
    metavar="local|ray|ray://HOST:PORT|slurm",
    help="What runs the trainings. With ray and slurm, --workers is how many run there at once, by default what Ray "
    "has room for, or 8 jobs.",
)
@click.option(
    "--resources",
    type=RESOURCES,
    metavar="NAME=N,...",
    help="What one training takes of ray or slurm: cpu=2,gpu=0.25,memory=4GiB, and by their own names what else "
    "they have  [default: cpu=1]",
)
@machine_options
def search(**given: Any) -> None:
    """Search networks that meet a budget, and say which to take.

    The same command goes on where it was stopped: a killed run loses at most a sixth of the trainings in flight. With
    a greater --effort it goes on further. With one worker, the same seed gives the same study.
    """
    from snsearch import api

    if given["budget"] is None and given["latency"] is None:
        raise click.UsageError("give --budget, or --latency")
    progress, ended = Progress(), False
    with ending_with(lambda: _finish(given, progress, ended=ended), progress), progress:
        api.search(**given, observer=progress)
        ended = True
    progress.check_outcomes()


def _finish(given: dict[str, Any], progress: Progress, *, ended: bool) -> None:
    """Writes the page of the front as far as it goes, and prints it with the next command: the same, if not ended."""
    if not progress.has_searched:
        return
    from snsearch import api
    from snsearch.cli.shared.outcomes import print_outcomes
    from snsearch.study import finalists_table, front_table, next_command, verdict_of, why_none

    where = ("study", "storage", "out", "space", "budget", "data", "latency", "confidence", "profile", "device")
    place = api.search_place(**{name: given[name] for name in where})
    progress.said(progress.summary())
    record = api.load_study(place.name, storage=place.url)
    if record.candidates:
        api.report(record, place.page)  # first: stdout may be gone
    print_outcomes(progress.outcomes, "table")
    verdict = verdict_of(record)
    if record.candidates:
        print_table(front_table(record))
        if (finalists := finalists_table(record)).rows:
            print_table(finalists)
        for line in verdict.lines() if verdict else [why_none(record)]:
            print_text(line)
    else:
        progress.said("no candidate has been trained yet, so there is no page")
    is_said = ended or (verdict is not None and verdict.is_guess)
    if further := next_command(record, verdict if is_said else None):
        print_text(f"Next: {further}")
    if record.candidates:
        click.echo(f"report: {place.page}")
