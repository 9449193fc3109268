"""Every way in which a device fails midway, on emulated boards: a clear error, no lost data, and a resumed command.

The runner is the real static one for ARM; ssh, sshd, adb and adbd are the real programs.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from snsearch.device import board as ready_board
from snsearch.device.board import LOCK, Runner, make_ready, time_on
from snsearch.device.deploy import deploy, sha256_of
from snsearch.device.registry import Device
from snsearch.device.subjects import reference_subject
from snsearch.device.transports.transport import Transport
from snsearch.engine.protocol import TimeJob
from snsearch.errors import DeviceError
from tests.boards import NETWORKS, Board, measured, wait_for
from tests.conftest import Outcome

OTHER = "shufflenet.g2.b4.shuffle_stem12s2p_48x4s2-96x8s2-192x4s2_3x64x64_c10"
Run = Callable[..., Outcome]


def _strikes(emulated_board: Board, strike: Callable[[], object]) -> threading.Thread:
    """Starts a thread that calls `strike` as soon as a runner works on the board."""

    def watch() -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if emulated_board.runners():
                strike()
                return
            time.sleep(0.01)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_a_link_that_drops_midway_loses_nothing_and_the_same_command_goes_on(added_board: Board, run: Run) -> None:
    [kept] = measured(run("measure", NETWORKS[0], "--device", "board", "--format", "json"))
    archs = ("--groups", "1,2,3", "--scale", "0.25", "--resolution", "64", "--classes", "10")
    strike = _strikes(added_board, added_board.drop_link)
    dropped = run("measure", "shufflenet-v1", *archs, "--device", "board", "--format", "json")
    strike.join()
    assert dropped.code == 8, "never a success"
    assert "the link dropped" in dropped.err
    assert "give the same command again" in dropped.err
    assert [one["subject"] for one in json.loads(dropped.out)["measurements"]] == [NETWORKS[0]]
    added_board.wait_until_reachable()
    wait_for(lambda: not added_board.runners(), seconds=60)  # until then it is busy
    done = measured(run("measure", "shufflenet-v1", *archs, "--device", "board", "--format", "json"))
    assert {one["subject"] for one in done} == {*NETWORKS, OTHER}
    assert kept in done
    assert not added_board.runners()


def test_a_link_that_drops_midway_in_a_file_leaves_no_half_of_it_in_its_place(
    emulated_board: Board, board_transport: Transport, tmp_path: Path
) -> None:
    source = tmp_path / "weights"
    source.write_bytes(b"old")
    deploy(board_transport, source, "weights.bin")
    source.write_bytes(os.urandom(24 << 20))

    def drop() -> None:
        wait_for(lambda: bool(emulated_board.files("*.partial")), seconds=60)
        emulated_board.drop_link()

    with ThreadPoolExecutor(1) as pool:
        strike = pool.submit(drop)
        with pytest.raises(DeviceError):
            deploy(board_transport, source, "weights.bin")
        strike.result()
    emulated_board.wait_until_reachable()
    deploy(board_transport, source, "weights.bin")
    assert board_transport.run(["sha256sum", "weights.bin"], timeout_s=60).stdout.split()[0] == sha256_of(source)


def _long(prefix: str, alarm_s: int) -> TimeJob:
    return TimeJob(
        prefixes=(prefix,), rounds=1000, repeats=100, alarm_s=alarm_s, warmup_runs=1, warmup_ms=0, lock=LOCK
    )


@pytest.fixture
def ready(emulated_board: Board, board_transport: Transport, aarch64_runner: Path) -> tuple[Transport, Runner, str]:
    """The board's transport, its runner, and the name of a model on it."""
    runner = Runner.of(aarch64_runner)
    make_ready(Device(name="board", url=emulated_board.url), board_transport, "aarch64", runner)
    prefix = reference_subject().prefix
    for suffix in (".param", ".bin"):
        board_transport.push(prefix.with_name(prefix.name + suffix), prefix.name + suffix)
    return board_transport, runner, prefix.name


def test_a_runner_whose_link_dropped_ends_itself(emulated_board: Board, ready: tuple[Transport, Runner, str]) -> None:
    transport, runner, model = ready
    strike = _strikes(emulated_board, emulated_board.drop_link)
    with pytest.raises(DeviceError, match="the link dropped"):
        time_on(transport, runner, _long(model, alarm_s=10))
    strike.join()
    assert emulated_board.runners(), "the link's end is not the runner's"
    emulated_board.wait_until_reachable()
    with pytest.raises(DeviceError, match=r"busy: .*a run whose link dropped has not ended yet"):
        time_on(transport, runner, _long(model, alarm_s=10))
    wait_for(lambda: not emulated_board.runners(), seconds=30)


def test_a_runner_that_takes_too_long_ends_itself(
    emulated_board: Board, ready: tuple[Transport, Runner, str]
) -> None:
    transport, runner, model = ready
    with pytest.raises(DeviceError, match="its own alarm ended it"):
        time_on(transport, runner, _long(model, alarm_s=2))
    assert not emulated_board.runners()


def test_a_runner_that_is_killed_is_no_answer(emulated_board: Board, ready: tuple[Transport, Runner, str]) -> None:
    transport, runner, model = ready
    strike = _strikes(emulated_board, emulated_board.kill_runners)
    with pytest.raises(DeviceError, match=r"nothing is lost: give the same command again"):
        time_on(transport, runner, _long(model, alarm_s=60))
    strike.join()


def _is_locked(path: Path) -> bool:
    """Whether a process holds a lock on the file; does not take the lock."""
    if not path.exists():
        return False
    place = f":{path.stat().st_ino}"
    locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return any(words[1] == "FLOCK" and words[5].endswith(place) for words in locks if "->" not in words)


def test_two_users_at_once_are_told_apart(
    emulated_board: Board, ready: tuple[Transport, Runner, str], run: Run, aarch64_runner: Path, tmp_path: Path
) -> None:
    transport, runner, model = ready
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(time_on, transport, runner, _long(model, alarm_s=300))
        wait_for(lambda: _is_locked(emulated_board.folder / LOCK), seconds=60)
        outcome = run("measure", NETWORKS[0], "--device", emulated_board.url, "--runner", str(aarch64_runner))
        assert outcome.code == 8
        assert "busy: another user measures there" in outcome.err
        assert emulated_board.kill_runners() == 1, "and the first was not disturbed"
        with pytest.raises(DeviceError):
            first.result()


def test_a_full_disk_is_named_and_the_same_command_goes_on_once_there_is_room(added_board: Board, run: Run) -> None:
    for path in added_board.folder.iterdir():
        path.unlink()
    with added_board.full_disk(free_kib=64):
        outcome = run("measure", NETWORKS[0], "--device", "board")
        assert outcome.code == 8
        assert re.search(r"its disk is full: runner-\w+ needs \d+ KiB and \d+ KiB are free", outcome.err)
        assert {path.name for path in added_board.folder.iterdir()} == {"filler"}, "what arrived in part is removed"
    assert len(measured(run("measure", NETWORKS[0], "--device", "board", "--format", "json"))) == 1


def test_a_runner_of_another_architecture_is_refused_before_it_is_sent(emulated_board: Board, run: Run) -> None:
    outcome = run("device", "add", "board", emulated_board.url, "--runner", str(Path("/bin/sleep").resolve()))
    assert outcome.code == 8
    assert re.search(r"is built for \w+, but \S+ is aarch64", outcome.err)
    assert not emulated_board.files("runner-*")


ANSWERS = {
    "half a line": """printf '{"schema":1,"nonce":"%s","kind":"probe","runner":"ncnn-c' "$3" """,
    "nothing": "true",
    "noise": "head -c 300 /dev/urandom",
    "an answer to another": """echo '{"schema":1,"nonce":"0123","kind":"probe"}'""",
    "no answer but text": "echo Segmentation fault; exit 139",
    "an answer without its fields": """echo "{\\"schema\\":1,\\"nonce\\":\\"$3\\",\\"kind\\":\\"probe\\"}" """,
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_garbled_answer_is_an_error_and_adds_no_device(
    emulated_board: Board, run: Run, tmp_path: Path, answer: str
) -> None:
    script = tmp_path / "runner"
    script.write_text(f"#!/bin/sh\n{ANSWERS[answer]}\n")
    outcome = run("device", "add", "board", emulated_board.url, "--runner", str(script))
    assert outcome.code == 8
    assert "give the same command again" in outcome.err
    assert "Traceback" not in outcome.err
    assert "no device was added yet" in run("device", "list").err


def test_an_answer_that_does_not_come_in_time_is_given_up(
    emulated_board: Board, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ready_board, "PROBE_SECONDS", 2.0)
    script = tmp_path / "runner"
    script.write_text("#!/bin/sh\nsleep 15\n")
    outcome = run("device", "add", "board", emulated_board.url, "--runner", str(script))
    assert outcome.code == 8
    assert "no end within 2 s" in outcome.err
