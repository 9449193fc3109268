"""snsearch device: the devices that networks are measured on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from snsearch.cli.shared.console import print_table, printable, say
from snsearch.cli.shared.options import Whole, complete_names
from snsearch.device import (
    DEFAULT_ENGINE,
    Device,
    device_folder,
    device_names,
    device_of,
    forget_device,
    profile_path,
)
from snsearch.engine import ENGINES
from snsearch.errors import DeviceError
from snsearch.tables import Column, Table
from snsearch.units import format_bytes

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
@click.option("--core", type=Whole(0, 4095), help="Core to pin to  [default: the last of the fastest]")
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
def add(name: str, url: str, **options: Any) -> None:
    """Keep a device under a NAME; it is reached and checked first."""
    from snsearch.api import add_device

    new = add_device(name, url, **options)
    click.echo(f"{name}: {new.url}, {printable(new.description) or 'not reached yet'}")
    if not new.is_counted:
        say(f"next: snsearch device check {name}")


@device.command("list")
@FORMAT
def list_devices(form: str) -> None:
    """List the devices that were added."""
    from snsearch.api import devices
    from snsearch.device import log_of

    found = devices()
    if not found and form == "table":
        say("no device was added yet: snsearch device add NAME ssh://[user@]host, or adb://SERIAL")
        return
    columns = (
        Column[Device]("name", lambda one: one.name),
        Column[Device]("url", lambda one: one.url, heading="URL"),
        Column[Device](
            "description", lambda one: one.description, heading="device",
            text=lambda one: one.description or "not reached yet", drop=1,
        ),
        Column[Device](
            "core", lambda one: one.core, text=lambda one: "fastest" if one.core is None else str(one.core), drop=3
        ),
        Column[Device]("engine", lambda one: one.engine, drop=2),
        Column[Device]("measurements", lambda one: len(log_of(one).read()), align="right"),
        Column[Device]("profile", lambda one: profile_path(one.name).is_file()),
    )  # fmt: skip
    print_table(Table(columns=columns, rows=found), form, under="devices")


@device.command()
@click.argument("name", metavar="NAME|URL", shell_complete=complete_devices)
@click.option("--core", type=Whole(0, 4095), help="Core to pin to  [default: the device's]")
@RUNNER
@FORMAT
def check(name: str, core: int | None, runner: Path | None, form: str) -> None:
    """Print what a device is, whether the engine agrees with torch there, and what would spoil a measurement."""
    found = device_of(name)
    from snsearch.api import check_device
    from snsearch.cli.device_check import print_checkup, print_counting

    if found.is_counted:
        print_counting(found.url, runner or found.own_runner, form)
    else:
        print_checkup(check_device(found, core=core, runner=runner), form)


@device.command()
@click.argument("name", metavar="NAME|URL", shell_complete=complete_devices)
@click.option(
    "--space",
    default="shufflenet-v1",
    show_default=True,
    metavar="NAME|FILE",
    shell_complete=complete_names("spaces"),
    help="The design space whose networks the profile is judged by; some of every other space are fitted on too.",
)
@click.option(
    "--networks",
    type=Whole(24, 1000),
    help="Networks of the space: fitted on, and each held out in its turn  [default: 96]",
)
@click.option("--pieces", type=Whole(24, 500), help="Single operators and blocks  [default: 48]")
@click.option("--core", type=Whole(0, 4095), help="Core to pin to  [default: the device's]")
@click.option("--again", is_flag=True, help="Measure also what was measured on the device before.")
@RUNNER
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the profile to a file as well.")
@click.option("--format", "form", type=click.Choice(["table", "json", "toml"]), default="table", show_default=True)
def profile(name: str, out: Path | None, form: str, **options: Any) -> None:
    """Fit a latency profile on the device's own figures, and say how far networks held out from it are missed.

    Measures operators, blocks and networks of the space; what was measured before is not measured again, so that the
    same command goes on where it was stopped. Then: snsearch latency --device NAME.
    """
    from snsearch.api import profile_device
    from snsearch.cli.device_profile import print_profile
    from snsearch.cli.shared.progress import Progress

    progress = Progress()
    with progress:
        made = profile_device(name, out=out, observer=progress, **options)
    print_profile(made, name, form)


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
