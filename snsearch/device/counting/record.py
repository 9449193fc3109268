"""What was counted of a network, as it is kept: the counts of one inference with all that they hang on.

The counts themselves are in a cache by the hash of what they depend on; a study keeps them with the network and the
core. Whoever reads them needs neither qemu nor the core's file.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import Any, ClassVar

from snsearch.codec import Stored
from snsearch.device.counting.counts import Counts
from snsearch.device.counting.cpus import Cpu

SCHEMA = 1  # of a record; counts of another are made anew


@dataclass(frozen=True, kw_only=True, slots=True)
class CountedRecord:
    """The counts of one inference, and what they were made with."""

    STORED: ClassVar = Stored(
        schema=SCHEMA, derived={"kind": lambda record: "counted", "provenance": attrgetter("provenance")}
    )

    cpu: str
    counts: Counts
    artefact: str
    runner: str  # its hash
    ncnn: str
    qemu: str
    key: str  # the hash of all that the counts depend on

    @property
    def provenance(self) -> str:
        """What kind of figure this is."""
        return f"counted, ncnn {self.ncnn} for aarch64 under qemu {self.qemu}, caches of {self.cpu}; not a latency"


@dataclass(frozen=True, kw_only=True, slots=True)
class CountedNetwork:
    """A network with its counts on a core's caches, as a study keeps it."""

    STORED: ClassVar = Stored(schema=1)

    subject: str  # an architecture's key
    core: Cpu
    record: CountedRecord
    kept: str  # when, as ISO 8601

    @property
    def milliseconds(self) -> tuple[float, float, float] | None:
        """What a device's published figures make of the counts, with the interval; None without such figures."""
        weighing = self.core.weighing
        return None if weighing is None else weighing.milliseconds(self.record.counts)

    def predicted_json(self) -> dict[str, Any] | None:
        """The milliseconds as JSON values, with their interval and provenance; None where there are none."""
        if self.core.weighing is None:
            return None
        ms, low, high = self.core.weighing.milliseconds(self.record.counts)
        return {
            "ms": round(ms, 4),
            "interval_ms": [round(low, 4), round(high, 4)],
            "provenance": self.core.weighing.provenance,
        }
