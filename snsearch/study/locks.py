"""Locks of a study among processes; each is released when its process ends, also if killed.

SQLite's and servers' own locks last for a transaction, and a study is more than one: a file beside SQLite's is
locked, and on a server a name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock

from snsearch.errors import StudyError

_PATIENCE = 3600  # seconds that a lock of MySQL is waited for
_IDLE = 365 * 24 * 3600  # seconds after which MySQL may close the lock's idle connection; by default 8 hours


class TakenError(StudyError):
    """Another process holds the lock."""


@contextmanager
def file_lock(file: Path, *, wait: bool) -> Iterator[None]:
    """Holds the lock of a file's name. Raises TakenError where another process has it and nobody waits."""
    lock = filelock.FileLock(f"{file}.lock", timeout=-1 if wait else 0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise TakenError from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def server_lock(engine: Any, name: str, *, wait: bool) -> Iterator[None]:
    """Holds a named lock on the server of an SQLAlchemy engine, by a connection of its own.

    Raises TakenError where another process has it and nobody waits, StudyError for a server without named locks.
    """
    # MySQL's names are of the server, not of a database.
    called = "snsearch:" + hashlib.sha256(f"{engine.url.database}:{name}".encode()).hexdigest()[:32]
    key = int.from_bytes(hashlib.sha256(called.encode()).digest()[:8], signed=True)
    match engine.dialect.name:
        case "postgresql":
            take = f"SELECT pg_advisory_lock({key}) IS NOT NULL" if wait else f"SELECT pg_try_advisory_lock({key})"
            give = f"SELECT pg_advisory_unlock({key})"
        case "mysql" | "mariadb":
            take = f"SELECT GET_LOCK('{called}', {_PATIENCE if wait else 0})"
            give = f"SELECT RELEASE_LOCK('{called}')"
        case other:
            raise StudyError(
                f"studies cannot be kept in {other}, because it has no named locks; use SQLite, PostgreSQL or MySQL"
            )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if engine.dialect.name != "postgresql":
            connection.exec_driver_sql(f"SET SESSION wait_timeout = {_IDLE}")
        if not connection.exec_driver_sql(take).scalar():
            raise TakenError
        try:
            yield
        finally:
            connection.exec_driver_sql(give)
