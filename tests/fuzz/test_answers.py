"""What a device may print instead of a runner's answer: an answer that is whole, or a DeviceError."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from snsearch.engine.protocol import read_probe, read_time
from snsearch.errors import DeviceError
from tests.engine.test_protocol import JOB, NONCE, probe_line, time_line
from tests.fuzz.mutations import json_values, mutated, mutated_text, read_or_refused

ANSWERS = (probe_line(), time_line(), time_line(kind="error", error="memory", detail="no room"))
LONG = "x" * 5000
INSERTS = ("{", "}", "[", "\n", '"', "null", "NaN", "-1", "1e999", "9" * 5000, "[" * 3000, "\x00", "\r\n", ANSWERS[0])


def _check(stdout: str) -> None:
    """Reads the output as either answer. A whole answer has what the job asked for."""
    probed, _ = read_or_refused(lambda: read_probe(stdout, NONCE), DeviceError)
    if probed is not None:
        assert math.isfinite(probed.simd_gflops)
        assert isinstance(probed.emulated_because, str | None)
    timed, _ = read_or_refused(lambda: read_time(stdout, JOB, NONCE), DeviceError)
    if timed is not None:
        assert [len(samples) for model in timed.models for samples in model.samples_ns] == [3, 3, 3, 3]
        assert min(ns for model in timed.models for samples in model.samples_ns for ns in samples) >= 1


@example(answer={"nonce": LONG})
@example(answer={"nonce": NONCE, "schema": LONG})
@example(answer={"nonce": NONCE, "schema": 2, "kind": LONG})
@example(answer={"nonce": NONCE, "schema": 2, "kind": "error", "error": LONG, "detail": LONG})
@example(answer={"nonce": NONCE, "schema": 2, "kind": "probe", LONG: 1})
@given(answer=mutated([json.loads(line) for line in ANSWERS]))
def test_a_changed_answer_is_whole_or_refused(answer: Any) -> None:
    _check(json.dumps(answer) + "\n")


@given(stdout=mutated_text(ANSWERS, INSERTS))
def test_a_damaged_line_is_whole_or_refused(stdout: str) -> None:
    _check(stdout)


@given(lines=st.lists(json_values.map(json.dumps) | st.text(max_size=40), max_size=4))
def test_other_lines_are_refused(lines: list[str]) -> None:
    _check("\n".join(lines))
