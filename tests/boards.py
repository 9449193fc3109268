"""Two emulated ARM boards: one behind a real sshd, one behind a real adbd; real ARM code runs on both, under qemu.

They are made once a session, and say what they are in /etc/snsearch-emulated. What they tell of their processor (in
/proc and /sys) are files of a Cortex-A72, which a test may change. Nothing listens on more than loopback: adbd, which
binds every address, has a network of its own, and the tests' adb reaches its server there through a Unix socket.
"""

from __future__ import annotations

import contextlib
import functools
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from snsearch.devices.registry import Device, connect
from snsearch.errors import DeviceError
from tests import without_vsock
from tests.arm_userland import UnavailableError, arm_userland
from tests.enclosures import Enclosure, kind_of_enclosures

MARKER = "qemu-user on another processor\n"
DISK_MIB = 48  # of the folders that the board can write to
CORES = max(os.sched_getaffinity(0)) + 1
KHZ = 1_500_000
_CORE = "sys/devices/system/cpu/cpu{core}"
# The userland is read-only; what is written goes into memory. The processor is the files', not the host's.
_FURNISH = """
cd /run/board
for folder in root data tmp run dev; do mount -t tmpfs -o size="${DISK_MIB}m,mode=755" none $folder; done
chmod 1777 tmp
mkdir -p data/local/tmp dev/pts
for device in null zero full random urandom tty; do : >dev/$device; mount --bind /dev/$device dev/$device; done
mount -t devpts -o newinstance,ptmxmode=0666 none dev/pts
ln -s pts/ptmx dev/ptmx
printf %s "$MARKER" >run/snsearch-emulated
mount --bind "$FACTS/sys" sys
if mount -t proc none proc 2>/dev/null; then
  for file in cpuinfo loadavg meminfo; do mount --bind "$FACTS/proc/$file" proc/$file; done
else
  mount --bind "$FACTS/proc" proc
fi
cd /
"""
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Board:
    """An emulated board while it runs."""

    url: str
    environment: Mapping[str, str]  # of the commands that are to reach it
    folder: Path  # the transports' work folder, as this process sees it
    facts: Path  # what the board tells of its processor, below proc/ and sys/
    enclosure: Enclosure
    session: tuple[str, ...]  # words in the command line of the process that keeps up a link

    def reach(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Sets the variables under which this process's commands reach the board, until the test ends."""
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)

    def clear(self) -> None:
        """Empties the work folder, and ends what still runs in it."""
        self.enclosure.kill("qemu", "snsearch-end-")
        shutil.rmtree(self.folder, ignore_errors=True)

    def drop_link(self) -> int:
        """Kills what keeps up the links to the board; says how many processes that were."""
        return self.enclosure.kill(*self.session)

    @contextlib.contextmanager
    def full_disk(self, free_kib: int = 16) -> Iterator[None]:
        """Leaves so much room where the work folder is, while it holds."""
        self.folder.mkdir(parents=True, exist_ok=True)
        filler = self.folder / "filler"
        state = os.statvfs(self.folder)
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, state.f_bavail * state.f_frsize - 1024 * free_kib)
        try:
            yield
        finally:
            filler.unlink()

    @contextlib.contextmanager
    def telling(self, fact: str, text: str) -> Iterator[None]:
        """Lets the board say something else of itself, as telling("proc/loadavg", "2.0 1.0 1.0 1/99 9\\n")."""
        path = self.facts / fact
        before = path.read_text()
        path.write_text(text)
        try:
            yield
        finally:
            path.write_text(before)

    @contextlib.contextmanager
    def unmarked(self) -> Iterator[None]:
        """Takes away the marker that says that the board is emulated."""
        marker = self.enclosure.board / "run" / "snsearch-emulated"
        marker.unlink()
        try:
            yield
        finally:
            marker.write_text(MARKER)

    def wait_until_reachable(self, seconds: float = 30.0) -> None:
        """Returns when the board can be reached again after its link was dropped."""
        deadline = time.monotonic() + seconds
        transport = connect(Device(name="board", url=self.url))
        while True:
            try:
                transport.run(["true"], timeout_s=seconds)
                break
            except DeviceError:
                assert time.monotonic() < deadline, (
                    f"{self.url} does not come back; it says: {self.enclosure.errors()}"
                )
                time.sleep(0.05)
        transport.close()

    def runners(self) -> list[int]:
        """The runners that time models on the board."""
        commands = self.enclosure.commands().items()
        return [
            number
            for number, words in commands
            if words[1:2] and words[1].startswith("./runner-") and "time" in words
        ]

    def kill_runners(self) -> int:
        """Kills them; says how many there were."""
        numbers = self.runners()
        for number in numbers:
            os.kill(number, signal.SIGKILL)
        return len(numbers)


def _write_facts(folder: Path) -> None:
    """The files of a board with as many cores of a Cortex-A72 as this host has."""
    files = {
        "proc/cpuinfo": "".join(
            f"processor\t: {core}\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 cpuid\n"
            "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\n"
            "CPU part\t: 0xd08\nCPU revision\t: 3\n\n"
            for core in range(CORES)
        ),
        "proc/meminfo": "MemTotal:        3884368 kB\nMemFree:         3000000 kB\nMemAvailable:    3400000 kB\n",
        "proc/loadavg": "0.00 0.01 0.05 1/99 99\n",
        "sys/firmware/devicetree/base/model": "Emulated board, Cortex-A72\0",
        "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
        "sys/class/thermal/thermal_zone0/temp": "45000\n",
        "sys/devices/system/cpu/possible": f"0-{CORES - 1}\n" if CORES > 1 else "0\n",
    }
    files["sys/devices/system/cpu/present"] = files["sys/devices/system/cpu/possible"]
    files["sys/devices/system/cpu/online"] = files["sys/devices/system/cpu/possible"]
    for core in range(CORES):
        of_core = {
            "regs/identification/midr_el1": "0x00000000410fd083\n",
            "cpu_capacity": "1024\n",
            "cpufreq/cpuinfo_max_freq": f"{KHZ}\n",
            "cpufreq/cpuinfo_min_freq": "600000\n",
            "cpufreq/scaling_cur_freq": f"{KHZ}\n",
            "cpufreq/scaling_governor": "performance\n",
            "topology/physical_package_id": "0\n",
            "topology/core_id": f"{core}\n",
        }
        files |= {f"{_CORE.format(core=core)}/{name}": text for name, text in of_core.items()}
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@functools.cache
def _own_users() -> bool | str:
    """Whether enclosures have users of their own, or why there are none."""
    try:
        return kind_of_enclosures()
    except UnavailableError as error:
        return str(error)


@contextlib.contextmanager
def _furnished(script: str, variables: Mapping[str, str], *, own_network: bool) -> Iterator[tuple[Enclosure, Path]]:
    """A board's enclosure, and the folder of its facts. Skips where there can be none."""
    own_users = _own_users()
    if isinstance(own_users, str):
        pytest.skip(f"no emulated board: {own_users}")
    with tempfile.TemporaryDirectory(prefix="snsearch-board-") as name:
        facts = Path(name)
        _write_facts(facts)
        environment = {
            "FACTS": name,
            "MARKER": MARKER,
            "DISK_MIB": str(DISK_MIB),
            "QEMU_CPU": "cortex-a72",
            "PYTHON": sys.executable,
            "WITHOUT_VSOCK": without_vsock.__file__,
            **variables,
        }
        with Enclosure(_FURNISH + script, environment, own_network=own_network, own_users=own_users) as enclosure:
            yield enclosure, facts


def _needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None:
            pytest.skip(f"no emulated board: {program} is not installed")


def _until(true: Callable[[], bool], what: str, enclosure: Enclosure, seconds: float = 30.0) -> None:
    """Waits for a daemon to answer."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} within {seconds:g} s; the board says: {enclosure.errors()[-2000:]}")
        time.sleep(0.05)


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
    _needs("sshd", "ssh", "ssh-keygen", "sftp")
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
            f"ChrootDirectory /run/board\nSetEnv QEMU_CPU=cortex-a72\nAllowUsers {user}\nMaxSessions 50\n"
        )
        client = folder / "ssh_config"
        client.write_text(
            f"Host *\nUserKnownHostsFile {folder / 'known_hosts'}\nGlobalKnownHostsFile /dev/null\n"
            f"IdentityFile {folder / 'user'}\nIdentitiesOnly yes\nIdentityAgent none\nStrictHostKeyChecking yes\n"
        )
        with _furnished(_SSHD, {"SSHD_CONFIG": str(daemon)}, own_network=False) as (enclosure, facts):
            _until(lambda: _answers(port), "sshd does not answer", enclosure)
            yield Board(
                url=f"ssh://{user}@127.0.0.1:{port}",
                environment={"SNSEARCH_SSH_OPTIONS": f"-F {client}"},
                folder=enclosure.board / "root" / ".cache" / "snsearch",
                facts=facts,
                enclosure=enclosure,
                session=("sshd: ", "@"),
            )


@pytest.fixture(scope="session")
def adb_board() -> Iterator[Board]:
    """A board that the real adb client reaches: Debian's adbd for ARM runs on it."""
    _needs("adb", "ip")
    with tempfile.TemporaryDirectory(prefix="snsearch-adb-") as name:
        server = f"localfilesystem:{name}/server"
        environment = {"ADB_SERVER_SOCKET": server}
        with _furnished(_ADBD, {"SERVER": server}, own_network=True) as (enclosure, facts):

            def connected() -> bool:
                if not Path(name, "server").exists():  # the client would start a server of its own
                    return False
                words = ["adb", "connect", "127.0.0.1:5555"]
                ended = subprocess.run(
                    words, capture_output=True, text=True, timeout=60, env={**os.environ, **environment}
                )
                return "connected to" in ended.stdout

            _until(connected, "adbd does not answer", enclosure)
            yield Board(
                url="adb://127.0.0.1:5555",
                environment=environment,
                folder=enclosure.board / "data" / "local" / "tmp" / "snsearch",
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
