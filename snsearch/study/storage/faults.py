"""Faults of a storage: what Optuna, SQLAlchemy, a driver or the disk raise becomes a StudyError."""

from __future__ import annotations

import errno
import json
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import optuna
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from snsearch.errors import SnsearchError, StudyError
from snsearch.study.storage_url import shown_place, without_secrets_of

# What to do, by the beginning of an error's code: SQLite's names, the server's (SQLSTATE, MySQL's numbers), errno's.
_ADVICE = {
    "SQLITE_FULL ENOSPC EDQUOT 53100 1021 1114": "make room on its disk",
    "SQLITE_READONLY_DBMOVED": "it was moved or deleted while it was in use: put it back",
    "SQLITE_READONLY EROFS EACCES EPERM 25006 1290 42501": "make it and its folder writable",
    "SQLITE_BUSY SQLITE_LOCKED 55P03 1205": "another program holds it: end that program",
    "SQLITE_CORRUPT SQLITE_NOTADB XX001 XX002": "it is damaged: put a copy back, or try sqlite3's .recover",
    "SQLITE_ERROR 42P01 42703 1146 1054": "it holds no whole study: put a copy back, or name another",
    "SQLITE": "check its disk and folder",
    "28 1044 1045": "check the user and the password (PGPASSWORD, ~/.pgpass)",
    "3D 1049": "make the database, or name another",
}
# What reading raises where a row holds what no version of Optuna has written.
_OF_DAMAGED_ROWS = (ValueError, TypeError, LookupError, AttributeError, AssertionError)


@contextmanager
def as_study_errors(url: str, *, opening: bool = False) -> Iterator[None]:
    """Raises what a storage raises as StudyError, without the URL's secrets; while it is opened, anything."""
    try:
        yield
    except SnsearchError:
        raise
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError, OSError) as error:
        raise _study_error(url, error, opening) from None
    except Exception as error:
        if not opening:
            raise
        raise _study_error(url, error, opening) from None


class Guarded:
    """Optuna's storage, whose every fault is a StudyError."""

    def __init__(self, url: str, storage: optuna.storages.RDBStorage) -> None:
        self.url = url
        self.engine = storage.engine
        self._uncached = storage
        self._storage = optuna.storages.get_storage(storage)

    def __getattr__(self, name: str) -> Any:
        return partial(self._call, name)

    def _call(self, name: str, *arguments: Any, **options: Any) -> Any:
        with as_study_errors(self.url):
            try:
                return getattr(self._storage, name)(*arguments, **options)
            except _OF_DAMAGED_ROWS as error:
                # Of what writes, only a row that is not there any more is the storage's fault.
                if not (name.startswith("get_") or isinstance(error, KeyError)):
                    raise
                words = _damaged_value(self._uncached) or _in_words(error)
                raise StudyError(
                    f"the study at {shown_place(self.url)!r} is damaged: {words}; put a copy back, or begin another "
                    "--study"
                ) from None

    def remove_session(self) -> None:
        """Closes the connections; that fails silently, because nothing is lost by it."""
        with suppress(SQLAlchemyError):
            self._uncached.remove_session()
            self.engine.dispose()


def _study_error(url: str, error: Exception, opening: bool) -> StudyError:
    place = shown_place(url)
    _forget_locals(error)
    if isinstance(error, optuna.exceptions.StorageInternalError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    cause = error.orig if isinstance(error, DBAPIError) and isinstance(error.orig, Exception) else error
    words = without_secrets_of(url, _in_words(cause))
    what = "cannot be opened" if opening else "failed"
    if not isinstance(error, DBAPIError | OSError):
        return StudyError(f"the storage {place!r} {what}: {words}")
    return StudyError(f"the storage {place!r} {what}: {words}; {_advice(cause)}, then give the same command again")


def _forget_locals(error: BaseException | None) -> None:
    """Frees what the frames of an error hold, connections and passwords among it; some tools print it."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _in_words(error: Exception) -> str:
    """An error's first line."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror} ({error.filename})" if error.filename else error.strerror
    text = str(error.args[1] if len(error.args) == 2 and type(error.args[0]) is int else error).strip()
    name = type(error).__name__
    if isinstance(error, LookupError | TypeError | AttributeError | AssertionError):  # whose text alone says little
        text = f"{name}: {text}"
    return (text or name).splitlines()[0]


def _advice(error: Exception) -> str:
    code = getattr(error, "sqlite_errorname", None) or getattr(error, "sqlstate", None)
    if code is None and error.args and type(error.args[0]) is int:
        code = errno.errorcode.get(error.args[0], "") if isinstance(error, OSError) else str(error.args[0])
    if code is None and "password" in str(error):  # psycopg has no code before it is let in
        code = "28"
    fitting = (words for codes, words in _ADVICE.items() if str(code).startswith(tuple(codes.split())))
    return next(fitting, "check its disk and folder" if isinstance(error, OSError) else "make sure that it answers")


def _damaged_value(storage: optuna.storages.RDBStorage) -> str:
    """The first attribute that is no JSON, or the first trial that cannot be read; empty where there is none."""
    queries = {
        "the study's": "SELECT '' AS number, a.key, a.value_json FROM study_user_attributes a",
        "trial": "SELECT t.number, a.key, a.value_json FROM trial_user_attributes a "
        "JOIN trials t ON t.trial_id = a.trial_id",
    }
    with suppress(SQLAlchemyError), storage.engine.connect() as connection:
        for whose, query in queries.items():
            for number, key, text in connection.exec_driver_sql(query):
                try:
                    json.loads(text)
                except (ValueError, TypeError) as error:
                    return f"{whose} {number}{': ' if number != '' else ''}{key} is no JSON ({error})"
        for identity, number in connection.exec_driver_sql("SELECT trial_id, number FROM trials"):
            try:
                storage.get_trial(identity)
            except _OF_DAMAGED_ROWS as error:
                return f"trial {number}: {_in_words(error)}"
    return ""
