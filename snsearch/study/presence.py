"""Which process trains what: a worker's identity, and whether it may still be at work."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from dataclasses import dataclass, replace
from pathlib import Path

_DEAD_AFTER = 900.0  # seconds without a sign of life, on another host: clocks differ


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """A process that trains for a study, as the study keeps it."""

    host: str  # a digest: studies are shared, names of machines need not be
    pid: int
    started: str | None  # in kernel ticks; None where that cannot be known
    seen: float = 0.0  # its last sign of life, in seconds since 1970

    def is_same(self, other: Worker) -> bool:
        """Whether both are one process, whenever it was seen."""
        return replace(self, seen=0.0) == replace(other, seen=0.0)

    def may_be_alive(self) -> bool:
        """Whether it may still be at work; of one of another host, by its signs of life."""
        here = this_process()
        if self.host != here.host:
            return time.time() - self.seen < _DEAD_AFTER
        if self.pid == here.pid:
            return False  # an earlier run of this very process
        if here.started is not None:
            return self.started is not None and start_of(self.pid) == self.started
        try:
            os.kill(self.pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            pass
        return True


def this_process() -> Worker:
    """This process, with a sign of life of now."""
    host = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:12]
    return Worker(host=host, pid=os.getpid(), started=start_of(os.getpid()), seen=time.time())


def start_of(pid: int) -> str | None:
    """When a process of this host started, in kernel ticks; None where that cannot be known or it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None
