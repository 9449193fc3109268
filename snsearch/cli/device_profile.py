"""snsearch device profile: measures, fits, writes the profile and prints its errors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from snsearch.cli.latency import errors_line
from snsearch.cli.shared.console import print_json, printable, say
from snsearch.codec import encode
from snsearch.device import Device, profile_path
from snsearch.files import write_whole

if TYPE_CHECKING:
    from snsearch.device import OwnProfile

WORST = 3  # networks that are named


def make_and_print(
    device: Device,
    space_name: str,
    *,
    networks: int | None,
    pieces: int | None,
    core: int | None,
    again: bool,
    runner: Path | None,
    out: Path | None,
    form: str,
) -> None:
    """Makes the device's profile, keeps it with the device, and prints it."""
    from snsearch.device import NETWORKS, PIECES, Conditions, make_profile, plan_of, runners_of
    from snsearch.interrupt import stop_on_signals
    from snsearch.solver import load_space

    plan = plan_of(load_space(space_name), networks=networks or NETWORKS, pieces=pieces or PIECES)
    with stop_on_signals(lambda: say("stopping at the next step; what was measured is kept")) as stop:
        made = make_profile(
            device,
            plan,
            runners_of(device, runner),
            again=again,
            conditions=Conditions(core=core),
            say=say,
            progress=_progress,
            stop=stop,
        )
    path = profile_path(device.name)
    text = made.profile.to_toml()
    for target in (path, *([] if out is None else [out])):
        write_whole(target, text)
        say(f"wrote {target}")
    if form == "toml":
        sys.stdout.write(text)
    elif form == "json":
        print_json({"schema": 1, "profile": encode(made.profile), "left_out": list(made.left_out)})
    else:
        _print(made, device.name)


def _print(made: OwnProfile, name: str) -> None:
    profile, kept = made.profile, made.calibration.networks
    errors = [abs(predicted / ms - 1) for predicted, ms in zip(kept.predicted_ms, kept.measured_ms, strict=True)]
    near = sum(error <= 0.1 for error in errors)
    click.echo(f"{profile.device}, {profile.core}, {profile.library}, {profile.threads} thread, {profile.precision}")
    click.echo(f"form: {profile.form}")
    click.echo(errors_line(profile))
    click.echo(f"within 10 %: {near} of {len(errors)}; 95 % interval: x/÷ {profile.interval_factor:.2f}")
    worst = sorted(range(len(errors)), key=lambda index: -errors[index])[:WORST]
    for index in worst:
        error = kept.predicted_ms[index] / kept.measured_ms[index] - 1
        click.echo(f"  {error:+.0%}  {kept.measured_ms[index]:.3g} ms  {kept.names[index]}")
    click.echo(printable(profile.note))
    for reason in made.left_out:
        click.echo(printable(f"left out: {reason}"))
    say(f"next: snsearch latency --device {name}; to share it: snsearch profiles {name} --format toml")


def _progress(done: int, total: int) -> None:
    if done % 10 == 0 or done == total:
        say(f"{done} of {total} measured")
