"""Limited reading and atomic writing of files, bundled resources, and the cache and data folders."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Literal

from snsearch.errors import SnsearchError, SpecError

Kind = Literal["spaces", "budgets", "profiles", "cpus", "recipes"]
HOME_VARIABLE = "SNSEARCH_HOME"
_INSIDE: dict[Kind, str] = {
    "profiles": "latency/profiles",
    "cpus": "device/counting/cores",
    "recipes": "finals/recipes",
}


MAX_FILE_BYTES = 256 * 2**20
_KINDS = {
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
    stat.S_IFDIR: "folder",
}
# What a shell has opened already: standard input, and the pipe of <(command).
_OPENED = re.compile(r"-|/dev/stdin|/(?:dev|proc/self)/fd/\d+")


def unfit(status: os.stat_result, limit: int = MAX_FILE_BYTES) -> str:
    """Why a file must not be read: no regular file, or too large; empty where it may be."""
    if not stat.S_ISREG(status.st_mode):
        return f"{_KINDS.get(stat.S_IFMT(status.st_mode), 'special file')}: not a regular file"
    return _too_large(limit) if status.st_size > limit else ""


def _too_large(limit: int) -> str:
    return f"file larger than {limit // 2**20} MiB" if limit >= 2**20 else f"file larger than {limit // 2**10} KiB"


def read_limited(path: Path | str, limit: int = MAX_FILE_BYTES) -> bytes:
    """A regular file's bytes. Raises ValueError for any other and for more bytes than the limit, OSError as usual."""
    # A pipe without a writer would make a plain open wait for ever.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0))) as file:
        if reason := unfit(os.fstat(file.fileno()), limit):
            raise ValueError(reason)
        return _within(file.read(limit + 1), limit)


def _within(data: bytes, limit: int) -> bytes:
    if len(data) > limit:
        raise ValueError(_too_large(limit))
    return data


def _is_opened(name: str) -> bool:
    """Whether a name means what the shell has opened: "-", /dev/stdin, or the pipe of <(command)."""
    return _OPENED.fullmatch(name) is not None


def names_a_file(text: str) -> bool:
    """Whether a text is the path of a file, or means what the shell has opened."""
    return _is_opened(text) or (exists(Path(text)) and not is_folder(Path(text)))


def is_file(path: Path) -> bool:
    """As Path.is_file, but false for a name that no file could have, such as one that is too long."""
    with suppress(OSError, ValueError):
        return path.is_file()
    return False


def is_folder(path: Path) -> bool:
    """As Path.is_dir, but false for a name that no file could have."""
    with suppress(OSError, ValueError):
        return path.is_dir()
    return False


def exists(path: Path) -> bool:
    """As Path.exists, but false for a name that no file could have."""
    with suppress(OSError, ValueError):
        return path.exists()
    return False


def check_new(path: Path, hint: str = "") -> None:
    """Raises SpecError where a file exists already, or cannot; the hint says how to write it nevertheless."""
    with faults_as(SpecError, f'"{path.name}" cannot be written'):
        if path.exists():
            raise SpecError(f'"{path.name}" exists; name another file{hint}')


def read_given(path: Path, limit: int) -> str:
    """The text of a file that the user names, or of what the shell has opened; a byte-order mark is left out.

    Raises ValueError for what is no regular file, no UTF-8 or larger than the limit, OSError as usual.
    """
    data = _opened(str(path), limit) if _is_opened(str(path)) else read_limited(path, limit)
    return data.decode("utf-8-sig")


@cache  # it can be read once only
def _opened(name: str, limit: int) -> bytes:
    number = 0 if name in ("-", "/dev/stdin") else int(name.rpartition("/")[2])
    with open(number, "rb", closefd=False) as file:
        return _within(file.read(limit + 1), limit)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path to write to; at the end of the block it replaces the file in one step.

    Makes the folder if it is missing. If the block raises, the file stays unchanged. Raises OSError.
    """
    if not path.name:  # an empty text, or "."
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
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
    except FileExistsError:
        raise kind(f"{what}: a part of its path is a file, not a folder") from None
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
