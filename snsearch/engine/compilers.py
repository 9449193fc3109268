"""The compilers that can build a runner, and for which machines."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from snsearch.engine.elf import RUNS_ON
from snsearch.errors import DeviceError

Target = Literal["aarch64", "armv7", "x86_64"]
CompilerKind = Literal["gcc", "zig"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """How a target is called by those who build for it and by those who run it."""

    gcc: str  # the prefix of its GNU cross compiler
    debian: str  # Debian's package of that
    zig: str
    processor: str  # cmake's name
    elf: str
    flags: str = ""


MACHINES: dict[Target, Machine] = {
    "aarch64": Machine(
        gcc="aarch64-linux-gnu",
        debian="g++-aarch64-linux-gnu",
        zig="aarch64-linux-musl",
        processor="aarch64",
        elf="aarch64",
    ),
    "armv7": Machine(
        gcc="arm-linux-gnueabihf",
        debian="g++-arm-linux-gnueabihf",
        zig="arm-linux-musleabihf",
        processor="armv7-a",
        elf="armv7l",
        flags="-march=armv7-a -mfpu=neon -mfloat-abi=hard",
    ),
    "x86_64": Machine(
        gcc="x86_64-linux-gnu",
        debian="g++",
        zig="x86_64-linux-musl",
        processor="x86_64",
        elf="x86_64",
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Compiler:
    """A compiler: its commands, and what distinguishes what it makes from what others make."""

    kind: CompilerKind
    c: tuple[str, ...]
    cxx: tuple[str, ...]
    archive: tuple[str, ...] | None  # the archiver and the indexer where they are not the system's
    index: tuple[str, ...] | None
    version: str
    cross: bool


def target_of(machine: str) -> Target | None:
    """The target whose runner runs where `uname -m` says that, or None."""
    # A 64-bit ARM machine runs both ARM targets; aarch64 comes first.
    return next((target for target, known in MACHINES.items() if machine.lower() in RUNS_ON[known.elf]), None)


def host_target() -> Target | None:
    """The target of this host, or None where no runner runs here (macOS, Windows, another processor)."""
    return target_of(platform.machine()) if sys.platform == "linux" else None


def find_compiler(target: Target, kind: CompilerKind | None = None) -> Compiler:
    """The GNU compiler for the target, else ziglang's; of that kind where one is asked for.

    Raises DeviceError with what is missing and how to get it.
    """
    finders = {"gcc": _gcc, "zig": _zig}
    for asked in (kind,) if kind else ("gcc", "zig"):
        if found := finders[asked](target):
            return found
    known = MACHINES[target]
    ways = {
        "gcc": f"Debian's {known.debian} (apt-get install {known.debian})",
        "zig": "ziglang (pip install ziglang; 400 MB, and slow to begin with)",
    }
    wanted = [ways[kind]] if kind else list(ways.values())
    raise DeviceError(f"there is no C++ compiler for {target}: install {' or '.join(wanted)}")


def _gcc(target: Target) -> Compiler | None:
    known = MACHINES[target]
    host = target == host_target()
    for prefix in ("", f"{known.gcc}-") if host else (f"{known.gcc}-",):
        c, cxx = shutil.which(f"{prefix}gcc"), shutil.which(f"{prefix}g++")
        if c and cxx:
            return Compiler(
                kind="gcc", c=(c,), cxx=(cxx,), archive=None, index=None, version=_first_line(cxx), cross=not host
            )
    return None


def _zig(target: Target) -> Compiler | None:
    if importlib.util.find_spec("ziglang") is None:
        return None
    zig = (sys.executable, "-m", "ziglang")
    triple = ("-target", MACHINES[target].zig)
    return Compiler(
        kind="zig",
        c=(*zig, "cc", *triple),
        cxx=(*zig, "c++", *triple),
        archive=(*zig, "ar"),
        index=(*zig, "ranlib"),
        version=f"zig {_first_line(*zig, 'version', option=None)}",
        cross=True,
    )


def find_cmake() -> tuple[Path, str]:
    """The path of cmake and the generator to use. Raises DeviceError with how to get them."""
    cmake = _program("cmake")
    if cmake is None:
        raise DeviceError("cmake is missing: apt-get install cmake, or pip install cmake")
    if _program("ninja"):
        return cmake, "Ninja"
    if _program("make"):
        return cmake, "Unix Makefiles"
    raise DeviceError("make or ninja is missing: apt-get install make, or pip install ninja")


def _program(name: str) -> Path | None:
    """A program on the path, or beside this Python, where pip puts it."""
    beside = Path(sys.executable).parent / name
    found = shutil.which(name) or (str(beside) if beside.is_file() else None)
    return None if found is None else Path(found)


def _first_line(*command: str, option: str | None = "--version") -> str:
    """What a program says of its version."""
    done = subprocess.run(
        [*command, *([option] if option else [])], capture_output=True, text=True, timeout=60, check=False
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        raise DeviceError(f"{' '.join(command)} does not say its version: {done.stderr.strip()[-200:]}")
    return lines[0].strip()
