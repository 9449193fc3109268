"""A measurement: raw samples, the conditions they were taken under, and the verdict.

A record is never changed and holds no summary: medians and intervals are computed from its samples when they are
read, so a reader can judge a figure again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Literal

from snsearch.codec import Field, Stored
from snsearch.device.reasons import Cause, Reason
from snsearch.device.samples import Statistics, statistics_of
from snsearch.engine import DeviceState, is_arm

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


def _of_one_engine(values: dict[str, Any]) -> dict[str, Any]:
    """The values of schema 1, which had one engine, ncnn, in those of schema 2."""
    host = values.get("host")
    if isinstance(host, dict) and "ncnn" in host:
        others = {key: value for key, value in host.items() if key != "ncnn"}
        values = values | {"host": others | {"engine": "ncnn", "engine_version": host["ncnn"]}}
    return _with_causes(values)


def _with_causes(values: dict[str, Any]) -> dict[str, Any]:
    """The values with causes; measurements that were stored before reasons were data have their words only."""
    if "causes" in values or not isinstance(values.get("reasons"), list):
        return values
    causes = [{"cause": Cause.EARLIER.value, "figures": [], "text": words} for words in values["reasons"]]
    return values | {"causes": causes}


def _parity(value: Any) -> float:
    """The parity from JSON, where null means infinite."""
    if value is not None and (type(value) not in (int, float) or not 0 <= value < math.inf):
        raise TypeError
    return math.inf if value is None else float(value)


# Largest difference to torch's output, over the largest output; infinite if the lengths differ.
Parity = Annotated[
    float,
    Field(
        read=_parity,
        write=lambda value: value if math.isfinite(value) else None,
        expected="a difference of at least 0, or null",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One network or block on one device: samples, device states, and the verdict with its reasons."""

    STORED: ClassVar = Stored(
        schema=SCHEMA,
        older={1: _of_one_engine, SCHEMA: _with_causes},
        derived={
            "latency_ms": lambda one: None if one.latency_ms is None else round(one.latency_ms, 6),
            "interval_ms": attrgetter("interval_ms"),
            "provenance": attrgetter("provenance"),
            "reasons": lambda one: [reason.words for reason in one.reasons],
        },
    )

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
    parity: Parity
    sustained_minutes: float | None  # how long it ran before it was timed; None: not at all
    verdict: Verdict
    reasons: Annotated[tuple[Reason, ...], Field(key="causes")]
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
    def interval_ms(self) -> list[float] | None:
        """The 95 % interval of the median, to the nanosecond; None if it is no latency."""
        if self.latency_ms is None:
            return None
        return [round(self.statistics.low_ms, 6), round(self.statistics.high_ms, 6)]

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
