"""A network's counts as they are stored: the counts of one inference, and everything they depend on.

The cache holds CountedRecord; a study holds CountedNetwork, with the network and the core. Reading them needs neither
qemu nor the core's file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from snsearch.device.counting.counts import Counts
from snsearch.device.counting.cpus import Cpu
from snsearch.errors import DeviceError

SCHEMA = 1  # of a record; the cache counts records of another schema again
NETWORK_SCHEMA = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class CountedRecord:
    """The counts of one inference, and the tools that made them."""

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

    def to_json(self) -> dict[str, Any]:
        """The record as JSON values, which from_json reads back."""
        return {
            "schema": SCHEMA,
            "kind": "counted",
            "cpu": self.cpu,
            "counts": self.counts.to_json(),
            "artefact": self.artefact,
            "runner": self.runner,
            "ncnn": self.ncnn,
            "qemu": self.qemu,
            "key": self.key,
            "provenance": self.provenance,
        }

    @classmethod
    def from_json(cls, values: object) -> CountedRecord:
        """The record of to_json's values. Raises DeviceError for another schema or invalid values."""
        known = _of_schema(values, SCHEMA)
        try:
            counts = Counts.from_json(known["counts"])
            texts = {name: str(known[name]) for name in ("cpu", "artefact", "runner", "ncnn", "qemu", "key")}
        except KeyError as error:
            raise DeviceError(f"a counted record cannot be read: it has no {error}") from None
        if counts is None:
            raise DeviceError("a counted record cannot be read: its counts are invalid")
        return cls(counts=counts, **texts)


@dataclass(frozen=True, kw_only=True, slots=True)
class CountedNetwork:
    """A network with its counts on a core's caches, as a study keeps it."""

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

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values, which from_json reads back."""
        return {
            "schema": NETWORK_SCHEMA,
            "subject": self.subject,
            "core": self.core.to_json(),
            "record": self.record.to_json(),
            "kept": self.kept,
        }

    @classmethod
    def from_json(cls, values: object) -> CountedNetwork:
        """The network of to_json's values. Raises DeviceError for another schema or invalid values."""
        known = _of_schema(values, NETWORK_SCHEMA)
        try:
            return cls(
                subject=known["subject"],
                core=Cpu.from_json(known["core"]),
                record=CountedRecord.from_json(known["record"]),
                kept=known["kept"],
            )
        except (KeyError, TypeError) as error:
            raise DeviceError(f"a counted network cannot be read: {type(error).__name__} {error}") from None


def _of_schema(values: object, known: int) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise DeviceError(f"counts cannot be read: expected a JSON object, not {type(values).__name__}")
    if values.get("schema") != known:
        raise DeviceError(
            f"counts have schema {values.get('schema')!r}; this version reads schema {known}; "
            "read them with the version of snsearch that counted"
        )
    return values
