"""The measuring protocol: parity before time, warm-up until stable, rounds that run several models in turn.

Every batch of models is run in rounds, a fixed reference network among them, so that drift hits all alike and can be
seen. What was disturbed is measured again once; what stays disturbed says so.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from snsearch.device.board import LOCK, Board, UnansweredError, pinned_core
from snsearch.device.deploy import deploy
from snsearch.device.measurements import Measurement
from snsearch.device.transports.transport import CONNECT_SECONDS, Transport
from snsearch.device.verdicts import PARITY, Evidence, judge
from snsearch.engine import ModelSamples, Precision, RunnerError, TimeAnswer, TimeJob
from snsearch.errors import DeviceError

INPUT_SEED = 1
HOT_SECONDS = 30.0  # of a job that heats a device: so long a command to stop may wait


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A model to be measured."""

    name: str  # an architecture's key, or a block's name
    artefact: str  # sha256 of its files
    prefix: Path  # of its files
    suffixes: tuple[str, ...]  # of its files
    deviation: Callable[[Sequence[float], int], float]  # of an output for the input of a seed, relative to torch's

    @property
    def files(self) -> tuple[Path, ...]:
        """Its files, as they are called on the device too."""
        return tuple(self.prefix.with_name(self.prefix.name + suffix) for suffix in self.suffixes)

    def put(self, transport: Transport) -> None:
        """Puts its files into the device's work folder. Raises DeviceError."""
        for file in self.files:
            deploy(transport, file, file.name)


def parity_job(subject: Subject, core: int, precision: Precision = "float32") -> TimeJob:
    """One run of a model on that core, whose output is to be compared with torch's."""
    return TimeJob(
        prefixes=(subject.prefix.name,),
        rounds=1,
        repeats=1,
        alarm_s=300,
        core=core,
        warmup_runs=1,
        warmup_ms=0,
        input_seed=INPUT_SEED,
        outputs=True,
        lock=LOCK,
        precision=precision,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Unmeasured:
    """A model that the runner could not run, and why."""

    subject: Subject
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Effort:
    """How much is run: at least `rounds` times `least_repeats` runs of a model, and about `seconds` of each."""

    rounds: int = 10
    least_repeats: int = 3
    most_repeats: int = 100
    seconds: float = 3.0
    batch: int = 8  # models that share rounds
    warmup_runs: int = 5
    warmup_ms: int = 1000
    warmups: int = 6  # tries to come to a stable state
    settled: float = 0.02  # by how much the reference's median may differ between two of them
    attempts: int = 2  # measurements of a model that is disturbed
    cool_down_s: float = 60.0  # at most, between batches

    def repeats(self, one_run_ns: int, seconds: float | None = None) -> int:
        """Runs of a model in each round."""
        wanted = (self.seconds if seconds is None else seconds) * 1e9 / self.rounds / one_run_ns
        return min(self.most_repeats, max(self.least_repeats, math.ceil(wanted)))


# Times under emulation mean nothing: as few runs as walk the whole path.
EMULATED = Effort(
    rounds=2, least_repeats=1, most_repeats=1, warmup_runs=1, warmup_ms=0, warmups=0, attempts=1, cool_down_s=0.0
)
Say = Callable[[str], None]


def measure(
    board: Board,
    subjects: Sequence[Subject],
    reference: Subject,
    *,
    effort: Effort | None = None,
    sustained_minutes: float | None = None,
    core: int | None = None,
    precision: Precision = "float32",
    say: Say = lambda text: None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Measurement | Unmeasured]:
    """Measures models on a device; yields each as soon as it is done, so that it can be kept.

    `reference` is the network that is run between, and is no subject. With `sustained_minutes` each runs alone for so
    long and is timed in the last minute; otherwise the device is let cool between batches. `stop` is asked between
    jobs.

    Raises DeviceError where the device fails; KeyboardInterrupt where `stop` says so. What was yielded stands.
    """
    if sustained_minutes is not None and board.emulated_because is not None:
        raise DeviceError(f"{board.device.name} is emulated: how it runs after minutes says nothing")
    if effort is None:
        effort = Effort() if board.emulated_because is None else EMULATED
    run = _Run(
        board=board,
        reference=reference,
        effort=effort,
        sustained_minutes=sustained_minutes,
        core=pinned_core(board, core),
        precision=precision,
        say=say,
        stop=stop,
    )
    yield from run.all(subjects)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Checked:
    """A model whose output was compared."""

    subject: Subject
    parity: float
    answer: TimeAnswer  # of the one run

    @property
    def one_run_ns(self) -> int:
        return self.answer.models[0].samples_ns[0][0]


@dataclass(kw_only=True)
class _Run:
    """One session on one device."""

    board: Board
    reference: Subject
    effort: Effort
    sustained_minutes: float | None
    core: int
    precision: Precision
    say: Say
    stop: Callable[[], bool]
    unsettled: bool = False
    unanswered: int = 0  # models in succession that left no answer
    reference_ns: int = 0  # one run of it
    reference_ms: float | None = None  # its median in this session

    def all(self, subjects: Sequence[Subject]) -> Iterator[Measurement | Unmeasured]:
        self.reference.put(self.board.transport)
        checked = self._checked(self.reference)
        if not checked.parity <= PARITY:
            raise DeviceError(
                f"{self.board.device.name}: the reference network's output differs from torch's by "
                f"{checked.parity:.1e} of its largest value (limit {PARITY:.0e}), so that no time of this runner "
                "counts; build the runner again, or report this"
            )
        self.reference_ns = checked.one_run_ns
        start_mc = self._temperature()
        self._warm_up()
        size = 1 if self.sustained_minutes is not None else self.effort.batch
        for at in range(0, len(subjects), size):
            batch = subjects[at : at + size]
            if at:
                self._cool_down(start_mc)
            yield from self._batch(batch, start_mc)
            self._remove(batch)

    def _batch(self, batch: Sequence[Subject], start_mc: int | None) -> Iterator[Measurement | Unmeasured]:
        ready: list[_Checked] = []
        for subject in batch:
            subject.put(self.board.transport)
            try:
                checked = self._checked(subject)
            except RunnerError as error:
                if error.error not in ("model", "memory"):
                    raise
                # One model's fault must not lose the others.
                yield Unmeasured(subject=subject, reason=str(error))
                continue
            except UnansweredError as error:
                # A model may be too much for a device, which ends the runner; two in succession are not the models.
                self.unanswered += 1
                if self.unanswered > 1:
                    raise
                yield Unmeasured(subject=subject, reason=str(error))
                continue
            self.unanswered = 0
            if checked.parity <= PARITY:
                ready.append(checked)
            else:
                yield self._judged(checked, checked.answer, checked.answer.models[0], None)
        best: dict[str, Measurement] = {}
        # Half an hour is not run again: what disturbed its last minute says so.
        for attempt in range(self.effort.attempts if self.sustained_minutes is None else 1):
            again = [one for one in ready if attempt == 0 or best[one.subject.artefact].verdict != "ok"]
            if not again:
                break
            if attempt:
                self.say(f"{len(again)} disturbed, measured again: {best[again[0].subject.artefact].reasons[0]}")
                self._cool_down(start_mc)
            for made in self._timed(again):
                known = best.get(made.artefact)
                if known is None or _rank(made) <= _rank(known):
                    best[made.artefact] = made
        yield from (best[one.subject.artefact] for one in ready)

    def _timed(self, batch: Sequence[_Checked]) -> list[Measurement]:
        """One measurement of every model of a batch, from rounds that they share."""
        minutes = self.sustained_minutes
        if minutes is not None:
            self._run_hot(batch[0], minutes)
        answer = self._answer(
            (self.reference.prefix.name, *(one.subject.prefix.name for one in batch)),
            repeats=self.effort.repeats(round(statistics.mean(one.one_run_ns for one in batch))),
            one_round_ns=self.reference_ns + sum(one.one_run_ns for one in batch),
        )
        reference, *others = answer.models
        made = [self._judged(one, answer, own, reference) for one, own in zip(batch, others, strict=True)]
        if self.reference_ms is None and minutes is None:
            self.reference_ms = _median_ms(reference)
        return made

    def _judged(
        self, checked: _Checked, answer: TimeAnswer, own: ModelSamples, reference: ModelSamples | None
    ) -> Measurement:
        """The measurement of a model in an answer, with its verdict."""
        host = self.board.host(answer.core)
        reference_ns = () if reference is None else reference.samples_ns
        sustained = self.sustained_minutes
        verdict, reasons = judge(
            Evidence(
                parity=checked.parity,
                samples_ns=own.samples_ns,
                reference_ns=reference_ns,
                states=answer.states,
                core_max_khz=host.core_max_khz,
                loadavg=answer.loadavg,
                emulated_because=self.board.emulated_because,
                unsettled=self.unsettled,
                expected_reference_ms=self.reference_ms if sustained is None else None,
                sustained=sustained is not None,
            )
        )
        return Measurement(
            subject=checked.subject.name,
            artefact=checked.subject.artefact,
            host=host,
            precision=self.precision,
            input_seed=INPUT_SEED,
            samples_ns=own.samples_ns,
            reference=self.reference.name,
            reference_ns=reference_ns,
            states=answer.states,
            loadavg=answer.loadavg,
            warmup_runs=answer.warmup_runs,
            parity=checked.parity,
            sustained_minutes=sustained,
            verdict=verdict,
            reasons=reasons,
            measured=datetime.now().astimezone().isoformat(timespec="seconds"),
        )

    def _checked(self, subject: Subject) -> _Checked:
        """The model after one run whose output is compared with torch's."""
        answer = self._run(parity_job(subject, self.core, self.precision))
        output = answer.models[0].output
        assert output is not None, "read_time asks for what the job does"
        return _Checked(
            subject=subject,
            parity=subject.deviation(output, INPUT_SEED),
            answer=answer,
        )

    def _warm_up(self) -> None:
        """Runs the reference network until two of its medians in succession agree, or the tries are over."""
        before: float | None = None
        for _ in range(self.effort.warmups):
            answer = self._answer(
                (self.reference.prefix.name,), self.effort.repeats(self.reference_ns, 1.0), self.reference_ns
            )
            median = _median_ms(answer.models[0])
            if before is not None and abs(median / before - 1) <= self.effort.settled:
                self.reference_ms = median
                return
            before = median
        self.unsettled = self.effort.warmups > 0

    def _run_hot(self, one: _Checked, minutes: float) -> None:
        """Runs a model until the last minute of so many has begun."""
        until = time.monotonic() + max(0.0, minutes * 60 - 60)
        while (left := until - time.monotonic()) > 0:
            self.say(f"running for {left / 60:.1f} more minutes before it is timed")
            # As one long warm-up, which has no gaps that would let the device cool.
            seconds = min(HOT_SECONDS, left)
            self._run(
                TimeJob(
                    prefixes=(one.subject.prefix.name,),
                    rounds=1,
                    repeats=1,
                    alarm_s=math.ceil(60 + seconds + 8 * one.one_run_ns / 1e9),
                    core=self.core,
                    warmup_runs=1,
                    warmup_ms=math.ceil(1000 * seconds),
                    input_seed=INPUT_SEED,
                    lock=LOCK,
                    precision=self.precision,
                )
            )

    def _cool_down(self, start_mc: int | None) -> None:
        """Waits until the device is nearly as cool as it began, or the effort's time is over."""
        until = time.monotonic() + self.effort.cool_down_s
        if start_mc is None:
            # Unknown is no reason to believe it cool: a part of the time is waited for.
            wait(self.effort.cool_down_s / 12)
            return
        while time.monotonic() < until and not self.stop():
            now = self._temperature()
            if now is None or now <= start_mc + 3000:
                return
            self.say(f"cooling down: {now / 1000:.0f} °C, {start_mc / 1000:.0f} °C at the start")
            wait(min(5.0, max(0.0, until - time.monotonic())))

    def _temperature(self) -> int | None:
        return None if self.effort.cool_down_s <= 0 else self.board.temperature_mc()

    def _answer(self, prefixes: tuple[str, ...], repeats: int, one_round_ns: int) -> TimeAnswer:
        """The answer of a job with the effort's rounds."""
        running_s = one_round_ns / 1e9 * (repeats * self.effort.rounds + self.effort.warmup_runs)
        return self._run(
            TimeJob(
                prefixes=prefixes,
                rounds=self.effort.rounds,
                repeats=repeats,
                # A slow first run is no measure for the others, nor is a fast one.
                alarm_s=math.ceil(60 + len(prefixes) * self.effort.warmup_ms / 1e3 + 4 * running_s),
                core=self.core,
                warmup_runs=self.effort.warmup_runs,
                warmup_ms=self.effort.warmup_ms,
                input_seed=INPUT_SEED,
                lock=LOCK,
                precision=self.precision,
            )
        )

    def _run(self, job: TimeJob) -> TimeAnswer:
        if self.stop():
            raise KeyboardInterrupt
        return self.board.time(job)

    def _remove(self, subjects: Sequence[Subject]) -> None:
        """Models are not measured twice, and a device's storage is small."""
        names = [file.name for one in subjects if one.artefact != self.reference.artefact for file in one.files]
        if not names:
            return
        self.board.transport.run(["rm", "-f", *names], timeout_s=CONNECT_SECONDS)


def _median_ms(samples: ModelSamples) -> float:
    return statistics.median(value for one in samples.samples_ns for value in one) / 1e6


def _rank(made: Measurement) -> tuple[bool, int]:
    """How much disturbed a measurement; a tie is the later one's."""
    return made.verdict == "refused", len(made.reasons)


def wait(seconds: float) -> None:
    """Lets a device rest."""
    time.sleep(seconds)
