"""The strict reader of a runner's one line of JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, cast, get_args

from snsearch.engine.protocol import (
    RUNNER_SCHEMA,
    AnswerError,
    Core,
    DeviceState,
    ModelSamples,
    ProbeAnswer,
    RunnerError,
    RunnerKind,
    Temperature,
    TimeAnswer,
    TimeJob,
)

T = TypeVar("T")


def read_time(stdout: str, job: TimeJob, nonce: str) -> TimeAnswer:
    """The answer to a TimeJob.

    Raises:
        AnswerError: the answer is missing, damaged, of another call, or lacks a sample.
        RunnerError: the runner reports an error.
    """
    answer = _answer(stdout, nonce, "time")
    read = TimeAnswer(
        **_common(answer),
        core=answer.get("core", _integer),
        models=answer.get("models", _list(_model)),
        states=answer.get("states", _list(_state)),
        warmup_runs=answer.get("warmup_runs", _integer),
    )
    given = tuple(model.prefix for model in read.models)
    if given != job.prefixes:
        raise AnswerError(f"the runner timed {', '.join(given)}; expected {', '.join(job.prefixes)}, in that order")
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
    answer = _answer(stdout, nonce, "probe")
    return ProbeAnswer(
        **_common(answer),
        cores=answer.get("cores", _list(_core)),
        memory_kb=answer.get("memory_kb", _or_none(_integer)),
        temperatures=answer.get("temperatures", _list(_temperature)),
        soc=answer.get("soc", _or_none(_text)),
        counter_hz=answer.get("counter_hz", _or_none(_integer)),
        simd_gflops=answer.get("simd_gflops", _number),
        marker=answer.get("marker", _or_none(_text)),
        features=answer.get("features", _list(_text)),
    )


class _Record:
    """A JSON object that is read key by key."""

    def __init__(self, values: Any, where: str = "the answer") -> None:
        if not isinstance(values, dict):
            raise TypeError
        self._values: Mapping[str, Any] = values
        self._where = where

    def get(self, key: str, parse: Callable[[Any], T]) -> T:
        if key not in self._values:
            raise AnswerError(f"{self._where} of the runner has no {key!r}; is the runner of another version?")
        try:
            return parse(self._values[key])
        except (TypeError, ValueError):
            raise AnswerError(
                f"{self._where} of the runner has {_shortened(json.dumps(self._values[key]))} as {key!r}"
            ) from None


def _answer(stdout: str, nonce: str, kind: Literal["time", "probe"]) -> _Record:
    """The one line of JSON with the nonce, of that kind."""
    found = [record for line in stdout.splitlines() if (record := _object(line)) is not None]
    if not found:
        raise AnswerError(
            f"the runner gave no complete answer (expected one line of JSON, got {_shortened(stdout)}); "
            "the link may have dropped, or the runner was ended"
        )
    if len(found) > 1:
        raise AnswerError(f"the runner gave {len(found)} answers; expected one: {_shortened(stdout)}")
    if found[0].get("nonce") != nonce:
        given = found[0].get("nonce")
        raise AnswerError(f"the answer carries the nonce {given!r} of another call; expected {nonce!r}")
    answer = _Record(found[0])
    schema = answer.get("schema", _integer)
    if schema != RUNNER_SCHEMA:
        raise AnswerError(
            f"the runner speaks schema {schema}; expected {RUNNER_SCHEMA}: build and push the runner again"
        )
    answered = answer.get("kind", _text)
    if answered == "error":
        raise RunnerError(answer.get("error", _text), answer.get("detail", _text))
    if answered != kind:
        raise AnswerError(f"the runner answered {answered!r}; expected {kind!r}")
    return answer


def _object(line: str) -> dict[str, Any] | None:
    """The JSON object on a line, or None. Other lines are not the runner's: adb's old shell mixes stderr in."""
    try:
        read = json.loads(line, parse_constant=_refuse)
    except ValueError:
        return None
    return read if isinstance(read, dict) else None


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _shortened(text: str, length: int = 120) -> str:
    """The text, quoted; "..." replaces the middle of a long one."""
    if not text:
        return "nothing"
    return repr(text) if len(text) <= length else f"{text[: length // 2]!r} ... {text[-length // 2 :]!r}"


def _common(answer: _Record) -> dict[str, Any]:
    return {
        "runner": answer.get("runner", _runner),
        "engine": answer.get("engine", _text),
        "engine_version": answer.get("engine_version", _text),
        "machine": answer.get("machine", _text),
        "pid": answer.get("pid", _integer),
        "cores_allowed": answer.get("cores_allowed", _list(_integer)),
        "loadavg": answer.get("loadavg", _or_none(_list(_number))),
    }


def _runner(value: Any) -> RunnerKind:
    if value not in get_args(RunnerKind):
        raise ValueError
    return cast(RunnerKind, value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise TypeError
    return value


def _nanoseconds(value: Any) -> int:
    if _integer(value) < 1:
        raise ValueError
    return _integer(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


def _or_none(parse: Callable[[Any], T]) -> Callable[[Any], T | None]:
    return lambda value: None if value is None else parse(value)


def _list(parse: Callable[[Any], T]) -> Callable[[Any], tuple[T, ...]]:
    def read(value: Any) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise TypeError
        return tuple(parse(item) for item in value)

    return read


def _model(value: Any) -> ModelSamples:
    record = _Record(value, "a model in the answer")
    return ModelSamples(
        prefix=record.get("prefix", _text),
        samples_ns=record.get("samples_ns", _list(_list(_nanoseconds))),
        output=record.get("output", _or_none(_list(_number))),
    )


def _state(value: Any) -> DeviceState:
    record = _Record(value, "a state in the answer")
    return DeviceState(
        at_ns=record.get("at_ns", _integer),
        khz=record.get("khz", _or_none(_integer)),
        temperature_mc=record.get("temperature_mc", _or_none(_integer)),
        preemptions=record.get("preemptions", _or_none(_integer)),
    )


def _core(value: Any) -> Core:
    record = _Record(value, "a core in the answer")
    return Core(
        id=record.get("id", _integer),
        max_khz=record.get("max_khz", _or_none(_integer)),
        min_khz=record.get("min_khz", _or_none(_integer)),
        cur_khz=record.get("cur_khz", _or_none(_integer)),
        governor=record.get("governor", _or_none(_text)),
        midr=record.get("midr", _or_none(_integer)),
        capacity=record.get("capacity", _or_none(_integer)),
    )


def _temperature(value: Any) -> Temperature:
    record = _Record(value, "a temperature in the answer")
    return Temperature(
        zone=record.get("zone", _text),
        type=record.get("type", _or_none(_text)),
        mc=record.get("mc", _or_none(_integer)),
    )
