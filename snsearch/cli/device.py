"""snsearch device: the devices that networks are measured on."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snsearch.cli.shared.console import print_json, print_rich, printable
from snsearch.cli.shared.options import complete_names
from snsearch.device import (
    DEFAULT_ENGINE,
    Device,
    checked_device_name,
    checked_url,
    device_folder,
    device_names,
    device_of,
    forget_device,
    profile_path,
    read_device,
    write_device,
)
from snsearch.engine import ENGINES, is_arm
from snsearch.errors import DeviceError, SpecError
from snsearch.units import format_bytes

if TYPE_CHECKING:
    from snsearch.device import Checkup, Cluster

FORMAT = click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
RUNNER = click.option(
    "--runner",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A runner of your own  [default: the one built for the device's machine, or Python's]",
)


def complete_devices(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Shell completion of device names."""
    return [name for name in (*device_names(), "local") if name.startswith(incomplete)]


@click.group()
def device() -> None:
    """The devices that networks are measured on.

    \b
    local                      this host
    ssh://[user@]host[:port]   a Linux board, by the system's OpenSSH client
    adb://SERIAL               an Android phone, by cable or as HOST:PORT
    counted://NAME             no device: instructions and cache misses, counted
    """


@device.command()
@click.argument("name")
@click.argument("url")
@click.option("--core", type=click.IntRange(0, 4095), help="Core to pin to  [default: the last of the fastest]")
@RUNNER
@click.option(
    "--engine",
    type=click.Choice(list(ENGINES)),
    default=DEFAULT_ENGINE,
    show_default=True,
    help="What runs the models there: a device may be added once for each.",
)
@click.option("--ssh-options", default="", metavar="OPTIONS", help='Further options of ssh, such as "-F my_config".')
@click.option("--unchecked", is_flag=True, help="Add it without reaching it.")
@click.option("--force", is_flag=True, help="Replace a device of that name.")
def add(
    name: str,
    url: str,
    core: int | None,
    runner: Path | None,
    engine: str,
    ssh_options: str,
    unchecked: bool,
    force: bool,
) -> None:
    """Keep a device under a NAME; it is reached and checked first."""
    from snsearch.device import identity_of, open_board, runners_of

    checked_device_name(name)
    if name in device_names() and not force:
        raise DeviceError(f"there is a device {name!r} already, {read_device(name).url}; see --force")
    new = Device(
        name=name,
        url=checked_url(url),
        core=core,
        engine=engine,
        ssh_options=tuple(shlex.split(ssh_options)),
        runner="" if runner is None else str(runner.absolute()),
    )
    if new.is_counted and engine != DEFAULT_ENGINE:
        raise DeviceError(f"{new.url} counts {DEFAULT_ENGINE}'s code; {engine} cannot be counted")
    if not unchecked and not new.is_counted:
        with open_board(new, runners_of(new)) as board:
            described = f"{board.probe.soc or 'unknown SoC'}, {board.probe.machine}"
            new = replace(new, identity=identity_of(board.probe), description=described)
    write_device(new, replace=force)
    click.echo(f"{name}: {new.url}, {printable(new.description) or 'not reached yet'}")
    if not new.is_counted:
        click.echo(f"next: snsearch device check {name}", err=True)


@device.command("list")
@FORMAT
def list_devices(form: str) -> None:
    """List the devices that were added."""
    from snsearch.device import log_of

    found = [read_device(name) for name in device_names()]
    counts = {one.name: len(log_of(one).read()) for one in found}
    if form == "json":
        print_json(
            {
                "schema": 1,
                "devices": [
                    {
                        "name": one.name,
                        "url": one.url,
                        "description": one.description,
                        "core": one.core,
                        "engine": one.engine,
                        "measurements": counts[one.name],
                        "profile": profile_path(one.name).is_file(),
                    }
                    for one in found
                ],
            }
        )
        return
    if not found:
        click.echo("no device was added yet: snsearch device add NAME ssh://[user@]host, or adb://SERIAL", err=True)
        return
    from rich.markup import escape
    from rich.table import Table

    table = Table("name", "URL", "device", "engine", "core", "measurements", "profile")
    for one in found:
        table.add_row(
            *map(escape, (one.name, one.url, printable(one.description) or "not reached yet", one.engine)),
            "fastest" if one.core is None else str(one.core),
            str(counts[one.name]),
            "yes" if profile_path(one.name).is_file() else "no",
        )
    print_rich(table)


@device.command()
@click.argument("name", metavar="NAME|URL", shell_complete=complete_devices)
@click.option("--core", type=click.IntRange(0, 4095), help="Core to pin to  [default: the device's]")
@RUNNER
@FORMAT
def check(name: str, core: int | None, runner: Path | None, form: str) -> None:
    """Print what a device is, whether the engine agrees with torch there, and what would spoil a measurement."""
    from snsearch.device import check as check_board
    from snsearch.device import open_board, reference_subject, runners_of
    from snsearch.engine import engine_of

    chosen = device_of(name)
    if chosen.is_counted:
        from snsearch.cli.counting import check_counted

        check_counted(chosen.url, runner=runner or chosen.own_runner, form=form)
        return
    with open_board(chosen, runners_of(chosen, runner)) as board:
        found = check_board(board, reference_subject(engine_of(chosen.engine)), core)
    if form == "json":
        print_json(found.to_json())
    else:
        _print(found)
    if not found.is_sound:
        raise DeviceError(
            f"{found.host.device}: the engine does not compute there what torch does; nothing is timed on it"
        )


@device.command()
@click.argument("name", metavar="NAME|URL", shell_complete=complete_devices)
@click.option(
    "--space",
    "space_name",
    default="shufflenet-v1",
    show_default=True,
    metavar="NAME|FILE",
    shell_complete=complete_names("spaces"),
    help="The design space whose networks the profile is judged by; some of every other space are fitted on too.",
)
@click.option(
    "--networks",
    type=click.IntRange(24, 1000),
    help="Networks of the space: fitted on, and each kept out in its turn  [default: 96]",
)
@click.option("--pieces", type=click.IntRange(24, 500), help="Single operators and blocks  [default: 48]")
@click.option("--core", type=click.IntRange(0, 4095), help="Core to pin to  [default: the device's]")
@click.option("--again", is_flag=True, help="Measure also what was measured on the device before.")
@RUNNER
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the profile to a file as well.")
@click.option("--format", "form", type=click.Choice(["table", "json", "toml"]), default="table", show_default=True)
def profile(
    name: str,
    space_name: str,
    networks: int | None,
    pieces: int | None,
    core: int | None,
    again: bool,
    runner: Path | None,
    out: Path | None,
    form: str,
) -> None:
    """Fit a latency profile on the device's own figures, and say how far networks kept out of it are missed.

    Measures operators, blocks and networks of the space; what was measured before is not measured again, so that the
    same command goes on where it was stopped. Then: snsearch latency --device NAME.
    """
    from snsearch.cli.device_profile import make_and_print

    if out is not None and out.exists():
        raise SpecError(f'"{out.name}" exists; name another file')
    make_and_print(
        device_of(name),
        space_name,
        networks=networks,
        pieces=pieces,
        core=core,
        again=again,
        runner=runner,
        out=out,
        form=form,
    )


@device.command()
@click.argument("name", shell_complete=complete_devices)
def forget(name: str) -> None:
    """Remove a device's entry; what was measured on it is kept."""
    forget_device(name)
    click.echo(f"{name} is forgotten; its measurements stay in {device_folder(name)}")


@device.command("build-runner")
@click.option(
    "--machine",
    type=click.Choice(["aarch64", "armv7", "x86_64", "native"]),
    default="aarch64",
    show_default=True,
    help="What it is to run on: phones and boards are aarch64; native is this host.",
)
@click.option("--compiler", type=click.Choice(["gcc", "zig"]), help="[default: the system's, else ziglang]")
@click.option(
    "--archive",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="ncnn's source archive, where there is no network.",
)
@click.option("--again", is_flag=True, help="Build it also where it was built before.")
def build_runner(machine: Any, compiler: Any, archive: Path | None, again: bool) -> None:
    """Build the static runner from ncnn's sources, once; it takes minutes."""
    from snsearch.device import sha256_of
    from snsearch.engine import build_runner as build
    from snsearch.engine import host_target

    target = host_target() if machine == "native" else machine
    if target is None:
        raise DeviceError("this host's machine has no static runner; install ncnn's wheel instead: pip install ncnn")

    def show(line: str) -> None:
        click.echo(printable(line.rstrip()), err=True)

    path = build(target, kind=compiler, archive=archive, on_line=show, again=again)
    click.echo(f"{path}: {target}, {format_bytes(path.stat().st_size)}, sha256 {sha256_of(path)}")


def _print(found: Checkup) -> None:
    host = found.host
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
        ("load average", "unknown" if found.loadavg is None else ", ".join(f"{load:.2f}" for load in found.loadavg)),
        ("engine", f"{host.engine} {host.engine_version}, {host.runner}, runner {host.runner_sha256[:12]}"),
        ("multiply-adds", f"{found.simd_gflops:.2g} GFLOP/s on one core"),
        ("parity", f"{found.parity:.1e} of the largest output ({'sound' if found.is_sound else 'NOT sound'})"),
    ]
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        click.echo(f"{name:<{width}}  {printable(text)}")
    click.echo("what would spoil a measurement:" + ("" if found.spoilers else " nothing that can be seen"))
    for spoiler in found.spoilers:
        click.echo(f"  {printable(spoiler.words)}")


def _cluster_words(cluster: Cluster) -> str:
    now = sorted({khz for khz in cluster.now_khz if khz is not None})
    speeds = "frequencies unknown" if cluster.max_khz is None else f"up to {cluster.max_khz / 1e6:.2f} GHz"
    if now:
        speeds += f", now {' to '.join(f'{khz / 1e6:.2f}' for khz in dict.fromkeys((now[0], now[-1])))}"
    return f"{cluster.kind}, {speeds}, governor {cluster.governor or 'unknown'}"


def _ranges(numbers: tuple[int, ...]) -> str:
    """Numbers as "0-3, 6"."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)
