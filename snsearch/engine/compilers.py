"""The compilers and build tools of this host."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Mapping
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
    programs: Mapping[
        str, tuple[str, ...]
    ]  # the commands of "cc" and "c++", and of "ar" and "ranlib" if it has its own
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
            programs = {"cc": (c,), "c++": (cxx,)}
            return Compiler(kind="gcc", programs=programs, version=_first_line(cxx, "--version"), cross=not host)
    return None


def _zig(target: Target) -> Compiler | None:
    if importlib.util.find_spec("ziglang") is None:
        return None
    zig = (sys.executable, "-m", "ziglang")
    compiles = {name: (*zig, name, "-target", MACHINES[target].zig) for name in ("cc", "c++")}
    archives = {name: (*zig, name) for name in ("ar", "ranlib")}
    version = f"zig {_first_line(*zig, 'version')}"
    return Compiler(kind="zig", programs={**compiles, **archives}, version=version, cross=True)


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


def _first_line(*command: str) -> str:
    """The first line that a command prints, which is a program's version."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        raise DeviceError(f"{' '.join(command)} does not print its version: {done.stderr.strip()[-200:]}")
    return lines[0].strip()
