"""What spoils a measurement, as data: a cause with its figures. Its words are made where they are printed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from snsearch.codec import Field, Unbounded

# What spoiled a measurement, or would spoil one.
Cause = Literal[
    "parity",
    "emulated",
    "throttled",
    "frequency",
    "limited",
    "drift",
    "preempted",
    "load",
    "spread",
    "interval",
    "unsettled",
    "no latency",
    "not ARM",
    "frequency unknown",
    "slow now",
    "governor",
    "hot",
    "busy",
    "earlier",
]

_WORDS: dict[Cause, str] = {
    "parity": "the output differs from torch's by {0:.1e} of its largest value (limit {1:.0e})",
    "emulated": "{text}",
    "throttled": "throttled: the core's frequency fell between {0:.2f} and {1:.2f} GHz",
    "frequency": "the core's frequency moved between {0:.2f} and {1:.2f} GHz",
    "limited": "throttled or limited: the core ran at {0:.2f} GHz of its {1:.2f}",
    "drift": "the reference network drifted by {0:.1%} (limit {1:.0%})",
    "preempted": "other load: other tasks took the core {0:.0f} times per second",
    "load": "other load: the load average was {0:.1f}",
    "spread": "the runs spread by {0:.1%} of their median (interquartile; limit {1:.0%})",
    "interval": "the median's interval is {0:.1%} wide (limit {1:.0%})",
    "unsettled": "the warm-up did not settle",
    # Of a checkup, before anything is measured.
    "no latency": "emulated: {text}; parity is checked, and no time counts as a latency",
    "not ARM": "not ARM: latencies are those of this {text} host and say nothing about phones",
    "frequency unknown": "the core's frequency is unknown: only the reference network can show throttling",
    "slow now": "the core runs at {0:.2f} GHz of its {1:.2f}: let it cool",
    "governor": "governor {text}: the frequency may change; as root, write performance to "
    "/sys/devices/system/cpu/cpu{0:.0f}/cpufreq/scaling_governor",
    "hot": "{0:.0f} °C: let it cool, or expect it to slow down",
    "busy": "load average {0:.1f}: end other programs on the device",
    # Of a measurement that was stored before reasons were data.
    "earlier": "{text}",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """A cause with its figures, in the order in which its words name them."""

    cause: Annotated[Cause, Field(expected="a cause that this version knows")]
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
