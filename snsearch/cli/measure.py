"""snsearch measure: latencies of networks, measured on a device."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snsearch.cli.device import RUNNER, complete_devices
from snsearch.cli.shared.architectures import KEY_HELP, architectures_of, given_for_a_space
from snsearch.cli.shared.console import print_json, print_rich, printable
from snsearch.cli.shared.options import network_options, study_options
from snsearch.codec import encode
from snsearch.device import Measurement, Unmeasured, device_of
from snsearch.network import Architecture, count_macs

if TYPE_CHECKING:
    from snsearch.cli.measuring import Outcome

SUSTAINED_MINUTES = 30.0


def measure_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--again, --core, --sustained, --runner."""
    for option in (
        RUNNER,
        click.option(
            "--sustained",
            type=click.FloatRange(1, 600),
            is_flag=False,
            flag_value=SUSTAINED_MINUTES,
            metavar="[MINUTES]",
            help=f"Run each network so long and time its last minute  [without a number: {SUSTAINED_MINUTES:g}]",
        ),
        click.option(
            "--core", type=click.IntRange(0, 4095), help="Core to pin to  [default: the fastest, or the device's]"
        ),
        click.option("--again", is_flag=True, help="Measure also what was measured on the device before."),
    ):
        command = option(command)
    return command


@click.command(
    help="Measure latencies on a device: of the candidates of a study that are worth it, or of the networks of SPEC."
    f"\n\nSTUDY is a study's name, folder or study.db. {KEY_HELP}"
)
@click.argument("spec", metavar="STUDY|SPEC")
@click.option(
    "--device",
    "device_text",
    required=True,
    metavar="NAME|URL",
    shell_complete=complete_devices,
    help="A device that was added, local, ssh://[user@]host[:port], adb://SERIAL, or counted://cortex-a72.",
)
@click.option(
    "--all", "everything", is_flag=True, help="Of a study, all candidates  [default: front, ties, finalists]"
)
@measure_options
@network_options()
@study_options
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
def measure(
    spec: str,
    device_text: str,
    everything: bool,
    again: bool,
    core: int | None,
    sustained: float | None,
    runner: Path | None,
    out: Path,
    storage: str | None,
    form: str,
    **of_space: Any,
) -> None:
    from snsearch.cli.counting import Counting, count_networks, count_study
    from snsearch.cli.measuring import Asked, Session, session, study_session
    from snsearch.cli.report import located_study, rewrite_page

    asked = Asked(device=device_of(device_text), again=again, core=core, sustained_minutes=sustained, runner=runner)
    if asked.device.is_counted and (core is not None or sustained is not None):
        raise click.UsageError(
            f"--core and --sustained time a device; {asked.device.url} is counted, and has no time"
        )
    done: Session | Counting
    if (found := located_study(spec, storage, out)) is not None:
        if given := given_for_a_space(_OWN):
            raise click.UsageError(f"{spec!r} is a study; {', '.join(given)} apply to a space")
        url, name, folder = found
        if asked.device.is_counted:
            done = count_study(url, name, asked, everything=everything, form=form)
        else:
            done = study_session(url, name, asked, everything=everything)
            _print(done.outcomes, form)
        click.echo(f"report: {rewrite_page(url, name, folder)}", err=True)
    else:
        if everything:
            raise click.UsageError(f"--all applies to a study, and there is none called {spec!r}")
        archs = architectures_of(spec, of_space, _OWN)
        if asked.device.is_counted:
            done = count_networks(asked, archs, form=form)
        else:
            done = session(asked, archs)
            _print(done.outcomes, form)
    done.end()


_OWN = (
    "spec",
    "device_text",
    "everything",
    "again",
    "core",
    "sustained",
    "runner",
    "out",
    "storage",
    "form",
)


def _print(outcomes: Sequence[Outcome], form: str) -> None:
    if form == "json":
        print_json(
            {
                "schema": 1,
                "measurements": [encode(one) for one in outcomes if isinstance(one, Measurement)],
                "unmeasured": [
                    {"subject": one.subject.name, "reason": one.reason}
                    for one in outcomes
                    if isinstance(one, Unmeasured)
                ],
            }
        )
    elif form == "csv":
        sys.stdout.write(_csv(outcomes))
    elif outcomes:
        from snsearch.cli.measuring import outcome_table

        print_rich(outcome_table(outcomes))
        for line in dict.fromkeys(_conditions(one) for one in outcomes if isinstance(one, Measurement)):
            click.echo(f"  {printable(line)}")


def _conditions(one: Measurement) -> str:
    return (
        f"{one.host.device}: {one.host.words}; {one.host.library} ({one.host.runner}), one thread, "
        f"{one.precision}{one.sustained_words}"
    )


def _csv(outcomes: Sequence[Outcome]) -> str:
    """One line a network, as `snsearch calibrate` reads them; no latency where there is none."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("key", "mflops", "latency_ms", "low_ms", "high_ms", "verdict", "parity", "provenance"))
    for one in outcomes:
        if isinstance(one, Unmeasured):
            writer.writerow((one.subject.name, _mflops(one.subject.name), "", "", "", "not measured", "", one.reason))
            continue
        stats = one.statistics
        figures = (stats.median_ms, stats.low_ms, stats.high_ms)
        shown = [round(value, 6) for value in figures] if one.latency_ms is not None else ["", "", ""]
        writer.writerow((one.subject, _mflops(one.subject), *shown, one.verdict, one.parity, one.provenance))
    return out.getvalue()


def _mflops(key: str) -> float:
    return round(count_macs(Architecture.from_key(key)) / 1e6, 4)
