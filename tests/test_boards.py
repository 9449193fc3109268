"""The whole path over emulated boards, and every way in which a device fails midway.

The runner is the real static one for ARM; ssh, sshd, adb and adbd are the real programs.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from snsearch import board as ready_board
from snsearch.board import LOCK, Runner, make_ready, time_on
from snsearch.devices.deploy import sha256_of
from snsearch.devices.registry import Device, connect
from snsearch.devices.transport import Transport
from snsearch.engine.protocol import TimeJob
from snsearch.errors import DeviceError
from snsearch.subjects import reference_subject
from tests.boards import MARKER, Board
from tests.conftest import Outcome

# 1 to 3 MMACs: moments under qemu.
NETWORKS = tuple(
    f"shufflenet.g{g}.b4.shuffle_stem12s2p_{w}x4s2-{2 * w}x8s2-{4 * w}x4s2_3x64x64_c10" for g, w in ((1, 36), (3, 60))
)
OTHER = "shufflenet.g2.b4.shuffle_stem12s2p_48x4s2-96x8s2-192x4s2_3x64x64_c10"
BOARDS = ("ssh", "adb")
Run = Callable[..., Outcome]


@pytest.fixture(params=BOARDS)
def board(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    """Each board in turn, with an empty work folder and a home of the test's own."""
    found: Board = request.getfixturevalue(f"{request.param}_board")
    found.reach(monkeypatch)
    monkeypatch.setenv("SNSEARCH_HOME", str(tmp_path / "home"))
    found.clear()
    yield found
    found.clear()


@pytest.fixture
def transport(board: Board) -> Iterator[Transport]:
    connected = connect(Device(name="board", url=board.url))
    yield connected
    connected.close()


@pytest.fixture
def added(board: Board, run: Run, aarch64_runner: Path) -> Board:
    """The board, added as the device "board" with the real runner."""
    outcome = run("device", "add", "board", board.url, "--runner", str(aarch64_runner))
    assert outcome.code == 0, outcome.err
    return board


def _measured(outcome: Outcome) -> list[dict[str, Any]]:
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)["measurements"]
    assert isinstance(found, list)
    return found


def _strikes(board: Board, strike: Callable[[], object]) -> threading.Thread:
    """Does something as soon as a runner has been seen at work on the board, some time after its start."""

    def watch() -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if board.runners():
                strike()
                return
            time.sleep(0.01)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_a_board_is_added_checked_and_measured(added: Board, run: Run, tmp_path: Path) -> None:
    [listed] = json.loads(run("device", "list", "--format", "json").out)["devices"]
    assert listed["description"] == "Emulated board, Cortex-A72, aarch64"

    checked = run("device", "check", "board", "--format", "json")
    assert checked.code == 0, checked.err
    found = json.loads(checked.out)
    assert (found["machine"], found["is_arm"], found["runner"]) == ("aarch64", True, "ncnn-cpp")
    assert [cluster["kind"] for cluster in found["clusters"]] == ["Cortex-A72"]
    assert found["clusters"][0]["max_khz"] == 1_500_000
    assert found["memory_kb"] == 3_884_368
    assert found["temperature_mc"] == 45_000
    assert MARKER.strip() in found["emulated_because"]
    assert found["spoilers"][0].startswith("emulated: ")
    assert found["sound"] is True
    assert 0 < found["parity"] < 1e-5, "ARM code adds in another order than torch does here"

    made = _measured(run("measure", NETWORKS[0], "--device", "board", "--format", "json"))
    made += _measured(run("measure", NETWORKS[1], "--device", "board", "--format", "json"))
    assert [one["subject"] for one in made] == list(NETWORKS)
    for one in made:
        assert one["verdict"] == "emulated"
        assert one["latency_ms"] is None
        assert one["parity"] < 1e-5
        assert one["samples_ns"], "raw samples are kept all the same"
        assert one["host"]["machine"] == "aarch64"
        assert one["host"]["core_max_khz"] == 1_500_000
    assert not board_files(added, "*.param") - {reference_subject().prefix.name + ".param"}, "models are removed"


def board_files(board: Board, pattern: str) -> set[str]:
    """The names of the work folder's files."""
    return {path.name for path in board.folder.glob(pattern)}


def test_no_time_of_a_board_is_shown_as_a_latency(added: Board, run: Run) -> None:
    for form in ("table", "csv", "json"):
        outcome = run("measure", NETWORKS[0], "--device", "board", "--format", form)
        assert outcome.code == 0, outcome.err
        assert "emulated" in outcome.out
        assert not re.search(r"\d ?ms\b", outcome.out + outcome.err)
    [row] = run("measure", NETWORKS[0], "--device", "board", "--format", "csv").out.splitlines()[1:]
    assert f"{NETWORKS[0]}," in row
    assert ",,,,emulated," in row


def test_what_was_measured_is_not_measured_again(added: Board, run: Run) -> None:
    [first] = _measured(run("measure", NETWORKS[0], "--device", "board", "--format", "json"))
    # The board could not even be reached now.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "/nowhere")
        [again] = _measured(run("measure", NETWORKS[0], "--device", "board", "--format", "json"))
    assert again == first
    [anew] = _measured(run("measure", NETWORKS[0], "--device", "board", "--again", "--format", "json"))
    assert anew["samples_ns"] != first["samples_ns"]
    assert anew["artefact"] == first["artefact"]


def test_a_model_is_pulled_as_it_was_pushed(added: Board, transport: Transport, run: Run, tmp_path: Path) -> None:
    run("device", "check", "board")
    prefix = reference_subject().prefix
    for suffix in (".param", ".bin"):
        transport.pull(prefix.name + suffix, tmp_path / "back")
        assert sha256_of(tmp_path / "back") == sha256_of(prefix.with_name(prefix.name + suffix))


def test_a_board_that_does_not_say_so_is_emulated_by_its_signs(added: Board, run: Run) -> None:
    with added.unmarked():
        found = json.loads(run("device", "check", "board", "--format", "json").out)
    assert re.fullmatch(r"its counter runs at 62.5 MHz.* GFLOP/s", found["emulated_because"])
    assert found["simd_gflops"] < 1


def test_what_the_board_says_of_itself_is_read_anew(added: Board, run: Run) -> None:
    with (
        added.telling("proc/loadavg", "3.50 2.00 1.00 2/99 99\n"),
        added.telling("sys/class/thermal/thermal_zone0/temp", "75000\n"),
    ):
        found = json.loads(run("device", "check", "board", "--format", "json").out)
    assert found["temperature_mc"] == 75_000
    assert any("75 °C" in words for words in found["spoilers"])
    assert any("load average 3.5" in words for words in found["spoilers"])


def test_another_board_under_the_same_name_is_refused(added: Board, run: Run) -> None:
    with added.telling("sys/firmware/devicetree/base/model", "Another board\0"):
        outcome = run("device", "check", "board")
    assert outcome.code == 8
    assert "is another device now: Another board" in outcome.err


def test_a_link_that_drops_midway_loses_nothing_and_the_same_command_goes_on(added: Board, run: Run) -> None:
    [kept] = _measured(run("measure", NETWORKS[0], "--device", "board", "--format", "json"))
    archs = ("--groups", "1,2,3", "--scale", "0.25", "--resolution", "64", "--classes", "10")
    strike = _strikes(added, added.drop_link)
    dropped = run("measure", "shufflenet-v1", *archs, "--device", "board", "--format", "json")
    strike.join()
    assert dropped.code == 8, "never a success"
    assert "the link dropped" in dropped.err
    assert "give the same command again" in dropped.err
    assert [one["subject"] for one in json.loads(dropped.out)["measurements"]] == [NETWORKS[0]]
    added.wait_until_reachable()
    done = _measured(run("measure", "shufflenet-v1", *archs, "--device", "board", "--format", "json"))
    assert {one["subject"] for one in done} == {*NETWORKS, OTHER}
    assert kept in done
    assert not added.runners()


def _long(prefix: str, alarm_s: int) -> TimeJob:
    return TimeJob(
        prefixes=(prefix,), rounds=1000, repeats=100, alarm_s=alarm_s, warmup_runs=1, warmup_ms=0, lock=LOCK
    )


@pytest.fixture
def ready(board: Board, transport: Transport, aarch64_runner: Path) -> tuple[Transport, Runner, str]:
    """The board's transport, the runner that is in place there, and the name of a model that is."""
    runner = Runner.of(aarch64_runner)
    make_ready(Device(name="board", url=board.url), transport, runner)
    prefix = reference_subject().prefix
    for suffix in (".param", ".bin"):
        transport.push(prefix.with_name(prefix.name + suffix), prefix.name + suffix)
    return transport, runner, prefix.name


def test_a_runner_whose_link_dropped_ends_itself(board: Board, ready: tuple[Transport, Runner, str]) -> None:
    transport, runner, model = ready
    strike = _strikes(board, board.drop_link)
    with pytest.raises(DeviceError, match="the link dropped"):
        time_on(transport, runner, _long(model, alarm_s=6))
    strike.join()
    assert board.runners(), "the link's end is not the runner's"
    board.wait_until_reachable()
    with pytest.raises(DeviceError, match=r"busy: .*a run whose link dropped has not ended yet"):
        time_on(transport, runner, _long(model, alarm_s=6))
    _wait_for(lambda: not board.runners(), seconds=15)


def test_a_runner_that_takes_too_long_ends_itself(board: Board, ready: tuple[Transport, Runner, str]) -> None:
    transport, runner, model = ready
    with pytest.raises(DeviceError, match="its own alarm ended it"):
        time_on(transport, runner, _long(model, alarm_s=2))
    assert not board.runners()


def test_a_runner_that_is_killed_is_no_answer(board: Board, ready: tuple[Transport, Runner, str]) -> None:
    transport, runner, model = ready
    strike = _strikes(board, board.kill_runners)
    with pytest.raises(DeviceError, match=r"nothing is lost: give the same command again"):
        time_on(transport, runner, _long(model, alarm_s=60))
    strike.join()


def test_two_users_at_once_are_told_apart(
    board: Board, ready: tuple[Transport, Runner, str], run: Run, aarch64_runner: Path, tmp_path: Path
) -> None:
    transport, runner, model = ready
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(time_on, transport, runner, _long(model, alarm_s=300))
        _wait_for(lambda: bool(board.runners()), seconds=30)
        time.sleep(0.5)  # until it holds the lock
        outcome = run("measure", NETWORKS[0], "--device", board.url, "--runner", str(aarch64_runner))
        assert outcome.code == 8
        assert "busy: another user measures there" in outcome.err
        assert board.kill_runners() == 1, "and the first was not disturbed"
        with pytest.raises(DeviceError):
            first.result()


def test_a_full_disk_is_named_and_the_same_command_goes_on_once_there_is_room(added: Board, run: Run) -> None:
    for path in added.folder.iterdir():
        path.unlink()
    with added.full_disk(free_kib=64):
        outcome = run("measure", NETWORKS[0], "--device", "board")
        assert outcome.code == 8
        assert re.search(r"its disk is full: runner-\w+ needs \d+ KiB and \d+ KiB are free", outcome.err)
        assert {path.name for path in added.folder.iterdir()} == {"filler"}, "what arrived in part is removed"
    assert len(_measured(run("measure", NETWORKS[0], "--device", "board", "--format", "json"))) == 1


def test_a_runner_of_another_architecture_is_refused_before_it_is_sent(board: Board, run: Run) -> None:
    outcome = run("device", "add", "board", board.url, "--runner", str(Path("/bin/sleep").resolve()))
    assert outcome.code == 8
    assert re.search(r"is built for \w+, and \S+ is aarch64", outcome.err)
    assert not board_files(board, "runner-*")


ANSWERS = {
    "half a line": """printf '{"schema":1,"nonce":"%s","kind":"probe","runner":"ncnn-c' "$3" """,
    "nothing": "true",
    "noise": "head -c 300 /dev/urandom",
    "an answer to another": """echo '{"schema":1,"nonce":"0123","kind":"probe"}'""",
    "no answer but text": "echo Segmentation fault; exit 139",
    "an answer without its fields": """echo "{\\"schema\\":1,\\"nonce\\":\\"$3\\",\\"kind\\":\\"probe\\"}" """,
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_garbled_answer_is_an_error_and_adds_no_device(board: Board, run: Run, tmp_path: Path, answer: str) -> None:
    script = tmp_path / "runner"
    script.write_text(f"#!/bin/sh\n{ANSWERS[answer]}\n")
    outcome = run("device", "add", "board", board.url, "--runner", str(script))
    assert outcome.code == 8
    assert "give the same command again" in outcome.err
    assert "Traceback" not in outcome.err
    assert "no device was added yet" in run("device", "list").err


def test_an_answer_that_does_not_come_in_time_is_given_up(
    board: Board, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ready_board, "PROBE_SECONDS", 2.0)
    script = tmp_path / "runner"
    script.write_text("#!/bin/sh\nsleep 15\n")
    outcome = run("device", "add", "board", board.url, "--runner", str(script))
    assert outcome.code == 8
    assert "no end within 2 s" in outcome.err


def _wait_for(true: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.05)
