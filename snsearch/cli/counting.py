"""What `measure` and `device check` do where the device is counted: counts in the place of milliseconds."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snsearch.cli.shared.console import print_json, print_rich, say
from snsearch.codec import encode
from snsearch.device import CountedNetwork, Counts, counted_runner, cpu_of, open_counter, requirements
from snsearch.errors import DeviceError
from snsearch.interrupt import stop_on_signals
from snsearch.network import Architecture, count_macs

if TYPE_CHECKING:
    from snsearch.cli.measuring import Asked

Need = tuple[str, str | None, str]  # its name, where it was found (None: nowhere), and how to get it
_COLUMNS = (("M instructions", "instructions"), ("M L1d misses", "l1d_misses"), ("M L2 misses", "l2_misses"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Counting:
    """What was counted, and why it ended early."""

    networks: tuple[CountedNetwork, ...]
    fault: DeviceError | None = None
    interrupted: bool = False

    def end(self) -> None:
        """Ends the command as counting ended. Raises DeviceError, KeyboardInterrupt."""
        if self.interrupted:
            raise KeyboardInterrupt
        if self.fault is not None:
            raise self.fault


def count_networks(
    asked: Asked,
    archs: Sequence[Architecture],
    *,
    form: str = "table",
    keep: Callable[[CountedNetwork], None] = lambda one: None,
) -> Counting:
    """Counts each architecture once on the core that the device names, and prints the counts.

    What was counted before is not counted again unless asked; each is kept as soon as it is there.
    """
    done = _counting(asked, archs, keep)
    _print(done.networks, form)
    return done


def count_study(url: str, name: str, asked: Asked, *, everything: bool = False, form: str = "table") -> Counting:
    """Counts a study's candidates, and keeps the counts in the study too. Raises StudyError."""
    from snsearch.cli.measuring import study_architectures
    from snsearch.pages import keep_counts

    archs = study_architectures(url, name, everything=everything)
    return count_networks(asked, archs, form=form, keep=lambda one: keep_counts(url, name, one))


def _counting(asked: Asked, archs: Sequence[Architecture], keep: Callable[[CountedNetwork], None]) -> Counting:
    from snsearch.engine import write_model
    from snsearch.network import OpGraph

    networks: list[CountedNetwork] = []
    unique = list(dict.fromkeys(archs))
    try:
        core = cpu_of(asked.device.url)
        counter = open_counter(core, asked.own_runner)
        with stop_on_signals(lambda: say("stopping after this network; once more ends at once")) as stop:
            for number, arch in enumerate(unique, start=1):
                if stop():
                    return Counting(networks=tuple(networks), interrupted=True)
                record = counter.count(write_model(OpGraph.of(arch).ops), again=asked.again)
                kept = datetime.now(UTC).isoformat()
                networks.append(CountedNetwork(subject=arch.key, core=core, record=record, kept=kept))
                keep(networks[-1])
                millions = record.counts.instructions / 1e6
                say(f"{number} of {len(unique)}: {arch.key}: {millions:.2f} M instructions")
    except KeyboardInterrupt:
        return Counting(networks=tuple(networks), interrupted=True)
    except DeviceError as error:
        return Counting(networks=tuple(networks), fault=error)
    return Counting(networks=tuple(networks))


def _network_json(one: CountedNetwork) -> dict[str, Any]:
    """A network's counts as JSON values."""
    return {
        "network": one.subject,
        "macs": _macs(one),
        **encode(one.record),
        "predicted": one.predicted_json(),
    }


def _macs(one: CountedNetwork) -> int:
    return count_macs(Architecture.from_key(one.subject))


def _print(networks: Sequence[CountedNetwork], form: str) -> None:
    if form == "json":
        print_json({"schema": 1, "counted": [_network_json(one) for one in networks]})
    elif form == "csv":
        sys.stdout.write(_csv(networks))
    elif networks:
        _table(networks)


def _csv(networks: Sequence[CountedNetwork]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [field.name for field in fields(Counts)]
    writer.writerow(("key", "mflops", *names, "predicted_ms", "low_ms", "high_ms", "provenance"))
    for one in networks:
        ms = one.milliseconds
        worth = [""] * 3 if ms is None else [f"{value:.4f}" for value in ms]
        counts = encode(one.record.counts).values()
        writer.writerow((one.subject, round(_macs(one) / 1e6, 4), *counts, *worth, one.record.provenance))
    return out.getvalue()


def _table(networks: Sequence[CountedNetwork]) -> None:
    from rich.markup import escape
    from rich.table import Table

    weighing = networks[0].core.weighing
    table = Table("network")
    for name in ("MFLOPs", *(head for head, _ in _COLUMNS)):
        table.add_column(name, justify="right")
    if weighing is not None:
        table.add_column("predicted ms, 95 % interval", justify="right")
    for one in networks:
        counts = encode(one.record.counts)
        cells = [f"{_macs(one) / 1e6:.1f}", *(f"{counts[name] / 1e6:.2f}" for _, name in _COLUMNS)]
        if (ms := one.milliseconds) is not None:
            cells.append(f"{ms[0]:.1f} [{ms[1]:.1f}, {ms[2]:.1f}]")
        table.add_row(escape(one.subject), *cells)
    print_rich(table)
    for line in dict.fromkeys(one.record.provenance for one in networks):
        click.echo(f"  {line}")
    if weighing is not None:
        click.echo(f"  ms: {weighing.provenance}")


def missing_to_count(runner: Path | None) -> tuple[str, ...]:
    """The names of what this machine lacks to count with."""
    return _missing(_needs(runner))


def _missing(needs: Sequence[Need]) -> tuple[str, ...]:
    return tuple(name for name, there, _ in needs if there is None)


def _needs(runner: Path | None) -> list[Need]:
    """What counting needs."""
    found = counted_runner() if runner is None else runner
    runner_need = (
        "the aarch64 runner",
        None if found is None else str(found),
        "snsearch device build-runner --machine aarch64 (some minutes, once)",
    )
    return [*((need.name, need.found, need.remedy) for need in requirements()), runner_need]


def check_counted(url: str, *, runner: Path | None, form: str) -> None:
    """Prints the core that is counted on, and what counting needs of this machine. Raises DeviceError if it lacks."""
    cpu = cpu_of(url)
    needs = _needs(runner)
    if form == "json":
        print_json(
            {
                "schema": 1,
                "url": url,
                "cpu": cpu.name,
                "title": cpu.title,
                "source": cpu.source,
                "caches": {name: str(getattr(cpu, name)) for name in ("l1d", "l1i", "l2")},
                "needs": [{"name": name, "found": there, "remedy": remedy} for name, there, remedy in needs],
            }
        )
    else:
        click.echo(f"{url}: {cpu.title}")
        for name in ("l1d", "l1i", "l2"):
            click.echo(f"  {name:<3}  {getattr(cpu, name).words}")
        click.echo(f"  from {cpu.source}")
        for name, there, remedy in needs:
            click.echo(f"  {name}: {there or f'MISSING: {remedy}'}")
    if missing := _missing(needs):
        raise DeviceError(f"{url}: {' and '.join(missing)} missing; see above for how to get what counting needs")
