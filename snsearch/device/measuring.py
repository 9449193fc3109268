"""The measuring protocol: parity first, warm-up until stable, rounds that run models in turn.

Every batch of models runs in rounds, a fixed reference network among them: drift affects all of them alike and shows
in the reference. A disturbed model is measured again once; if it stays disturbed, its measurement is flagged.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from snsearch.device.board import Board, UnansweredError, hottest, pinned_core, probe_on
from snsearch.device.conditions import EMULATED, Conditions, Effort, Say, Stop
from snsearch.device.jobs import INPUT_SEED, Checked, check_output, time_models
from snsearch.device.measurements import Measurement
from snsearch.device.subjects import Subject
from snsearch.device.transports.transport import CONNECT_SECONDS
from snsearch.device.verdicts import PARITY, judged
from snsearch.engine import ModelSamples, RunnerError, TimeAnswer
from snsearch.errors import DeviceError

SETTLED = 0.02  # largest difference between the reference's medians of two warm-ups in a stable state
HOT_SECONDS = 30.0  # of one job that heats a device; a command to stop waits this long


@dataclass(frozen=True, kw_only=True, slots=True)
class Unmeasured:
    """A model that the runner could not run, and why."""

    subject: Subject
    reason: str


Outcome = Measurement | Unmeasured


def measure(
    board: Board,
    subjects: Sequence[Subject],
    reference: Subject,
    *,
    conditions: Conditions | None = None,
    say: Say = lambda text: None,
    stop: Stop = lambda: False,
) -> Iterator[Outcome]:
    """Measures models on a device and yields each as soon as it is done, so the caller can keep it.

    Args:
        reference: the network that runs in turn with all of them.
        stop: called between jobs.

    Raises:
        DeviceError: the device fails.
        KeyboardInterrupt: `stop` returned true.
    """
    asked = conditions or Conditions()
    if asked.sustained_minutes is not None and board.probe.emulated_because is not None:
        raise DeviceError(f"{board.device.name} is emulated: its speed after minutes of running means nothing")
    effort = asked.effort or (Effort() if board.probe.emulated_because is None else EMULATED)
    core = pinned_core(board, asked.core)
    session = _Session(
        board=board,
        core=core,
        effort=effort,
        reference=reference,
        sustained_minutes=asked.sustained_minutes,
        say=say,
        stop=stop,
    )
    yield from session.all(subjects)


@dataclass(kw_only=True)
class _Session:
    """One session on one device. Each of its jobs raises DeviceError, and KeyboardInterrupt if the user stops."""

    board: Board
    core: int
    effort: Effort
    reference: Subject
    sustained_minutes: float | None
    say: Say
    stop: Stop
    unsettled: bool = False
    unanswered: int = 0  # models in succession without an answer
    reference_ns: int = 0  # time of one run of the reference
    reference_ms: float | None = None  # its median in this session
    start_mc: int | None = None  # temperature at the start

    def all(self, subjects: Sequence[Subject]) -> Iterator[Outcome]:
        self.reference.put(self.board.transport)
        checked = self._check(self.reference)
        if not checked.parity <= PARITY:
            raise DeviceError(
                f"{self.board.device.name}: the reference network's output differs from torch's by "
                f"{checked.parity:.1e} of its largest value (limit {PARITY:.0e}), so no time of this runner counts; "
                "build the runner again, or report this"
            )
        self.reference_ns = checked.one_run_ns
        self.start_mc = self._temperature()
        self._warm_up()
        size = 1 if self.sustained_minutes is not None else self.effort.batch
        for at in range(0, len(subjects), size):
            batch = subjects[at : at + size]
            if at:
                self._cool_down()
            yield from self._batch(batch)
            self._remove(batch)

    def _batch(self, batch: Sequence[Subject]) -> Iterator[Outcome]:
        ready: list[Checked] = []
        for subject in batch:
            one = self._checked(subject)
            if isinstance(one, Checked):
                ready.append(one)
            else:
                yield one
        best: dict[str, Measurement] = {}
        # Do not repeat a sustained run: its flags report disturbances.
        for attempt in range(self.effort.attempts if self.sustained_minutes is None else 1):
            again = [one for one in ready if attempt == 0 or best[one.subject.artefact].verdict != "ok"]
            if not again:
                break
            if attempt:
                first = best[again[0].subject.artefact].reasons[0]
                self.say(f"{len(again)} disturbed, measured again: {first.words}")
                self._cool_down()
            for made in self._timed(again):
                known = best.get(made.artefact)
                if known is None or _rank(made) <= _rank(known):
                    best[made.artefact] = made
        yield from (best[one.subject.artefact] for one in ready)

    def _checked(self, subject: Subject) -> Checked | Outcome:
        """The model if its output is right; else why it has no latency."""
        subject.put(self.board.transport)
        try:
            checked = self._check(subject)
        except RunnerError as error:
            if error.error not in ("model", "memory"):
                raise
            return Unmeasured(subject=subject, reason=str(error))
        except UnansweredError as error:
            # One model may exceed the device, which ends the runner; two in succession point to another fault.
            self.unanswered += 1
            if self.unanswered > 1:
                raise
            return Unmeasured(subject=subject, reason=str(error))
        self.unanswered = 0
        if checked.parity <= PARITY:
            return checked
        return self._judged(checked, checked.answer, checked.answer.models[0], None)

    def _timed(self, batch: Sequence[Checked]) -> list[Measurement]:
        """One measurement of every model of a batch, from rounds that they share."""
        minutes = self.sustained_minutes
        if minutes is not None:
            self._heat(batch[0], minutes)
        answer = self._rounds(
            (self.reference.prefix.name, *(one.subject.prefix.name for one in batch)),
            self.effort.repeats(round(statistics.mean(one.one_run_ns for one in batch))),
            self.reference_ns + sum(one.one_run_ns for one in batch),
        )
        reference, *others = answer.models
        made = [self._judged(one, answer, own, reference) for one, own in zip(batch, others, strict=True)]
        if self.reference_ms is None and minutes is None:
            self.reference_ms = _median_ms(reference)
        return made

    def _judged(
        self, checked: Checked, answer: TimeAnswer, own: ModelSamples, reference: ModelSamples | None
    ) -> Measurement:
        """The measurement of a model in an answer, with its verdict."""
        made = Measurement(
            subject=checked.subject.name,
            artefact=checked.subject.artefact,
            host=self.board.host(answer.core),
            precision="float32",
            input_seed=INPUT_SEED,
            samples_ns=own.samples_ns,
            reference=self.reference.name,
            reference_ns=() if reference is None else reference.samples_ns,
            states=answer.states,
            loadavg=answer.loadavg,
            warmup_runs=answer.warmup_runs,
            parity=checked.parity,
            sustained_minutes=self.sustained_minutes,
            verdict="ok",
            reasons=(),
            measured=datetime.now().astimezone().isoformat(timespec="seconds"),
        )
        return judged(
            made,
            emulated_because=self.board.probe.emulated_because,
            unsettled=self.unsettled,
            expected_reference_ms=self.reference_ms if self.sustained_minutes is None else None,
        )

    def _check(self, subject: Subject) -> Checked:
        """The model after one run."""
        self._may_go_on()
        return check_output(self.board, subject, self.core)

    def _rounds(self, prefixes: tuple[str, ...], repeats: int, one_round_ns: int) -> TimeAnswer:
        """The answer of a job with the effort's rounds; `one_round_ns` is the time of one run of each model."""
        effort = self.effort
        running_s = one_round_ns / 1e9 * (repeats * effort.rounds + effort.warmup_runs)
        self._may_go_on()
        return time_models(
            self.board,
            prefixes,
            self.core,
            rounds=effort.rounds,
            repeats=repeats,
            # Four times the expected time: the first run may be faster than later ones.
            alarm_s=math.ceil(60 + len(prefixes) * effort.warmup_ms / 1e3 + 4 * running_s),
            warmup_runs=effort.warmup_runs,
            warmup_ms=effort.warmup_ms,
        )

    def _heat(self, one: Checked, minutes: float) -> None:
        """Runs a model until the last of these minutes begins."""
        until = time.monotonic() + max(0.0, minutes * 60 - 60)
        while (left := until - time.monotonic()) > 0:
            self.say(f"running for {left / 60:.1f} more minutes before it is timed")
            seconds = min(HOT_SECONDS, left)
            self._may_go_on()
            # One long warm-up: it has no pauses in which the device could cool.
            time_models(
                self.board,
                (one.subject.prefix.name,),
                self.core,
                rounds=1,
                repeats=1,
                alarm_s=math.ceil(60 + seconds + 8 * one.one_run_ns / 1e9),
                warmup_runs=1,
                warmup_ms=math.ceil(1000 * seconds),
            )

    def _may_go_on(self) -> None:
        if self.stop():
            raise KeyboardInterrupt

    def _warm_up(self) -> None:
        """Runs the reference network until two medians in succession agree, or the attempts are used up."""
        before: float | None = None
        for _ in range(self.effort.warmups):
            repeats = self.effort.repeats(self.reference_ns, 1.0)
            answer = self._rounds((self.reference.prefix.name,), repeats, self.reference_ns)
            median = _median_ms(answer.models[0])
            if before is not None and abs(median / before - 1) <= SETTLED:
                self.reference_ms = median
                return
            before = median
        self.unsettled = self.effort.warmups > 0

    def _cool_down(self) -> None:
        """Waits until the device is nearly as cool as at the start, or the effort's time is over."""
        if self.start_mc is None:
            # Temperature unknown: wait a fraction of the cool-down anyway.
            wait(self.effort.cool_down_s / 12)
            return
        until = time.monotonic() + self.effort.cool_down_s
        while time.monotonic() < until and not self.stop():
            now = self._temperature()
            if now is None or now <= self.start_mc + 3000:
                return
            self.say(f"cooling down: {now / 1000:.0f} °C, {self.start_mc / 1000:.0f} °C at the start")
            wait(min(5.0, max(0.0, until - time.monotonic())))

    def _temperature(self) -> int | None:
        silent = self.effort.cool_down_s <= 0
        return None if silent else hottest(probe_on(self.board.transport, self.board.runner))

    def _remove(self, subjects: Sequence[Subject]) -> None:
        """Removes models from the device: each is measured once, and storage is small."""
        names = [file.name for one in subjects if one.artefact != self.reference.artefact for file in one.files]
        if names:
            self.board.transport.run(["rm", "-f", *names], timeout_s=CONNECT_SECONDS)


def _median_ms(samples: ModelSamples) -> float:
    return statistics.median(value for one in samples.samples_ns for value in one) / 1e6


def _rank(made: Measurement) -> tuple[bool, int]:
    """How much a measurement was disturbed; of two with the same rank the later one counts."""
    return made.verdict == "refused", len(made.reasons)


def wait(seconds: float) -> None:
    """Lets a device rest."""
    time.sleep(seconds)
