"""Opening a storage: one process at a time makes its tables, and a file without a study is named."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import optuna
from sqlalchemy import create_engine, inspect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from snsearch.errors import MissingStudyError, StudyError
from snsearch.study.locks import TakenError, file_lock, server_lock
from snsearch.study.storage.faults import Guarded, as_study_errors
from snsearch.study.storage_url import engine_url, parse_url, shown_place, sqlite_file

_SQLITE = b"SQLite format 3\0"  # what a file begins with
_EXTRAS = {"postgresql": "postgres", "mysql": "mysql", "mariadb": "mysql"}
_TRIES, _MOMENT = 3, 0.2  # seconds between looks at a lock: `is_searched` holds it for an instant
_BUSY = 60.0  # seconds: a second process may hold the file for a moment


def open_storage(url: str, *, make: bool) -> optuna.storages.BaseStorage:
    """The storage of that URL, whose every fault is a StudyError; its tables are made only where `make` says so."""
    file = sqlite_file(url)
    if file is not None:
        with as_study_errors(url, opening=True):
            _check_file(file, make=make)
    options: dict[str, Any] = {"pool_pre_ping": True}  # a server may have started again since
    if file is not None and "timeout" not in parse_url(url).query:
        options["connect_args"] = {"timeout": _BUSY}
    with as_study_errors(url, opening=True):
        try:
            if not make:
                _check_begun(url, options)
            rdb = optuna.storages.RDBStorage(engine_url(url), engine_kwargs=options, skip_table_creation=not make)
        except ImportError:
            raise _no_driver(url) from None
    return cast("optuna.storages.BaseStorage", Guarded(url, rdb))


@contextmanager
def uncollected() -> Iterator[None]:
    """Lets Python look for no garbage meanwhile: there is little, and trials are read in half the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def making(url: str) -> Iterator[None]:
    """Nobody else makes tables or studies in this storage meanwhile. Raises StudyError."""
    with _locked(url, "", wait=True):
        yield


@contextmanager
def searching(url: str, name: str, holder: Callable[[], str]) -> Iterator[None]:
    """Nobody else searches on the study of that name meanwhile; in SQLite, on none of the file's studies.

    Raises TakenError where somebody does; `holder` says who.
    """
    with ExitStack() as held:
        for _ in range(_TRIES):
            try:
                held.enter_context(_locked(url, name, wait=False))
                break
            except TakenError:
                time.sleep(_MOMENT)
        else:
            raise TakenError(
                f"another search is at work on {shown_place(url)!r}{holder()}; wait for its end, or end it: the same "
                "command then goes on"
            )
        if sqlite_file(url) is None:
            with making(url):  # tables, for a moment
                open_storage(url, make=True).remove_session()
        yield


def is_searched(url: str, name: str) -> bool:
    """Whether a search may be at work on the study of that name: its lock is tried for a moment."""
    file = sqlite_file(url)
    if file is not None and not Path(f"{file}.lock").exists():
        return False
    try:
        with _locked(url, name, wait=False):
            return False
    except StudyError:  # taken, or it cannot be tried
        return True


@contextmanager
def _locked(url: str, name: str, *, wait: bool) -> Iterator[None]:
    """Holds the lock of a study on a server, or without a name that of the storage; SQLite has one a file.

    Raises StudyError.
    """
    with ExitStack() as held:
        with as_study_errors(url, opening=True):
            if (file := sqlite_file(url)) is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
                held.enter_context(file_lock(file, wait=wait))
            else:
                try:
                    engine = create_engine(engine_url(url), poolclass=NullPool)
                except ImportError:
                    raise _no_driver(url) from None
                held.callback(engine.dispose)
                held.enter_context(server_lock(engine, name, wait=wait))
        try:
            yield
        finally:
            with suppress(SQLAlchemyError, OSError):  # a server that is gone has let go of it
                held.close()


def _check_file(file: Path, *, make: bool) -> None:
    """Raises StudyError where the file is there and is no SQLite database, or is to be there and is not.

    A search that ends before it makes tables leaves an empty file; the next one goes on with it.
    """
    is_empty = file.is_file() and file.stat().st_size == 0
    if make and (is_empty or not file.exists()):
        return
    if not file.exists():
        raise MissingStudyError(f"there is no study at {str(file)!r}")
    what = "the file is empty" if is_empty else "it is no file"
    if file.is_file() and not is_empty:
        with file.open("rb") as opened:
            if opened.read(len(_SQLITE)) == _SQLITE:
                return
        what = "it is no SQLite database"
    kind = MissingStudyError if is_empty else StudyError
    raise kind(f"{str(file)!r} is not a study: {what}; name a study.db that a search made")


def _check_begun(url: str, options: dict[str, Any]) -> None:
    """Raises StudyError where no study was made in the storage, such as by a search that is killed as it begins.

    Optuna would name the first table that it misses, and write into some of the others.
    """
    with create_engine(engine_url(url), poolclass=NullPool, **options).connect() as connection:
        if inspect(connection).has_table("studies") and connection.exec_driver_sql("SELECT 1 FROM studies").first():
            return
    raise MissingStudyError(
        f"the storage {shown_place(url)!r} has no study; a search that ended as it began leaves one so, and the same "
        "command begins it again"
    )


def _no_driver(url: str) -> StudyError:
    backend = parse_url(url).get_backend_name()
    extra = _EXTRAS.get(backend)
    words = f'pip install "snsearch[{extra}]"' if extra else "use SQLite, PostgreSQL or MySQL"
    return StudyError(f"the storage {shown_place(url)!r} cannot be opened: its driver is not installed; {words}")
