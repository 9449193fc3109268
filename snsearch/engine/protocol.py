"""The protocol between snsearch and a runner: arguments in, one line of JSON out.

`runner.cpp` and `python_runner.py` implement it (schema 2):

    RUNNER probe --nonce NONCE
    RUNNER time --nonce NONCE --core N|-1 --warmup-runs 5 --warmup-ms 1000 --rounds R --repeats K --alarm-s T
                --input-seed S --precision float32|float16 [--outputs] [--lock FILE] PREFIX...

PREFIX plus each suffix of the engine (.param and .bin of ncnn, .onnx of ONNX Runtime) are a model's files, relative
to the runner's working folder. The runner in Python has a further option, `--engine`. A runner prints one line. Only
a complete line with the nonce of the call is an answer: links lose exit codes, and a link that drops leaves half a
line or none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from snsearch.codec import decode, number, parse_json
from snsearch.errors import DeviceError
from snsearch.prose import excerpt, shortened

RUNNER_SCHEMA = 2
QEMU_COUNTER_HZ = 62_500_000
QEMU_MIDR = 0xF0510
_WHERE = "the runner's answer (is the runner of another version?)"

Nanoseconds = Annotated[int, number("nanoseconds of at least 1", 1)]
Precision = Literal["float32", "float16"]
RunnerKind = Literal["ncnn-cpp", "ncnn-python", "onnxruntime-python"]


class AnswerError(DeviceError):
    """The runner's output is not a complete answer: the link may have dropped, or the line is damaged."""


class RunnerError(DeviceError):
    """A runner's own report of why it could not run the job."""

    def __init__(self, error: str, detail: str) -> None:
        """`error` is one of busy, model, memory, core, engine, usage; `detail` explains it."""
        super().__init__(f"the runner reports: {error}: {detail}" if detail else f"the runner reports: {error}")
        self.error = error
        self.detail = detail


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeJob:
    """Models to time. Every round runs each model `repeats` times in turn, so that drift affects all alike."""

    prefixes: tuple[str, ...]
    rounds: int
    repeats: int
    alarm_s: int  # the runner ends itself after this many seconds, even if the link dropped
    core: int = -1  # the core to pin to; -1 leaves the choice to the system
    warmup_runs: int = 5  # at least this many runs of each model ...
    warmup_ms: int = 1000  # ... and at least this long
    input_seed: int = 0
    outputs: bool = False  # also send the models' outputs
    lock: str | None = None  # a file that only one runner at a time can lock
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        assert self.prefixes, "a job needs a model"
        assert min(self.rounds, self.repeats, self.alarm_s) >= 1, "rounds, repeats and alarm_s must be at least 1"
        assert 0 <= self.input_seed < 2**32, "the input's seed has 32 bits"

    def arguments(self, nonce: str) -> tuple[str, ...]:
        """The runner's arguments, without the program's name."""
        values = {
            "nonce": nonce,
            "core": self.core,
            "warmup-runs": self.warmup_runs,
            "warmup-ms": self.warmup_ms,
            "rounds": self.rounds,
            "repeats": self.repeats,
            "alarm-s": self.alarm_s,
            "input-seed": self.input_seed,
            "precision": self.precision,
        }
        options = [part for key, value in values.items() for part in (f"--{key}", str(value))]
        options += ["--outputs"] if self.outputs else []
        options += ["--lock", self.lock] if self.lock is not None else []
        return ("time", *options, *self.prefixes)


def probe_arguments(nonce: str) -> tuple[str, ...]:
    """The arguments that ask a runner to describe its device."""
    return ("probe", "--nonce", nonce)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSamples:
    """One model's times in nanoseconds, a tuple of `repeats` per round; and its output where the job asks for it."""

    prefix: str
    samples_ns: tuple[tuple[Nanoseconds, ...], ...]
    output: tuple[float, ...] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceState:
    """The state of the core before the first round or after a round; None for what the device does not report."""

    at_ns: int  # since the runner started
    khz: int | None
    temperature_mc: int | None  # thousandths of a degree Celsius
    preemptions: int | None  # how often another task took the core since the runner started


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The part that all answers share."""

    runner: RunnerKind
    engine: str  # "ncnn" or "onnxruntime"
    engine_version: str
    machine: str  # as `uname -m` prints it
    pid: int
    cores_allowed: tuple[int, ...]
    loadavg: tuple[float, ...] | None  # before any run


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeAnswer(Answer):
    """The samples of a TimeJob."""

    core: int
    models: tuple[ModelSamples, ...]
    states: tuple[DeviceState, ...]  # one before the first round, one after every round
    warmup_runs: int  # per model


@dataclass(frozen=True, kw_only=True, slots=True)
class Core:
    """One core as the kernel describes it; None for what it does not report."""

    id: int
    max_khz: int | None
    min_khz: int | None
    cur_khz: int | None
    governor: str | None
    midr: int | None  # ARM's main id register: implementer, part, revision
    capacity: int | None  # the scheduler's, 1024 for the fastest core


@dataclass(frozen=True, kw_only=True, slots=True)
class Temperature:
    """One thermal zone; `mc` is in thousandths of a degree Celsius."""

    zone: str
    type: str | None
    mc: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeAnswer(Answer):
    """A runner's description of its device; None for what it cannot read."""

    cores: tuple[Core, ...]
    memory_kb: int | None
    temperatures: tuple[Temperature, ...]
    soc: str | None
    counter_hz: int | None  # ARM's generic timer
    simd_gflops: float  # measured in single precision; a multiply-add is 2 operations
    marker: str | None  # a mark that the device is emulated
    features: tuple[str, ...]

    @property
    def emulated_because(self) -> str | None:
        """Why times on this device are not latencies; None without a sign of emulation.

        The signs are the marker, or one of qemu's counter frequency and its default core's id, together with a
        multiply-add rate lower than that of any ARM core of the last fifteen years.
        """
        if self.marker is not None:
            return f"the device says so ({self.marker.strip() or 'marked as emulated'})"
        if self.simd_gflops >= 1:
            return None
        rate = f"its multiply-add rate is {self.simd_gflops:.2g} GFLOP/s"
        if self.counter_hz == QEMU_COUNTER_HZ:
            return f"its counter runs at 62.5 MHz, as qemu's does, and {rate}"
        if any(core.midr == QEMU_MIDR for core in self.cores):
            return f"its cores carry qemu's id 0xf0510, and {rate}"
        return None


def read_time(stdout: str, job: TimeJob, nonce: str) -> TimeAnswer:
    """The answer to a TimeJob.

    Raises:
        AnswerError: the answer is missing, damaged, of another call, or lacks a sample.
        RunnerError: the runner reports an error.
    """
    read = decode(TimeAnswer, _answer(stdout, nonce, "time"), _WHERE, error=AnswerError)
    given = tuple(model.prefix for model in read.models)
    if given != job.prefixes:
        raise AnswerError(
            f"the runner timed {excerpt(', '.join(given))}; expected {', '.join(job.prefixes)}, in that order"
        )
    for model in read.models:
        lengths = [len(samples) for samples in model.samples_ns]
        if lengths != [job.repeats] * job.rounds:
            raise AnswerError(
                f"the runner sent {sum(lengths)} samples of {model.prefix} in {len(lengths)} rounds; "
                f"expected {job.repeats} in each of {job.rounds}"
            )
        if job.outputs and not model.output:
            raise AnswerError(f"the runner sent no output of {model.prefix}, which was asked for")
    if len(read.states) != job.rounds + 1:
        raise AnswerError(f"the runner sent {len(read.states)} states; expected {job.rounds + 1}")
    return read


def read_probe(stdout: str, nonce: str) -> ProbeAnswer:
    """The answer to a probe. Raises AnswerError and RunnerError as `read_time` does."""
    return decode(ProbeAnswer, _answer(stdout, nonce, "probe"), _WHERE, error=AnswerError)


def _answer(stdout: str, nonce: str, kind: Literal["time", "probe"]) -> dict[str, Any]:
    """What the one line of JSON that carries the nonce says, of that kind."""
    # Other lines are not the runner's: adb's old shell mixes stderr in.
    found = [record for line in stdout.splitlines() if (record := _object(line)) is not None]
    if not found:
        raise AnswerError(
            f"the runner gave no complete answer (expected one line of JSON, got "
            f"{shortened(stdout) if stdout else 'nothing'}); the link may have dropped, or the runner was ended"
        )
    if len(found) > 1:
        raise AnswerError(f"the runner gave {len(found)} answers; expected one: {shortened(stdout)}")
    answer = found[0]
    about = {key: answer.pop(key, None) for key in ("nonce", "schema", "kind")}
    said = {key: shortened(value) for key, value in about.items()}
    if about["nonce"] != nonce:
        raise AnswerError(f"the answer carries the nonce {said['nonce']} of another call; expected {nonce!r}")
    if about["schema"] != RUNNER_SCHEMA:
        raise AnswerError(
            f"the runner speaks schema {said['schema']}; expected {RUNNER_SCHEMA}: build and push the runner again"
        )
    if about["kind"] == "error":
        # Details of engines hold a path and the engine's own words.
        raise RunnerError(excerpt(str(answer.get("error", ""))), excerpt(str(answer.get("detail", "")), 500))
    if about["kind"] != kind:
        raise AnswerError(f"the runner answered {said['kind']}; expected {kind!r}")
    return answer


def _object(line: str) -> dict[str, Any] | None:
    """The JSON object on a line, or None."""
    try:
        read = parse_json(line)
    except ValueError:
        return None
    return read if isinstance(read, dict) else None
