"""A runner's arguments, and how its answer is read."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from snsearch.engine.protocol import (
    AnswerError,
    ProbeAnswer,
    RunnerError,
    TimeJob,
    probe_arguments,
    read_probe,
    read_time,
)
from snsearch.engine.python_runner import model_input
from snsearch.errors import DeviceError

NONCE = "5f3a"
JOB = TimeJob(prefixes=("one", "two"), rounds=2, repeats=3, alarm_s=60)


def time_line(**changes: Any) -> str:
    """A complete answer to JOB, with changes."""
    model = {"samples_ns": [[5, 6, 7], [8, 9, 10]], "output": None}
    state = {"at_ns": 1, "khz": 1_800_000, "temperature_mc": None, "preemptions": 0}
    answer = {
        "schema": 2,
        "nonce": NONCE,
        "kind": "time",
        "runner": "ncnn-cpp",
        "engine": "ncnn",
        "engine_version": "1.0.20261020",
        "machine": "aarch64",
        "pid": 7,
        "core": -1,
        "cores_allowed": [0, 1],
        "models": [{"prefix": "one", **model}, {"prefix": "two", **model}],
        "states": [state, state, state],
        "loadavg": [0.5, 0, 0.25],
        "warmup_runs": 5,
    }
    return json.dumps({**answer, **changes}) + "\n"


def probe_line(**changes: Any) -> str:
    """A probe's complete answer, with changes."""
    core = {"max_khz": 1_800_000, "min_khz": None, "cur_khz": None, "governor": "ondemand", "capacity": None}
    answer = {
        "schema": 2,
        "nonce": NONCE,
        "kind": "probe",
        "runner": "ncnn-cpp",
        "engine": "ncnn",
        "engine_version": "1.0.20261020",
        "machine": "aarch64",
        "pid": 7,
        "cores": [{"id": 0, "midr": 0x410FD083, **core}],
        "cores_allowed": [0],
        "memory_kb": 4_000_000,
        "temperatures": [{"zone": "thermal_zone0", "type": "cpu-thermal", "mc": 45_000}],
        "loadavg": None,
        "soc": "Raspberry Pi 4 Model B",
        "counter_hz": 54_000_000,
        "simd_gflops": 11.5,
        "marker": None,
        "features": ["asimd"],
    }
    return json.dumps({**answer, **changes}) + "\n"


def probed(**changes: Any) -> ProbeAnswer:
    return read_probe(probe_line(**changes), NONCE)


def test_a_job_s_arguments_name_every_value_and_end_in_the_models() -> None:
    job = replace(JOB, core=3, lock="/tmp/lock", outputs=True)
    assert " ".join(job.arguments(NONCE)) == (
        "time --nonce 5f3a --core 3 --warmup-runs 5 --warmup-ms 1000 --rounds 2 --repeats 3 --alarm-s 60 "
        "--input-seed 0 --precision float32 --outputs --lock /tmp/lock one two"
    )
    assert "--lock" not in JOB.arguments(NONCE)
    assert probe_arguments(NONCE) == ("probe", "--nonce", NONCE)


def test_a_complete_answer_is_read() -> None:
    answer = read_time(time_line(), JOB, NONCE)
    assert [model.prefix for model in answer.models] == ["one", "two"]
    assert answer.models[0].samples_ns == ((5, 6, 7), (8, 9, 10))
    assert answer.states[0].khz == 1_800_000
    assert answer.states[0].temperature_mc is None
    assert answer.loadavg == (0.5, 0.0, 0.25)
    assert probed().cores[0].midr == 0x410FD083


def test_lines_of_others_and_carriage_returns_are_not_the_runner_s() -> None:
    mixed = "WARNING: linker: something\r\n" + time_line().replace("\n", "\r\n")
    assert read_time(mixed, JOB, NONCE).pid == 7


@pytest.mark.parametrize(
    ("stdout", "message"),
    [
        ("", "no complete answer .*got nothing.*link may have dropped"),
        (time_line()[:200], "no complete answer"),
        (time_line().replace("[5, 6", "[5 6"), "no complete answer"),
        ("Segmentation fault\n", "no complete answer .*Segmentation fault"),
        (time_line(nonce="0000"), "nonce '0000' of another call; expected '5f3a'"),
        (time_line() * 2, "gave 2 answers"),
        (time_line(schema=1), "schema 1; expected 2: build and push the runner again"),
        (probe_line(), "answered 'probe'; expected 'time'"),
        (time_line(loadavg=["much"]), r"loadavg\[0\] is 'much'; expected a number"),
        (time_line(core=1.5), "core is 1.5; expected an integer"),
        (time_line(models=[]), "timed ; expected one, two, in that order"),
        (time_line(states=[]), "sent 0 states; expected 3"),
        (time_line(runner="other"), "runner is 'other'; expected one of ncnn-cpp, "),
        (time_line().replace('"pid": 7, ', ""), 'is the runner of another version.*missing key "pid"'),
        (time_line(pids=7), 'is the runner of another version.*unknown key "pids"; did you mean "pid"'),
        (time_line().replace("[5, 6, 7]", "[5, 6]"), "sent 5 samples of one in 2 rounds; expected 3 in each of 2"),
        (
            time_line().replace("[5, 6, 7]", "[5, 6, 0]"),
            r"models\[0\].samples_ns\[0\]\[2\] is 0; expected nanoseconds",
        ),
        (time_line(loadavg=[float("nan")]), "no complete answer"),
    ],
)
def test_what_is_no_complete_answer_is_refused(stdout: str, message: str) -> None:
    with pytest.raises(AnswerError, match=message):
        read_time(stdout, JOB, NONCE)


def test_an_output_that_was_asked_for_must_be_there() -> None:
    with pytest.raises(AnswerError, match="no output of one"):
        read_time(time_line(), replace(JOB, outputs=True), NONCE)


def test_a_runner_s_own_error_is_told_apart() -> None:
    line = json.dumps({"schema": 2, "nonce": NONCE, "kind": "error", "error": "busy", "detail": "locked"}) + "\n"
    with pytest.raises(RunnerError, match="busy: locked") as raised:
        read_time(line, JOB, NONCE)
    assert raised.value.error == "busy"
    assert raised.value.exit_code == DeviceError.exit_code == 8


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"marker": "qemu board\n", "simd_gflops": 20.0}, r"the device says so \(qemu board\)"),
        ({"counter_hz": 62_500_000, "simd_gflops": 0.05}, "62.5 MHz"),
        ({"counter_hz": 62_500_000, "simd_gflops": 8.0}, None),  # some real boards count at 62.5 MHz too
        ({"counter_hz": None, "simd_gflops": 0.05}, None),  # slow alone is no proof
    ],
)
def test_emulation_is_told_by_its_signs(changes: dict[str, Any], reason: str | None) -> None:
    found = probed(**changes).emulated_because
    if reason is None:
        assert found is None
    else:
        with pytest.raises(AssertionError, match=reason):
            raise AssertionError(found)


def test_qemu_s_core_id_with_a_slow_rate_is_an_emulation() -> None:
    line = json.loads(probe_line(simd_gflops=0.05))
    line["cores"][0]["midr"] = 0xF0510
    found = read_probe(json.dumps(line), NONCE).emulated_because
    assert found is not None
    assert "0xf0510" in found
    line["simd_gflops"] = 3.0
    assert read_probe(json.dumps(line), NONCE).emulated_because is None


def _lowbias32(value: int) -> int:
    value ^= value >> 16
    value = value * 0x7FEB352D % 2**32
    value ^= value >> 15
    value = value * 0x846CA68B % 2**32
    return value ^ (value >> 16)


def test_inputs_follow_their_definition_and_depend_on_seed_and_index() -> None:
    values = model_input((2, 3, 4), seed=4_000_000_000, index=1)
    assert values.shape == (2, 3, 4)
    assert values.dtype == np.float32
    start = 4_000_000_000 * 0x9E3779B9 + 0x85EBCA6B
    by_hand = [(_lowbias32((start + i) % 2**32) >> 8) / 2**23 - 1 for i in range(24)]
    assert values.ravel().tolist() == by_hand
    assert not np.array_equal(values, model_input((2, 3, 4), seed=4_000_000_000))
    many = model_input((50_000,), seed=0)
    assert -1 <= many.min() < -0.999
    assert 0.999 < many.max() < 1
    assert abs(float(many.mean())) < 0.01
