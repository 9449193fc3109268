"""Builds the static C++ runner for a target, once per version of sources and compiler."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from snsearch.engine.compilers import Compiler, CompilerKind, find_cmake, find_compiler
from snsearch.engine.machines import MACHINES, Target, build_target, read_elf
from snsearch.engine.ncnn_source import ARCHIVE_SHA256, VERSION, ncnn_source
from snsearch.errors import DeviceError
from snsearch.files import cache_folder, whole_file

RUNNER_NAME = "snsearch-runner"
HERE = Path(__file__).parent
_SOURCES = ("runner.cpp", "CMakeLists.txt")
_BUILD_SECONDS = 3600
# cmake's variables for a compiler's programs.
_VARIABLES = {"cc": "CMAKE_C_COMPILER", "c++": "CMAKE_CXX_COMPILER", "ar": "CMAKE_AR", "ranlib": "CMAKE_RANLIB"}

Report = Callable[[str], None]


def built_runner(machine: str, cache: Path | None = None) -> Path | None:
    """The newest built runner for a machine, named as `uname -m` prints it; None if there is none."""
    target = build_target(machine)  # None, and so no such folder, for a machine that no runner is built for
    found = ((cache or cache_folder()) / "runners").glob(f"{target}-{_source_key()}-*/{RUNNER_NAME}")
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def build_runner(
    target: Target,
    *,
    kind: CompilerKind | None = None,
    archive: Path | None = None,
    on_line: Report | None = None,
    again: bool = False,
    cache: Path | None = None,
) -> Path:
    """The static runner for a target, from the cache or newly built.

    Args:
        target: the machine.
        kind: of compiler; without it, the first that is installed.
        archive: ncnn's source archive, for a host without a network.
        on_line: receives every line that the build prints.
        again: build even if the cache has a runner of these sources and this compiler.
        cache: replaces the user's cache folder.

    Raises:
        DeviceError: a tool is missing, or the build failed; then with its last lines.
    """
    compiler = find_compiler(target, kind)
    cmake, generator = find_cmake()
    cache = cache or cache_folder()
    runners = cache / "runners"
    runners.mkdir(parents=True, exist_ok=True)
    name = f"{target}-{_source_key()}-{hashlib.sha256(compiler.version.encode()).hexdigest()[:8]}"
    built = runners / name / RUNNER_NAME
    with FileLock(runners / f"{name}.lock"):
        if built.is_file() and not again:
            return built
        source = ncnn_source(cache, archive)
        began = time.monotonic()
        with tempfile.TemporaryDirectory(dir=runners, prefix=f".{target}-") as temporary:
            folder = Path(temporary)
            configure = [str(cmake), "-G", generator, *_options(target, compiler, folder, source), str(HERE)]
            _run(configure, folder, on_line, "configured")
            jobs = str(os.cpu_count() or 1)
            compile_all = [str(cmake), "--build", ".", "--target", RUNNER_NAME, "--parallel", jobs]
            _run(compile_all, folder, on_line, "compiled")
            made = folder / RUNNER_NAME
            _check(made, target)
            record = {
                "target": target,
                "ncnn": VERSION,
                "compiler": compiler.version,
                "sha256": hashlib.sha256(made.read_bytes()).hexdigest(),
                "bytes": made.stat().st_size,
                "build_seconds": round(time.monotonic() - began, 1),
            }
            built.parent.mkdir(exist_ok=True)
            (built.parent / "build.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
            # Replace the old runner in one step: another process may be reading it.
            with whole_file(built) as partial:
                shutil.copy2(made, partial)
    return built


def _source_key() -> str:
    """The hash of everything that determines a runner, except the compiler."""
    digest = hashlib.sha256(f"{VERSION} {ARCHIVE_SHA256}".encode())
    for name in _SOURCES:
        digest.update((HERE / name).read_bytes())
    digest.update(repr(MACHINES).encode())
    return digest.hexdigest()[:12]


def _options(target: Target, compiler: Compiler, folder: Path, source: Path) -> list[str]:
    """cmake's options: the compilers, each a single program, and the machine that they compile for."""
    known = MACHINES[target]
    values = {
        "CMAKE_BUILD_TYPE": "Release",
        "NCNN_SOURCE": str(source),
        "NCNN_VERSION": VERSION.rsplit(".", 1)[1],
        **{_VARIABLES[name]: _program(folder / "tools" / name, words) for name, words in compiler.programs.items()},
    }
    if compiler.cross:
        values |= {"CMAKE_SYSTEM_NAME": "Linux", "CMAKE_SYSTEM_PROCESSOR": known.processor}
    if known.flags and compiler.kind == "gcc":
        values |= {"CMAKE_C_FLAGS": known.flags, "CMAKE_CXX_FLAGS": known.flags}
    return [f"-D{key}={value}" for key, value in values.items()]


def _program(path: Path, command: tuple[str, ...]) -> str:
    """The command if it is one word, else a script that calls it."""
    if len(command) == 1:
        return command[0]
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def _run(command: list[str], folder: Path, on_line: Report | None, what: str) -> None:
    """Runs a step of the build. If it fails, raises DeviceError with its last lines."""
    last: deque[str] = deque(maxlen=30)
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}{os.pathsep}{Path(sys.executable).parent}"}
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                last.append(line.rstrip())
                if on_line is not None:
                    on_line(line.rstrip())
            code = process.wait(timeout=_BUILD_SECONDS)
        except BaseException:
            process.kill()
            raise
    if code:
        telling = [line for line in last if "error" in line.lower()] or list(last)[-5:]
        raise DeviceError(f"the runner cannot be {what}:\n  " + "\n  ".join(telling[:8]))


def _check(made: Path, target: Target) -> None:
    """Raises DeviceError if the runner is not a static binary for the target."""
    elf = read_elf(made)
    expected = MACHINES[target].elf
    if elf is None or elf.machine != expected:
        raise DeviceError(
            f"the compiler made a runner for {elf.machine if elf else 'no known machine'}, not {expected}; "
            "use another compiler"
        )
    if not elf.static:
        raise DeviceError(
            "the compiler made a runner that needs the system's libraries; expected a static one; "
            "use another compiler"
        )
