"""snsearch measure: latencies of networks, measured on a device, or their counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from snsearch.cli.device import RUNNER, complete_devices
from snsearch.cli.shared.architectures import KEY_HELP, architectures_of, given_for_a_space
from snsearch.cli.shared.options import Number, Whole, network_options, study_options, table_options
from snsearch.cli.shared.progress import Progress, ending_with
from snsearch.device import device_of

SUSTAINED_MINUTES = 30.0


def measure_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--again, --core, --sustained, --runner."""
    for option in (
        RUNNER,
        click.option(
            "--sustained",
            type=Number(1, 600),
            is_flag=False,
            flag_value=SUSTAINED_MINUTES,
            metavar="[MINUTES]",
            help=f"Run each network so long and time its last minute  [without a number: {SUSTAINED_MINUTES:g}]",
        ),
        click.option("--core", type=Whole(0, 4095), help="Core to pin to  [default: the fastest, or the device's]"),
        click.option("--again", is_flag=True, help="Measure also what was measured on the device before."),
    ):
        command = option(command)
    return command


_OWN = ("spec", "device", "everything", "again", "core", "sustained", "runner", "out", "storage", "form", "wide")


@click.command(
    help="Measure latencies on a device: of the candidates of a study that are worth it, or of the networks of SPEC."
    f"\n\nSTUDY is a study's name, folder or study.db. {KEY_HELP}"
)
@click.argument("spec", metavar="STUDY|SPEC")
@click.option(
    "--device",
    required=True,
    metavar="NAME|URL",
    shell_complete=complete_devices,
    help="A device that was added, local, ssh://[user@]host[:port], adb://SERIAL, or counted://cortex-a72.",
)
@click.option(
    "--all", "everything", is_flag=True, help="Of a study, all candidates  [default: front, ties, finalists]"
)
@measure_options
@network_options("latency", "profile", "device", "confidence")
@study_options
@table_options("json", "csv")
def measure(
    spec: str,
    device: str,
    everything: bool,
    again: bool,
    core: int | None,
    sustained: float | None,
    runner: Path | None,
    out: Path,
    storage: str | None,
    form: str,
    wide: bool,
    **of_space: Any,
) -> None:
    if device_of(device).is_counted and (core is not None or sustained is not None):
        raise click.UsageError(f"--core and --sustained time a device; {device} is counted, and has no time")
    from snsearch import api
    from snsearch.cli.shared.outcomes import print_outcomes

    progress, place = Progress(), None
    what: Any
    if api.names_a_study(spec, storage, out):
        if given := given_for_a_space(_OWN):
            raise click.UsageError(f"{spec!r} is a study; {', '.join(given)} apply to a space")
        place = api.place_of(spec, storage, out)
        what = api.load_study(place.name, storage=place.url)
    else:
        if everything:
            raise click.UsageError(f"--all applies to a study, and there is none called {spec!r}")
        what = architectures_of(spec, of_space, _OWN)

    def finish() -> None:
        if place is not None and progress.outcomes:  # first: stdout may be gone
            page = api.report(api.load_study(place.name, storage=place.url), place.page)
            progress.said(f"report: {page}")
        print_outcomes(progress.outcomes, form, wide=wide)

    with ending_with(finish, progress), progress:
        api.measure(
            what,
            device,
            everything=everything,
            again=again,
            core=core,
            sustained=sustained,
            runner=runner,
            observer=progress,
        )
    progress.check_outcomes()
