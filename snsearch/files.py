"""Whole files, bundled resources, and the folders that snsearch keeps things in."""

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
    """A path beside the file to write to; what is there when the block ends takes the file's place in one step.

    The folder is made where it is missing. Where the block raises, the file is as it was. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two processes or threads that write the same file do not meet; one that is killed leaves its own behind.
    partial = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a file, text as UTF-8, so that nobody sees half of it. Raises OSError."""
    with whole_file(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def bundled_folder(kind: Kind) -> Path:
    """The folder of the bundled TOML files of that kind.

    Raises SnsearchError where the installation is incomplete.
    """
    package = Path(__file__).parent
    for folder in (package / _INSIDE.get(kind, kind), package.parent / kind):
        if folder.is_dir() and any(folder.glob("*.toml")):
            return folder
    raise SnsearchError(f"the bundled {kind}/ are missing from this installation; install snsearch again")


def bundled_names(kind: Kind) -> tuple[str, ...]:
    """The names of the bundled files of that kind, sorted, without ".toml"."""
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
