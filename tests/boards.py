"""An emulated ARM board while it runs, and what its tests share."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from snsearch.device.registry import Device, connect
from snsearch.errors import DeviceError
from tests.enclosures import Enclosure
from tests.runners import CACHE

if TYPE_CHECKING:
    from tests.conftest import Outcome

# 1 MMAC each: moments under qemu.
NETWORKS = (
    "shufflenet.g1.b4.shuffle_stem12s2p_36x4s2-72x8s2-144x4s2_3x64x64_c10",
    "shufflenet.g3.b4.shuffle_stem12s2p_60x4s2-120x8s2-240x4s2_3x64x64_c10",
)
SMALL_REFERENCE = "shufflenet.g4.b4.shuffle_stem12s2p_64x4s2-128x8s2-256x4s2_3x64x64_c10"
MARKER = "qemu-user on another processor\n"


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

    def files(self, pattern: str) -> set[str]:
        """The names of the files in the work folder."""
        return {path.name for path in self.folder.glob(pattern)}

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


def own_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives snsearch a home in a folder; what was built for the tests before is there."""
    home = folder / "home"
    home.mkdir()
    (home / "cache").symlink_to(CACHE)
    monkeypatch.setenv("SNSEARCH_HOME", str(home))


def measured(outcome: Outcome) -> list[dict[str, Any]]:
    """The measurements that `snsearch measure --format json` printed."""
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)["measurements"]
    assert isinstance(found, list)
    return found


def wait_for(true: Callable[[], bool], seconds: float) -> None:
    """Returns as soon as something is true; the test fails where it does not become so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.05)
