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
from filelock import FileLock

from snsearch.engine import python_runner
from snsearch.engine.build import build_runner, built_runner
from snsearch.engine.compilers import find_cmake, find_compiler
from snsearch.engine.engines import NCNN, ONNX_RUNTIME, Engine, engine_of
from snsearch.engine.ncnn_source import ncnn_source
from snsearch.engine.protocol import RunnerKind
from snsearch.errors import DeviceError
from snsearch.files import cache_folder

# Read before any test names another folder: building takes minutes, and one build serves every run.
CACHE = Path(os.environ.get("SNSEARCH_TEST_CACHE") or cache_folder())


SUFFIXES = {"ncnn": (".param", ".bin"), "onnxruntime": (".onnx",)}  # of a model's files


@dataclass(frozen=True)
class Runner:
    """A runner that can be called here: the words before its arguments."""

    name: RunnerKind
    command: tuple[str, ...]

    @property
    def engine(self) -> Engine:
        """What its models are written by."""
        return engine_of(self.name.partition("-")[0])

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
    with FileLock(f"{CACHE / 'aarch64-runner'}.lock"):  # another worker may be building it
        return built_runner("aarch64", CACHE) or build_runner("aarch64", kind="gcc", cache=CACHE)


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
    return Runner("ncnn-cpp", (*words, str(request.getfixturevalue("aarch64_runner"))))


def python_runner_of(engine: Engine) -> Runner:
    """The runner in Python; skips the test where the engine's wheel is not installed."""
    for module in (engine.name, *(("onnx",) if engine is ONNX_RUNTIME else ())):
        pytest.importorskip(module, reason=f"{module} is not installed (pip install 'snsearch[{engine.name}]')")
    words = (sys.executable, python_runner.__file__, "--engine", engine.name)
    return Runner("onnxruntime-python" if engine is ONNX_RUNTIME else "ncnn-python", words)


RUNNERS: dict[str, Callable[[pytest.FixtureRequest], Runner]] = {
    "ncnn-cpp": _cpp,
    "ncnn-python": lambda request: python_runner_of(NCNN),
    "onnxruntime-python": lambda request: python_runner_of(ONNX_RUNTIME),
}


@pytest.fixture(params=[pytest.param("ncnn-cpp", marks=pytest.mark.board), "ncnn-python", "onnxruntime-python"])
def runner(request: pytest.FixtureRequest) -> Runner:
    """Each runner in turn."""
    return RUNNERS[request.param](request)
