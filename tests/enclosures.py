"""Processes in namespaces of their own, whose kernel runs ARM binaries through qemu.

An enclosure has its own mounts, process numbers, binfmt_misc registrations and, where asked, network. Its first
process waits for the end of a pipe from the tests; with it the kernel ends all others, and mounts, registrations and
network go with them, also where the tests were killed. Kernels before 6.7 have one table of registrations for all:
there the registration is one of the machine, and removed at the end.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.arm_userland import UnavailableError, arm_userland

QEMU = "/usr/bin/qemu-aarch64-static"
REGISTRATION = "snsearch-test"
START_SECONDS = 60.0
# ELF, 64 bits, little-endian, executable or shared object, EM_AARCH64: magic and mask, as qemu's own script has them.
_MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
_MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
# /run is the enclosure's own; /run/board is the userland, read-only but for folders in memory.
# F: the interpreter is opened now, so that it need not be in the userland.
_PREPARE = r"""
set -eu
mount -t tmpfs -o mode=755 none /run
mkdir /run/binfmt /run/board /run/sshd
mount -t binfmt_misc none /run/binfmt
entry="/run/binfmt/$REGISTRATION"
unregister() { if [ -e "$entry" ]; then echo -1 >"$entry"; fi; }
trap unregister EXIT
printf %s ":$REGISTRATION:M::$MAGIC:$MASK:$QEMU:F" >/run/binfmt/register
mount --bind "$USERLAND" /run/board
mount -o remount,bind,ro /run/board
"""
_WAIT = """
echo ready
read -r _ || true
"""


class Enclosure:
    """A shell script that starts processes in namespaces, and what it started."""

    def __init__(self, script: str, environment: Mapping[str, str], *, own_network: bool, own_users: bool) -> None:
        """Runs the script as the first process; it has prepared /run/board, and its processes go on until end()."""
        self._folder = tempfile.TemporaryDirectory(prefix="snsearch-enclosure-")
        first = Path(self._folder.name) / "first"
        first.write_text(_PREPARE + script + _WAIT)
        self._errors = first.with_name("errors")
        registration = f"{REGISTRATION}-{os.getpid()}-{time.monotonic_ns()}"
        variables = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "REGISTRATION": registration,
            "MAGIC": _MAGIC,
            "MASK": _MASK,
            "QEMU": QEMU,
            "USERLAND": str(arm_userland()),
            **environment,
        }
        unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", *(["--net"] if own_network else [])]
        words = [*unshare, "sh", str(first)]
        # The kernel lets nobody map users for itself but one, so that is done from here.
        outer = ["unshare", "--user", "sh", "-c", 'echo mapless; read -r _; exec "$@"', "sh"] if own_users else []
        with self._errors.open("ab") as errors:
            self._process = subprocess.Popen(
                [*outer, *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=variables,
                start_new_session=True,
            )
        try:
            if own_users:
                self._expect("mapless")
                for table in ("uid_map", "gid_map"):
                    Path(f"/proc/{self._process.pid}/{table}").write_text("0 0 4294967295\n")
                self._say("mapped")
            self._expect("ready")
        except BaseException:
            self.end()
            raise
        [self.first_process] = self._children()
        self._space = Path(f"/proc/{self.first_process}/ns/pid").readlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def board(self) -> Path:
        """The board's root folder as this process sees it."""
        return Path(f"/proc/{self.first_process}/root/run/board")

    def commands(self) -> dict[int, list[str]]:
        """The command lines of the living processes, by the numbers that this process sees."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it ended meanwhile
                if (folder / "ns" / "pid").readlink() == self._space:
                    words = (folder / "cmdline").read_bytes().rstrip(b"\0").decode(errors="replace")
                    found[int(folder.name)] = words.split("\0")
        return {number: words for number, words in sorted(found.items()) if words != [""]}

    def processes(self, *words: str) -> list[int]:
        """The processes whose command lines hold all these words."""
        return [
            number for number, command in self.commands().items() if all(word in " ".join(command) for word in words)
        ]

    def kill(self, *words: str) -> int:
        """Kills the processes whose command lines hold all the words, and says how many there were."""
        numbers = self.processes(*words)
        for number in numbers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        return len(numbers)

    @contextlib.contextmanager
    def mounted(self, source: Path, place: str) -> Iterator[None]:
        """Shows a folder of this host at a place on the board, while it holds."""
        inside = ["nsenter", "--target", str(self.first_process), "--all"]
        target = f"/run/board/{place}"
        subprocess.run([*inside, "mount", "--bind", str(source), target], check=True, timeout=30)
        try:
            yield
        finally:
            subprocess.run([*inside, "umount", "--lazy", target], check=True, timeout=30)

    def run(self, words: Sequence[str], timeout_s: float = 30.0) -> subprocess.CompletedProcess[str]:
        """Runs a command on the board, past any transport."""
        inside = ["nsenter", "--target", str(self.first_process), "--all", f"--root={self.board}", "--wd=/"]
        return subprocess.run([*inside, *words], capture_output=True, text=True, timeout=timeout_s)

    def end(self) -> None:
        """Ends all processes; returns when they are gone."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()  # --kill-child ends the rest
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._folder.cleanup()

    def _expect(self, line: str) -> None:
        assert self._process.stdout is not None
        said = self._process.stdout.readline().strip()
        if said != line:
            self._process.wait(timeout=START_SECONDS)
            raise UnavailableError(
                f"namespaces for the emulated board: {self.errors()[-500:] or said or 'no answer'}"
            )

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def errors(self) -> str:
        """What the processes said on stderr until now."""
        return self._errors.read_text(errors="replace").strip() if self._errors.exists() else ""

    def _children(self) -> list[int]:
        number = self._process.pid
        return [int(word) for word in Path(f"/proc/{number}/task/{number}/children").read_text().split()]


def can_run_arm(own_users: bool) -> str | None:
    """None where an enclosure of that kind runs ARM binaries; else what failed."""
    try:
        with Enclosure("", {}, own_network=True, own_users=own_users) as enclosure:
            ended = enclosure.run(["/bin/uname", "-m"])
    except (UnavailableError, OSError) as error:
        return str(error)
    return None if ended.stdout == "aarch64\n" else f"uname -m: {(ended.stdout + ended.stderr).strip()[-300:]}"


def kind_of_enclosures() -> bool:
    """Whether this machine's enclosures have their own users (and registrations). Raises UnavailableError."""
    for program in ("unshare", "nsenter", "mount", QEMU):
        if shutil.which(program) is None:
            raise UnavailableError(f"{program} is not installed (Debian: util-linux, qemu-user-static)")
    if os.geteuid() != 0:
        raise UnavailableError("the emulated boards' sshd and mounts need root")
    reasons = []
    for own_users in (True, False):
        if (reason := can_run_arm(own_users)) is None:
            return own_users
        reasons.append(reason)
    raise UnavailableError(f"no way to run ARM binaries as this machine's own: {'; '.join(reasons)}")
