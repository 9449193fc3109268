"""Files of strangers: only regular ones are opened, and no more is read than a limit allows."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from snsearch.training.found import Read

MAX_FILE_BYTES = 256 * 2**20
_KINDS = {
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
    stat.S_IFDIR: "folder",
}


def unfit(status: os.stat_result, limit: int = MAX_FILE_BYTES) -> str:
    """Why a file must not be read: no regular file, or too large; empty where it may be."""
    if not stat.S_ISREG(status.st_mode):
        return f"{_KINDS.get(stat.S_IFMT(status.st_mode), 'special file')}: not a regular file"
    if status.st_size > limit:
        return f"file larger than {limit // 2**20} MiB"
    return ""


def read_limited(path: Path | str, limit: int = MAX_FILE_BYTES) -> bytes:
    """A regular file's bytes. Raises ValueError for any other and for more bytes than the limit, OSError as usual."""
    # A pipe without a writer would make a plain open wait for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        if reason := unfit(os.fstat(descriptor), limit):
            raise ValueError(reason)
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"file larger than {limit // 2**20} MiB")
    return data


def file_reader(paths: Sequence[Path]) -> Read:
    """Reads the bytes of a path by index."""
    return lambda index: read_limited(paths[index])
