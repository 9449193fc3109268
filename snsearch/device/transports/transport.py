"""What every way to a device can do: push a file, run a command, pull a file. Nothing else knows how.

Names on the device are relative to a work folder, which a transport makes where it is missing; commands run in it.
A command's success is never told by an exit code alone: a lost link ends `adb shell` with 0 and no output, and `ssh`
with 255, as a killed remote process may. So the remote shell prints a mark behind the command's output, and without
the mark the output is not complete.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from snsearch.errors import DeviceError

_REMOTE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
CONNECT_SECONDS = 15.0  # for what needs no work on the device
PUSH_SECONDS = 300.0


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOutput:
    """What a command that ran to its end left: both streams, and its exit code."""

    stdout: str
    stderr: str
    exit_code: int


class Transport(Protocol):
    """A way to one device. Every method raises DeviceError that says what happened and what to do."""

    @property
    def url(self) -> str:
        """What the user calls the device by."""
        ...

    def push(self, source: Path, name: str, *, executable: bool = False) -> None:
        """Copies a local file into the work folder. What arrived is for the caller to check."""
        ...

    def run(self, words: Sequence[str], *, timeout_s: float) -> RunOutput:
        """Runs a command in the work folder to its end.

        Raises DeviceError where it takes longer, or the link drops before it has ended; then it may still be running
        on the device.
        """
        ...

    def pull(self, name: str, target: Path) -> None:
        """Copies a file of the work folder here."""
        ...

    def close(self) -> None:
        """Ends what the transport keeps open."""
        ...


def checked_name(name: str) -> str:
    """The name, where it is a plain file name that no shell or batch file can misread. Raises ValueError."""
    if not _REMOTE_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no plain file name")
    return name


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteScript:
    """A shell script that runs words in a work folder, and the mark that it ends its output with."""

    text: str
    mark: str

    @classmethod
    def of(cls, words: Sequence[str], folder: str) -> RemoteScript:
        """The script; every word reaches the command as it is."""
        mark = f"snsearch-end-{secrets.token_hex(8)}"
        where = shlex.quote(folder)
        text = f"(mkdir -p {where} && cd {where} && {shlex.join(words)}); code=$?; echo; echo {mark} $code"
        return cls(text=text, mark=mark)

    def output(self, stdout: str, stderr: str) -> RunOutput | None:
        """The command's output; None where the mark is missing, so that the command was not seen to end."""
        text = stdout.replace("\r\n", "\n")
        before, found, after = text.rpartition(f"\n{self.mark} ")
        if not found or not after.strip().isdigit() or not after.endswith("\n"):
            return None
        return RunOutput(stdout=before, stderr=stderr, exit_code=int(after))


def run_here(
    arguments: Sequence[str],
    *,
    timeout_s: float,
    doing: str,
    missing: str,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: str = "",
) -> RunOutput:
    """Runs a program of this host. `doing` says for what, `missing` what to do where there is no such program.

    Raises DeviceError where it cannot be started or takes longer; then all of its processes are killed.
    """
    try:
        process = subprocess.Popen(
            list(arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=None if environment is None else dict(environment),
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except FileNotFoundError:
        raise DeviceError(f"{doing}: {arguments[0]!r} was not found; {missing}") from None
    except OSError as error:
        raise DeviceError(f"{doing}: {arguments[0]!r} cannot be started: {error.strerror or error}") from None
    try:
        stdout, stderr = process.communicate(stdin, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        end_group(process)
        raise DeviceError(f"{doing}: no end within {timeout_s:g} s; see that the device is awake and idle") from None
    except BaseException:
        end_group(process)
        raise
    return RunOutput(stdout=stdout, stderr=stderr, exit_code=process.returncode)


def end_group(process: subprocess.Popen[str]) -> None:
    """Kills a process that leads a session of its own, and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    # Not read to their end: a shared ssh connection goes on holding them.
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def last_line(text: str, otherwise: str = "it said nothing") -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else otherwise
