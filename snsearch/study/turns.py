"""A lock per study: one process at a time counts the trials and asks for the next one.

These are several database transactions, and neither SQLite nor row locks of a server span them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any

import filelock

from snsearch.errors import StudyError

Lock = Callable[[], AbstractContextManager[Any]]


class Turn:
    """A re-entrant lock among processes, for one thread. It is released when its process ends, also if killed.

    Args:
        lock: makes the lock that is held.
        guard: makes the context of taking it and giving it back, to translate what these raise.
    """

    def __init__(self, lock: Lock, guard: Lock = nullcontext) -> None:
        self._lock = lock
        self._guard = guard
        self._depth = 0
        self._held = ExitStack()

    def __enter__(self) -> Turn:
        if self._depth == 0:
            with self._guard():
                self._held.enter_context(self._lock())
        self._depth += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._depth == 0:
            with self._guard():
                self._held.__exit__(kind, error, trace)


def turn_on_file(file: Path, guard: Lock = nullcontext) -> Turn:
    """The lock of a study in a local file: a lock file beside it."""
    return Turn(lambda: filelock.FileLock(f"{file}.lock"), guard)


def turn_on_server(engine: Any, study: str, guard: Lock = nullcontext) -> Turn:
    """The lock of a study on the server of an SQLAlchemy engine.

    Raises StudyError for a server without named locks.
    """
    name = "snsearch:" + hashlib.sha256(study.encode()).hexdigest()[:32]
    match engine.dialect.name:
        case "postgresql":
            return Turn(lambda: _on_postgresql(engine, name), guard)
        case "mysql" | "mariadb":
            return Turn(lambda: _on_mysql(engine, name), guard)
        case other:
            raise StudyError(
                f"studies cannot be kept in {other}, because it has no named locks; use SQLite, PostgreSQL or MySQL"
            )


@contextmanager
def _on_postgresql(engine: Any, name: str) -> Iterator[None]:
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
    with engine.begin() as connection:  # the lock ends with this transaction, and so with the connection
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({key})")
        yield


@contextmanager
def _on_mysql(engine: Any, name: str) -> Iterator[None]:
    with engine.connect() as connection:
        if connection.exec_driver_sql(f"SELECT GET_LOCK('{name}', 3600)").scalar() != 1:
            raise StudyError("another worker held the study's lock for an hour; end it, and run the command again")
        try:
            yield
        finally:
            connection.exec_driver_sql(f"SELECT RELEASE_LOCK('{name}')")
