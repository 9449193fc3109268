"""A measurement: raw samples, the conditions they were taken under, and the verdict.

A record is never changed and holds no summary: medians and intervals are computed from its samples when they are
read, so a reader can judge a figure again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Literal

from snsearch.codec import Field, Stored, Unbounded
from snsearch.device.reasons import Reason
from snsearch.device.samples import Statistics, statistics_of
from snsearch.engine import DeviceState, is_arm

# "ok": a latency. "flagged": a latency that was disturbed. "refused": no latency, because of what disturbed it.
# "emulated": the right output, from an emulated device whose times mean nothing.
Verdict = Literal["ok", "flagged", "refused", "emulated"]


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


def _upgraded(values: dict[str, Any]) -> dict[str, Any]:
    """This version's values for those of earlier ones, whose only engine was ncnn, and whose reasons were words."""
    values, host, words = dict(values), values.get("host"), values.get("reasons")
    if isinstance(host, dict) and "ncnn" in host:
        others = {key: value for key, value in host.items() if key != "ncnn"}
        values["host"] = others | {"engine": "ncnn", "engine_version": host["ncnn"]}
    if isinstance(words, list) and "causes" not in values:
        values["causes"] = [{"cause": "earlier", "text": one} for one in words]
    return values


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One network or block on one device: samples, device states, and the verdict with its reasons."""

    STORED: ClassVar = Stored(
        schema=2,
        older=(1,),
        upgrade=_upgraded,
        derived={
            "reasons": lambda one: [reason.words for reason in one.reasons],
            "latency_ms": lambda one: None if one.latency_ms is None else round(one.latency_ms, 6),
            "interval_ms": lambda one: (
                None
                if one.latency_ms is None
                else [round(one.statistics.low_ms, 6), round(one.statistics.high_ms, 6)]
            ),
            "provenance": attrgetter("provenance"),
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
    parity: Unbounded  # largest difference to torch's output, over the largest output; infinite if the lengths differ
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

    def __repr__(self) -> str:
        return f"<{self.subject}: {self.provenance}>"

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
