"""What spoils a measurement, as data: a cause with its figures. Its words are made where they are printed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from snsearch.codec import Field, Unbounded


class Cause(StrEnum):
    """What spoiled a measurement, or would spoil one."""

    PARITY = "parity"
    EMULATED = "emulated"
    THROTTLED = "throttled"
    FREQUENCY = "frequency"
    LIMITED = "limited"
    DRIFT = "drift"
    PREEMPTED = "preempted"
    LOAD = "load"
    SPREAD = "spread"
    INTERVAL = "interval"
    UNSETTLED = "unsettled"
    # Of a checkup, before anything is measured.
    NO_LATENCY = "no latency"
    NOT_ARM = "not ARM"
    FREQUENCY_UNKNOWN = "frequency unknown"
    SLOW_NOW = "slow now"
    GOVERNOR = "governor"
    HOT = "hot"
    BUSY = "busy"
    # Of a measurement that was stored before reasons were data: its words.
    EARLIER = "earlier"


_WORDS = {
    Cause.PARITY: "the output differs from torch's by {0:.1e} of its largest value (limit {1:.0e})",
    Cause.EMULATED: "{text}",
    Cause.THROTTLED: "throttled: the core's frequency fell between {0:.2f} and {1:.2f} GHz",
    Cause.FREQUENCY: "the core's frequency moved between {0:.2f} and {1:.2f} GHz",
    Cause.LIMITED: "throttled or limited: the core ran at {0:.2f} GHz of its {1:.2f}",
    Cause.DRIFT: "the reference network drifted by {0:.1%} (limit {1:.0%})",
    Cause.PREEMPTED: "other load: other tasks took the core {0:.0f} times per second",
    Cause.LOAD: "other load: the load average was {0:.1f}",
    Cause.SPREAD: "the runs spread by {0:.1%} of their median (interquartile; limit {1:.0%})",
    Cause.INTERVAL: "the median's interval is {0:.1%} wide (limit {1:.0%})",
    Cause.UNSETTLED: "the warm-up did not settle",
    Cause.NO_LATENCY: "emulated: {text}; parity is checked, and no time counts as a latency",
    Cause.NOT_ARM: "not ARM: latencies are those of this {text} host and say nothing about phones",
    Cause.FREQUENCY_UNKNOWN: "the core's frequency is unknown: only the reference network can show throttling",
    Cause.SLOW_NOW: "the core runs at {0:.2f} GHz of its {1:.2f}: let it cool",
    Cause.GOVERNOR: "governor {text}: the frequency may change; as root, write performance to "
    "/sys/devices/system/cpu/cpu{0:.0f}/cpufreq/scaling_governor",
    Cause.HOT: "{0:.0f} °C: let it cool, or expect it to slow down",
    Cause.BUSY: "load average {0:.1f}: end other programs on the device",
    Cause.EARLIER: "{text}",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """A cause with its figures, in the order in which its words name them."""

    cause: Annotated[Cause, Field(read=Cause, write=str, expected="a cause that this version knows")]
    figures: tuple[Unbounded, ...] = ()
    text: str = ""

    @classmethod
    def of(cls, cause: Cause, *figures: float, text: str = "") -> Reason:
        """The reason with these figures: frequencies in GHz, temperatures in °C, shares from 0 to 1."""
        return cls(cause=cause, figures=figures, text=text)

    @property
    def words(self) -> str:
        """The reason for readers."""
        return _WORDS[self.cause].format(*self.figures, text=self.text)
