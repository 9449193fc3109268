"""Building the runner: tools that are found, the cache, and messages about what is missing."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from snsearch.engine import build, compilers, ncnn_source
from snsearch.engine.build import build_runner, built_runner
from snsearch.engine.compilers import find_cmake, find_compiler
from snsearch.engine.machines import Elf, Target, build_target, host_target, read_elf
from snsearch.errors import DeviceError
from snsearch.files import cache_folder

PROJECT = """
cmake_minimum_required(VERSION 3.13...3.31)
project(tiny CXX)
add_executable(snsearch-runner runner.cpp)
target_link_options(snsearch-runner PRIVATE -static)
"""


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a project that replaces the runner's and builds in a second; the cache is empty."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "CMakeLists.txt").write_text(PROJECT)
    (folder / "runner.cpp").write_text('#include <cstdio>\nint main() { puts("built"); }\n')
    monkeypatch.setattr(build, "HERE", folder)
    monkeypatch.setattr(build, "ncnn_source", lambda cache, archive: folder)
    monkeypatch.setenv("SNSEARCH_HOME", str(tmp_path / "home"))
    return folder


@pytest.fixture
def host() -> Target:
    target = host_target()
    if target is None or shutil.which("g++") is None or shutil.which("cmake") is None:
        pytest.skip("building for this host needs Linux, g++ and cmake")
    return target


def test_a_runner_is_built_once_for_its_sources_and_found_by_its_machine(tiny: Path, host: Target) -> None:
    assert built_runner(platform.machine()) is None
    lines: list[str] = []
    built = build_runner(host, on_line=lines.append)
    assert subprocess.run([built], capture_output=True, text=True, check=True).stdout == "built\n"
    assert any("Building CXX" in line for line in lines)
    assert built_runner(platform.machine()) == built
    assert cache_folder() in built.parents
    record = json.loads((built.parent / "build.json").read_text())
    assert record["sha256"] == hashlib.sha256(built.read_bytes()).hexdigest()
    lines.clear()
    assert build_runner(host, on_line=lines.append) == built
    assert not lines
    build_runner(host, on_line=lines.append, again=True)
    assert lines
    (tiny / "runner.cpp").write_text("int main() {}\n")
    assert built_runner(platform.machine()) is None
    assert build_runner(host) != built
    assert built.is_file()


def test_a_build_that_fails_shows_the_compiler_s_own_words(tiny: Path, host: Target) -> None:
    (tiny / "runner.cpp").write_text("int main() { return nothing; }\n")
    with pytest.raises(DeviceError, match=r"cannot be compiled:\n.*nothing.* was not declared"):
        build_runner(host)
    (tiny / "CMakeLists.txt").write_text("project(\n")
    with pytest.raises(DeviceError, match="cannot be configured"):
        build_runner(host)
    assert built_runner(platform.machine()) is None
    assert not [path for path in (cache_folder() / "runners").iterdir() if path.is_dir()]


def test_a_runner_that_needs_the_system_s_libraries_is_refused(tiny: Path, host: Target) -> None:
    (tiny / "CMakeLists.txt").write_text(PROJECT.replace("-static", "-s"))
    with pytest.raises(DeviceError, match="needs the system's libraries; expected a static one"):
        build_runner(host)


def test_a_runner_for_another_machine_is_refused(tiny: Path, host: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    other: Target = "aarch64" if host != "aarch64" else "x86_64"
    native = find_compiler(host)
    monkeypatch.setattr(build, "find_compiler", lambda target, kind: native)
    with pytest.raises(DeviceError, match=f"made a runner for {compilers.MACHINES[host].elf}, not"):
        build_runner(other)


def test_missing_tools_are_named_with_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(compilers.importlib.util, "find_spec", lambda name: None)  # type: ignore[attr-defined]
    with pytest.raises(DeviceError, match=r"no C\+\+ compiler for aarch64: install .*g\+\+-aarch64.* or ziglang"):
        find_compiler("aarch64")
    with pytest.raises(DeviceError, match=r"no C\+\+ compiler for armv7: install ziglang"):
        find_compiler("armv7", "zig")
    with pytest.raises(DeviceError, match="cmake is missing: apt-get install cmake, or pip install cmake"):
        find_cmake()
    for name in ("cmake", "ninja"):
        tool = tmp_path / name
        tool.write_text("#!/bin/sh\n")
        if name == "cmake":
            tool.chmod(0o755)
            with pytest.raises(DeviceError, match="make or ninja is missing"):
                find_cmake()
        else:
            assert find_cmake() == (tmp_path / "cmake", "Ninja")  # beside this Python, where pip puts it


def test_machines_have_their_targets() -> None:
    assert [build_target(name) for name in ("aarch64", "arm64", "armv7l", "x86_64", "AMD64", "riscv64")] == [
        "aarch64", "aarch64", "armv7", "x86_64", "x86_64", None,
    ]  # fmt: skip


def test_another_archive_is_not_taken_for_ncnn_s(tmp_path: Path) -> None:
    archive = tmp_path / "ncnn.tar.gz"
    archive.write_bytes(b"something else")
    with pytest.raises(DeviceError, match=r"is not the source archive of ncnn 1\.0\.\d+: its SHA-256 is"):
        ncnn_source.ncnn_source(tmp_path / "cache", archive)
    with pytest.raises(DeviceError, match=r"cannot be unpacked: .*No such file"):
        ncnn_source.ncnn_source(tmp_path / "cache", tmp_path / "missing.tar.gz")
    assert not list((tmp_path / "cache").iterdir())


def _archive(path: Path) -> str:
    """Writes the archive of a folder that looks like ncnn's, and returns its digest."""
    with tarfile.open(path, "w:gz") as tar:
        for name in ("ncnn-1/CMakeLists.txt", "ncnn-1/src/net.cpp"):
            member = tarfile.TarInfo(name)
            member.size = 1
            tar.addfile(member, io.BytesIO(b"\n"))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_archive_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "ncnn.tar.gz"
    monkeypatch.setattr(ncnn_source, "ARCHIVE_SHA256", _archive(archive))
    folder = ncnn_source.ncnn_source(tmp_path / "cache", archive)
    assert (folder / "src" / "net.cpp").is_file()
    archive.unlink()
    assert ncnn_source.ncnn_source(tmp_path / "cache", archive) == folder
    assert list((tmp_path / "cache").iterdir()) == [folder]


@pytest.mark.parametrize("kept", [False, True])
def test_sources_are_taken_from_where_pip_left_them(
    kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip rejects the archive for its version after unpacking it, except on the day of its release."""
    archive = tmp_path / "ncnn.tar.gz"
    monkeypatch.setattr(ncnn_source, "ARCHIVE_SHA256", _archive(archive))

    def pip(command: list[str], env: dict[str, str], **options: object) -> subprocess.CompletedProcess[str]:
        assert "--require-hashes" in command
        if kept:
            destination = Path(command[command.index("--dest") + 1])
            destination.mkdir()
            shutil.copy(archive, destination)
        else:
            with tarfile.open(archive) as tar:
                tar.extractall(Path(env["TMPDIR"]) / "pip-download-1", filter="data")
        return subprocess.CompletedProcess(command, 0 if kept else 1, "", "ERROR: inconsistent version")

    monkeypatch.setattr(ncnn_source.subprocess, "run", pip)  # type: ignore[attr-defined]
    folder = ncnn_source.ncnn_source(tmp_path / "cache")
    assert (folder / "src" / "net.cpp").is_file()


def test_pip_s_complaint_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    with pytest.raises(DeviceError, match=r"pip cannot download the sources of ncnn .*: ERROR: .*; check"):
        ncnn_source.ncnn_source(tmp_path / "cache")


def test_a_binary_s_header_says_its_machine_and_whether_it_is_static(tmp_path: Path) -> None:
    python = read_elf(Path(sys.executable).resolve())
    if python is not None:
        assert python.machine == platform.machine()
    text = tmp_path / "text"
    text.write_text("#!/bin/sh\n" + "#" * 100)
    assert read_elf(text) is None
    header = bytearray(64 + 56)
    header[:6] = b"\x7fELF\x02\x01"
    header[18:20] = (183).to_bytes(2, "little")
    header[32:40] = (64).to_bytes(8, "little")
    header[54:58] = (56).to_bytes(2, "little") + (1).to_bytes(2, "little")
    header[64] = 1
    text.write_bytes(header)
    assert read_elf(text) == Elf("aarch64", static=True)
    header[64] = 3
    text.write_bytes(header)
    assert read_elf(text) == Elf("aarch64", static=False)
