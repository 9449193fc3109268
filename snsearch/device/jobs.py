"""Jobs on a board: models are timed, and the output of one is compared with torch's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from snsearch.device.board import LOCK, Board, time_on
from snsearch.device.subjects import Subject
from snsearch.engine import TimeAnswer, TimeJob

INPUT_SEED = 1


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
    answer = time_models(board, (subject.prefix.name,), core, alarm_s=300, outputs=True, **once)
    output = answer.models[0].output
    assert output is not None, "read_time checks that the answer has what the job asks for"
    return Checked(subject=subject, parity=subject.deviation(output, INPUT_SEED), answer=answer)


def time_models(board: Board, prefixes: tuple[str, ...], core: int, **values: Any) -> TimeAnswer:
    """The board's answer to a job, whose other values are those of TimeJob. Raises DeviceError."""
    job = TimeJob(prefixes=prefixes, core=core, input_seed=INPUT_SEED, lock=LOCK, **values)
    return time_on(board.transport, board.runner, job)
