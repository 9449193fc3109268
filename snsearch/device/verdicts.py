"""Judges a measurement: reasons to flag its latency, and reasons to refuse it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from snsearch.device.measurements import Verdict
from snsearch.device.reasons import Cause, Reason
from snsearch.device.samples import statistics_of
from snsearch.engine import DeviceState

PARITY = 1e-4  # largest difference to torch's output, over the largest output
FREQUENCY = 0.05  # how far the core's frequency may move, or stay below the core's highest
DRIFT = 0.03  # how far the reference network may drift
SPREAD = 0.05  # interquartile range over the median
INTERVAL = 0.05  # width of the median's interval over the median
PREEMPTIONS_PER_S = 20.0  # other tasks on the core, each of which takes milliseconds
LOAD = 1.5  # running tasks, where preemptions are unknown; the runner is one of them
# From these limits on, a figure says more about the disturbance than about the network.
REFUSED_FREQUENCY = 0.25
REFUSED_DRIFT = 0.10
REFUSED_SPREAD = 0.30


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Everything that a measurement is judged by."""

    parity: float
    samples_ns: Sequence[Sequence[int]]
    reference_ns: Sequence[Sequence[int]]
    states: Sequence[DeviceState]
    core_max_khz: int | None
    loadavg: Sequence[float] | None
    emulated_because: str | None
    unsettled: bool = False  # whether the warm-up ended before it settled
    expected_reference_ms: float | None = None  # the reference's median earlier in the same session
    sustained: bool = False  # whether the model ran for minutes first; a frequency below the highest is then expected


def judge(evidence: Evidence) -> tuple[Verdict, tuple[Reason, ...]]:
    """The verdict and its reasons, those to refuse first."""
    if not evidence.parity <= PARITY:  # a wrong output is refused on any device
        return "refused", (Reason.of(Cause.PARITY, evidence.parity, PARITY),)
    if evidence.emulated_because is not None:
        return "emulated", (Reason.of(Cause.EMULATED, text=evidence.emulated_because),)
    found = [each for each in _disturbances(evidence) if each[1] > each[2]]
    refusals = tuple(reason for reason, share, _, limit in found if limit is not None and share > limit)
    flags = tuple(reason for reason, share, _, limit in found if limit is None or share <= limit)
    if refusals:
        return "refused", (*refusals, *flags)
    return ("flagged", flags) if flags else ("ok", ())


_Weighed = tuple[Reason, float, float, float | None]  # a figure, the limit to flag it and, if any, to refuse it


def _disturbances(evidence: Evidence) -> Iterator[_Weighed]:
    """Everything that may have disturbed the measurement, with its figure and limits."""
    known = [state.khz for state in evidence.states if state.khz is not None]
    if known:
        least, most = min(known), max(known)
        # A core that slows down under load is throttled; one that woke up late was measured too early.
        cause = Cause.THROTTLED if known[-1] < known[0] else Cause.FREQUENCY
        moved = 1 - least / most if most else 0.0
        yield Reason.of(cause, most / 1e6, least / 1e6), moved, FREQUENCY, REFUSED_FREQUENCY
        if evidence.core_max_khz and not evidence.sustained:
            limited = Reason.of(Cause.LIMITED, most / 1e6, evidence.core_max_khz / 1e6)
            yield limited, 1 - most / evidence.core_max_khz, FREQUENCY, None
    drift = reference_drift(evidence.reference_ns, evidence.expected_reference_ms)
    yield Reason.of(Cause.DRIFT, drift, DRIFT), drift, DRIFT, REFUSED_DRIFT
    if (rate := preemptions_per_s(evidence.states)) is not None:
        yield Reason.of(Cause.PREEMPTED, rate), rate, PREEMPTIONS_PER_S, None
    elif evidence.loadavg:
        yield Reason.of(Cause.LOAD, evidence.loadavg[0]), evidence.loadavg[0], LOAD, None
    stats = statistics_of(evidence.samples_ns)
    yield Reason.of(Cause.SPREAD, stats.iqr_share, SPREAD), stats.iqr_share, SPREAD, REFUSED_SPREAD
    yield Reason.of(Cause.INTERVAL, stats.interval_share, INTERVAL), stats.interval_share, INTERVAL, None
    yield Reason.of(Cause.UNSETTLED), float(evidence.unsettled), 0.0, None


def reference_drift(rounds: Sequence[Sequence[int]], expected_ms: float | None = None) -> float:
    """The reference network's drift, as a share of its median.

    The larger of two figures: the distance between the medians of each third of the rounds, and that of the whole
    median from the expected one.
    """
    values = np.asarray(rounds, dtype=np.float64) / 1e6
    medians = [float(np.median(part)) for part in np.array_split(values, 3) if part.size]
    whole = float(np.median(values))
    drift = (max(medians) - min(medians)) / whole
    return drift if expected_ms is None else max(drift, abs(whole / expected_ms - 1))


def preemptions_per_s(states: Sequence[DeviceState]) -> float | None:
    """How often per second other tasks took the core; None if the device does not say."""
    if not states or states[0].preemptions is None or states[-1].preemptions is None:
        return None
    seconds = (states[-1].at_ns - states[0].at_ns) / 1e9
    return (states[-1].preemptions - states[0].preemptions) / seconds if seconds > 0 else 0.0
