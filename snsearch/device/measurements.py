"""A measurement: raw samples, the conditions they were taken under, and the verdict.

A record is never changed and holds no summary: medians and intervals are computed from its samples when they are
read, so a reader can judge a figure again.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, Literal

from snsearch.device.reasons import Cause, Reason
from snsearch.device.samples import Statistics, statistics_of
from snsearch.engine import DeviceState, is_arm
from snsearch.errors import DeviceError

# "ok": a latency. "flagged": a latency that was disturbed. "refused": no latency, because of what disturbed it.
# "emulated": the right output, from an emulated device whose times mean nothing.
Verdict = Literal["ok", "flagged", "refused", "emulated"]
SCHEMA = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """The hardware and software of a measurement."""

    device: str  # the user's name for it
    url: str
    identity: str  # of the hardware, from its probe
    soc: str | None
    machine: str  # as its kernel names it: "aarch64"
    core: int  # the core that the runner was pinned to
    core_max_khz: int | None
    governor: str | None
    memory_kb: int | None
    runner: str  # "ncnn-cpp", "ncnn-python" or "onnxruntime-python"
    runner_sha256: str
    engine: str
    engine_version: str
    snsearch: str

    @property
    def library(self) -> str:
        """The engine with its version: "ncnn 1.0.20261020"."""
        return f"{self.engine} {self.engine_version}"

    @property
    def words(self) -> str:
        """The host for readers: "Raspberry Pi 4 Model B, aarch64, core 3 of 1.80 GHz"."""
        speed = "" if self.core_max_khz is None else f" of {self.core_max_khz / 1e6:.2f} GHz"
        arm = "" if is_arm(self.machine) else ", which is not ARM"
        return f"{self.soc or 'unknown SoC'}, {self.machine}{arm}, core {self.core}{speed}"


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One network or block on one device: samples, device states, and the verdict with its reasons."""

    subject: str  # an architecture's key, or a block's name
    artefact: str  # sha256 of the model's files
    host: Host
    precision: str
    input_seed: int
    samples_ns: tuple[tuple[int, ...], ...]  # by round
    reference: str  # key of the network that ran in turn with it
    reference_ns: tuple[tuple[int, ...], ...]
    states: tuple[DeviceState, ...]  # before the first round and after every round
    loadavg: tuple[float, ...] | None
    warmup_runs: int
    parity: float  # largest difference to torch's output, over the largest output; infinite if the lengths differ
    sustained_minutes: float | None  # how long it ran before it was timed; None: not at all
    verdict: Verdict
    reasons: tuple[Reason, ...]
    measured: str  # time, as ISO 8601

    @cached_property
    def statistics(self) -> Statistics:
        """The samples' statistics; no latency if the verdict is emulated or refused."""
        return statistics_of(self.samples_ns)

    @property
    def latency_ms(self) -> float | None:
        """The median; None if it is no latency."""
        return self.statistics.median_ms if self.verdict in ("ok", "flagged") else None

    @property
    def why(self) -> str:
        """The words of the reasons, in a line; "" without reasons."""
        return "; ".join(reason.words for reason in self.reasons)

    @property
    def provenance(self) -> str:
        """The label of the figure."""
        host = f"{self.host.device} ({self.host.words})"
        with_what = f"{self.host.library}, one thread, {self.precision}"
        match self.verdict:
            case "emulated":
                return f"emulated: not a latency; {host}, {with_what}"
            case "refused":
                return f"refused: {self.why}; {host}, {with_what}"
            case "flagged":
                return f"measured, flagged: {self.why}; {host}, {with_what}"
            case _:
                return f"measured, {host}, {with_what}{self.sustained_words}"

    @property
    def sustained_words(self) -> str:
        """How long it ran before it was timed, as the end of a sentence; "" if it did not."""
        return "" if self.sustained_minutes is None else f", after {self.sustained_minutes:g} minutes of running"

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values, which from_json reads; latency and reasons also in words, for other readers."""
        values = {
            **asdict(self),
            "parity": self.parity if math.isfinite(self.parity) else None,
            "reasons": [reason.words for reason in self.reasons],
            "causes": [reason.to_json() for reason in self.reasons],
        }
        latency: dict[str, Any] = {"latency_ms": None, "interval_ms": None}
        if self.latency_ms is not None:
            stats = self.statistics
            latency = {
                "latency_ms": round(stats.median_ms, 6),
                "interval_ms": [round(stats.low_ms, 6), round(stats.high_ms, 6)],
            }
        return {"schema": SCHEMA, **values, **latency, "provenance": self.provenance}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Measurement:
        """The measurement of to_json's values, or of those of schema 1, which had one engine.

        Measurements that were stored before reasons were data have their words only. Raises DeviceError for another
        schema or invalid values.
        """
        if values.get("schema") not in (1, SCHEMA):
            raise DeviceError(f"a measurement has schema {values.get('schema')!r}; this version reads 1 and {SCHEMA}")
        try:
            known = {field.name: values[field.name] for field in fields(cls)}
            if values["schema"] == 1:
                host = dict(known["host"])
                known["host"] = {"engine": "ncnn", "engine_version": host.pop("ncnn"), **host}
            loadavg = known["loadavg"]
            return cls(
                **{
                    **known,
                    "host": Host(**known["host"]),
                    "parity": math.inf if known["parity"] is None else known["parity"],
                    "samples_ns": _rounds(known["samples_ns"]),
                    "reference_ns": _rounds(known["reference_ns"]),
                    "states": tuple(DeviceState(**state) for state in known["states"]),
                    "loadavg": None if loadavg is None else tuple(loadavg),
                    "reasons": tuple(map(Reason.from_json, values["causes"]))
                    if "causes" in values
                    else tuple(Reason.of(Cause.EARLIER, text=words) for words in known["reasons"]),
                }
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DeviceError(f"a measurement cannot be read: {type(error).__name__} {error}") from None


def _rounds(values: list[list[int]]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(one) for one in values)
