"""What transports to another machine share: commands as shell scripts, and files that appear whole.

An exit code alone does not prove success: after a lost link `adb shell` ends with 0 and no output, and `ssh` with
255, as for a killed remote process. So the remote shell prints a mark after the command's output; output without the
mark is incomplete.
"""

from __future__ import annotations

import secrets
import shlex
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from snsearch.device.programs import RunOutput
from snsearch.device.transports.transport import CONNECT_SECONDS, checked_name
from snsearch.errors import DeviceError

Verb = Literal["push", "pull"]
_MOVE = 'chmod "$1" "$2" && mv "$2" "$3"'


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteScript:
    """A shell script that runs a command in a work folder, and the mark that ends its output."""

    text: str
    mark: str

    @classmethod
    def of(cls, words: Sequence[str], folder: str) -> RemoteScript:
        """The script; every word reaches the command unchanged."""
        mark = f"snsearch-end-{secrets.token_hex(8)}"
        where = shlex.quote(folder)
        text = f"(mkdir -p {where} && cd {where} && {shlex.join(words)}); code=$?; echo; echo {mark} $code"
        return cls(text=text, mark=mark)

    def output(self, stdout: str, stderr: str) -> RunOutput | None:
        """The command's output; None without the mark: the command may not have ended."""
        text = stdout.replace("\r\n", "\n")
        before, found, after = text.rpartition(f"\n{self.mark} ")
        if not found or not after.strip().isdigit() or not after.endswith("\n"):
            return None
        return RunOutput(stdout=before, stderr=stderr, exit_code=int(after))


class RemoteTransport(ABC):
    """A transport over client programs of this host. A subclass says how they run a script and copy a file."""

    url: str
    folder: str  # the work folder on the device
    ADVICE: ClassVar[tuple[tuple[str, str], ...]]  # (what a client program prints, what to do then)

    def run(self, words: Sequence[str], *, timeout_s: float) -> RunOutput:
        script = RemoteScript.of(words, self.folder)
        doing = f"running {words[0]} on {self.url}"
        ended = self._shell(script.text, timeout_s, doing)
        output = script.output(ended.stdout, ended.stderr)
        if output is None:
            raise self._fault(doing, ended)
        return output

    def push(self, source: Path, name: str, *, executable: bool = False) -> None:
        doing, partial = f"pushing {name} to {self.url}", f"{checked_name(name)}.partial"
        self.run(["rm", "-f", name, partial], timeout_s=CONNECT_SECONDS)
        # Under another name first: a file that is being executed cannot be written to.
        self._copy("push", source, f"{self.folder}/{partial}", doing)
        mode = "755" if executable else "644"
        moved = self.run(["sh", "-c", _MOVE, "sh", mode, partial, name], timeout_s=CONNECT_SECONDS)
        if moved.exit_code:
            raise DeviceError(f"{doing}: {moved.last_line}")

    def pull(self, name: str, target: Path) -> None:
        self._copy("pull", target, f"{self.folder}/{checked_name(name)}", f"pulling {name} from {self.url}")

    @abstractmethod
    def _shell(self, script: str, timeout_s: float, doing: str) -> RunOutput:
        """Runs a script by the device's sh; a failure may show in the output alone."""

    @abstractmethod
    def _copy(self, verb: Verb, here: Path, there: str, doing: str) -> None:
        """Pushes a local file to a path on the device, or pulls it from there. Raises DeviceError."""

    @abstractmethod
    def _lost(self, ended: RunOutput) -> str:
        """What happened, and what to do, when no line of ADVICE matches."""

    def _fault(self, doing: str, ended: RunOutput) -> DeviceError:
        """The error for a client program that failed, or whose output is incomplete."""
        text = f"{ended.stdout}\n{ended.stderr}"
        advice = next((advice for sign, advice in self.ADVICE if sign in text), None)
        return DeviceError(f"{doing}: {self._lost(ended) if advice is None else f'{ended.last_line}; {advice}'}")
