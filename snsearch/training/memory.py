"""Memory of this machine, as far as this process may use it."""

from __future__ import annotations

import os
from pathlib import Path

_UNKNOWN = 2 * 1024**3


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
