"""What every transport can do: push a file and run a command. No other module reaches a device.

Names on the device are relative to a work folder, which the transport creates; commands run in it. Commands are
sent as shell scripts, and files appear whole. An exit code alone does not prove success: after a lost link
`adb shell` ends with 0 and no output, and `ssh` with 255, as for a killed remote process. So the device's shell
prints a mark after the command's output; output without the mark is incomplete.
"""

from __future__ import annotations

import re
import secrets
import shlex
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from snsearch.device.programs import RunOutput, last_line
from snsearch.errors import DeviceError

_REMOTE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
CONNECT_SECONDS = 15.0  # timeout of a command that does no work on the device
PUSH_SECONDS = 300.0
_MOVE = 'chmod "$1" "$2" && mv "$2" "$3"'


def shown_url(url: str) -> str:
    """A device's URL, or what was given as one, that may be shown: without the password that a URL may not hold."""
    return re.sub(r"(//[^:]*|^[^:/]*):(?!//).*@", r"\1:...@", url, flags=re.DOTALL)


@dataclass(kw_only=True, slots=True)
class Transport(ABC):
    """A connection to one device. Every method raises DeviceError that says what happened and what to do.

    A subclass says how a script is run there and how a file is copied.
    """

    URL: ClassVar[str]  # how its URLs look
    ADVICE: ClassVar[tuple[tuple[str, str], ...]] = ()  # (what a client program prints, what to do then)

    url: str  # as the user gives it
    options: tuple[str, ...] = ()  # further options of the client program
    folder: str | Path = ""  # the work folder on the device

    def run(self, words: Sequence[str], *, timeout_s: float) -> RunOutput:
        """Runs a command in the work folder to its end; every word reaches it unchanged.

        Raises DeviceError if it takes longer, or the link drops before it has ended; it may then still be running
        on the device.
        """
        mark, where = f"snsearch-end-{secrets.token_hex(8)}", shlex.quote(str(self.folder))
        script = f"(mkdir -p {where} && cd {where} && {shlex.join(words)}); code=$?; echo; echo {mark} $code"
        doing = f"running {words[0]} on {self.url}"
        ended = self._shell(script, timeout_s, doing)
        before, _, code = ended.stdout.replace("\r\n", "\n").rpartition(f"\n{mark} ")
        if not code.strip().isdigit() or not code.endswith("\n"):
            raise self._fault(doing, ended)
        return RunOutput(stdout=before, stderr=ended.stderr, exit_code=int(code))

    def push(self, source: Path, name: str, *, executable: bool = False) -> None:
        """Copies a local file into the work folder. The caller checks what arrived.

        Raises ValueError for a name that a shell or batch file could misread.
        """
        if not _REMOTE_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no plain file name")
        doing, partial = f"pushing {name} to {self.url}", f"{name}.partial"
        self.run(["rm", "-f", name, partial], timeout_s=CONNECT_SECONDS)
        # Under another name first: a file that is being executed cannot be written to.
        self._copy(source, f"{self.folder}/{partial}", doing)
        mode = "755" if executable else "644"
        moved = self.run(["sh", "-c", _MOVE, "sh", mode, partial, name], timeout_s=CONNECT_SECONDS)
        if moved.exit_code:
            raise DeviceError(f"{doing}: {moved.last_line}")

    def close(self) -> None:  # noqa: B027
        """Ends what the transport keeps open; most keep nothing open."""

    @abstractmethod
    def _shell(self, script: str, timeout_s: float, doing: str) -> RunOutput:
        """Runs a script by the device's sh; a failure may show in the output alone."""

    @abstractmethod
    def _copy(self, source: Path, there: str, doing: str) -> None:
        """Copies a local file to a path on the device. Raises DeviceError."""

    def _lost(self, ended: RunOutput) -> str:
        """What happened, and what to do, when no line of ADVICE matches."""
        return f"ended with {ended.exit_code} before it was done: {last_line(ended.stderr)}"

    def _fault(self, doing: str, ended: RunOutput) -> DeviceError:
        """The error for a client program that failed, or whose output is incomplete."""
        text = f"{ended.stdout}\n{ended.stderr}"
        advice = next((advice for sign, advice in self.ADVICE if sign in text), None)
        return DeviceError(f"{doing}: {self._lost(ended) if advice is None else f'{ended.last_line}; {advice}'}")
