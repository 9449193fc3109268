"""A network's counts as they are stored: those of one inference, and everything they depend on.

The cache holds CountedRecord; a study holds CountedNetwork, with the network and the core. Reading them needs neither
qemu nor the core's file.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import Any, ClassVar

from snsearch.codec import Stored
from snsearch.device.counting.counts import Counts
from snsearch.device.counting.cpus import Cpu

SCHEMA = 1  # of a record; the cache counts records of another schema again


@dataclass(frozen=True, kw_only=True, slots=True)
class CountedRecord:
    """The counts of one inference, and the tools that made them."""

    STORED: ClassVar = Stored(
        schema=SCHEMA, derived={"kind": lambda record: "counted", "provenance": attrgetter("provenance")}
    )

    cpu: str
    counts: Counts
    artefact: str
    runner: str  # sha256 of its file
    ncnn: str
    qemu: str
    key: str  # the hash of everything that the counts depend on

    @property
    def provenance(self) -> str:
        """The label of the counts."""
        return f"counted, ncnn {self.ncnn} for aarch64 under qemu {self.qemu}, caches of {self.cpu}; not a latency"


@dataclass(frozen=True, kw_only=True, slots=True)
class CountedNetwork:
    """A network with its counts on a core's caches, as a study keeps it."""

    STORED: ClassVar = Stored(schema=1)

    subject: str  # an architecture's key
    core: Cpu
    record: CountedRecord
    kept: str  # time, as ISO 8601

    @property
    def milliseconds(self) -> tuple[float, float, float] | None:
        """The predicted milliseconds and their interval; None if the core has no weights."""
        weighing = self.core.weighing
        return None if weighing is None else weighing.milliseconds(self.record.counts)

    def predicted_json(self) -> dict[str, Any] | None:
        """The predicted milliseconds as JSON values, with interval and provenance; None without weights."""
        if self.core.weighing is None:
            return None
        ms, low, high = self.core.weighing.milliseconds(self.record.counts)
        return {
            "ms": round(ms, 4),
            "interval_ms": [round(low, 4), round(high, 4)],
            "provenance": self.core.weighing.provenance,
        }
