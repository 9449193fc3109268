"""Which process searches: who it is, for another that is refused."""

from __future__ import annotations

import hashlib
import os
import socket
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """A process that searches, as the study keeps it."""

    host: str  # a digest: studies are shared, names of machines need not be
    pid: int
    since: str  # local time, to the minute

    def describe(self) -> str:
        """Where it is and since when."""
        where = "of this machine" if self.host == _host() else "of another machine"
        return f"process {self.pid} {where}, since {self.since}"


def this_process() -> Holder:
    """This process, from now."""
    return Holder(host=_host(), pid=os.getpid(), since=f"{datetime.now():%Y-%m-%d %H:%M}")


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:12]
