"""Puts local files on a device: for its machine, complete, and none twice."""

from __future__ import annotations

import hashlib
from pathlib import Path

from snsearch.device.transports.transport import CONNECT_SECONDS, Transport
from snsearch.engine import read_elf
from snsearch.errors import DeviceError


def machine_of(transport: Transport) -> str:
    """The device's machine as its kernel names it, such as "aarch64". Raises DeviceError."""
    output = transport.run(["uname", "-m"], timeout_s=CONNECT_SECONDS)
    machine = output.stdout.strip()
    if output.exit_code or not machine or len(machine.split()) != 1:
        raise DeviceError(f"{transport.url}: uname -m does not name the machine: {output.last_line}")
    return machine


def check_machine(path: Path, machine: str, url: str) -> None:
    """Raises DeviceError for a binary of another machine.

    Such a binary need not fail: a static x86 binary runs in an emulated aarch64 userland, and would be timed.
    """
    elf = read_elf(path)
    if elf is not None and not elf.runs_on(machine):
        raise DeviceError(
            f'"{path.name}" is built for {elf.machine}, but {url} is {machine}; build a runner for it: '
            "snsearch device build-runner"
        )


def sha256_of(path: Path) -> str:
    """The file's digest, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def deploy(transport: Transport, source: Path, name: str, *, executable: bool = False) -> None:
    """Copies a local file into the device's work folder unless its digest is the same there, and checks the copy.

    Raises DeviceError if the copy differs, as on a full disk.
    """
    wanted = sha256_of(source)
    if _digest_there(transport, name) == wanted:
        return
    fault = ""
    try:
        transport.push(source, name, executable=executable)
    except DeviceError as error:
        fault = str(error)
        if _free_kib(transport) is None:  # the device does not answer at all
            raise
    if not fault and _digest_there(transport, name) == wanted:
        return
    transport.run(["rm", "-f", name, f"{name}.partial"], timeout_s=CONNECT_SECONDS)
    free, needed = _free_kib(transport), source.stat().st_size // 1024 + 1
    if free is not None and free < needed:
        raise DeviceError(
            f"{transport.url}: its disk is full: {name} needs {needed} KiB and {free} KiB are free; free some on the "
            "device, then give the same command again" + (f" ({fault})" if fault else "")
        )
    raise DeviceError(fault or f"{transport.url}: {name} did not arrive as it was sent; check the device's storage")


def _digest_there(transport: Transport, name: str) -> str | None:
    """The digest of the device's file; None if there is no such file."""
    output = transport.run(["sha256sum", name], timeout_s=CONNECT_SECONDS)
    words = output.stdout.split()
    if output.exit_code == 0 and words:
        return words[0].removeprefix("\\")
    if output.exit_code == 127:
        raise DeviceError(f"{transport.url}: it has no sha256sum, which checks files; install coreutils there")
    return None


def _free_kib(transport: Transport) -> int | None:
    """Free KiB on the disk of the work folder; None if unknown."""
    try:
        output = transport.run(["df", "-Pk", "."], timeout_s=CONNECT_SECONDS)
    except DeviceError:
        return None
    lines = output.stdout.splitlines()
    words = lines[-1].split() if output.exit_code == 0 and len(lines) > 1 else []
    return int(words[3]) if len(words) > 3 and words[3].isdigit() else None
