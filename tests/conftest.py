"""Fixtures that several test modules share, and hypothesis' settings: the same examples in every run.

To look for new examples: `pytest --hypothesis-profile=explore`.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import sqlalchemy
from hypothesis import settings

from snsearch.cli import main
from snsearch.solver import candidates
from tests.board_fixtures import adb_board, added_board, arm_program, board_transport, emulated_board, ssh_board
from tests.printed import unwrapped
from tests.runners import aarch64_runner, qemu_aarch64, runner

# Fixtures that live in modules of their own.
__all__ = [
    "aarch64_runner",
    "adb_board",
    "added_board",
    "arm_program",
    "board_transport",
    "emulated_board",
    "qemu_aarch64",
    "runner",
    "ssh_board",
]

# What a fixture needs beside Python marks the tests that use it. A parameter that chooses one has the mark itself.
MARKS = {
    "board": {"ssh_board", "adb_board", "arm_program", "aarch64_runner", "qemu_aarch64"},
    "server": {"postgresql", "mariadb", "postgresql_server", "mariadb_server"},
    "browser": {"chromium"},
}

# One thread a process: the tests' networks are too small for more, and what they start runs beside them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["COLUMNS"] = "80"  # the width of tables, whatever terminal the tests run in

# What nohup or a shell's & ignores, the tests' processes would ignore too; a handler is not handed on to them.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda *_: None)

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None, max_examples=100)
settings.register_profile("explore", derandomize=False, deadline=None, database=None, max_examples=3000)
settings.load_profile("repeatable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks tests by what they need, and puts the marked ones last."""
    for item in items:
        for mark, fixtures in MARKS.items():
            if fixtures.intersection(getattr(item, "fixturenames", ())):
                item.add_marker(mark)
    items.sort(key=lambda item: any(item.get_closest_marker(mark) for mark in MARKS))


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium or Chrome."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    pytest.skip("Chromium is not installed (apt-get install chromium)")


@pytest.fixture(scope="session", autouse=True)
def solved_once() -> Iterator[None]:
    """Solves a design of a space for a budget once: searches of other tests have the same candidates."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "solve", cache(candidates.solve))
        yield


@pytest.fixture(scope="session", autouse=True)
def unsynced() -> Iterator[None]:
    """Lets the system decide when SQLite's files reach the disk, which only a power cut would tell."""

    def connected(connection: object, _: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous = OFF")

    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", connected)
    yield
    sqlalchemy.event.remove(sqlalchemy.Engine, "connect", connected)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Takes back how many threads a command has set for this process: other sums would be rounded otherwise."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@dataclass(frozen=True)
class Server:
    """A database server with an empty database of its own, on a Unix socket alone; it is running."""

    url: str  # of the storage
    folder: Path
    kill: Callable[[], None]
    start: Callable[[], None]


@pytest.fixture
def postgresql_server() -> Iterator[Server]:
    """A PostgreSQL server that trusts everybody who reaches its socket."""
    servers = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not servers:
        pytest.skip("PostgreSQL is not installed")
    # The server refuses to run as root, and pytest's folders are the user's own.
    with tempfile.TemporaryDirectory(prefix="snsearch-pg-") as folder:
        owner = None
        if os.geteuid() == 0:
            owner = "postgres"
            shutil.chown(folder, owner)
        data = f"{folder}/data"

        def call(program: str, *arguments: str) -> None:
            command = [str(servers[-1] / program), *arguments]
            subprocess.run(command, check=True, capture_output=True, timeout=120, user=owner, cwd=folder)

        def kill() -> None:
            if Path(data, "postmaster.pid").exists():
                call("pg_ctl", "--pgdata", data, "--mode", "immediate", "--wait", "stop")

        def start() -> None:
            options = f"-c listen_addresses='' -c fsync=off -k {folder}"
            call("pg_ctl", "--pgdata", data, "--options", options, "--log", f"{folder}/log", "--wait", "start")

        call("initdb", "--pgdata", data, "--auth", "trust", "--username", "postgres", "--no-sync")
        start()
        try:
            yield Server(f"postgresql+psycopg://postgres@/postgres?host={folder}", Path(folder), kill, start)
        finally:
            kill()


@pytest.fixture
def postgresql(postgresql_server: Server) -> str:
    """The storage URL of an empty PostgreSQL database."""
    return postgresql_server.url


@pytest.fixture
def mariadb_server() -> Iterator[Server]:
    """A MariaDB server that trusts everybody who reaches its socket."""
    pytest.importorskip("pymysql", reason="PyMySQL is not installed (pip install 'snsearch[mysql]')")
    programs = [shutil.which(name) for name in ("mariadb-install-db", "mariadbd", "mariadb")]
    install, server, client = (program or "" for program in programs)
    if None in programs:
        pytest.skip("MariaDB is not installed (apt-get install mariadb-server)")
    with tempfile.TemporaryDirectory(prefix="snsearch-mariadb-") as folder:
        owner = None
        if os.geteuid() == 0:  # the server refuses to run as root
            owner = "mysql"
            shutil.chown(folder, owner)
        data, socket = f"--datadir={folder}/data", f"--socket={folder}/socket"
        made = [install, "--no-defaults", data, "--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run(made, check=True, capture_output=True, timeout=120, user=owner, cwd=folder)
        words = [server, "--no-defaults", data, socket, "--skip-networking", "--innodb-flush-log-at-trx-commit=2"]
        running: list[subprocess.Popen[bytes]] = []

        def start() -> None:
            with Path(folder, "log").open("ab") as log:
                running.append(subprocess.Popen(words, stdout=log, stderr=log, user=owner, cwd=folder))
            sql = "CREATE DATABASE IF NOT EXISTS snsearch"
            ask = [client, "--no-defaults", "--user=root", socket, f"--execute={sql}"]
            deadline = time.monotonic() + 60
            while subprocess.run(ask, capture_output=True, timeout=60).returncode:
                assert running[-1].poll() is None, Path(folder, "log").read_text(errors="replace")[-2000:]
                assert time.monotonic() < deadline, "MariaDB does not answer"
                time.sleep(0.1)

        def kill() -> None:
            running[-1].kill()
            running[-1].wait(60)

        try:
            start()
            yield Server(f"mysql+pymysql://root@/snsearch?unix_socket={folder}/socket", Path(folder), kill, start)
        finally:
            kill()


@pytest.fixture
def mariadb(mariadb_server: Server) -> str:
    """The storage URL of an empty database on MariaDB."""
    return mariadb_server.url


@pytest.fixture(params=[pytest.param(kind, marks=pytest.mark.server) for kind in ("postgresql", "mariadb")])
def database_server(request: pytest.FixtureRequest) -> str:
    """The storage URL of an empty database on each kind of server in turn."""
    url = request.getfixturevalue(request.param)
    assert isinstance(url, str)
    return url


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it printed."""

    code: int
    out: str
    errors: str  # as printed, wrapped

    @property
    def err(self) -> str:
        """The messages on stderr, every line break as one space."""
        return unwrapped(self.errors)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs the command line in this process with the given arguments."""

    def call(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["snsearch", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        code = ended.value.code
        assert code is None or isinstance(code, int)
        return Outcome(code or 0, captured.out, captured.err)

    return call
