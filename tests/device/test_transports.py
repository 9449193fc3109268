"""What every transport promises, over real links: this host, and real sshd and adbd on emulated ARM boards.

The programs that the commands run are the device's own: ARM code under qemu on both boards. Where there can be no
boards, "qemu" still runs the same ARM programs, without any privilege.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from snsearch.device.deploy import check_machine, deploy, machine_of, sha256_of
from snsearch.device.registry import Device, connect
from snsearch.device.transports.local import LocalTransport
from snsearch.device.transports.transport import Transport
from snsearch.errors import DeviceError
from tests.arm_userland import UnavailableError
from tests.boards import Board
from tests.emulated_host import EmulatedHost, content_of

KINDS = ("local", *(pytest.param(kind, marks=pytest.mark.board) for kind in ("qemu", "ssh", "adb")))
ODD_WORDS = ["a b", "", "-rf", "--", "$HOME", "`id`", "$(id)", "'", '"', ";", "a\nb", "&&", "*", "~", "\\", "ä", "%s"]
ODD_NAMES = ["a b", "quote'd", '"quoted"', "semi;colon", "-rf", "$HOME", "`id`", "back\\slash", "star*", "ünï", "#1"]


@pytest.fixture(params=KINDS)
def transport(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Transport]:
    """A transport with an empty work folder."""
    if request.param == "local":
        yield LocalTransport(folder=tmp_path / "work folder")
        return
    if request.param == "qemu":
        try:
            yield EmulatedHost.in_folder(tmp_path / "work folder")
        except UnavailableError as error:
            pytest.skip(f"no ARM userland: {error}")
        return
    board: Board = request.getfixturevalue(f"{request.param}_board")
    board.reach(monkeypatch)
    board.clear()
    connected = connect(Device(name="board", url=board.url))
    yield connected
    connected.close()
    board.clear()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files here"
    folder.mkdir()
    return folder


def test_a_board_is_an_arm_machine(transport: Transport) -> None:
    assert machine_of(transport) == (os.uname().machine if transport.url == "local" else "aarch64")


def test_words_reach_a_command_as_they_are(transport: Transport) -> None:
    output = transport.run(["printf", "%s|", *ODD_WORDS], timeout_s=60)
    assert output.stdout == "".join(f"{word}|" for word in ODD_WORDS)


@pytest.mark.parametrize("code", [0, 1, 3, 126, 255])
def test_the_exit_code_and_both_streams_come_back(transport: Transport, code: int) -> None:
    output = transport.run(["sh", "-c", f"echo out; echo err >&2; exit {code}"], timeout_s=60)
    assert (output.stdout, output.stderr, output.exit_code) == ("out\n", "err\n", code)


def test_a_command_that_is_killed_there_has_failed_and_the_link_has_not(transport: Transport) -> None:
    assert transport.run(["sh", "-c", "kill -9 $$"], timeout_s=60).exit_code
    assert transport.run(["echo", "on"], timeout_s=60).stdout == "on\n"


def test_output_without_a_last_line_break_comes_back_as_it_is(transport: Transport) -> None:
    assert transport.run(["printf", "a\n\n b"], timeout_s=60).stdout == "a\n\n b"
    assert transport.run(["true"], timeout_s=60).stdout == ""


def test_long_output_comes_back_whole(transport: Transport) -> None:
    output = transport.run(["seq", "1", "150000"], timeout_s=120)
    assert output.stdout == "".join(f"{number}\n" for number in range(1, 150_001))


def test_a_command_gets_no_input(transport: Transport) -> None:
    output = transport.run(["cat"], timeout_s=60)
    assert (output.stdout, output.exit_code) == ("", 0)


def test_a_program_that_is_not_there_is_no_success(transport: Transport) -> None:
    missing = 127 if transport.url != "qemu" else 1  # qemu's own code
    assert transport.run(["no-such-program"], timeout_s=60).exit_code == missing


def test_any_bytes_are_pushed_as_they_are(transport: Transport, files: Path) -> None:
    for index, content in enumerate((bytes(range(256)) * 40, b"\r\n\x00\x1a\r\n", b"")):
        (files / "out").write_bytes(content)
        transport.push(files / "out", f"{index}.bin")
        assert content_of(transport, f"{index}.bin") == content


def test_local_files_may_have_odd_names(transport: Transport, files: Path) -> None:
    for name in ODD_NAMES:
        (files / name).write_text(name)
        transport.push(files / name, "model.bin")
        assert content_of(transport, "model.bin").decode() == name


def test_a_local_name_with_a_line_break_arrives_or_is_refused(transport: Transport, files: Path) -> None:
    path = files / "line\nbreak"
    path.write_text("content")
    if transport.url.startswith("ssh:"):
        with pytest.raises(DeviceError, match="line break"):
            transport.push(path, "model.bin")
    else:
        transport.push(path, "model.bin")
        assert content_of(transport, "model.bin") == b"content"


@pytest.mark.parametrize("name", ["a b", "../up", "/etc/x", "-rf", "a;b", "a\nb", "", "$HOME"])
def test_a_name_there_is_a_plain_one(transport: Transport, files: Path, name: str) -> None:
    (files / "out").write_text("content")
    with pytest.raises(ValueError, match="no plain file name"):
        transport.push(files / "out", name)


def test_a_big_file_arrives_whole_and_is_not_sent_twice(transport: Transport, files: Path) -> None:
    source = files / "weights.bin"
    source.write_bytes(os.urandom(16 << 20))
    deploy(transport, source, "weights.bin")
    started = time.monotonic()
    sent: list[str] = []

    class Watched:
        """The transport, and what it was asked to push."""

        url, run, close = transport.url, transport.run, transport.close

        def push(self, source: Path, name: str, *, executable: bool = False) -> None:
            sent.append(name)

    deploy(Watched(), source, "weights.bin")
    assert not sent
    assert transport.run(["sha256sum", "weights.bin"], timeout_s=60).stdout.split()[0] == sha256_of(source)
    assert time.monotonic() - started < 60


def test_what_is_pushed_as_a_program_runs_and_may_be_replaced_while_it_runs(
    transport: Transport, files: Path, arm_program: Path
) -> None:
    program = arm_program if transport.url != "local" else Path("/bin/sleep")
    transport.push(program, "wait", executable=True)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(transport.run, ["./wait", "1"], timeout_s=60)
        time.sleep(0.4)
        transport.push(program, "wait", executable=True)
        assert running.result().exit_code == 0
    assert transport.run(["./wait", "0"], timeout_s=60).exit_code == 0


def test_a_command_that_takes_too_long_is_given_up_and_the_next_one_runs(transport: Transport) -> None:
    started = time.monotonic()
    with pytest.raises(DeviceError, match=r"no end within 1 s"):
        transport.run(["sleep", "20"], timeout_s=1)
    assert time.monotonic() - started < 10
    assert transport.run(["echo", "on"], timeout_s=60).stdout == "on\n"


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """An empty folder whose path leaves room for a socket's; pytest's own folders may be too deep."""
    with TemporaryDirectory(prefix="sn-", dir="/tmp") as name:
        yield Path(name)


def test_several_threads_share_a_transport(
    transport: Transport, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(short_folder))
    ready = threading.Barrier(6)

    def echo(index: int) -> str:
        ready.wait()
        return transport.run(["sh", "-c", f"echo {index}; echo {index} >&2; exit {index}"], timeout_s=120).stdout

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(echo, range(6))) == [f"{index}\n" for index in range(6)]
    transport.close()
    assert not list(short_folder.glob("snsearch-*")), "one connection was made, and it is closed"


def test_a_deep_folder_for_temporary_files_does_not_hinder_a_transport(
    transport: Transport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    assert transport.run(["echo", "here"], timeout_s=120).stdout == "here\n"
    assert not list(deep.glob("snsearch-*"))


def test_a_binary_of_this_host_is_refused_by_a_board(transport: Transport, arm_program: Path) -> None:
    host, machine = Path(os.path.realpath("/bin/sleep")), machine_of(transport)
    wrong = arm_program if transport.url == "local" else host
    with pytest.raises(DeviceError, match=r"is built for"):
        check_machine(wrong, machine, transport.url)
    check_machine(host if transport.url == "local" else arm_program, machine, transport.url)
