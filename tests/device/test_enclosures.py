"""Emulated boards end every process they start and undo every change, however the tests end."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import without_vsock
from tests.arm_userland import UnavailableError
from tests.boards import Board
from tests.enclosures import REGISTRATION, Enclosure, can_run_arm, kind_of_enclosures

SLEEPS = "sleep 1000 & sleep 1000 &"


@pytest.fixture(scope="module", autouse=True)
def kind() -> bool:
    try:
        return kind_of_enclosures()
    except UnavailableError as error:
        pytest.skip(f"no emulated board: {error}")


def _gone(numbers: list[int], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while any(Path(f"/proc/{number}").exists() for number in numbers):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def started(enclosure: Enclosure) -> list[int]:
    """The processes of an enclosure once those of SLEEPS are there: one that begins a program has no words yet."""
    deadline = time.monotonic() + 60
    while len(numbers := enclosure.processes()) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    return numbers


def _registrations() -> set[str]:
    """This process's names in the host's table of binary formats."""
    words = "mount -t tmpfs none /run && mkdir /run/b && mount -t binfmt_misc none /run/b && ls /run/b"
    listed = subprocess.run(
        ["unshare", "--mount", "sh", "-c", words], check=True, capture_output=True, text=True, timeout=30
    )
    return {name for name in listed.stdout.split() if name.startswith(f"{REGISTRATION}-{os.getpid()}-")}


@pytest.mark.parametrize("own_users", [True, False])
def test_an_enclosure_leaves_nothing_behind(own_users: bool) -> None:
    if (reason := can_run_arm(own_users)) is not None:
        pytest.skip(f"not on this kernel: {reason}")
    mounts = Path("/proc/mounts").read_text()
    with Enclosure(SLEEPS, {}, own_network=True, own_users=own_users) as enclosure:
        numbers = started(enclosure)
        assert len(numbers) == 3
        assert enclosure.run(["uname", "-m"]).stdout == "aarch64\n"
        assert Path("/proc/mounts").read_text() == mounts, "mounts are the enclosure's own"
        assert len(_registrations()) == (0 if own_users else 1), "so are registrations, where it has its own users"
    assert _gone(numbers)
    assert not _registrations()


def test_an_enclosure_ends_with_the_tests_even_if_they_are_killed(kind: bool, tmp_path: Path) -> None:
    script = (
        "import sys, time\n"
        "from tests.device.test_enclosures import started\n"
        "from tests.enclosures import Enclosure\n"
        f"one = Enclosure({SLEEPS!r}, {{}}, own_network=True, own_users={kind})\n"
        "print(*started(one), flush=True)\n"
        "time.sleep(1000)\n"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        start_new_session=True,
    ) as tests:
        assert tests.stdout is not None
        numbers = [int(word) for word in tests.stdout.readline().split()]
        os.kill(tests.pid, signal.SIGKILL)
    assert len(numbers) == 3
    assert _gone(numbers)


def test_a_script_that_fails_says_why(kind: bool) -> None:
    with pytest.raises(UnavailableError, match="no-such-command"):
        Enclosure("sleep 1000 & no-such-command", {}, own_network=True, own_users=kind)


def test_the_userland_stays_as_it_was_made(kind: bool) -> None:
    with Enclosure("", {}, own_network=True, own_users=kind) as enclosure:
        ended = enclosure.run(["touch", "/etc/hosts"])
    assert "Read-only file system" in ended.stderr


def test_a_boards_daemon_and_adbs_server_reach_loopback_alone(adb_board: Board) -> None:
    devices = Path(f"/proc/{adb_board.enclosure.first_process}/net/dev").read_text().splitlines()[2:]
    assert [line.split(":")[0].strip() for line in devices] == ["lo"]
    status = Path(f"/proc/{adb_board.enclosure.processes(*adb_board.session)[0]}/status").read_text()
    assert "\nSeccomp:\t2\n" in status, "vsock knows no network namespaces, and is refused"


def test_an_sshd_listens_on_loopback_alone(ssh_board: Board) -> None:
    port = int(ssh_board.url.rpartition(":")[2])
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()]
    listening = {words[1] for words in lines[1:] if words[3:4] == ["0A"] and words[1].endswith(f":{port:04X}")}
    assert listening == {f"0100007F:{port:04X}"}


@pytest.mark.skipif(not hasattr(socket, "AF_VSOCK"), reason="this system knows no vsock")
def test_vsock_sockets_are_refused_and_others_are_not() -> None:
    script = (
        "import socket\nsocket.socket().close()\n"
        "try:\n socket.socket(socket.AF_VSOCK)\nexcept OSError as error:\n print(error.errno)"
    )
    words = [sys.executable, str(without_vsock.__file__), sys.executable, "-c", script]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert (ended.stdout, ended.stderr) == (f"{errno.EAFNOSUPPORT}\n", "")
