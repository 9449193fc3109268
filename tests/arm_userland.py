"""A Debian userland for 64-bit ARM in a folder, made once from the package archive that this machine uses itself.

The folder stays in $SNSEARCH_TEST_CACHE, or ~/.cache/snsearch-tests: 90 MB. Beside it are numpy, ncnn and
ONNX Runtime for its Python, 130 MB from PyPI's wheels.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from filelock import FileLock

from snsearch.engine.ncnn_source import VERSION

SUITE = "trixie"  # the first with adbd for arm64
PYTHON = "3.13"  # the suite's
PACKAGES = ("adbd", "bash", "coreutils", "dash", "libgomp1", "libstdc++6", "python3")
MARKER = "etc/snsearch-emulated"  # in the userland, a link to what the board puts into its /run
_NOT_NEEDED = ("./usr/share/doc/*", "./usr/share/locale/*", "./usr/share/man/*", "./usr/share/lintian/*")
_KEYRINGS = ("debian-archive-keyring.gpg", "debian-archive-keyring.pgp")
WHEELS = "opt/wheels"  # in the userland, where a board may have Python packages
_RECIPE = 2  # counts up where the folder is made otherwise


class UnavailableError(Exception):
    """Something that the emulated boards need is not to be had here; the message says what."""


def cache_folder() -> Path:
    """Where the tests keep what takes long to make."""
    given = os.environ.get("SNSEARCH_TEST_CACHE")
    folder = Path(given) if given else Path.home() / ".cache" / "snsearch-tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def arm_userland() -> Path:
    """The folder with the userland. Raises UnavailableError."""
    digest = hashlib.sha256(repr((SUITE, PACKAGES, _RECIPE)).encode()).hexdigest()[:12]
    folder = cache_folder() / f"arm64-{digest}"
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}-") as beside:
                partial = Path(beside) / "userland"
                _unpack(_download(Path(beside) / "apt"), partial)
                partial.rename(folder)
    return folder


def arm_wheels() -> Path:
    """A folder with numpy and the engines for the userland's Python, of the versions that are used here.

    Raises UnavailableError.
    """
    wanted = (f"numpy=={version('numpy')}", f"ncnn=={VERSION}", f"onnxruntime=={_onnxruntime()}")
    digest = hashlib.sha256(repr(wanted).encode()).hexdigest()[:12]
    folder = cache_folder() / f"arm64-wheels-{digest}"
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}-") as beside:
                unpacked = Path(beside) / "unpacked"
                _pip_download(wanted, Path(beside))
                for wheel in Path(beside).glob("*.whl"):
                    with zipfile.ZipFile(wheel) as archive:
                        archive.extractall(unpacked)
                unpacked.rename(folder)
    return folder


def _onnxruntime() -> str:
    try:
        return version("onnxruntime")
    except PackageNotFoundError:
        raise UnavailableError("onnxruntime is not installed here, so that no version of it is to be had") from None


def _pip_download(wanted: tuple[str, ...], folder: Path) -> None:
    platforms = ("manylinux2014_aarch64", "manylinux_2_28_aarch64")
    target = ["--python-version", PYTHON, "--implementation", "cp", "--only-binary=:all:", "--no-deps"]
    words = ["-m", "pip", "download", "--disable-pip-version-check", "--dest", str(folder), *target]
    _run([sys.executable, *words, *(word for name in platforms for word in ("--platform", name)), *wanted])


def _download(state: Path) -> list[Path]:
    """The packages and all that they depend on, by an apt that knows of nothing else."""
    for program in ("apt-get", "dpkg-deb", "tar"):
        if shutil.which(program) is None:
            raise UnavailableError(f"{program} is not installed (the ARM userland is made of Debian's packages)")
    keyrings = [path for name in _KEYRINGS if (path := Path("/usr/share/keyrings") / name).is_file()]
    if not keyrings:
        raise UnavailableError("debian-archive-keyring is not installed")
    for folder in ("lists/partial", "archives/partial"):
        (state / folder).mkdir(parents=True)
    (state / "status").touch()
    (state / "sources.list").write_text(f"deb [signed-by={keyrings[0]}] {_archive()} {SUITE} main\n")
    options = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "",  # the state's parent folders may be closed to apt's own user
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        "Dir::State": str(state),
        "Dir::State::status": str(state / "status"),
        "Dir::Cache": str(state),
        "Dir::Etc::sourcelist": str(state / "sources.list"),
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
    }
    words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    _run(["apt-get", *words, "--quiet", "update"])
    _run(["apt-get", *words, "--quiet", "--yes", "--download-only", "install", *PACKAGES])
    return sorted((state / "archives").glob("*.deb"))


def _archive() -> str:
    """The address of the archive that this machine's own apt takes Debian from."""
    fields = "$(LABEL)|$(COMPONENT)|$(REPO_URI)"
    targets = _run(["apt-get", "indextargets", "--format", fields, "Created-By: Packages"]).splitlines()
    for label, component, address in (line.split("|") for line in targets):
        if (label, component) == ("Debian", "main"):
            return address
    raise UnavailableError("this machine's apt knows no Debian archive, or was never updated (apt-get update)")


def _run(arguments: list[str]) -> str:
    ended = subprocess.run(arguments, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    if ended.returncode:
        words = f"{Path(arguments[0]).name} … {arguments[-1]}"
        raise UnavailableError(f"{words}: {ended.stderr.strip()[-500:]}")
    return ended.stdout


def _unpack(packages: list[Path], folder: Path) -> None:
    folder.mkdir()
    for package in packages:
        left_out = [f"--exclude={pattern}" for pattern in _NOT_NEEDED]
        # Debian's /bin, /lib and /sbin are links since base-files of this suite made them so.
        words = ["tar", "-x", "-C", str(folder), "--keep-directory-symlink", "--no-same-owner", *left_out]
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as reading:
            subprocess.run(words, stdin=reading.stdout, check=True, timeout=120)
        if reading.returncode:
            raise UnavailableError(f"dpkg-deb cannot read {package.name}")
    for place in ("data", WHEELS):
        (folder / place).mkdir(parents=True)
    (folder / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
    (folder / "etc" / "group").write_text("root:x:0:\n")
    (folder / MARKER).symlink_to("/run/snsearch-emulated")
