"""Runners for the tests: the C++ runner for aarch64, built once and kept between runs, and how it runs here."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from snsearch.engine import python_runner
from snsearch.engine.build import build_runner, built_runner
from snsearch.engine.cache import cache_folder
from snsearch.engine.compilers import find_cmake, find_compiler
from snsearch.engine.ncnn_source import ncnn_source
from snsearch.errors import DeviceError

# Read before any test names another folder: building takes minutes, and one build serves every run.
CACHE = Path(os.environ.get("SNSEARCH_TEST_CACHE") or cache_folder())


@dataclass(frozen=True)
class Runner:
    """A runner that can be called here: the words before its arguments."""

    name: str
    command: tuple[str, ...]

    def __call__(
        self, arguments: Sequence[str], folder: Path, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, *arguments],
            cwd=folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


@pytest.fixture(scope="session")
def aarch64_runner() -> Path:
    """The static aarch64 runner. The first run builds it (about a minute of two cores), later ones find it."""
    if found := built_runner("aarch64", CACHE):
        return found
    try:
        find_compiler("aarch64", "gcc")
        find_cmake()
        ncnn_source(CACHE)
    except DeviceError as error:
        pytest.skip(str(error))
    return build_runner("aarch64", kind="gcc", cache=CACHE)


@pytest.fixture(scope="session")
def qemu_aarch64() -> tuple[str, ...]:
    """The words before an aarch64 binary that let it run here."""
    if platform.machine() in ("aarch64", "arm64"):
        return ()
    found = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
    if found is None:
        pytest.skip("qemu-aarch64 is not installed (apt-get install qemu-user-static)")
    return (found,)


def _cpp(request: pytest.FixtureRequest) -> Runner:
    words = request.getfixturevalue("qemu_aarch64")
    return Runner("cpp", (*words, str(request.getfixturevalue("aarch64_runner"))))


def _python(request: pytest.FixtureRequest) -> Runner:
    pytest.importorskip("ncnn", reason="the ncnn wheel is not installed (pip install 'snsearch[ncnn]')")
    return Runner("python", (sys.executable, python_runner.__file__))


RUNNERS: dict[str, Callable[[pytest.FixtureRequest], Runner]] = {"cpp": _cpp, "python": _python}


@pytest.fixture(params=RUNNERS)
def runner(request: pytest.FixtureRequest) -> Runner:
    """Each runner in turn."""
    return RUNNERS[request.param](request)
