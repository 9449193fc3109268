"""Machines: their names for kernels, compilers and ELF headers, and which binaries run on which."""

from __future__ import annotations

import platform
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

Target = Literal["aarch64", "armv7", "x86_64"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """The names of a target that a runner can be built for."""

    gcc: str  # prefix of its GNU cross compiler
    debian: str  # Debian's package of that compiler
    zig: str
    processor: str  # cmake's name
    elf: str
    kernels: tuple[str, ...]  # what `uname -m` prints on it
    flags: str = ""


# A runner's cache key holds the text of this table: a change makes users build their runners again.
MACHINES: dict[Target, Machine] = {
    "aarch64": Machine(
        gcc="aarch64-linux-gnu",
        debian="g++-aarch64-linux-gnu",
        zig="aarch64-linux-musl",
        processor="aarch64",
        elf="aarch64",
        kernels=("aarch64", "arm64"),
    ),
    "armv7": Machine(
        gcc="arm-linux-gnueabihf",
        debian="g++-arm-linux-gnueabihf",
        zig="arm-linux-musleabihf",
        processor="armv7-a",
        elf="armv7l",
        kernels=("armv7l", "armv8l"),
        flags="-march=armv7-a -mfpu=neon -mfloat-abi=hard",
    ),
    "x86_64": Machine(
        gcc="x86_64-linux-gnu",
        debian="g++",
        zig="x86_64-linux-musl",
        processor="x86_64",
        elf="x86_64",
        kernels=("x86_64", "amd64"),
    ),
}
_ELF_NAMES = {3: "i686", 40: "armv7l", 62: "x86_64", 183: "aarch64", 243: "riscv64"}  # by elf.h's e_machine
_ALSO_RUN_ON: dict[str, tuple[str, ...]] = {
    "i686": ("i386", "i586", "i686", "x86_64"),
    "armv7l": MACHINES["aarch64"].kernels,  # a 64-bit kernel runs 32-bit code if its processor still does
}
_INTERPRETER = 3  # the ELF program header of a binary that needs a dynamic linker


class Elf(NamedTuple):
    """A binary's machine, and whether it runs without the system's libraries."""

    machine: str
    static: bool

    def runs_on(self, kernel: str) -> bool:
        """Whether the binary runs on a machine for which `uname -m` prints `kernel`."""
        own = [name for known in MACHINES.values() if known.elf == self.machine for name in known.kernels]
        return kernel in (*own, *_ALSO_RUN_ON.get(self.machine, ()))


def read_elf(path: Path) -> Elf | None:
    """The machine of a binary, from its ELF header; None for a file without one."""
    content = path.read_bytes()
    if len(content) < 52 or content[:4] != b"\x7fELF":
        return None
    order = "<" if content[5] == 1 else ">"
    wide = content[4] == 2
    (number,) = struct.unpack_from(f"{order}H", content, 18)
    (table,) = struct.unpack_from(f"{order}Q" if wide else f"{order}I", content, 32 if wide else 28)
    size, count = struct.unpack_from(f"{order}2H", content, 54 if wide else 42)
    kinds = [struct.unpack_from(f"{order}I", content, table + index * size)[0] for index in range(count)]
    return Elf(_ELF_NAMES.get(number, f"machine {number} of ELF"), _INTERPRETER not in kinds)


def build_target(kernel: str) -> Target | None:
    """The target whose runner suits a machine for which `uname -m` prints `kernel`, or None."""
    return next((target for target, known in MACHINES.items() if kernel.lower() in known.kernels), None)


def host_target() -> Target | None:
    """The target of this host, or None if no runner runs here (macOS, Windows, another processor)."""
    return build_target(platform.machine()) if sys.platform == "linux" else None


def is_arm(kernel: str) -> bool:
    """Whether `uname -m` prints `kernel` on an ARM machine."""
    return kernel in MACHINES["aarch64"].kernels + MACHINES["armv7"].kernels
