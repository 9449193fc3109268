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
from functools import partial
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
    Event,
    Machine,
    ProxyResult,
    Recipe,
    Report,
    Stop,
    TrainingDiverged,
    run_processes,
    spawn_context,
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
        by_identity = {task.identity: task for task in left}
        diverged: list[str] = []
        known = len(tasks) - len(left)
        observer.training(f"{len(tasks)} trainings, {known} of them done before", known, len(tasks), machine.workers)

        def hear(event: Event) -> None:
            kind, worker, details = event
            if kind == "trained":
                observer.hear(event)
                return
            task = by_identity[details[0]]
            if kind == "begun":
                observer.begun(task.name, task.architecture, worker)
            elif kind == "diverged":
                diverged.append(f"{task.name}: {details[1]}")
            else:
                log.append(task, details[1])
                _checkpoint(checkpoints, task).unlink(missing_ok=True)
                observer.scored(task.name, details[1], worker)

        if not left:
            return
        do = partial(_do, dataset=dataset, device=machine.device, checkpoints=checkpoints, train=train)
        if machine.workers == 1:
            for task in left:
                do(task, lambda kind, *details: hear((kind, 0, details)), stop)
        else:
            job = (left, do, spawn_context().Value("i", 0))
            workers = min(machine.workers, len(left))
            run_processes(_work, job, workers=workers, threads=machine.threads, hear=hear, stop=stop)
        if checkpoints.is_dir() and not any(checkpoints.iterdir()):
            checkpoints.rmdir()
        if diverged:
            others = f" (and {len(diverged) - 1} more)" if len(diverged) > 1 else ""
            raise StudyError(f"a training diverged: {diverged[0]}{others}")


def _work(job: tuple[Sequence[Training], Callable[..., None], Any], worker: int, report: Report, stop: Stop) -> str:
    """Does the trainings that no other worker has begun; the job has a counter that all workers share."""
    tasks, do, next_task = job
    while True:
        with next_task.get_lock():
            index = next_task.value
            next_task.value += 1
        if index >= len(tasks):
            return "every training is done"
        do(tasks[index], report, stop)


def _do(
    task: Training,
    report: Report,
    stop: Stop,
    *,
    dataset: Dataset,
    device: torch.device,
    checkpoints: Path,
    train: Train,
) -> None:
    """Does one training and reports its progress and end. Raises KeyboardInterrupt where `stop` says so."""

    def on_batch(images_seen: int, images_in_all: int, loss: float) -> None:
        if stop():
            raise KeyboardInterrupt
        report("trained", images_seen, images_in_all, loss)

    report("begun", task.identity)
    try:
        result = train(
            task.architecture,
            dataset,
            task.recipe,
            seed=task.seed,
            device=device,
            checkpoint=_checkpoint(checkpoints, task),
            on_batch=on_batch,
        )
    except TrainingDiverged as error:
        report("diverged", task.identity, str(error))
    else:
        report("ended", task.identity, result)


def _checkpoint(folder: Path, task: Training) -> Path:
    return folder / (hashlib.sha256(repr(task.identity).encode()).hexdigest()[:16] + ".pt")
