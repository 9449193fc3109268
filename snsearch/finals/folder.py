"""The folder of a full training: its checkpoint, log, weights and result, each written in one step."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import torch
from filelock import FileLock, Timeout

from snsearch.codec import Share, Stored, Whole, decode, differences, encode, parse_json
from snsearch.errors import StudyError
from snsearch.files import faults_as, read_limited, whole_file, write_whole
from snsearch.finals.loop import EpochRow
from snsearch.finals.plan import FinalPlan
from snsearch.finals.scores import Evaluation

WEIGHTS = "weights.safetensors"
CHECKPOINT = "checkpoint.pt"
LOG = "log.csv"
RESULT = "result.json"
EVENTS = "tensorboard"
_LOCK = ".lock"


@dataclass(frozen=True, kw_only=True, slots=True)
class FinalResult:
    """What a training came to: which epoch was chosen, and its errors."""

    STORED: ClassVar = Stored(schema=1)

    plan: FinalPlan
    epoch: Whole  # whose weights were kept
    validation_error: Share | None  # by which it was chosen; None: there are no validation images
    test: Evaluation


def check_folder(folder: Path) -> None:
    """Raises StudyError where the folder cannot be made or written to; makes nothing."""
    with _writing(folder):
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if not there.is_dir():
            raise FileExistsError
        if not os.access(there, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """The folder for this training alone; a new one in which nothing is kept goes again.

    Raises StudyError where another process trains in it.
    """
    with _writing(folder):
        is_new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / _LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise StudyError(f"another process trains in {str(folder)!r}; name another folder, or wait") from None
    try:
        # What a killed process was writing.
        for left in folder.glob(".*.partial"):
            left.unlink(missing_ok=True)
        yield
    finally:
        with suppress(OSError):  # where an open file cannot be deleted
            if is_new and [path.name for path in folder.iterdir()] == [_LOCK]:
                (folder / _LOCK).unlink()
                folder.rmdir()
        lock.release()


def _writing(folder: Path) -> AbstractContextManager[None]:
    return faults_as(StudyError, f"{str(folder)!r} cannot be written")


def cleared(folder: Path) -> None:
    """Takes an earlier training's files away."""
    for name in (CHECKPOINT, LOG, RESULT, WEIGHTS):
        (folder / name).unlink(missing_ok=True)


def kept_result(folder: Path, plan: FinalPlan) -> FinalResult | None:
    """The result of the same training, where it is done. Raises StudyError for that of another."""
    path = folder / RESULT
    if not path.is_file():
        return None
    where = f"{str(path)!r}"
    try:
        found = decode(FinalResult, parse_json(read_limited(path)), where, error=StudyError)
    except (OSError, ValueError) as error:
        raise StudyError(f"{where} cannot be read: {error}; --force trains again") from None
    _check_same(encode(found.plan), plan, folder)
    return found


def kept_state(folder: Path, plan: FinalPlan) -> dict[str, Any] | None:
    """The state of the same training, where it has begun. Raises StudyError for that of another."""
    path = folder / CHECKPOINT
    if not path.is_file():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        before = dict(state["plan"])
    except Exception as error:  # torch raises many kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise StudyError(f"{str(path)!r} cannot be read: {reason}; --force trains again") from None
    _check_same(before, plan, folder)
    return dict(state)


def _check_same(before: Mapping[str, Any], plan: FinalPlan, folder: Path) -> None:
    # How the data is named does not count: its fingerprint decides.
    if different := differences(before, encode(plan), ("data",)):
        different = [line for line in different if f"recipe {line}" not in different]  # of what is in both, once
        raise StudyError(
            f"{str(folder)!r} holds another training ({'; '.join(different)}); name another folder, or add --force "
            "to train again"
        )


def keep_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Writes the checkpoint. Raises StudyError where it cannot be written."""
    path = folder / CHECKPOINT
    try:
        with whole_file(path) as partial:
            torch.save(dict(state), partial)
    except (OSError, RuntimeError) as error:  # torch's writer raises the latter on a full disk
        raise StudyError(f"{str(path)!r} cannot be written: {str(error).splitlines()[0]}") from None


def keep_log(folder: Path, rows: Sequence[EpochRow]) -> None:
    """Writes the log of all epochs so far."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(EpochRow)], lineterminator="\n")
    writer.writeheader()
    writer.writerows({**encode(row)} for row in rows)
    with faults_as(StudyError, f"{str(folder / LOG)!r} cannot be written"):
        write_whole(folder / LOG, text.getvalue())


def keep_result(folder: Path, result: FinalResult) -> None:
    """Writes the result; the checkpoint is not needed any more."""
    with faults_as(StudyError, f"{str(folder / RESULT)!r} cannot be written"):
        write_whole(folder / RESULT, json.dumps(encode(result), allow_nan=False, ensure_ascii=False) + "\n")
        (folder / CHECKPOINT).unlink(missing_ok=True)
