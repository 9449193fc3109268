"""ncnn's C++ sources from the package index, in the one version that the runner is written for."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from snsearch.errors import DeviceError

VERSION = "1.0.20261020"
ARCHIVE_SHA256 = "ad8cdd63e9755cfa8e23b9b6d9ce46156077d80298a89e7c3ba325ffccfca200"
_DOWNLOAD_SECONDS = 600


def ncnn_source(cache: Path, archive: Path | None = None) -> Path:
    """The folder of ncnn's sources in the cache.

    Args:
        cache: the cache folder. Where it lacks the sources, they are unpacked from the archive or downloaded by pip.
        archive: ncnn's source archive, for a host without a network.

    Raises:
        DeviceError: pip cannot download the sources, or the archive is not that of this version.
    """
    folder = cache / f"ncnn-{VERSION}"
    if (folder / "src" / "net.cpp").is_file() and (folder / "CMakeLists.txt").is_file():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".ncnn-") as temporary:
        found = _download(Path(temporary)) if archive is None else _unpack(archive, Path(temporary))
        shutil.rmtree(folder, ignore_errors=True)
        found.rename(folder)
    return folder


def _download(temporary: Path) -> Path:
    """The sources as pip downloads, checks and unpacks them.

    ncnn's setup uses today's date as its version, so pip rejects the sources after unpacking them. Therefore take
    them from pip's temporary folder, and ignore its exit code.
    """
    requirement = temporary / "requirement.txt"
    requirement.write_text(f"ncnn=={VERSION} --hash=sha256:{ARCHIVE_SHA256}\n", encoding="utf-8")
    unpacked, kept = temporary / "unpacked", temporary / "kept"
    unpacked.mkdir()
    command = [
        *(sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps"),
        *("--no-binary", ":all:", "--no-build-isolation", "--no-clean", "--require-hashes"),
        *("--dest", str(kept), "--requirement", str(requirement)),
    ]
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "TMPDIR": str(unpacked)},
            capture_output=True,
            text=True,
            timeout=_DOWNLOAD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DeviceError(
            f"pip did not download ncnn {VERSION} within {_DOWNLOAD_SECONDS // 60} minutes; check the network, "
            f"or name the file ncnn-{VERSION}.tar.gz from the package index"
        ) from None
    for net in unpacked.glob("*/*/src/net.cpp"):
        return net.parent.parent
    for archive in kept.glob("*.tar.gz"):
        return _unpack(archive, temporary)
    said = (done.stderr + done.stdout).splitlines()
    complaint = next((line.strip() for line in said if "ERROR" in line or "No module" in line), "it does not say why")
    raise DeviceError(
        f"pip cannot download the sources of ncnn {VERSION}: {complaint}; check that the package index can be "
        f"reached, or name the file ncnn-{VERSION}.tar.gz from there"
    )


def _unpack(archive: Path, temporary: Path) -> Path:
    try:
        with archive.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != ARCHIVE_SHA256:
            raise DeviceError(
                f'"{archive}" is not the source archive of ncnn {VERSION}: its SHA-256 is {digest}; '
                f"expected {ARCHIVE_SHA256}"
            )
        with tarfile.open(archive) as tar:
            tar.extractall(temporary / "archive", filter="data")
    except (OSError, tarfile.TarError) as error:
        raise DeviceError(f'"{archive}" cannot be unpacked: {error}') from None
    [net] = (temporary / "archive").glob("*/src/net.cpp")
    return net.parent.parent
