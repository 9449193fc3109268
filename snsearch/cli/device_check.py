"""snsearch device check: what a device is, or what counting needs in the place of one."""

from __future__ import annotations

from pathlib import Path

import click

from snsearch.cli.shared.console import print_json, print_text, terminal_width
from snsearch.device import Checkup, Cluster, cpu_of
from snsearch.engine import is_arm
from snsearch.errors import DeviceError
from snsearch.prose import ranges_of, wrap
from snsearch.units import format_bytes


def print_counting(url: str, runner: Path | None, form: str) -> None:
    """Prints the core that is counted on, and what counting needs of this machine. Raises DeviceError if it lacks."""
    from snsearch.api import counting_needs

    cpu, needs = cpu_of(url), counting_needs(runner)
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
        print_text(f"{url}: {cpu.title}")
        for name in ("l1d", "l1i", "l2"):
            print_text(f"{name}: {getattr(cpu, name).words}", indent=2)
        print_text(f"from {cpu.source}", indent=2)
        for name, there, remedy in needs:
            print_text(f"{name}: {there or f'MISSING: {remedy}'}", indent=2)
    if missing := [name for name, there, _ in needs if there is None]:
        raise DeviceError(f"{url}: {' and '.join(missing)} missing; see above for how to get what counting needs")


def print_checkup(found: Checkup, form: str) -> None:
    """Prints what a device is. Raises DeviceError where the engine does not compute there what torch does."""
    if form == "json":
        print_json(found.to_json())
    else:
        _print_lines(found)
    if not found.is_sound:
        raise DeviceError(
            f"{found.host.device}: the engine does not compute there what torch does; nothing is timed on it"
        )


def _print_lines(found: Checkup) -> None:
    host, load = found.host, found.probe.loadavg
    rows: list[tuple[str, str]] = [
        ("device", f"{host.device} ({host.url})"),
        ("SoC", host.soc or "unknown"),
        ("machine", host.machine + ("" if is_arm(host.machine) else ", not ARM")),
    ]
    for cluster in found.clusters:
        rows.append((f"cores {_ranges(cluster.cores)}", _cluster_words(cluster)))
    rows += [
        ("pinned to", f"core {host.core}"),
        ("memory", "unknown" if host.memory_kb is None else format_bytes(host.memory_kb * 1024)),
        ("temperature", "unknown" if found.temperature_mc is None else f"{found.temperature_mc / 1000:.0f} °C"),
        ("load average", "unknown" if load is None else ", ".join(f"{one:.2f}" for one in load)),
        ("engine", f"{host.engine} {host.engine_version}, {host.runner}, runner {host.runner_sha256[:12]}"),
        ("multiply-adds", f"{found.probe.simd_gflops:.2g} GFLOP/s on one core"),
        ("parity", f"{found.parity:.1e} of the largest output ({'sound' if found.is_sound else 'NOT sound'})"),
    ]
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        first, *others = wrap(text, terminal_width() - width - 2)
        click.echo(f"{name:<{width}}  {first}")
        for line in others:
            click.echo(f"{'':<{width}}  {line}")
    print_text("what would spoil a measurement:" + ("" if found.spoilers else " nothing that can be seen"))
    for spoiler in found.spoilers:
        print_text(spoiler.words, indent=2)


def _cluster_words(cluster: Cluster) -> str:
    now = sorted({khz for khz in cluster.now_khz if khz is not None})
    speeds = "frequencies unknown" if cluster.max_khz is None else f"up to {cluster.max_khz / 1e6:.2f} GHz"
    if now:
        speeds += f", now {' to '.join(f'{khz / 1e6:.2f}' for khz in dict.fromkeys((now[0], now[-1])))}"
    return f"{cluster.kind}, {speeds}, governor {cluster.governor or 'unknown'}"


def _ranges(numbers: tuple[int, ...]) -> str:
    """Numbers as "0-3, 6"."""
    return ", ".join(f"{first}-{last}" if last > first else str(first) for first, last in ranges_of(numbers))
