"""Atomic writing of files, bundled resources, and the cache and data folders."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from snsearch.errors import SnsearchError

Kind = Literal["spaces", "budgets", "profiles", "cpus"]
HOME_VARIABLE = "SNSEARCH_HOME"
_INSIDE: dict[Kind, str] = {"profiles": "latency/profiles", "cpus": "device/counting/cores"}


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path to write to; at the end of the block it replaces the file in one step.

    Makes the folder if it is missing. If the block raises, the file stays unchanged. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Each process and thread has its own temporary file; a killed writer leaves its file behind.
    partial = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a file in one step, text as UTF-8. Raises OSError."""
    with whole_file(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def faults_as(kind: type[SnsearchError], what: str) -> Iterator[None]:
    """Raises an OSError of the block as an error of that kind, which says what could not be done, and why."""
    try:
        yield
    except OSError as error:
        raise kind(f"{what}: {error.strerror or error}") from None


def bundled_folder(kind: Kind) -> Path:
    """The folder of the bundled TOML files of that kind. Raises SnsearchError if the installation lacks it."""
    package = Path(__file__).parent
    for folder in (package / _INSIDE.get(kind, kind), package.parent / kind):
        if folder.is_dir() and any(folder.glob("*.toml")):
            return folder
    raise SnsearchError(f"the bundled {kind}/ are missing from this installation; install snsearch again")


def bundled_names(kind: Kind) -> tuple[str, ...]:
    """The sorted names, without ".toml", of the bundled files of that kind."""
    return tuple(sorted(path.stem for path in bundled_folder(kind).glob("*.toml")))


def home_folder() -> Path:
    """The folder of the user's devices and their measurements: $SNSEARCH_HOME, else the platform's data folder."""
    return _own_folder("", "Application Support", "XDG_DATA_HOME", ".local/share")


def cache_folder() -> Path:
    """The folder of built runners and written models: $SNSEARCH_HOME/cache, else the platform's cache folder."""
    return _own_folder("cache", "Caches", "XDG_CACHE_HOME", ".cache")


def _own_folder(inside_home: str, library: str, variable: str, otherwise: str) -> Path:
    if given := os.environ.get(HOME_VARIABLE):
        return Path(given) / inside_home
    if sys.platform == "darwin":
        return Path.home() / "Library" / library / "snsearch"
    return Path(os.environ.get(variable) or Path.home() / otherwise) / "snsearch"
