"""Finished trainings in a CSV file: one row per point of a learning curve, readable by any tool. Loads no torch.

A log holds whole trainings only, and is written by one process at a time.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock

from snsearch import __version__
from snsearch.errors import StudyError
from snsearch.files import faults_as, whole_file

if TYPE_CHECKING:
    from snsearch.training import ProxyResult

Identity = tuple[str, str, int]  # candidate, recipe's name, seed


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedPoint:
    """One row of a log: a point of the learning curve of a finished training."""

    candidate: str
    recipe: str  # by name
    seed: int
    images_seen: int
    test_images: int
    test_error: float
    test_loss: float
    train_loss: float  # mean since the point before
    cpu_seconds: float  # since the training began
    threads: int
    device: str
    snsearch: str
    torch: str

    @property
    def identity(self) -> Identity:
        """Of the training that the point belongs to."""
        return self.candidate, self.recipe, self.seed


Curve = tuple[LoggedPoint, ...]  # of one training, by images seen
_COLUMNS = tuple(field.name for field in fields(LoggedPoint))
_HEADER = ",".join(_COLUMNS) + "\n"
_CONVERT: dict[str, Callable[[str], Any]] = {"int": int, "float": float, "str": str}


class TrainingLog:
    """The CSV file of finished trainings. To be appended to inside `with log:` only, which keeps others out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = filelock.FileLock(f"{path}.lock", timeout=0)

    def __enter__(self) -> TrainingLog:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except filelock.Timeout:
            raise StudyError(f"another process is at work on {str(self.path)!r}") from None
        try:
            if not self.path.exists():
                self._write(_HEADER)
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *details: object) -> None:
        self._lock.release()

    def append(self, identity: Identity, result: ProxyResult) -> None:
        """Keeps a finished training; on the disk when this returns. Raises StudyError if it cannot be written."""
        rows = io.StringIO()
        writer = csv.writer(rows, lineterminator="\n")
        for point in result.curve:
            writer.writerow(
                (
                    *identity,
                    point.images_seen,
                    point.test_images,
                    f"{point.test_error:.6g}",
                    f"{point.test_loss:.6g}",
                    f"{point.train_loss:.6g}",
                    f"{point.cpu_seconds:.2f}",
                    result.threads,
                    result.device,
                    __version__,
                    result.torch_version,
                )
            )
        self._write(self.path.read_text(encoding="utf-8") + rows.getvalue())

    def read(self) -> dict[Identity, Curve]:
        """The curves of the finished trainings, by candidate, recipe and seed."""
        return read_log(self.path)

    def _write(self, text: str) -> None:
        """Replaces the file in one step, so that a run that is killed leaves no half of a training."""
        faults = faults_as(StudyError, f"the log {str(self.path)!r} cannot be written")
        with faults, whole_file(self.path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())


def read_log(path: Path) -> dict[Identity, Curve]:
    """The curves of a log's trainings, by candidate, recipe and seed; empty if there is no log yet.

    Raises StudyError for another kind of file.
    """
    curves: dict[Identity, list[LoggedPoint]] = {}
    converters = [_CONVERT[str(field.type)] for field in fields(LoggedPoint)]
    if not path.exists():
        return {}
    with faults_as(StudyError, f"the log {str(path)!r} cannot be read"):
        text = path.read_text(encoding="utf-8", errors="replace")
    if not text.startswith(_HEADER):
        raise StudyError(f"{str(path)!r} is no log of trainings: expected the columns {', '.join(_COLUMNS)}")
    reader = csv.reader(io.StringIO(text, newline=""))
    next(reader)
    try:
        for row in reader:
            values = {name: convert(text) for name, convert, text in zip(_COLUMNS, converters, row, strict=True)}
            point = LoggedPoint(**values)
            curves.setdefault(point.identity, []).append(point)
    except ValueError as error:
        raise StudyError(f"the log {str(path)!r}, line {reader.line_num}: {error}") from None
    return {identity: tuple(curve) for identity, curve in curves.items()}
