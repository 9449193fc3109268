"""The devices that networks are measured on, and what counting needs in the place of one. Loads no torch."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from snsearch.api.arguments import checked
from snsearch.device import (
    DEFAULT_ENGINE,
    Device,
    Requirement,
    checked_device_name,
    checked_url,
    device_names,
    device_of,
    profile_path,
    read_device,
    requirements,
    write_device,
)
from snsearch.errors import DeviceError
from snsearch.files import check_new, write_whole
from snsearch.study import Observer

if TYPE_CHECKING:
    from snsearch.device import Checkup, OwnProfile


def devices() -> tuple[Device, ...]:
    """The devices that were added by `snsearch device add`, by name.

    Returns:
        One record per device: its name, URL, engine, and what it said of itself.

    Example:
        >>> import snsearch
        >>> [device.name for device in snsearch.devices() if device.url == "adb://no-such-phone"]
        []
    """
    return tuple(read_device(name) for name in device_names())


@checked
def add_device(
    name: str,
    url: str,
    *,
    core: int | None = None,
    runner: Path | None = None,
    engine: str = DEFAULT_ENGINE,
    ssh_options: str = "",
    unchecked: bool = False,
    force: bool = False,
) -> Device:
    """Keeps a device under a name, once it has answered.

    Args:
        name: of the device from now on.
        url: "local", "ssh://[user@]host[:port]", "adb://SERIAL" or "counted://NAME".
        core: to pin to; None: the last of the fastest.
        runner: a runner of the user's own; None: the one built for the device's machine.
        engine: what runs the models there.
        ssh_options: further options of ssh.
        unchecked: keep it without reaching it.
        force: replace a device of that name.

    Raises:
        DeviceError: the name is taken, the URL is not understood, or the device does not answer.
    """
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
        from snsearch.device import identity_of, open_board, runners_of

        with open_board(new, runners_of(new)) as board:
            described = f"{board.probe.soc or 'unknown SoC'}, {board.probe.machine}"
            new = replace(new, identity=identity_of(board.probe), description=described)
    write_device(new, replace=force)
    return new


@checked
def check_device(device: Device, *, core: int | None = None, runner: Path | None = None) -> Checkup:
    """What a device is, whether the engine agrees with torch there, and what would spoil a measurement.

    Raises DeviceError if it cannot be reached.
    """
    from snsearch.device import check, open_board, reference_subject, runners_of
    from snsearch.engine import engine_of

    with open_board(device, runners_of(device, runner)) as board:
        return check(board, reference_subject(engine_of(device.engine)), core)


@checked
def profile_device(
    name: str,
    *,
    space: str = "shufflenet-v1",
    networks: int | None = None,
    pieces: int | None = None,
    core: int | None = None,
    again: bool = False,
    runner: Path | None = None,
    out: Path | None = None,
    observer: Observer | None = None,
) -> OwnProfile:
    """Measures operators, blocks and networks of a space on a device, fits its latency profile and keeps it.

    What was measured before is not measured again, so the same call continues a stopped one.

    Args:
        name: a device that was added, or its URL.
        space: whose networks the profile is judged by.
        networks: of the space; None: 96.
        pieces: single operators and blocks; None: 48.
        core: to pin to; None: the device's.
        again: measure also what was measured before.
        runner: a runner of the user's own.
        out: write the profile to this file as well, which does not exist yet.
        observer: hears of the progress.

    Raises:
        SpecError: `out` exists, or there is no such space.
        DeviceError: the device fails, is emulated or counted, or too few measurements are valid.
    """
    if out is not None:
        check_new(out)
    device, seen = device_of(name), observer or Observer()

    from snsearch.device import NETWORKS, PIECES, Conditions, make_profile, plan_of, runners_of
    from snsearch.interrupt import stop_on_signals
    from snsearch.solver import load_space

    def progress(done: int, total: int) -> None:
        if done % 10 == 0 or done == total:
            seen.said(f"{done} of {total} measured")

    plan = plan_of(load_space(space), networks=networks or NETWORKS, pieces=pieces or PIECES)
    with stop_on_signals(seen.stopping) as stop:
        made = make_profile(
            device,
            plan,
            runners_of(device, runner),
            again=again,
            conditions=Conditions(core=core),
            say=seen.said,
            progress=progress,
            stop=stop,
        )
    for target in (profile_path(device.name), *([] if out is None else [out])):
        write_whole(target, made.profile.to_toml())
        seen.said(f"wrote {target}")
    return made


def counting_needs(runner: Path | None) -> list[Requirement]:
    """What counting needs of this machine."""
    from snsearch.engine import built_runner

    found = runner or built_runner("aarch64")
    runner_need = Requirement(
        name="the aarch64 runner",
        found=None if found is None else str(found),
        remedy="snsearch device build-runner --machine aarch64 (some minutes, once)",
    )
    return [*requirements(), runner_need]
