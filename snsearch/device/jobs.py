"""Jobs on a board: one model's output is compared, several are timed in rounds, one runs until it is hot."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from snsearch.device.board import LOCK, Board, time_on
from snsearch.device.conditions import Effort, Say, Stop
from snsearch.device.subjects import Subject
from snsearch.engine import TimeAnswer, TimeJob

INPUT_SEED = 1
HOT_SECONDS = 30.0  # of one job that heats a device; a command to stop waits this long


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """A model after one run, with its output's largest difference to torch's, over the largest output."""

    subject: Subject
    parity: float
    answer: TimeAnswer

    @property
    def one_run_ns(self) -> int:
        """The time of that run."""
        return self.answer.models[0].samples_ns[0][0]


def check_output(board: Board, subject: Subject, core: int) -> Checked:
    """The model after one run on that core. Raises DeviceError."""
    once = {"rounds": 1, "repeats": 1, "warmup_runs": 1, "warmup_ms": 0}
    answer = _time(board, (subject.prefix.name,), core, alarm_s=300, outputs=True, **once)
    output = answer.models[0].output
    assert output is not None, "read_time checks that the answer has what the job asks for"
    return Checked(subject=subject, parity=subject.deviation(output, INPUT_SEED), answer=answer)


def _time(board: Board, prefixes: tuple[str, ...], core: int, **values: Any) -> TimeAnswer:
    job = TimeJob(prefixes=prefixes, core=core, input_seed=INPUT_SEED, lock=LOCK, **values)
    return time_on(board.transport, board.runner, job)


@dataclass(frozen=True, kw_only=True, slots=True)
class Jobs:
    """The jobs of one session on a board. Each raises DeviceError, and KeyboardInterrupt if the user stops."""

    board: Board
    core: int
    effort: Effort
    say: Say
    stop: Stop

    def check(self, subject: Subject) -> Checked:
        """The model after one run."""
        self._may_go_on()
        return check_output(self.board, subject, self.core)

    def rounds(self, prefixes: Sequence[str], repeats: int, one_round_ns: int) -> TimeAnswer:
        """The answer of a job with the effort's rounds; `one_round_ns` is the time of one run of each model."""
        effort = self.effort
        running_s = one_round_ns / 1e9 * (repeats * effort.rounds + effort.warmup_runs)
        return self._time(
            tuple(prefixes),
            rounds=effort.rounds,
            repeats=repeats,
            # Four times the expected time: the first run may be faster than later ones.
            alarm_s=math.ceil(60 + len(prefixes) * effort.warmup_ms / 1e3 + 4 * running_s),
            warmup_runs=effort.warmup_runs,
            warmup_ms=effort.warmup_ms,
        )

    def heat(self, one: Checked, minutes: float) -> None:
        """Runs a model until the last of these minutes begins."""
        until = time.monotonic() + max(0.0, minutes * 60 - 60)
        while (left := until - time.monotonic()) > 0:
            self.say(f"running for {left / 60:.1f} more minutes before it is timed")
            seconds = min(HOT_SECONDS, left)
            # One long warm-up: it has no pauses in which the device could cool.
            self._time(
                (one.subject.prefix.name,),
                rounds=1,
                repeats=1,
                alarm_s=math.ceil(60 + seconds + 8 * one.one_run_ns / 1e9),
                warmup_runs=1,
                warmup_ms=math.ceil(1000 * seconds),
            )

    def _time(self, prefixes: tuple[str, ...], **values: Any) -> TimeAnswer:
        self._may_go_on()
        return _time(self.board, prefixes, self.core, **values)

    def _may_go_on(self) -> None:
        if self.stop():
            raise KeyboardInterrupt
