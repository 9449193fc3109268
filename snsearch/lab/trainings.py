"""Many trainings, kept one by one: a list of them is run over worker processes into a CSV log, and resumed from it.

The log is the result: one row per point of a learning curve, readable by any tool. It holds whole trainings only, and
is written by one process at a time.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import filelock
import torch

from snsearch import __version__
from snsearch.errors import StudyError
from snsearch.files import faults_as, whole_file
from snsearch.network import Architecture
from snsearch.study import Observer
from snsearch.training import (
    Dataset,
    Machine,
    ProxyResult,
    Recipe,
    Report,
    Stop,
    TrainingDiverged,
    Work,
    Workers,
    train_proxy,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """One training to be done: what, how, with which seed. Label, recipe's name and seed identify it."""

    label: str
    architecture: Architecture
    recipe_name: str
    recipe: Recipe
    seed: int

    @property
    def identity(self) -> tuple[str, str, int]:
        """What tells this training from the others of its list."""
        return self.label, self.recipe_name, self.seed

    @property
    def name(self) -> str:
        """The identity in words."""
        return f"{self.label}, {self.recipe_name}, seed {self.seed}"


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
    def identity(self) -> tuple[str, str, int]:
        """Of the training that the point belongs to."""
        return self.candidate, self.recipe, self.seed


Train = Callable[..., ProxyResult]  # as train_proxy
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

    def append(self, training: Training, result: ProxyResult) -> None:
        """Keeps a finished training; on the disk when this returns. Raises StudyError if it cannot be written."""
        rows = io.StringIO()
        writer = csv.writer(rows, lineterminator="\n")
        for point in result.curve:
            writer.writerow(
                (
                    *training.identity,
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

    def read(self) -> dict[tuple[str, str, int], Curve]:
        """The curves of the finished trainings, by candidate, recipe and seed."""
        return read_log(self.path)

    def _write(self, text: str) -> None:
        """Replaces the file in one step, so that a run that is killed leaves no half of a training."""
        faults = faults_as(StudyError, f"the log {str(self.path)!r} cannot be written")
        with faults, whole_file(self.path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())


def read_log(path: Path) -> dict[tuple[str, str, int], Curve]:
    """The curves of a log's trainings, by candidate, recipe and seed; empty if there is no log yet.

    Raises StudyError for another kind of file.
    """
    curves: dict[tuple[str, str, int], list[LoggedPoint]] = {}
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


def run_trainings(
    tasks: Sequence[Training],
    dataset: Dataset,
    log: TrainingLog,
    *,
    machine: Machine,
    checkpoints: Path,
    observer: Observer,
    stop: Stop,
    train: Train = train_proxy,
) -> None:
    """Does the trainings that the log lacks, in their order, and keeps each in the log.

    A stopped training continues from its last epoch when the same list is run again. With several workers
    `train` has to be importable.

    Raises:
        KeyboardInterrupt: `stop` said so; what is finished is kept.
        StudyError: another process is at work on the log, a file cannot be written, a worker died, or, once all
            others are done, trainings whose loss left the finite numbers.
    """
    with log:
        done = log.read()
        left = tuple(task for task in tasks if task.identity not in done)
        diverged: list[str] = []
        known = len(tasks) - len(left)
        observer.training(f"{len(tasks)} trainings, {known} of them done before", known, len(tasks), machine.workers)

        def work(task: Training) -> Work:
            def keep(outcome: ProxyResult | str) -> None:
                if isinstance(outcome, str):
                    diverged.append(f"{task.name}: {outcome}")
                    return
                log.append(task, outcome)
                _checkpoint(checkpoints, task).unlink(missing_ok=True)
                observer.report("scored", task.name, outcome)

            def lost(reason: str) -> None:
                raise StudyError(
                    f"{task.name}: {reason}; the same command takes its work up again, with fewer --workers if "
                    "memory ran out"
                )

            return Work(task=task, done=keep, lost=lost)

        job = _Job(dataset=dataset, device=machine.device, checkpoints=checkpoints, train=train)
        workers = min(machine.workers, max(1, len(left)))
        with Workers(job, count=workers, threads=machine.threads, hear=observer.hear, stop=stop) as crew:
            crew.run(_do, iter([work(task) for task in left]))
        if checkpoints.is_dir() and not any(checkpoints.iterdir()):
            checkpoints.rmdir()
        if diverged:
            others = f" (and {len(diverged) - 1} more)" if len(diverged) > 1 else ""
            raise StudyError(f"a training diverged: {diverged[0]}{others}")


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What every training needs."""

    dataset: Dataset
    device: torch.device
    checkpoints: Path
    train: Train


def _do(job: _Job, task: Training, report: Report, stop: Stop) -> ProxyResult | str:
    """Does one training; where its loss left the finite numbers, what was seen.

    Raises KeyboardInterrupt where `stop` says so.
    """

    def on_batch(images_seen: int, images_in_all: int, loss: float) -> None:
        if stop():
            raise KeyboardInterrupt
        report("trained", images_seen, images_in_all, loss)

    report("begun", task.name, task.architecture)
    try:
        return job.train(
            task.architecture,
            job.dataset,
            task.recipe,
            seed=task.seed,
            device=job.device,
            checkpoint=_checkpoint(job.checkpoints, task),
            on_batch=on_batch,
        )
    except TrainingDiverged as error:
        return str(error)


def _checkpoint(folder: Path, task: Training) -> Path:
    return folder / (hashlib.sha256(repr(task.identity).encode()).hexdigest()[:16] + ".pt")
