"""What counting needs here: Linux, qemu's user-mode emulator with plugins, a C compiler, setarch."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from snsearch.device.programs import run_here
from snsearch.errors import DeviceError
from snsearch.files import whole_file

PLUGIN_SOURCE = Path(__file__).parent / "plugin.c"
QEMU = "qemu-aarch64"
_GET_COMPILER = "apt-get install gcc libc6-dev"
_BUILD_QEMU = "elsewhere build it: configure --target-list=aarch64-linux-user --enable-plugins"
COMPILERS = ("cc", "gcc", "clang")


class Requirement(NamedTuple):
    """One thing that counting needs, where it was found (None: nowhere), and how to get it."""

    name: str
    found: str | None
    remedy: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Tools:
    """The programs that count, and the plugin built for them."""

    qemu: Path
    qemu_version: str  # such as "7.2.22"
    setarch: Path
    plugin: Path

    @property
    def digest(self) -> str:
        """A hash of everything that counts depend on."""
        told = (self.qemu_version, PLUGIN_SOURCE.read_bytes())
        return hashlib.sha256(repr(told).encode()).hexdigest()


def requirements() -> tuple[Requirement, ...]:
    """Everything that counting needs, with what this host has."""
    linux = "Linux" if sys.platform.startswith("linux") else None
    qemu = shutil.which(QEMU)
    described = _qemu(qemu) if linux and qemu else None
    compiler = next((path for name in COMPILERS if (path := shutil.which(name))), None)
    return (
        Requirement(
            name="Linux", found=linux, remedy="qemu's user-mode emulation runs on Linux only; use a virtual machine"
        ),
        Requirement(
            name=f"{QEMU} with plugins",
            found=f"{qemu} {described[0]}" if described and described[1] else None,
            remedy=f"{qemu} was built without plugins, like those of Debian 13 and of qemu-user-static; {_BUILD_QEMU}"
            if described and not described[1]
            else f"on Debian 12, apt-get install qemu-user; {_BUILD_QEMU}",
        ),
        Requirement(name="a C compiler", found=compiler, remedy=_GET_COMPILER),
        Requirement(name="setarch", found=shutil.which("setarch"), remedy="apt-get install util-linux"),
    )


@cache
def _qemu(path: str) -> tuple[str, bool] | None:
    """The version of a qemu and whether it takes plugins; None if it does not say."""
    try:
        version, usage = (
            run_here([path, option], timeout_s=20, doing=f"asking {path}", missing="")
            for option in ("--version", "--help")
        )
    except DeviceError:
        return None
    match = re.search(r"version (\d+\.\d+(?:\.\d+)?)", version.stdout)
    return (match.group(1), "-plugin" in usage.stdout) if match else None


def plugin_api(qemu_version: str) -> int:
    """The version of qemu's plugin interface to build the plugin for: 1 up to qemu 8.2, 2 from 9.0 on.

    The functions that the plugin uses are the same up to version 6. A qemu that accepts neither says so when it loads
    the plugin, and `run` passes that on.
    """
    return 1 if int(qemu_version.partition(".")[0]) < 9 else 2


def find_tools(cache_folder: Path) -> Tools:
    """The tools of this host; the plugin is built in that folder if it is not there yet.

    Raises DeviceError that names everything that is missing and how to get it.
    """
    needed = requirements()
    if missing := [need for need in needed if need.found is None]:
        raise DeviceError(
            "this host cannot count: " + "; ".join(f"no {need.name} ({need.remedy})" for need in missing)
        )
    _, qemu, compiler, setarch = (str(need.found) for need in needed)
    qemu, _, version = qemu.rpartition(" ")
    plugin = build_plugin(cache_folder, Path(compiler), plugin_api(version))
    return Tools(qemu=Path(qemu), qemu_version=version, setarch=Path(setarch), plugin=plugin)


def build_plugin(cache_folder: Path, compiler: Path, api: int) -> Path:
    """The plugin for that version of qemu's interface, built unless the folder has it. Raises DeviceError."""
    key = hashlib.sha256(PLUGIN_SOURCE.read_bytes() + f"{api} {compiler}".encode()).hexdigest()[:16]
    built = cache_folder / f"counting-{key}.so"
    if built.is_file():
        return built
    if "," in str(built):
        raise DeviceError(f'"{cache_folder}" has a comma, which ends a plugin\'s name for qemu; use another folder')
    options = ("-O2", "-std=gnu11", "-fPIC", "-shared", "-fvisibility=hidden", f"-DPLUGIN_API={api}")
    try:
        with whole_file(built) as partial:
            command = [str(compiler), *options, "-o", str(partial), str(PLUGIN_SOURCE)]
            done = run_here(command, timeout_s=120, doing="building the counting plugin", missing=_GET_COMPILER)
            if done.exit_code:
                said = done.stderr.strip().partition("\n")[0] or "nothing"
                raise DeviceError(
                    f"the counting plugin cannot be built: {compiler} says: {said}; expected a C compiler with its "
                    f"headers ({_GET_COMPILER})"
                )
    except OSError as error:
        raise DeviceError(f"the counting plugin cannot be built: {error}") from None
    return built
