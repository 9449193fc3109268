"""Many trainings, kept one by one: run over worker processes into a log, and resumed from it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from snsearch.errors import StudyError
from snsearch.lab.logs import Identity, TrainingLog
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
    follow_batches,
    ran_out_of_memory,
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
    def identity(self) -> Identity:
        """What tells this training from the others of its list."""
        return self.label, self.recipe_name, self.seed

    @property
    def name(self) -> str:
        """The identity in words."""
        return f"{self.label}, {self.recipe_name}, seed {self.seed}"


Train = Callable[..., ProxyResult]  # as train_proxy


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
                log.append(task.identity, outcome)
                _checkpoint(checkpoints, task).unlink(missing_ok=True)
                observer.report("scored", task.name, outcome)

            def lost(reason: str) -> None:
                raise _lost(task, reason)

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

    Raises KeyboardInterrupt where `stop` says so, StudyError where memory runs out.
    """
    report("begun", task.name, task.architecture)
    try:
        return job.train(
            task.architecture,
            job.dataset,
            task.recipe,
            seed=task.seed,
            device=job.device,
            checkpoint=_checkpoint(job.checkpoints, task),
            on_batch=follow_batches(report, stop),
        )
    except TrainingDiverged as error:
        return str(error)
    except Exception as error:
        if ran_out_of_memory(error):
            raise _lost(task, "out of memory") from error
        raise


def _lost(task: Training, reason: str) -> StudyError:
    return StudyError(
        f"{task.name}: {reason}; the same command takes its work up again, with fewer --workers if memory ran out"
    )


def _checkpoint(folder: Path, task: Training) -> Path:
    return folder / (hashlib.sha256(repr(task.identity).encode()).hexdigest()[:16] + ".pt")
