"""Judges a measurement: reasons to flag its latency, and reasons to refuse it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from snsearch.device.measurements import Measurement, Verdict
from snsearch.device.reasons import Cause, Reason
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


def judged(
    made: Measurement, *, emulated_because: str | None, unsettled: bool, expected_reference_ms: float | None
) -> Measurement:
    """The measurement with its verdict and the reasons for it, those to refuse it first.

    Args:
        emulated_because: why times on the device are no latencies; None for a real device.
        unsettled: whether the warm-up ended before it settled.
        expected_reference_ms: the reference's median earlier in the same session.
    """
    if not made.parity <= PARITY:  # a wrong output is refused on any device
        return replace(made, verdict="refused", reasons=(Reason.of("parity", made.parity, PARITY),))
    if emulated_because is not None:
        return replace(made, verdict="emulated", reasons=(Reason.of("emulated", text=emulated_because),))
    found = [each for each in _disturbances(made, unsettled, expected_reference_ms) if each[1] > each[2]]
    refusals = tuple(reason for reason, share, _, limit in found if share > limit)
    flags = tuple(reason for reason, share, _, limit in found if share <= limit)
    verdict: Verdict = "refused" if refusals else "flagged" if flags else "ok"
    return replace(made, verdict=verdict, reasons=(*refusals, *flags))


_Weighed = tuple[Reason, float, float, float]  # a figure, the limit to flag it, and the limit to refuse it


def _disturbances(made: Measurement, unsettled: bool, expected_reference_ms: float | None) -> Iterator[_Weighed]:
    """Everything that may have disturbed the measurement, with its figure and limits."""
    top = made.host.core_max_khz
    known = [state.khz for state in made.states if state.khz is not None]
    if known:
        least, most = min(known), max(known)
        # A core that slows down under load is throttled; one that woke up late was measured too early.
        cause: Cause = "throttled" if known[-1] < known[0] else "frequency"
        moved = 1 - least / most if most else 0.0
        yield Reason.of(cause, most / 1e6, least / 1e6), moved, FREQUENCY, REFUSED_FREQUENCY
        if top and made.sustained_minutes is None:  # minutes of running are expected to slow it down
            limited = Reason.of("limited", most / 1e6, top / 1e6)
            yield limited, 1 - most / top, FREQUENCY, math.inf
    drift = reference_drift(made.reference_ns, expected_reference_ms)
    yield Reason.of("drift", drift, DRIFT), drift, DRIFT, REFUSED_DRIFT
    if (rate := preemptions_per_s(made.states)) is not None:
        yield Reason.of("preempted", rate), rate, PREEMPTIONS_PER_S, math.inf
    elif made.loadavg:
        yield Reason.of("load", made.loadavg[0]), made.loadavg[0], LOAD, math.inf
    stats = made.statistics
    yield Reason.of("spread", stats.iqr_share, SPREAD), stats.iqr_share, SPREAD, REFUSED_SPREAD
    yield Reason.of("interval", stats.interval_share, INTERVAL), stats.interval_share, INTERVAL, math.inf
    yield Reason.of("unsettled"), float(unsettled), 0.0, math.inf


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
