"""What spoils a measurement: reasons to flag a latency, and reasons to refuse it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snsearch.device.measurements import Verdict, statistics_of
from snsearch.engine import DeviceState

PARITY = 1e-4  # largest difference to torch's output, over the largest output
FREQUENCY = 0.05  # by which the core's frequency may move, or stay under the core's highest
DRIFT = 0.03  # by which the reference network may drift
SPREAD = 0.05  # interquartile range over the median
INTERVAL = 0.05  # width of the median's interval over the median
PREEMPTIONS_PER_S = 20.0  # other tasks on the core, each of which takes milliseconds
LOAD = 1.5  # running tasks, where preemptions are not told; one of them is the runner
# From here on a figure says more of what disturbed it than of the network.
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
    unsettled: bool = False  # the warm-up did not come to an end
    expected_reference_ms: float | None = None  # what the reference took earlier in the same session
    sustained: bool = False  # a frequency under the highest is then what was asked for


def judge(evidence: Evidence) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict and its reasons, in words with their figures."""
    # A wrong output is no measurement on any device.
    if not evidence.parity <= PARITY:
        return "refused", (
            f"the output differs from torch's by {evidence.parity:.1e} of its largest value (limit {PARITY:.0e})",
        )
    if evidence.emulated_because is not None:
        return "emulated", (evidence.emulated_because,)
    flags: list[str] = []
    refusals: list[str] = []

    def weigh(share: float, flag_above: float, refuse_above: float, words: str) -> None:
        if share > refuse_above:
            refusals.append(words)
        elif share > flag_above:
            flags.append(words)

    weigh(*frequency_fall(evidence.states))
    highest = max((state.khz for state in evidence.states if state.khz is not None), default=None)
    if (
        highest is not None
        and evidence.core_max_khz
        and not evidence.sustained
        and highest < (1 - FREQUENCY) * evidence.core_max_khz
    ):
        flags.append(
            f"throttled or limited: the core ran at {highest / 1e6:.2f} GHz of its {evidence.core_max_khz / 1e6:.2f}"
        )
    drift = reference_drift(evidence.reference_ns, evidence.expected_reference_ms)
    weigh(drift, DRIFT, REFUSED_DRIFT, f"the reference network drifted by {drift:.1%} (limit {DRIFT:.0%})")
    if words := other_load(evidence.states, evidence.loadavg):
        flags.append(words)
    stats = statistics_of(evidence.samples_ns)
    weigh(
        stats.iqr_share,
        SPREAD,
        REFUSED_SPREAD,
        f"the runs spread by {stats.iqr_share:.1%} of their median (interquartile; limit {SPREAD:.0%})",
    )
    if stats.interval_share > INTERVAL:
        flags.append(f"the median's interval is {stats.interval_share:.1%} wide (limit {INTERVAL:.0%})")
    if evidence.unsettled:
        flags.append("the warm-up did not settle")
    if refusals:
        return "refused", (*refusals, *flags)
    return ("flagged", tuple(flags)) if flags else ("ok", ())


def frequency_fall(states: Sequence[DeviceState]) -> tuple[float, float, float, str]:
    """How far the core's frequency moved, when to flag and to refuse that, and in which words."""
    known = [state.khz for state in states if state.khz is not None]
    if not known:
        return 0.0, FREQUENCY, REFUSED_FREQUENCY, ""
    least, most = min(known), max(known)
    share = 1 - least / most if most else 0.0
    # A core that slows down under load is throttled; one that only woke up late was measured too early.
    verb = "throttled: the core's frequency fell" if known[-1] < known[0] else "the core's frequency moved"
    return share, FREQUENCY, REFUSED_FREQUENCY, f"{verb} between {most / 1e6:.2f} and {least / 1e6:.2f} GHz"


def reference_drift(rounds: Sequence[Sequence[int]], expected_ms: float | None = None) -> float:
    """How far the reference network's medians lie apart: of the thirds of the rounds, and from what was expected."""
    parts = [part for part in np.array_split(np.asarray(rounds, dtype=np.float64), 3) if part.size]
    medians = [float(np.median(part)) / 1e6 for part in parts]
    whole = float(np.median(np.asarray(rounds, dtype=np.float64))) / 1e6
    drift = (max(medians) - min(medians)) / whole
    if expected_ms is not None:
        drift = max(drift, abs(whole / expected_ms - 1))
    return drift


def other_load(states: Sequence[DeviceState], loadavg: Sequence[float] | None) -> str:
    """What other tasks took of the core, in words; "" where nothing speaks of any."""
    first, last = (states[0], states[-1]) if states else (None, None)
    if first is not None and last is not None and first.preemptions is not None and last.preemptions is not None:
        seconds = (last.at_ns - first.at_ns) / 1e9
        rate = (last.preemptions - first.preemptions) / seconds if seconds > 0 else 0.0
        if rate > PREEMPTIONS_PER_S:
            return f"other load: other tasks took the core {rate:.0f} times a second"
        return ""
    if loadavg and loadavg[0] > LOAD:
        return f"other load: the load average was {loadavg[0]:.1f}"
    return ""
