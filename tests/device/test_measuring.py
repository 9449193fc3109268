"""The measuring protocol, through a local transport, with a runner that answers and fails as the test says."""

from __future__ import annotations

import fcntl
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from snsearch.codec import encode
from snsearch.device.board import Board, Runner, hottest, open_board, pinned_core, probe_on
from snsearch.device.conditions import Conditions, Effort
from snsearch.device.measurements import Measurement
from snsearch.device.measuring import Unmeasured, measure
from snsearch.device.reasons import Cause
from snsearch.device.registry import Device
from snsearch.device.runners import runners_of
from snsearch.device.subjects import Subject, network_subject, reference_subject
from snsearch.engine.engines import ENGINES, NCNN, engine_of
from snsearch.errors import DeviceError
from snsearch.files import home_folder
from snsearch.network.arch import Architecture
from tests.runners import SUFFIXES, python_runner_of

RUNNER = Path(__file__).parents[1] / "fake_runner.py"
QUICK = Effort(rounds=5, least_repeats=4, seconds=0.001, batch=2, warmup_ms=0, cool_down_s=0.0)
DEVICE = Device(name="board", url="local")


@pytest.fixture(autouse=True)
def work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The device's work folder, in a new home."""
    monkeypatch.setenv("SNSEARCH_HOME", str(tmp_path / "home"))
    folder = tmp_path / "home" / "work"
    folder.mkdir(parents=True)
    return folder


def behave(work: Path, **values: Any) -> None:
    """Sets what the runner does, and resets its count of jobs."""
    (work / "behaviour.json").write_text(json.dumps(values))
    (work / "jobs").unlink(missing_ok=True)


def jobs(work: Path) -> list[list[str]]:
    """The arguments of every job of the runner."""
    path = work / "jobs"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def _deviation(output: Sequence[float], seed: int) -> float:
    return max(abs(a - b) for a, b in zip(output, (0.5, -1.0), strict=True))


def subjects(folder: Path, *names: str) -> list[Subject]:
    """Models of those names, which are all that their files hold."""
    made = []
    for name in names:
        prefix = folder / f"model-{name}"
        files = tuple(prefix.with_name(prefix.name + suffix) for suffix in SUFFIXES[NCNN.name])
        for file in files:
            file.write_text(name)
        made.append(
            Subject(
                name=name,
                artefact=f"sha-of-{name}",
                prefix=prefix,
                files=files,
                deviation=_deviation,
            )
        )
    return made


def run(
    tmp_path: Path,
    *names: str,
    effort: Effort | None = QUICK,
    sustained_minutes: float | None = None,
    device: Device = DEVICE,
    **options: Any,
) -> list[Measurement | Unmeasured]:
    """The outcomes of a session on models of those names."""
    reference, *others = subjects(tmp_path, "reference", *names)
    with open_board(device, lambda transport, machine: Runner.of(RUNNER, python=sys.executable)) as board:
        conditions = Conditions(effort=effort, sustained_minutes=sustained_minutes)
        return list(measure(board, others, reference, conditions=conditions, **options))


def measured(tmp_path: Path, *names: str, **options: Any) -> list[Measurement]:
    """The same, if every model is measured."""
    found = run(tmp_path, *names, **options)
    assert all(isinstance(one, Measurement) for one in found)
    return [one for one in found if isinstance(one, Measurement)]


def test_a_quiet_device_gives_medians_with_their_conditions(tmp_path: Path, work: Path) -> None:
    behave(work, ns={"fast": 2_000_000, "slow": 30_000_000})
    fast, slow = measured(tmp_path, "fast", "slow")
    assert (fast.verdict, fast.reasons) == ("ok", ())
    assert fast.latency_ms == 2.0
    assert slow.latency_ms == 30.0
    assert fast.statistics.low_ms <= 2.0 <= fast.statistics.high_ms
    assert fast.host.soc == "Fake Board 4"
    assert fast.host.core_max_khz == 2_400_000
    assert fast.host.governor == "performance"
    assert fast.parity == 0.0
    assert fast.reference == "reference"
    assert len(fast.samples_ns) == len(fast.reference_ns) == 5
    assert len(fast.states) == 6
    assert "measured, board (Fake Board 4" in fast.provenance


def test_models_of_a_batch_and_the_reference_share_rounds_on_the_fastest_core(tmp_path: Path, work: Path) -> None:
    measured(tmp_path, "a", "b", "c")
    shared = [job for job in jobs(work) if sum(word.startswith("model-") for word in job) > 1]
    assert [[w for w in job if w.startswith("model-")] for job in shared] == [
        ["model-reference", "model-a", "model-b"],
        ["model-reference", "model-c"],
    ]
    assert {job[job.index("--core") + 1] for job in jobs(work)} == {"3"}
    assert all("--lock" in job for job in jobs(work))


def test_the_last_core_of_the_fastest_cluster_is_chosen_unless_another_is_named(tmp_path: Path, work: Path) -> None:
    def core(wanted: int | None = None, device: Device = DEVICE, **values: Any) -> int:
        behave(work, **values)
        with open_board(device, lambda transport, machine: Runner.of(RUNNER, python=sys.executable)) as board:
            return pinned_core(board, wanted)

    assert core(cores=[[0, 1000], [1, 2000], [2, 2000], [3, 1000]]) == 2
    assert core(cores=[[0, 1000], [1, 2000], [2, 2000]], cores_allowed=[0, 1]) == 1
    assert core(cores=[[0, None], [1, None]]) == 1
    assert core(0) == 0
    assert core(device=replace(DEVICE, core=1)) == 1
    with pytest.raises(DeviceError, match="core 9 cannot be used; expected one of 0, 1, 2, 3"):
        core(9)


def test_a_wrong_output_refuses_the_time(tmp_path: Path, work: Path) -> None:
    def deviation(output: Sequence[float], seed: int) -> float:
        return 2e-4

    reference, sound, wrong = subjects(tmp_path, "reference", "sound", "wrong")
    with open_board(DEVICE, lambda transport, machine: Runner.of(RUNNER, python=sys.executable)) as board:
        found = list(
            measure(
                board, [replace(wrong, deviation=deviation), sound], reference, conditions=Conditions(effort=QUICK)
            )
        )
    by_name = {one.subject: one for one in found if isinstance(one, Measurement)}
    assert by_name["wrong"].verdict == "refused"
    assert by_name["wrong"].latency_ms is None
    [reason] = by_name["wrong"].reasons
    assert (reason.cause, reason.figures) == ("parity", (2e-4, 1e-4))
    assert by_name["sound"].verdict == "ok"


def test_a_runner_whose_reference_output_is_wrong_times_nothing(tmp_path: Path, work: Path) -> None:
    behave(work, output=[0.5, -0.9])
    with pytest.raises(DeviceError, match="no time of this runner counts"):
        run(tmp_path, "a")


@pytest.mark.long
@pytest.mark.parametrize(
    ("trouble", "cause", "figures"),
    [
        ({"khz": [2_400_000, 2_400_000, 2_200_000]}, "throttled", (2.4, 2.2)),
        ({"khz": [2_200_000, 2_400_000]}, "frequency", (2.4, 2.2)),
        ({"khz": [1_800_000]}, "limited", (1.8, 2.4)),
        ({"slower_by_round": 0.015}, "drift", None),
        ({"preemptions_per_s": 100}, "preempted", (100,)),
        ({"preemptions_per_s": None, "loadavg": [4.0, 1.0, 1.0]}, "load", (4.0,)),
        ({"spread": 0.1}, "spread", None),
    ],
)
def test_what_spoils_a_measurement_flags_it(
    trouble: dict[str, Any], cause: Cause, figures: tuple[float, ...] | None, tmp_path: Path, work: Path
) -> None:
    behave(work, **trouble)
    [made] = measured(tmp_path, "a")
    assert made.verdict == "flagged"
    found = {reason.cause: reason for reason in made.reasons}
    assert figures is None or found[cause].figures == pytest.approx(figures, rel=0.01)
    assert made.latency_ms is not None
    assert found[cause].words in made.provenance


@pytest.mark.parametrize(
    "trouble", [{"khz": [2_400_000, 1_200_000]}, {"slower_by_round": 0.06}, {"spread": 0.6}], ids=str
)
def test_what_spoils_it_altogether_refuses_it(trouble: dict[str, Any], tmp_path: Path, work: Path) -> None:
    behave(work, **trouble)
    [made] = measured(tmp_path, "a")
    assert made.verdict == "refused"
    assert made.latency_ms is None
    assert made.samples_ns, "what was seen is kept"


def test_unknown_frequencies_and_preemptions_are_no_reason(tmp_path: Path, work: Path) -> None:
    behave(work, khz=[None], preemptions_per_s=None, cores=[[0, None], [1, None]], loadavg=None)
    [made] = measured(tmp_path, "a")
    assert made.verdict == "ok"
    assert made.host.core_max_khz is None
    assert {state.khz for state in made.states} == {None}


def test_a_disturbed_model_is_measured_again_once_and_the_better_one_counts(tmp_path: Path, work: Path) -> None:
    # Jobs: the reference's check, two warm-ups, two models' checks, then the first measurement.
    behave(work, spread=0.1, disturbed_jobs=[6, 7])
    said: list[str] = []
    a, b = measured(tmp_path, "a", "b", say=said.append)
    assert (a.verdict, b.verdict) == ("ok", "ok")
    assert len(jobs(work)) == 7
    assert said
    assert said[0].startswith("2 disturbed, measured again: the reference network drifted by")


def test_a_warm_up_that_never_settles_is_said(tmp_path: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snsearch.device.measuring.SETTLED", -1.0)
    [made] = measured(tmp_path, "a")
    assert "unsettled" in {reason.cause for reason in made.reasons}
    assert sum("model-a" not in job for job in jobs(work)) == 1 + QUICK.warmups


def test_an_emulated_device_gives_parity_and_no_latency(tmp_path: Path, work: Path) -> None:
    behave(work, marker="qemu")
    [made] = measured(tmp_path, "a", effort=None)
    assert made.verdict == "emulated"
    assert made.latency_ms is None
    assert made.provenance.startswith("emulated: not a latency")
    assert made.parity == 0.0
    assert "interval_ms" in encode(made)
    assert encode(made)["latency_ms"] is None
    assert made.host.identity.endswith("emulated")
    with pytest.raises(DeviceError, match="board is emulated"):
        run(tmp_path, "a", sustained_minutes=1.0)


def test_a_model_that_cannot_be_loaded_does_not_lose_the_others(tmp_path: Path, work: Path) -> None:
    behave(work, broken=["b"])
    found = run(tmp_path, "a", "b", "c")
    [lost] = [one for one in found if isinstance(one, Unmeasured)]
    assert lost.subject.name == "b"
    assert "cannot be loaded" in lost.reason
    assert [one.subject for one in found if isinstance(one, Measurement)] == ["a", "c"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        ("garbled_at", "no complete answer.*give the same command again"),
        ("silent_at", "no complete answer"),
        ("dies_at", "no complete answer"),
        ("hangs_at", "its own alarm ended it"),
    ],
)
def test_a_failing_run_keeps_what_was_measured_before(trouble: str, message: str, tmp_path: Path, work: Path) -> None:
    # Jobs: check, two warm-ups, two checks, first batch; two checks, then the second batch is the ninth.
    behave(work, **{trouble: 9})
    reference, *others = subjects(tmp_path, "reference", "a", "b", "c", "d")
    kept: list[Measurement | Unmeasured] = []
    with (
        open_board(DEVICE, lambda transport, machine: Runner.of(RUNNER, python=sys.executable)) as board,
        pytest.raises(DeviceError, match=message),
    ):
        kept.extend(measure(board, others, reference, conditions=Conditions(effort=QUICK)))
    assert [one.subject for one in kept if isinstance(one, Measurement)] == ["a", "b"]


@pytest.mark.long
def test_a_model_that_ends_the_runner_does_not_lose_the_others_and_two_in_succession_end_the_run(
    tmp_path: Path, work: Path
) -> None:
    behave(work, kills=["b"])
    found = run(tmp_path, "a", "b", "c", "d")
    [lost] = [one for one in found if isinstance(one, Unmeasured)]
    assert lost.subject.name == "b"
    assert "no complete answer" in lost.reason
    assert [one.subject for one in found if isinstance(one, Measurement)] == ["a", "c", "d"]
    behave(work, kills=["b", "c"])
    with pytest.raises(DeviceError, match="no complete answer"):
        run(tmp_path, "a", "b", "c", "d")


def test_a_second_user_of_a_busy_device_is_told(tmp_path: Path, work: Path) -> None:
    with (work / "runner.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DeviceError, match=r"busy: another user measures there.*again later"):
            run(tmp_path, "a")
    assert measured(tmp_path, "a")[0].verdict == "ok"


def test_one_snsearch_at_a_time_holds_a_device(tmp_path: Path, work: Path) -> None:
    def runner_of(transport: Any, machine: str) -> Runner:
        return Runner.of(RUNNER, python=sys.executable)

    with (
        open_board(DEVICE, runner_of),
        pytest.raises(DeviceError, match="in use by another snsearch"),
        open_board(DEVICE, runner_of),
    ):
        pass


def test_a_full_disk_is_named_and_nothing_half_stays(tmp_path: Path, work: Path) -> None:
    reference, big = subjects(tmp_path, "reference", "big")
    big.prefix.with_name(big.prefix.name + ".bin").write_bytes(bytes(64 * 1024))
    with open_board(DEVICE, lambda transport, machine: Runner.of(RUNNER, python=sys.executable)) as board:

        class Full:
            """A transport to a device whose disk takes small files only."""

            url, run, close = board.transport.url, board.transport.run, lambda self: None

            def push(self, source: Path, name: str, *, executable: bool = False) -> None:
                board.transport.push(source, name, executable=executable)
                if source.stat().st_size > 1000:
                    (work / name).write_bytes(bytes(1000))

        with pytest.raises(DeviceError, match="did not arrive as it was sent"):
            list(measure(replace(board, transport=Full()), [big], reference, conditions=Conditions(effort=QUICK)))
    assert not (work / "model-big.bin").exists()


def test_models_are_removed_from_the_device_when_they_are_measured(tmp_path: Path, work: Path) -> None:
    measured(tmp_path, "a", "b", "c")
    assert sorted(path.name for path in work.glob("model-*")) == ["model-reference.bin", "model-reference.param"]


@pytest.mark.long
def test_another_device_behind_the_name_is_refused(tmp_path: Path, work: Path) -> None:
    [made] = measured(tmp_path, "a")
    known = Device(name="board", url="local", identity=made.host.identity)
    measured(tmp_path, "a", device=known)
    behave(work, soc="Other Board")
    with pytest.raises(DeviceError, match="board is another device now: Other Board"):
        run(tmp_path, "a", device=known)


def test_a_runner_for_another_machine_is_not_pushed(tmp_path: Path, work: Path) -> None:
    binary = tmp_path / "runner"
    binary.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00" + bytes(44))
    with (
        pytest.raises(DeviceError, match="is built for aarch64"),
        open_board(DEVICE, lambda transport, machine: Runner.of(binary)),
    ):
        pass
    assert not list(work.glob("runner-*"))


@pytest.mark.long
def test_sustained_runs_a_model_alone_for_minutes_before_it_is_timed(tmp_path: Path, work: Path) -> None:
    minutes = 1 + 1 / 600
    a, b = measured(tmp_path, "a", "b", effort=replace(QUICK, warmups=2), sustained_minutes=minutes)
    assert a.sustained_minutes == minutes
    assert "minutes of running" in a.provenance
    alone = [job for job in jobs(work) if job[-1] == "model-a" and "--outputs" not in job]
    shared = [job for job in alone if "model-reference" in job]
    assert len(alone) > len(shared) == 1, "hot runs, then one that is timed"
    assert int(alone[0][alone[0].index("--warmup-ms") + 1]) in range(50, 101), "it runs until the last minute begins"
    assert b.verdict == "ok"


def test_stopping_ends_between_jobs(tmp_path: Path, work: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, "a", stop=lambda: len(jobs(work)) >= 3)
    assert len(jobs(work)) == 3


@pytest.mark.long
def test_a_hot_device_is_let_cool_between_batches(
    tmp_path: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Probes: the board's own, the start, then hot, hot, cool.
    behave(work, temperatures_mc=[40_000, 40_000, 60_000, 50_000, 42_000])
    waited: list[float] = []
    monkeypatch.setattr("snsearch.device.measuring.wait", waited.append)
    said: list[str] = []
    measured(tmp_path, "a", "b", "c", effort=replace(QUICK, cool_down_s=60.0), say=said.append)
    assert len(waited) == 2
    assert said == ["cooling down: 60 °C, 40 °C at the start", "cooling down: 50 °C, 40 °C at the start"]


def test_the_board_says_what_it_is(work: Path) -> None:
    with open_board(DEVICE, lambda transport, machine: Runner.of(RUNNER, python=sys.executable)) as board:
        assert isinstance(board, Board)
        assert hottest(probe_on(board.transport, board.runner)) == 40_000
        assert board.probe.emulated_because is None
        assert board.host(3).words.startswith("Fake Board 4, ")
    assert home_folder() == work.parent


@pytest.mark.long
@pytest.mark.parametrize("name", ENGINES)
def test_the_python_runner_computes_what_torch_does_and_is_timed(name: str, tmp_path: Path) -> None:
    engine = engine_of(name)
    python_runner_of(engine)
    device = Device(name="host", url="local", engine=name)
    arch = Architecture.from_key("shufflenet.g3.b4.shuffle_stem12s2p_60x4s2-120x8s2_3x64x64_c10")
    effort = Effort(rounds=2, seconds=0.01, warmup_ms=1, warmups=0, attempts=1, cool_down_s=0)
    with open_board(device, runners_of(device)) as board:
        [made] = measure(
            board, [network_subject(arch, engine)], reference_subject(engine), conditions=Conditions(effort=effort)
        )
        assert not list((tmp_path / "home" / "work").glob(f"{made.artefact}*")), "removed when it was measured"
    assert isinstance(made, Measurement)
    assert 0 < made.parity < 1e-4
    assert made.host.runner == f"{name}-python"
    assert made.host.library.startswith(f"{name} ")
    assert made.host.library in made.provenance
    assert min(made.samples_ns[0]) > 0


def test_a_runner_of_another_engine_is_refused(tmp_path: Path, work: Path) -> None:
    behave(work, engine="ncnn")
    with pytest.raises(DeviceError, match=r"with onnxruntime, but its runner .* runs ncnn; .* --engine ncnn"):
        run(tmp_path, "a", device=replace(DEVICE, engine="onnxruntime"))
