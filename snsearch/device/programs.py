"""Running a program of this host: timeouts, both streams, and no process left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from snsearch.errors import DeviceError


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOutput:
    """Both streams and the exit code of a command that ran to its end."""

    stdout: str
    stderr: str
    exit_code: int

    @property
    def last_line(self) -> str:
        """The last line it wrote, of stderr if there is any."""
        return last_line(self.stderr, last_line(self.stdout))


def run_here(
    arguments: Sequence[str],
    *,
    timeout_s: float,
    doing: str,
    missing: str,
    slow: str = "check that the device is awake and idle",
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: str = "",
) -> RunOutput:
    """The output of a program of this host, which gets a session of its own: Ctrl-C does not reach it.

    Args:
        doing: what the program is run for; error messages begin with it.
        missing: what to do if there is no such program.
        slow: what to do if it takes longer than `timeout_s`.
        environment: all variables of the program; None: those of this process.

    Raises:
        DeviceError: it cannot be started or takes longer; then it and all processes it started are killed.
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
        _kill_group(process)
        raise DeviceError(f"{doing}: no end within {timeout_s:g} s; {slow}") from None
    except BaseException:
        _kill_group(process)
        raise
    return RunOutput(stdout=stdout, stderr=stderr, exit_code=process.returncode)


def _kill_group(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    # Close the pipes without reading to their end: a shared ssh connection keeps them open.
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def last_line(text: str, otherwise: str = "it printed nothing") -> str:
    """The last line of a text that is not blank."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), otherwise)
