"""What every transport can do: push a file, run a command, pull a file. No other module reaches a device.

Names on the device are relative to a work folder, which the transport creates; commands run in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from snsearch.device.programs import RunOutput

_REMOTE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
CONNECT_SECONDS = 15.0  # timeout of a command that does no work on the device
PUSH_SECONDS = 300.0


class Transport(Protocol):
    """A connection to one device. Every method raises DeviceError that says what happened and what to do."""

    @property
    def url(self) -> str:
        """The device's URL as the user gives it."""

    def push(self, source: Path, name: str, *, executable: bool = False) -> None:
        """Copies a local file into the work folder. The caller checks what arrived."""

    def run(self, words: Sequence[str], *, timeout_s: float) -> RunOutput:
        """Runs a command in the work folder to its end.

        Raises DeviceError if it takes longer, or the link drops before it has ended; it may then still be running
        on the device.
        """

    def pull(self, name: str, target: Path) -> None:
        """Copies a file from the work folder to this host."""

    def close(self) -> None:
        """Ends what the transport keeps open."""


def checked_name(name: str) -> str:
    """The name if it is a plain file name that no shell or batch file can misread. Raises ValueError."""
    if not _REMOTE_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no plain file name")
    return name
