"""What was measured on a device: raw samples with all that they hang on, and the log that keeps them.

A record is never changed and never summed up when it is written: medians and intervals are computed from its samples
each time. So a figure can be judged anew by whoever reads it.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from snsearch.codec import Field, Stored, decode, encode, parse_json
from snsearch.engine import DeviceState, is_arm
from snsearch.errors import DeviceError

# "ok": a latency. "flagged": a latency, with what disturbed it. "refused": no latency; something was wrong.
# "emulated": the right output from a device that is not real, whose times mean nothing.
Verdict = Literal["ok", "flagged", "refused", "emulated"]
SCHEMA = 2
LEVEL = 0.95  # of the interval around a median
_RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """What a measurement ran on and with."""

    device: str  # the user's name for it
    url: str
    identity: str  # of the hardware, as its probe gave it
    soc: str | None
    machine: str  # as its kernel says: "aarch64"
    core: int  # that the runner was pinned to
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
        """The engine: "ncnn 1.0.20261020"."""
        return f"{self.engine} {self.engine_version}"

    @property
    def words(self) -> str:
        """The host in a few words: "Raspberry Pi 4 Model B, aarch64, core 3 of 1.80 GHz"."""
        speed = "" if self.core_max_khz is None else f" of {self.core_max_khz / 1e6:.2f} GHz"
        arm = "" if is_arm(self.machine) else ", which is not ARM"
        return f"{self.soc or 'unknown SoC'}, {self.machine}{arm}, core {self.core}{speed}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Statistics:
    """What samples say: their median with a bootstrap interval, and how they spread."""

    median_ms: float
    low_ms: float
    high_ms: float
    iqr_share: float  # interquartile range over the median
    samples: int
    outliers: int  # beyond 1.5 interquartile ranges of the quartiles; they are kept
    least_ms: float
    most_ms: float

    @property
    def interval_share(self) -> float:
        """The interval's width over the median."""
        return (self.high_ms - self.low_ms) / self.median_ms


def statistics_of(rounds: Sequence[Sequence[int]]) -> Statistics:
    """The statistics of nanoseconds by round.

    The interval is a bootstrap over whole rounds, since what disturbs one run of a round disturbs the next. Its
    random numbers are the same for the same number of rounds.
    """
    samples = np.concatenate([np.asarray(one, dtype=np.float64) for one in rounds]) / 1e6
    median = float(np.median(samples))
    lower, upper = (float(value) for value in np.quantile(samples, (0.25, 0.75)))
    reach = 1.5 * (upper - lower)
    low, high = _bootstrap(rounds)
    return Statistics(
        median_ms=median,
        low_ms=min(low, median),
        high_ms=max(high, median),
        iqr_share=(upper - lower) / median,
        samples=len(samples),
        outliers=int(np.sum((samples < lower - reach) | (samples > upper + reach))),
        least_ms=float(samples.min()),
        most_ms=float(samples.max()),
    )


def _bootstrap(rounds: Sequence[Sequence[int]]) -> tuple[float, float]:
    """The interval of LEVEL around the median, in milliseconds; rounds have the same number of samples."""
    values = np.asarray(rounds, dtype=np.float64) / 1e6
    random = np.random.default_rng(len(rounds))
    drawn: NDArray[Any] = values[random.integers(len(rounds), size=(_RESAMPLES, len(rounds)))]
    medians = np.median(drawn.reshape(_RESAMPLES, -1), axis=1)
    low, high = np.quantile(medians, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)


def _of_one_engine(values: dict[str, Any]) -> dict[str, Any]:
    """The values of schema 1, which knew ncnn alone, in those of schema 2."""
    host = values.get("host")
    if not isinstance(host, dict) or "ncnn" not in host:
        return values
    others = {key: value for key, value in host.items() if key != "ncnn"}
    return values | {"host": others | {"engine": "ncnn", "engine_version": host["ncnn"]}}


def _parity(value: Any) -> float:
    """The parity, which JSON has as null where it is infinite."""
    if value is not None and (type(value) not in (int, float) or not 0 <= value < math.inf):
        raise TypeError
    return math.inf if value is None else float(value)


# Largest difference to torch's output, over the largest output; infinite where that has another length.
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
    """One network or block on one device: samples, states, and the verdict with its reasons."""

    STORED: ClassVar = Stored(
        schema=SCHEMA,
        older={1: _of_one_engine},
        derived={
            "latency_ms": lambda one: None if one.latency_ms is None else round(one.latency_ms, 6),
            "interval_ms": attrgetter("interval_ms"),
            "provenance": attrgetter("provenance"),
        },
    )

    subject: str  # an architecture's key, or a block's name
    artefact: str  # sha256 of the model's files
    host: Host
    precision: str
    input_seed: int
    samples_ns: tuple[tuple[int, ...], ...]  # by round
    reference: str  # the network that was run between, by its key
    reference_ns: tuple[tuple[int, ...], ...]
    states: tuple[DeviceState, ...]  # before the first round and after every one
    loadavg: tuple[float, ...] | None
    warmup_runs: int
    parity: Parity
    sustained_minutes: float | None  # how long it ran before it was timed; None: cool
    verdict: Verdict
    reasons: tuple[str, ...]
    measured: str  # when, as ISO 8601

    @cached_property
    def statistics(self) -> Statistics:
        """The samples' statistics; of an emulated or refused measurement they are no latency."""
        return statistics_of(self.samples_ns)

    @property
    def latency_ms(self) -> float | None:
        """The median; None where it is no latency."""
        return self.statistics.median_ms if self.verdict in ("ok", "flagged") else None

    @property
    def interval_ms(self) -> list[float] | None:
        """The interval around the median, to the nanosecond; None where it is no latency."""
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
                return f"refused: {'; '.join(self.reasons)}; {host}, {with_what}"
            case "flagged":
                return f"measured, flagged: {'; '.join(self.reasons)}; {host}, {with_what}"
            case _:
                return f"measured, {host}, {with_what}{self.sustained_words}"

    @property
    def sustained_words(self) -> str:
        """How long it ran before it was timed, to be put behind other words; "" where it was cool."""
        return "" if self.sustained_minutes is None else f", after {self.sustained_minutes:g} minutes of running"


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasurementLog:
    """The measurements of one device: a file of JSON lines that is only added to."""

    path: Path

    def add(self, measurement: Measurement) -> None:
        """Keeps a measurement for good. Raises DeviceError where that cannot be."""
        line = json.dumps(encode(measurement), allow_nan=False) + "\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab+") as file:
                # What a crash or a full disk left of a last line must not swallow this one.
                if file.tell() and self.path.read_bytes()[-1:] != b"\n":
                    line = "\n" + line
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise DeviceError(f"{str(self.path)!r} cannot be written: {error.strerror or error}") from None

    def read(self) -> tuple[Measurement, ...]:
        """All measurements, the oldest first; a line that was not written to its end is left out.

        Raises DeviceError where the file cannot be read, or was written by another version.
        """
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise DeviceError(f"{str(self.path)!r} cannot be read: {error.strerror or error}") from None
        found = []
        for line in text.splitlines():
            try:
                values = parse_json(line)
            except ValueError:
                continue
            if isinstance(values, dict):
                found.append(decode(Measurement, values, "a measurement", error=DeviceError))
        return tuple(found)


def latest(
    measurements: Sequence[Measurement],
    *,
    artefact: str,
    precision: str,
    sustained_minutes: float | None,
    identity: str | None = None,
    core: int | None = None,
) -> Measurement | None:
    """The last measurement of a model that need not be made again; None where there is none.

    Refused ones do not count. Without an identity or a core, any will do.
    """
    for one in reversed(measurements):
        if (
            one.artefact == artefact
            and one.precision == precision
            and one.sustained_minutes == sustained_minutes
            and one.verdict != "refused"
            and identity in (None, "", one.host.identity)
            and core in (None, one.host.core)
        ):
            return one
    return None
