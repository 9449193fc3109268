"""The memory that this process may use, and errors that say there was not enough."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from snsearch.errors import DataError
from snsearch.training.found import first_line

ROOM = "give fewer pixels a side (--proxy-resolution), fewer images, or more memory"
_UNKNOWN = 2 * 1024**3
# Beside MemoryError, torch and the libraries below it say so in words only.
_WORDS = re.compile(
    r"out of memory|not enough memory|can(?:no|')t allocate memory|bad_alloc|ALLOC_FAILED|can't start new thread",
    re.I,
)


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory, of the CPU or of an accelerator, did not suffice."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and bool(_WORDS.search(str(error))))


@contextmanager
def room_for(name: str) -> Iterator[None]:
    """Makes an error of a data set that memory does not suffice for a DataError."""
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:
        if not ran_out_of_memory(error):
            raise
        raise DataError(f"{name} does not fit into memory ({first_line(error)}); {ROOM}") from None


def available_memory() -> int:
    """Bytes of memory that can be had without swapping; a guess of 2 GiB where the system does not say.

    The least of what the system has and what the process's control group has left.
    """
    return min(_of_system(), _of_group())


def _of_system() -> int:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return _UNKNOWN


def _of_group() -> int:
    """What a container may still take (control groups, version 2 and 1); without a limit, very much."""
    left = 2**62
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        try:
            bound, taken = (Path(name).read_text(encoding="ascii").strip() for name in (limit, used))
            left = min(left, max(0, int(bound) - int(taken)))
        except (OSError, ValueError):
            continue
    return left
