"""Conformance of every runner: in C++ (real ARM code, emulated here) and in Python."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from snsearch.device.verdicts import PARITY
from snsearch.engine.machines import Elf, read_elf
from snsearch.engine.ncnn_source import VERSION
from snsearch.engine.parity import deviation, expected_outputs
from snsearch.engine.protocol import RunnerError, TimeAnswer, TimeJob, probe_arguments, read_probe, read_time
from snsearch.engine.weights import random_weights
from snsearch.network.graph import OpGraph
from snsearch.network.operators import Op
from tests.architectures import shufflenet
from tests.engine.test_model import SINGLE, spaces
from tests.runners import SUFFIXES, Runner

NONCE = "5f3a-1"
GATE = SINGLE["gate"]


@pytest.fixture
def model(runner: Runner, tmp_path: Path) -> str:
    """The name of a small model in tmp_path, in the format of the runner's engine."""
    return written(runner, GATE, tmp_path)


def written(runner: Runner, ops: Sequence[Op], folder: Path) -> str:
    return runner.engine.write_model(ops, random_weights(ops, seed=3)).save(folder).name


def job_of(*prefixes: str) -> TimeJob:
    return TimeJob(prefixes=prefixes, rounds=1, repeats=1, alarm_s=100, warmup_runs=0, warmup_ms=0)


def timed(runner: Runner, job: TimeJob, folder: Path, **environment: str) -> TimeAnswer:
    return read_time(runner(job.arguments(NONCE), folder, **environment).stdout, job, NONCE)


def test_small_networks_of_every_space_compute_what_torch_computes(runner: Runner, tmp_path: Path) -> None:
    chosen = [
        (name, ops) for name, ops in spaces() if "-g1" in name or "-g3" in name or name.endswith(("-g8", "-mixed"))
    ]
    weights = [random_weights(ops, seed=3) for _, ops in chosen]
    prefixes = [written(runner, ops, tmp_path) for _, ops in chosen]
    job = replace(job_of(*prefixes), outputs=True, input_seed=11)
    answer = timed(runner, job, tmp_path)
    found = {
        name: deviation(model.output or (), expected_outputs(ops, w, 11))
        for (name, ops), w, model in zip(chosen, weights, answer.models, strict=True)
    }
    assert len(found) >= 12
    assert not {name: value for name, value in found.items() if value > PARITY}


def test_every_operator_computes_what_torch_computes(runner: Runner, tmp_path: Path) -> None:
    named = {name: ops for name, ops in SINGLE.items() if name != "squeezenet"}
    prefixes = [written(runner, ops, tmp_path) for ops in named.values()]
    answer = timed(runner, replace(job_of(*prefixes), outputs=True), tmp_path)
    for (name, ops), model in zip(named.items(), answer.models, strict=True):
        expected = expected_outputs(ops, random_weights(ops, seed=3))
        assert deviation(model.output or (), expected) <= PARITY, name


def test_gates_of_a_deep_network_do_not_turn_on_a_last_digit(runner: Runner, tmp_path: Path) -> None:
    ops = OpGraph.of(shufflenet(8, 384, 768, 1536, se_reduction=16, resolution=(64, 64))).ops
    job = replace(job_of(written(runner, ops, tmp_path)), outputs=True)
    expected = expected_outputs(ops, random_weights(ops, seed=3))
    assert deviation(timed(runner, job, tmp_path).models[0].output or (), expected) < PARITY / 10


def test_half_precision_is_near_and_only_where_asked_for(runner: Runner, model: str, tmp_path: Path) -> None:
    job = replace(job_of(model), outputs=True, precision="float16")
    if runner.engine.name != "ncnn":
        with pytest.raises(RunnerError, match="usage: onnxruntime is run in float32, not in float16"):
            timed(runner, job, tmp_path)
        return
    found = deviation(
        timed(runner, job, tmp_path).models[0].output or (), expected_outputs(GATE, random_weights(GATE, 3))
    )
    assert found < 1e-2


def test_an_answer_says_who_ran_where(runner: Runner, model: str, tmp_path: Path) -> None:
    answer = timed(runner, job_of(model), tmp_path)
    assert answer.runner == runner.name
    assert answer.engine == runner.engine.name
    assert answer.engine_version == (VERSION if answer.engine == "ncnn" else version("onnxruntime"))
    assert answer.machine == ("aarch64" if runner.name == "ncnn-cpp" else os.uname().machine)
    assert set(answer.cores_allowed) == os.sched_getaffinity(0)


def test_rounds_are_interleaved_and_every_run_is_kept(runner: Runner, model: str, tmp_path: Path) -> None:
    other = written(runner, SINGLE["max pool"], tmp_path)
    job = replace(job_of(model, other, model), rounds=3, repeats=2, warmup_runs=2)
    answer = timed(runner, job, tmp_path)
    assert [len(round_ns) for model in answer.models for round_ns in model.samples_ns] == [2] * 9
    assert [len(answer.states), answer.warmup_runs] == [4, 2]
    times = [state.at_ns for state in answer.states]
    assert times == sorted(times)
    spent = sum(sample for model in answer.models for samples in model.samples_ns for sample in samples)
    assert spent <= times[-1] - times[0]


def test_the_warm_up_lasts_as_long_as_asked(runner: Runner, model: str, tmp_path: Path) -> None:
    answer = timed(runner, replace(job_of(model), warmup_runs=1, warmup_ms=150), tmp_path)
    assert answer.warmup_runs > 1
    assert answer.states[0].at_ns >= 150_000_000


def test_a_runner_pins_itself_to_the_core(runner: Runner, model: str, tmp_path: Path) -> None:
    core = max(os.sched_getaffinity(0))
    assert timed(runner, replace(job_of(model), core=core), tmp_path).core == core
    with pytest.raises(RunnerError, match="core 1023 cannot be pinned to") as raised:
        timed(runner, replace(job_of(model), core=1023), tmp_path)
    assert raised.value.error == "core"


def test_two_runners_do_not_measure_at_once(runner: Runner, model: str, tmp_path: Path) -> None:
    job = replace(job_of(model), lock="lock")
    with (tmp_path / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(RunnerError, match="another runner holds lock") as raised:
            timed(runner, job, tmp_path)
    assert raised.value.error == "busy"
    assert timed(runner, job, tmp_path).models
    with pytest.raises(RunnerError, match="the lock nowhere/lock cannot be opened"):
        timed(runner, replace(job, lock="nowhere/lock"), tmp_path)


def test_a_model_that_cannot_be_loaded_is_named(runner: Runner, model: str, tmp_path: Path) -> None:
    first, last = SUFFIXES[runner.engine.name][0], SUFFIXES[runner.engine.name][-1]
    with pytest.raises(RunnerError, match=rf"nothing\{first} cannot be loaded") as raised:
        timed(runner, job_of(model, "nothing"), tmp_path)
    assert raised.value.error == "model"
    weights = tmp_path / f"{model}{last}"
    whole = weights.read_bytes()
    for damaged in (whole[: len(whole) // 2], None):
        weights.unlink() if damaged is None else weights.write_bytes(damaged)
        with pytest.raises(RunnerError, match=rf"\{last} cannot be loaded"):
            timed(runner, job_of(model), tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [
        ("time", "--nonce", NONCE, "--rounds", "1", "--repeats", "1", "--alarm-s", "9"),
        ("time", "--nonce", NONCE, "--rounds", "1", "--repeats", "1", "model"),
        ("time", "--nonce", NONCE, "--rounds", "many", "--repeats", "1", "--alarm-s", "9", "model"),
        ("time", "--nonce", NONCE, "--precision", "int8", "model"),
        ("probe", "--nonce", NONCE, "--verbose", "1"),
        ("sleep", "--nonce", NONCE),
        ("probe", "--nonce", NONCE, "--core"),
    ],
)
def test_wrong_usage_is_an_answer_too(runner: Runner, arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = runner(arguments, tmp_path)
    with pytest.raises(RunnerError) as raised:
        read_probe(done.stdout, NONCE)
    assert raised.value.error == "usage"
    assert done.returncode == 3


def test_a_nonce_that_is_no_word_is_not_echoed(runner: Runner, tmp_path: Path) -> None:
    for arguments in ((), ("probe",), ("probe", "--nonce", 'a"b')):
        assert json.loads(runner(arguments, tmp_path).stdout)["nonce"] == ""


@pytest.mark.long
def test_the_alarm_ends_a_runner_whatever_became_of_the_link(runner: Runner, model: str, tmp_path: Path) -> None:
    job = replace(job_of(model), rounds=1_000_000_000, alarm_s=2)
    done = runner(job.arguments(NONCE), tmp_path)
    assert done.returncode != 0
    assert done.stdout == ""


def test_an_answer_that_cannot_be_written_is_no_success(runner: Runner, tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*runner.command, *probe_arguments(NONCE)], stdout=full, check=False, timeout=100)
    assert done.returncode == 4


def test_a_probe_says_what_the_kernel_says(runner: Runner, tmp_path: Path) -> None:
    done = runner(probe_arguments(NONCE), tmp_path)
    assert done.stdout.count("\n") == 1
    answer = read_probe(done.stdout, NONCE)
    assert {core.id for core in answer.cores} >= set(answer.cores_allowed)
    assert answer.memory_kb is not None
    assert answer.memory_kb > 100_000
    assert answer.features
    marked = read_probe(runner(probe_arguments(NONCE), tmp_path, SNSEARCH_EMULATED="test board").stdout, NONCE)
    assert marked.emulated_because == "the device says so (test board)"


def test_emulated_arm_is_told_from_silicon(
    qemu_aarch64: tuple[str, ...], aarch64_runner: Path, tmp_path: Path
) -> None:
    if not qemu_aarch64:
        pytest.skip("this host is an aarch64 itself")
    for cpu in ("max", "cortex-a72"):
        command = (*qemu_aarch64, "-cpu", cpu, str(aarch64_runner))
        answer = read_probe(Runner("ncnn-cpp", command)(probe_arguments(NONCE), tmp_path).stdout, NONCE)
        assert answer.machine == "aarch64"
        assert answer.emulated_because is not None, cpu
        # Newer emulators hide the host's kernel; then counter, core id and rate must tell.
        assert replace(answer, marker=None).emulated_because is not None, cpu


def test_the_runner_is_a_static_aarch64_binary(aarch64_runner: Path) -> None:
    assert read_elf(aarch64_runner) == Elf("aarch64", static=True)
    assert aarch64_runner.stat().st_size < 4_000_000
    record = json.loads((aarch64_runner.parent / "build.json").read_text())
    assert record["bytes"] == aarch64_runner.stat().st_size
