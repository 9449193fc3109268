"""What `measure` and `device check` do where the device is counted: counts in the place of milliseconds."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snsearch.cli.console import print_json, print_table
from snsearch.costs import count_macs
from snsearch.counted import counted_runner, cpu_of, open_counter
from snsearch.counted_record import CountedRecord
from snsearch.counting.tools import requirements
from snsearch.errors import DeviceError

if TYPE_CHECKING:
    from snsearch.arch import Architecture
    from snsearch.counting.cpus import Cpu

_COLUMNS = (("M instructions", "instructions"), ("M L1d misses", "l1d_misses"), ("M L2 misses", "l2_misses"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One network's counts."""

    arch: Architecture
    macs: int
    record: CountedRecord

    def milliseconds(self, cpu: Cpu) -> tuple[float, float, float] | None:
        """What a device's published figures make of the counts, with the interval; None without such figures."""
        return None if cpu.weighing is None else cpu.weighing.milliseconds(self.record.counts)


def count_networks(
    url: str, archs: Sequence[Architecture], *, runner: Path | None, again: bool, form: str = "table"
) -> tuple[Row, ...]:
    """Counts each architecture once on the core that the URL names, and prints the counts.

    What was counted before is not counted again unless asked. Raises DeviceError.
    """
    from snsearch.engine.ncnn_model import write_model
    from snsearch.graph import OpGraph

    cpu = cpu_of(url)
    counter = open_counter(cpu, runner)
    rows = []
    unique = list(dict.fromkeys(archs))
    for number, arch in enumerate(unique, start=1):
        record = counter.count(write_model(OpGraph.of(arch).ops), again=again)
        rows.append(Row(arch=arch, macs=count_macs(arch), record=record))
        millions = record.counts.instructions / 1e6
        click.echo(f"{number} of {len(unique)}: {arch.key}: {millions:.2f} M instructions", err=True)
    _print(cpu, rows, form)
    return tuple(rows)


def row_json(cpu: Cpu, row: Row) -> dict[str, Any]:
    """A network's counts as JSON values."""
    ms = row.milliseconds(cpu)
    worth = (
        None
        if ms is None or cpu.weighing is None
        else {
            "ms": round(ms[0], 4),
            "interval_ms": [round(ms[1], 4), round(ms[2], 4)],
            "provenance": cpu.weighing.provenance,
        }
    )
    return {"network": row.arch.key, "macs": row.macs, **row.record.to_json(), "predicted": worth}


def _print(cpu: Cpu, rows: Sequence[Row], form: str) -> None:
    if form == "json":
        print_json({"schema": 1, "counted": [row_json(cpu, row) for row in rows]})
    elif form == "csv":
        sys.stdout.write(_csv(cpu, rows))
    elif rows:
        _table(cpu, rows)


def _csv(cpu: Cpu, rows: Sequence[Row]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = list(rows[0].record.counts.to_json()) if rows else []
    writer.writerow(("key", "mflops", *names, "predicted_ms", "low_ms", "high_ms", "provenance"))
    for row in rows:
        ms = row.milliseconds(cpu)
        worth = [""] * 3 if ms is None else [f"{value:.4f}" for value in ms]
        counts = row.record.counts.to_json().values()
        writer.writerow((row.arch.key, round(row.macs / 1e6, 4), *counts, *worth, row.record.provenance))
    return out.getvalue()


def _table(cpu: Cpu, rows: Sequence[Row]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table("network")
    for name in ("MFLOPs", *(head for head, _ in _COLUMNS)):
        table.add_column(name, justify="right")
    if cpu.weighing is not None:
        table.add_column("predicted ms, 95 % interval", justify="right")
    for row in rows:
        counts = row.record.counts.to_json()
        cells = [f"{row.macs / 1e6:.1f}", *(f"{counts[name] / 1e6:.2f}" for _, name in _COLUMNS)]
        if (ms := row.milliseconds(cpu)) is not None:
            cells.append(f"{ms[0]:.1f} [{ms[1]:.1f}, {ms[2]:.1f}]")
        table.add_row(escape(row.arch.key), *cells)
    print_table(table)
    for line in dict.fromkeys(row.record.provenance for row in rows):
        click.echo(f"  {line}")
    if cpu.weighing is not None:
        click.echo(f"  ms: {cpu.weighing.provenance}")


def check_counted(url: str, *, runner: Path | None, form: str) -> None:
    """Prints the core that is counted on, and what counting needs of this machine. Raises DeviceError if it lacks."""
    cpu = cpu_of(url)
    found = counted_runner() if runner is None else runner
    needs = [(need.name, need.found, need.remedy) for need in requirements()]
    needs.append(
        (
            "the aarch64 runner",
            None if found is None else str(found),
            "snsearch device build-runner --machine aarch64 (some minutes, once)",
        )
    )
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
            cache = getattr(cpu, name)
            click.echo(f"  {name:<3}  {cache.size // 1024} KiB, {cache.ways} ways, lines of {cache.line} bytes")
        click.echo(f"  from {cpu.source}")
        for name, there, remedy in needs:
            click.echo(f"  {name}: {there or f'MISSING: {remedy}'}")
    if missing := [name for name, there, _ in needs if there is None]:
        raise DeviceError(f"{url}: {' and '.join(missing)} missing; see above for how to get what counting needs")
