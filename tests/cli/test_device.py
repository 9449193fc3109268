"""snsearch device and measure: from a device's name to its latencies, through a runner that answers as told."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from snsearch.device.checkup import clusters_of, core_kind, spoilers_of
from snsearch.device.reasons import Cause, Reason
from snsearch.device.registry import device_of, read_device
from snsearch.device.subjects import REFERENCE, network_subject
from snsearch.engine.protocol import Core, ProbeAnswer, Temperature
from snsearch.network.arch import Architecture
from tests.conftest import Outcome
from tests.device.test_measuring import RUNNER, behave, jobs

SMALL = "shufflenet.g3.b4.shuffle_stem12s2p_60x4s2-120x8s2-240x4s2_3x64x64_c10"
OTHER = "shufflenet.g1.b4.shuffle_stem12s2p_36x4s2-72x8s2-144x4s2_3x64x64_c10"
Run = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The device's work folder, in a home of the test's own; every output is taken to be torch's."""
    monkeypatch.setenv("SNSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("snsearch.engine.parity.deviation", lambda output, expected: 3e-7)
    monkeypatch.setattr("snsearch.engine.parity.expected_outputs", lambda ops, weights, seed: ())
    monkeypatch.setattr("snsearch.device.measuring.wait", lambda seconds: None)
    folder = tmp_path / "home" / "work"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def board(run: Run) -> str:
    """The name of a device that was added."""
    assert run("device", "add", "board", "local", "--runner", str(RUNNER)).code == 0
    return "board"


def test_a_device_is_probed_when_it_is_added(board: str) -> None:
    added = read_device(board)
    assert added.identity.startswith("Fake Board 4, ")
    assert added.description.startswith("Fake Board 4, ")
    assert added.runner == str(RUNNER)


@pytest.mark.long
def test_an_engine_belongs_to_a_device(run: Run, work: Path) -> None:
    added = run("device", "add", "ort", "local", "--engine", "onnxruntime", "--runner", str(RUNNER))
    assert added.code == 0, added.err
    assert read_device("ort").engine == "onnxruntime"
    [listed] = json.loads(run("device", "list", "--format", "json").out)["devices"]
    assert listed["engine"] == "onnxruntime"
    assert json.loads(run("device", "check", "ort", "--format", "json").out)["engine"] == "onnxruntime"
    outcome = run("measure", SMALL, "--device", "ort", "--format", "json")
    assert outcome.code == 0, outcome.err
    [made] = json.loads(outcome.out)["measurements"]
    assert made["host"]["engine"] == "onnxruntime"
    assert "onnxruntime 1.0.20260101, one thread" in made["provenance"]
    counted = run("device", "add", "a72", "counted://cortex-a72", "--engine", "onnxruntime")
    assert counted.code == 8
    assert "onnxruntime cannot be counted" in counted.err


def test_a_host_without_the_writer_of_an_engine_says_what_to_install(
    run: Run, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("device", "add", "ort", "local", "--engine", "onnxruntime", "--runner", str(RUNNER)).code == 0
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    outcome = run("measure", SMALL, "--device", "ort")
    assert outcome.code == 8
    assert 'pip install "snsearch[onnxruntime]"' in outcome.err


def test_a_device_that_cannot_be_reached_is_not_added_unless_unchecked(run: Run) -> None:
    arguments = ("device", "add", "pi", "ssh://nobody@127.0.0.1:1", "--ssh-options", "-F /dev/null")
    refused = run(*arguments)
    assert refused.code == 8
    assert "Connection refused" in refused.err
    assert run(*arguments, "--unchecked").code == 0
    assert read_device("pi").ssh_options == ("-F", "/dev/null")


def test_devices_are_listed_with_what_is_known_of_them(run: Run, board: str) -> None:
    run("measure", SMALL, "--device", board)
    [listed] = json.loads(run("device", "list", "--format", "json").out)["devices"]
    assert listed["name"] == "board"
    assert listed["measurements"] == 1
    assert listed["profile"] is False
    assert "Fake Board 4" in run("device", "list").out
    assert run("device", "forget", "board").code == 0
    assert "no device was added yet" in run("device", "list").err


def test_a_check_says_what_the_device_is_and_what_would_spoil(run: Run, board: str, work: Path) -> None:
    found = json.loads(run("device", "check", board, "--format", "json").out)
    assert found["soc"] == "Fake Board 4"
    assert [cluster["cores"] for cluster in found["clusters"]] == [[0, 1], [2, 3]]
    assert found["core"] == 3
    assert found["sound"] is True
    assert found["memory_kb"] == 4_000_000
    text = run("device", "check", board).out
    assert "Cortex-A72, up to 2.40 GHz, now 2.40, governor performance" in text
    assert "40 °C" in text


def test_a_check_of_an_engine_that_computes_something_else_fails(
    run: Run, board: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snsearch.engine.parity.deviation", lambda output, expected: 1.0)
    outcome = run("device", "check", board)
    assert outcome.code == 8
    assert "NOT sound" in outcome.out
    monkeypatch.setattr("snsearch.engine.parity.deviation", lambda output, expected: float("inf"))
    found = json.loads(run("device", "check", board, "--format", "json").out)
    assert (found["sound"], found["parity"]) == (False, None)


@pytest.mark.long
def test_networks_are_measured_and_printed_with_all_that_they_hang_on(run: Run, board: str, work: Path) -> None:
    outcome = run("measure", SMALL, "--device", board, "--format", "json")
    assert outcome.code == 0
    [made] = json.loads(outcome.out)["measurements"]
    assert made["subject"] == SMALL
    assert made["latency_ms"] == 1.0
    assert made["interval_ms"][0] <= 1.0 <= made["interval_ms"][1]
    assert made["verdict"] == "ok"
    assert made["host"]["soc"] == "Fake Board 4"
    assert made["host"]["device"] == "board"
    assert len(made["samples_ns"]) == 10
    assert made["reference"] == REFERENCE


@pytest.mark.long
def test_what_was_measured_is_not_measured_again_unless_asked(run: Run, board: str, work: Path) -> None:
    run("measure", SMALL, "--device", board)
    count = len(jobs(work))
    assert run("measure", SMALL, "--device", board, "--format", "json").code == 0
    assert len(jobs(work)) == count
    run("measure", SMALL, "--device", board, "--core", "0")
    assert len(jobs(work)) > count, "another core is another measurement"
    count = len(jobs(work))
    run("measure", SMALL, "--device", board, "--again")
    assert len(jobs(work)) > count


@pytest.mark.long
def test_a_space_is_measured_as_count_takes_it(run: Run, board: str) -> None:
    outcome = run(
        "measure", "shufflenet-v1", "--groups", "1,3", "--scale", "0.25", "--resolution", "64", "--classes", "10",
        "--device", board, "--format", "csv",
    )  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(outcome.out)))
    assert [row["key"] for row in rows] == [OTHER, SMALL]
    assert [row["latency_ms"] for row in rows] == ["1.0", "1.0"]
    assert all("measured, board" in row["provenance"] for row in rows)


def test_times_of_an_emulated_device_are_printed_nowhere(run: Run, work: Path) -> None:
    behave(work, marker="qemu", ns={})
    run("device", "add", "emulated", "local", "--runner", str(RUNNER))
    for form in ("table", "json", "csv"):
        outcome = run("measure", SMALL, "--device", "emulated", "--format", form)
        assert outcome.code == 0
        assert "emulated: not a latency" in outcome.out
        assert "1.00 ms" not in outcome.out + outcome.err
    [row] = csv.DictReader(io.StringIO(run("measure", SMALL, "--device", "emulated", "--format", "csv").out))
    assert (row["latency_ms"], row["verdict"]) == ("", "emulated")


@pytest.mark.long
def test_a_device_that_fails_midway_keeps_what_it_has_and_the_same_command_goes_on(
    run: Run, board: str, work: Path
) -> None:
    networks = ("shufflenet-v1", "--groups", "1,2,3,4", "--scale", "0.25", "--resolution", "64", "--classes", "10")
    behave(work, dies_at=5)  # the reference's check, two warm-ups, a check, and this one
    failed = run("measure", *networks, "--device", board, "--format", "json")
    assert failed.code == 8
    assert "give the same command again" in failed.err
    behave(work)
    outcome = run("measure", *networks, "--device", board, "--format", "json")
    assert outcome.code == 0
    assert len(json.loads(outcome.out)["measurements"]) == 4


def test_a_refused_measurement_ends_with_the_devices_exit_code(run: Run, board: str, work: Path) -> None:
    behave(work, khz=[2_400_000, 1_000_000])
    outcome = run("measure", SMALL, "--device", board)
    assert outcome.code == 8
    assert "1 of 1 networks have no latency" in outcome.err
    assert "throttled" in outcome.out


def test_this_host_is_a_device_and_no_arm(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert device_of("local").name == "local"
    outcome = run("device", "check", "local", "--runner", str(RUNNER), "--format", "json")
    found = json.loads(outcome.out)
    if not found["is_arm"]:
        assert any(words.startswith("not ARM") for words in found["spoilers"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("measure", SMALL, "--device", "nothing"), "no device is named 'nothing'"),
        (("measure", SMALL, "--device", "http://x"), "expected local, ssh://"),
        (("measure", "no-such-space", "--device", "local"), "no network or space is named"),
        (("device", "add", "a/b", "local"), "device name 'a/b'"),
        (("device", "forget", "nothing"), "no device is named"),
    ],
)
def test_wrong_names_are_told(arguments: tuple[str, ...], message: str, run: Run) -> None:
    outcome = run(*arguments)
    assert outcome.code in (3, 8)
    assert message in outcome.err


def _probe(**values: Any) -> ProbeAnswer:
    core = Core(
        id=0, max_khz=2_000_000, min_khz=500_000, cur_khz=2_000_000, governor="performance", midr=None, capacity=None
    )
    usual: dict[str, Any] = {
        "runner": "ncnn-cpp",
        "engine": "ncnn",
        "engine_version": "1",
        "machine": "aarch64",
        "pid": 1,
        "cores": (core,),
        "cores_allowed": (0,),
        "memory_kb": None,
        "temperatures": (),
        "loadavg": None,
        "soc": None,
        "counter_hz": None,
        "simd_gflops": 10.0,
        "marker": None,
        "features": (),
    }
    return ProbeAnswer(**{**usual, **values})


def test_spoilers_are_found_by_their_cause() -> None:
    def causes(**values: Any) -> list[Cause]:
        return [spoiler.cause for spoiler in spoilers_of(_probe(**values), 0)]

    assert causes() == []
    hot = Temperature(zone="thermal_zone0", type=None, mc=75_000)
    absurd = Temperature(zone="thermal_zone1", type=None, mc=-40_000_000)
    assert spoilers_of(_probe(temperatures=(hot, absurd)), 0) == (Reason.of("hot", 75.0),)
    assert spoilers_of(_probe(loadavg=(3.0, 1.0, 1.0)), 0) == (Reason.of("busy", 3.0),)
    unknown = Core(id=0, max_khz=None, min_khz=None, cur_khz=None, governor=None, midr=None, capacity=None)
    assert causes(cores=(unknown,)) == ["frequency unknown"]
    slow = Core(id=0, max_khz=2_000_000, min_khz=None, cur_khz=1_000_000, governor=None, midr=None, capacity=None)
    assert causes(cores=(slow,)) == ["slow now"]
    assert causes(cores=(replace(slow, governor="powersave"),)) == ["governor"]
    assert causes(marker="qemu") == ["no latency"]
    assert causes(machine="x86_64") == ["not ARM"]


def test_clusters_are_cores_of_one_kind_and_speed() -> None:
    def core(number: int, khz: int | None, midr: int | None) -> Core:
        return Core(id=number, max_khz=khz, min_khz=None, cur_khz=khz, governor="schedutil", midr=midr, capacity=None)

    found = clusters_of(
        [core(0, 1_400_000, 0x410FD034), core(1, 1_400_000, 0x410FD034), core(2, 1_800_000, 0x410FD082)]
    )
    assert [(cluster.kind, cluster.cores) for cluster in found] == [("Cortex-A53", (0, 1)), ("Cortex-A72", (2,))]
    assert core_kind(None) == "unknown core"
    assert core_kind(0x610F0220) == "implementer 0x61, part 0x22"


def test_a_networks_files_are_those_of_its_weights(tmp_path: Path) -> None:
    one, again = (network_subject(Architecture.from_key(SMALL), folder=tmp_path) for _ in range(2))
    assert one.artefact == again.artefact == one.prefix.name
    assert one.prefix.with_name(one.prefix.name + ".param").is_file()
    assert network_subject(Architecture.from_key(OTHER), folder=tmp_path).artefact != one.artefact
