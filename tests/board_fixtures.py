"""Two emulated ARM boards: one behind a real sshd, one behind a real adbd; real ARM code runs on both, under qemu.

They are made once a session, and say what they are in /etc/snsearch-emulated. What they tell of their processor (in
/proc and /sys) are files of a Cortex-A72, which a test may change. Nothing listens on more than loopback: adbd, which
binds every address, has a network of its own, and the tests' adb reaches its server there through a Unix socket.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from snsearch.device.registry import Device, connect
from snsearch.device.transports.adb import FOLDER as ADB_FOLDER
from snsearch.device.transports.ssh import FOLDER as SSH_FOLDER
from snsearch.device.transports.transport import Transport
from tests.arm_userland import WHEELS, UnavailableError, arm_userland
from tests.boards import SMALL_REFERENCE, Board, own_home
from tests.furnishing import furnished, needs, started

if TYPE_CHECKING:
    from tests.conftest import Outcome

_SSHD = """
/usr/sbin/sshd -D -e -f "$SSHD_CONFIG" &
"""
# adbd is started again when it ends, as Android's init does; adb's server is here, where it reaches adbd.
_ADBD = """
ip link set lo up
(
  set +e
  while :; do
    env -i PATH="$PATH" QEMU_CPU="$QEMU_CPU" HOME=/root SHELL=/bin/sh ADBD_PORT=5555 \\
      "$PYTHON" "$WITHOUT_VSOCK" chroot /run/board /usr/sbin/adbd
    sleep 0.2
  done
) &
HOME="$FACTS" adb -L "$SERVER" nodaemon server &
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        assert isinstance(port, int)
        return port


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as link:
        return link.recv(4) == b"SSH-"
    return False


@pytest.fixture(scope="session")
def ssh_board() -> Iterator[Board]:
    """A board that the system's ssh reaches: uname -m says aarch64."""
    needs("sshd", "ssh", "ssh-keygen", "sftp")
    user = getpass.getuser()
    with tempfile.TemporaryDirectory(prefix="snsearch-ssh-") as name:
        folder, port = Path(name), _free_port()
        for key in ("host", "user"):
            words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"test {key}", "-f", str(folder / key)]
            subprocess.run(words, check=True, stdin=subprocess.DEVNULL, timeout=60)
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
        daemon = folder / "sshd_config"
        daemon.write_text(
            f"ListenAddress 127.0.0.1:{port}\nHostKey {folder / 'host'}\nAuthorizedKeysFile {folder / 'user.pub'}\n"
            "AuthenticationMethods publickey\nPermitRootLogin prohibit-password\nStrictModes no\nUsePAM no\n"
            "PidFile none\nPrintMotd no\nPrintLastLog no\nSubsystem sftp internal-sftp\n"
            f"ChrootDirectory /run/board\nSetEnv QEMU_CPU=cortex-a72 PYTHONPATH=/{WHEELS}\n"
            f"AllowUsers {user}\nMaxSessions 50\n"
        )
        client = folder / "ssh_config"
        client.write_text(
            f"Host *\nUserKnownHostsFile {folder / 'known_hosts'}\nGlobalKnownHostsFile /dev/null\n"
            f"IdentityFile {folder / 'user'}\nIdentitiesOnly yes\nIdentityAgent none\nStrictHostKeyChecking yes\n"
        )
        with furnished(_SSHD, {"SSHD_CONFIG": str(daemon)}, own_network=False) as (enclosure, facts):
            started(lambda: _answers(port), enclosure)
            yield Board(
                url=f"ssh://{user}@127.0.0.1:{port}",
                environment={"SNSEARCH_SSH_OPTIONS": f"-F {client}"},
                folder=enclosure.board / "root" / SSH_FOLDER,
                facts=facts,
                enclosure=enclosure,
                session=("sshd: ", "@"),
            )


@pytest.fixture(scope="session")
def adb_board() -> Iterator[Board]:
    """A board that the real adb client reaches: Debian's adbd for ARM runs on it."""
    needs("adb", "ip")
    with tempfile.TemporaryDirectory(prefix="snsearch-adb-") as name:
        server = f"localfilesystem:{name}/server"
        environment = {"ADB_SERVER_SOCKET": server}
        with furnished(_ADBD, {"SERVER": server}, own_network=True) as (enclosure, facts):

            def connected() -> bool:
                if not Path(name, "server").exists():  # the client would start a server of its own
                    return False
                words = ["adb", "connect", "127.0.0.1:5555"]
                ended = subprocess.run(
                    words, capture_output=True, text=True, timeout=60, env={**os.environ, **environment}
                )
                return "connected to" in ended.stdout

            started(connected, enclosure)
            yield Board(
                url="adb://127.0.0.1:5555",
                environment=environment,
                folder=enclosure.board / ADB_FOLDER.lstrip("/"),
                facts=facts,
                enclosure=enclosure,
                session=("qemu", "/usr/sbin/adbd"),
            )


@pytest.fixture(scope="session")
def arm_program() -> Path:
    """An ARM binary that waits for as many seconds as it is told: the userland's sleep."""
    try:
        return arm_userland() / "usr" / "bin" / "sleep"
    except UnavailableError as error:
        pytest.skip(f"no ARM userland: {error}")


@pytest.fixture(params=[pytest.param(kind, marks=pytest.mark.board) for kind in ("ssh", "adb")])
def emulated_board(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Board]:
    """Each board in turn, with an empty work folder; snsearch's home is the test's own, but for what was built.

    A small network stands for the one that is run between others.
    """
    found: Board = request.getfixturevalue(f"{request.param}_board")
    monkeypatch.setattr("snsearch.device.subjects.REFERENCE", SMALL_REFERENCE)
    found.reach(monkeypatch)
    own_home(tmp_path, monkeypatch)
    found.clear()
    yield found
    found.clear()


@pytest.fixture
def board_transport(emulated_board: Board) -> Iterator[Transport]:
    """The way to the board."""
    connected = connect(Device(name="board", url=emulated_board.url))
    yield connected
    connected.close()


@pytest.fixture
def added_board(emulated_board: Board, run: Callable[..., Outcome], aarch64_runner: Path) -> Board:
    """The board, added as the device "board"; its runner is the one that is built."""
    outcome = run("device", "add", "board", emulated_board.url)
    assert outcome.code == 0, outcome.err
    return emulated_board
