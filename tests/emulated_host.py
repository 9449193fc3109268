"""ARM programs on this host without a board: qemu's `-L`, which needs neither root nor namespaces.

A transport like the others: a name without a slash is a program of the ARM userland, one with a slash a file of the
work folder, and all of them run under qemu. What such a program starts itself the kernel cannot run; so a shell there
has its built-in commands only.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from snsearch.device.programs import RunOutput
from snsearch.device.transports.local import LocalTransport
from snsearch.device.transports.transport import Transport
from tests.arm_userland import UnavailableError, arm_userland

QEMUS = ("qemu-aarch64-static", "qemu-aarch64")


def content_of(transport: Transport, name: str) -> bytes:
    """The content of a file in a transport's work folder."""
    return bytes.fromhex(transport.run(["od", "-An", "-v", "-tx1", name], timeout_s=60).stdout)


def qemu_program() -> str:
    """The path of qemu for ARM programs. Raises UnavailableError."""
    for name in QEMUS:
        if (found := shutil.which(name)) is not None:
            return found
    raise UnavailableError(f"none of {', '.join(QEMUS)} is installed (Debian: qemu-user-static)")


@dataclass(frozen=True, kw_only=True, slots=True)
class EmulatedHost:
    """This host with ARM programs in the place of its own. Make one by in_folder."""

    files: LocalTransport
    qemu: str
    userland: Path

    @classmethod
    def in_folder(cls, folder: Path) -> EmulatedHost:
        """One with that work folder. Raises UnavailableError."""
        return cls(files=LocalTransport(folder=folder), qemu=qemu_program(), userland=arm_userland())

    @property
    def url(self) -> str:
        return "qemu"

    def push(self, source: Path, name: str, *, executable: bool = False) -> None:
        self.files.push(source, name, executable=executable)

    def run(self, words: Sequence[str], *, timeout_s: float) -> RunOutput:
        program = words[0] if "/" in words[0] else str(self.userland / "usr" / "bin" / words[0])
        emulated = [self.qemu, "-cpu", "cortex-a72", "-L", str(self.userland), program, *words[1:]]
        return self.files.run(emulated, timeout_s=timeout_s)

    def close(self) -> None:
        self.files.close()
