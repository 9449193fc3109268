"""The strict reader of a runner's one line of JSON."""

from __future__ import annotations

from typing import Any, Literal

from snsearch.codec import decode, parse_json
from snsearch.engine.protocol import RUNNER_SCHEMA, AnswerError, ProbeAnswer, RunnerError, TimeAnswer, TimeJob

_WHERE = "the runner's answer (is the runner of another version?)"


def read_time(stdout: str, job: TimeJob, nonce: str) -> TimeAnswer:
    """The answer to a TimeJob.

    Raises:
        AnswerError: the answer is missing, damaged, of another call, or lacks a sample.
        RunnerError: the runner reports an error.
    """
    read = decode(TimeAnswer, _answer(stdout, nonce, "time"), _WHERE, error=AnswerError)
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
    return decode(ProbeAnswer, _answer(stdout, nonce, "probe"), _WHERE, error=AnswerError)


def _answer(stdout: str, nonce: str, kind: Literal["time", "probe"]) -> dict[str, Any]:
    """What the one line of JSON that carries the nonce says, of that kind."""
    # Other lines are not the runner's: adb's old shell mixes stderr in.
    found = [record for line in stdout.splitlines() if (record := _object(line)) is not None]
    if not found:
        raise AnswerError(
            f"the runner gave no complete answer (expected one line of JSON, got {_shortened(stdout)}); "
            "the link may have dropped, or the runner was ended"
        )
    if len(found) > 1:
        raise AnswerError(f"the runner gave {len(found)} answers; expected one: {_shortened(stdout)}")
    answer = found[0]
    about = {key: answer.pop(key, None) for key in ("nonce", "schema", "kind")}
    if about["nonce"] != nonce:
        raise AnswerError(f"the answer carries the nonce {about['nonce']!r} of another call; expected {nonce!r}")
    if about["schema"] != RUNNER_SCHEMA:
        raise AnswerError(
            f"the runner speaks schema {about['schema']}; expected {RUNNER_SCHEMA}: build and push the runner again"
        )
    if about["kind"] == "error":
        raise RunnerError(*(str(answer.get(key, "")) for key in ("error", "detail")))
    if about["kind"] != kind:
        raise AnswerError(f"the runner answered {about['kind']!r}; expected {kind!r}")
    return answer


def _object(line: str) -> dict[str, Any] | None:
    """The JSON object on a line, or None."""
    try:
        read = parse_json(line)
    except ValueError:
        return None
    return read if isinstance(read, dict) else None


def _shortened(text: str, length: int = 120) -> str:
    """The text, quoted; "..." replaces the middle of a long one."""
    if not text:
        return "nothing"
    return repr(text) if len(text) <= length else f"{text[: length // 2]!r} ... {text[-length // 2 :]!r}"
