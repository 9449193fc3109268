"""The compilers and build tools of this host."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from snsearch.engine.machines import MACHINES, Target, host_target
from snsearch.errors import DeviceError

CompilerKind = Literal["gcc", "zig"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Compiler:
    """A compiler: its commands and its version."""

    kind: CompilerKind
    c: tuple[str, ...]
    cxx: tuple[str, ...]
    archive: tuple[str, ...] | None  # the archiver; None for the system's
    index: tuple[str, ...] | None  # the archive indexer; None for the system's
    version: str
    cross: bool


def find_compiler(target: Target, kind: CompilerKind | None = None) -> Compiler:
    """A compiler for the target: of that kind where given, else the GNU compiler, else ziglang.

    Raises DeviceError with the missing packages and how to install them.
    """
    finders = {"gcc": _gcc, "zig": _zig}
    for asked in (kind,) if kind else ("gcc", "zig"):
        if found := finders[asked](target):
            return found
    known = MACHINES[target]
    ways = {
        "gcc": f"Debian's {known.debian} (apt-get install {known.debian})",
        "zig": "ziglang (pip install ziglang; 400 MB, and slow to start)",
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
    """The path of cmake and its generator. Raises DeviceError with how to install what is missing."""
    cmake = _program("cmake")
    if cmake is None:
        raise DeviceError("cmake is missing: apt-get install cmake, or pip install cmake")
    if _program("ninja"):
        return cmake, "Ninja"
    if _program("make"):
        return cmake, "Unix Makefiles"
    raise DeviceError("make or ninja is missing: apt-get install make, or pip install ninja")


def _program(name: str) -> Path | None:
    """A program on the path, or beside this Python, where pip installs it."""
    beside = Path(sys.executable).parent / name
    found = shutil.which(name) or (str(beside) if beside.is_file() else None)
    return None if found is None else Path(found)


def _first_line(*command: str, option: str | None = "--version") -> str:
    """The first line that a program prints as its version."""
    done = subprocess.run(
        [*command, *([option] if option else [])], capture_output=True, text=True, timeout=60, check=False
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        raise DeviceError(f"{' '.join(command)} does not print its version: {done.stderr.strip()[-200:]}")
    return lines[0].strip()
