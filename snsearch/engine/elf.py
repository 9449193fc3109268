"""What machine a binary is for, read from its own header."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

# elf.h's e_machine -> what `uname -m` calls such a machine.
MACHINES = {3: "i686", 40: "armv7l", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
# Machine of a binary -> what `uname -m` says on machines that run it. 64-bit kernels run 32-bit code if the processor
# still can.
RUNS_ON = {
    "i686": ("i386", "i586", "i686", "x86_64"),
    "armv7l": ("armv7l", "armv8l", "aarch64", "arm64"),
    "x86_64": ("x86_64", "amd64"),
    "aarch64": ("aarch64", "arm64"),
}
_INTERPRETER = 3  # the program header of a binary that a dynamic linker must load


class Elf(NamedTuple):
    """A binary's machine, and whether it runs without the system's libraries."""

    machine: str
    static: bool

    def runs_on(self, kernel: str) -> bool:
        """Whether it runs on a machine of which `uname -m` says that."""
        return kernel in RUNS_ON.get(self.machine, ())


def is_arm(kernel: str) -> bool:
    """Whether `uname -m` names an ARM machine."""
    return kernel in RUNS_ON["armv7l"]


def read_elf(path: Path) -> Elf | None:
    """What an ELF header says; None where the file has none."""
    content = path.read_bytes()
    if len(content) < 52 or content[:4] != b"\x7fELF":
        return None
    order = "<" if content[5] == 1 else ">"
    wide = content[4] == 2
    (number,) = struct.unpack_from(f"{order}H", content, 18)
    (table,) = struct.unpack_from(f"{order}Q" if wide else f"{order}I", content, 32 if wide else 28)
    size, count = struct.unpack_from(f"{order}2H", content, 54 if wide else 42)
    kinds = [struct.unpack_from(f"{order}I", content, table + index * size)[0] for index in range(count)]
    return Elf(MACHINES.get(number, f"machine {number} of ELF"), _INTERPRETER not in kinds)
