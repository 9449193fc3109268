"""How a model is measured: the conditions that a figure depends on, and how many runs it gets."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

Say = Callable[[str], None]  # tells the user what is going on
Stop = Callable[[], bool]  # whether the user asked to stop


@dataclass(frozen=True, kw_only=True, slots=True)
class Effort:
    """The number of runs: at least `rounds` times `least_repeats` of a model, and about `seconds` of each."""

    rounds: int = 10
    least_repeats: int = 3
    most_repeats: int = 100
    seconds: float = 3.0
    batch: int = 8  # models that share rounds
    warmup_runs: int = 5
    warmup_ms: int = 1000
    warmups: int = 6  # attempts to reach a stable state
    attempts: int = 2  # measurements of a model that is disturbed
    cool_down_s: float = 60.0  # longest pause between batches

    def repeats(self, one_run_ns: int, seconds: float | None = None) -> int:
        """Runs of a model in each round."""
        wanted = (self.seconds if seconds is None else seconds) * 1e9 / self.rounds / one_run_ns
        return min(self.most_repeats, max(self.least_repeats, math.ceil(wanted)))


# Times under emulation mean nothing: run each step once.
EMULATED = Effort(
    rounds=2, least_repeats=1, most_repeats=1, warmup_runs=1, warmup_ms=0, warmups=0, attempts=1, cool_down_s=0.0
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    """What a measurement depends on besides the device and the model, and its effort.

    Args:
        core: the core to pin to; None: the device's setting, else the fastest.
        sustained_minutes: how long each model runs alone before it is timed, its timing included; None: the device
            cools down between batches.
        effort: None: `Effort()`, and as little as possible on an emulated device.
    """

    core: int | None = None
    sustained_minutes: float | None = None
    effort: Effort | None = None
