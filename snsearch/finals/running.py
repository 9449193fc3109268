"""Runs a full training in its folder, to the weights file and the error on the test images."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from snsearch import __version__
from snsearch.codec import encode
from snsearch.errors import SpecError, check_installed
from snsearch.finals.folder import (
    EVENTS,
    LOG,
    WEIGHTS,
    FinalResult,
    cleared,
    keep_log,
    keep_result,
    keep_state,
    kept_result,
    kept_state,
    locked,
)
from snsearch.finals.loop import EpochRow, FinalTraining, Normaliser, run_of, tallied
from snsearch.finals.plan import FinalPlan
from snsearch.finals.ranks import Ranks
from snsearch.finals.starting import Start, Teacher
from snsearch.network import build_model, network_of
from snsearch.study import Observer
from snsearch.training import Feeds, Training, write_weights
from snsearch.units import format_duration

_PACED = 20  # steps before a first estimate of the time
_LONG = 60.0  # seconds of training, below which the first epoch's end is soon enough for one


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """A network that was trained in full: its weights file, and what it came to."""

    folder: Path
    result: FinalResult

    def __repr__(self) -> str:
        return f"<{self.weights}: {self.result.test!r}>"

    @property
    def weights(self) -> Path:
        """The weights file, which `snsearch export` and `snsearch evaluate` take."""
        return self.folder / WEIGHTS

    @property
    def document(self) -> dict[str, Any]:
        """As `snsearch train --format json` prints it."""
        return {**encode(self.result), "weights": str(self.weights), "log": str(self.folder / LOG)}

    @property
    def lines(self) -> list[str]:
        """The same in words."""
        result = self.result
        chosen = "the last, because there are no validation images"
        if result.validation_error is not None:
            chosen = f"chosen by validation images, error {result.validation_error:.2%}"
        lines = [f"{self.weights}: epoch {result.epoch} of {result.plan.epochs} ({chosen})"]
        return lines + [
            f"test images: {line}" if not number else line for number, line in enumerate(result.test.lines)
        ]


def run_training(
    plan: FinalPlan,
    feeds: Feeds,
    start: Start,
    teacher: Teacher | None,
    ranks: Ranks,
    folder: Path,
    *,
    observer: Observer,
    stop: Callable[[], bool],
    command: Sequence[str],
    save_every: float,
    tensorboard: bool = False,
    force: bool = False,
) -> Trained:
    """Trains, or goes on, and returns what it came to; the same call with a finished training returns that.

    Args:
        plan: what is trained, and how.
        feeds: the data.
        start: the network.
        teacher: to learn from.
        ranks: the processes that train together.
        folder: of checkpoint, log, weights and result.
        observer: hears of the progress.
        stop: whether to end at the next step, with KeyboardInterrupt.
        command: the command line, for the weights file.
        save_every: seconds between checkpoints within an epoch.
        tensorboard: write events for it.
        force: start over where the folder holds another training.

    Raises:
        StudyError: the folder holds another training, is in use or cannot be written.
        TrainingDiverged: the loss left the finite numbers.
    """
    with locked(folder) if ranks.first else nullcontext():
        if force and ranks.first:
            cleared(folder)
        ranks.wait()
        if (done := kept_result(folder, plan)) is not None:
            return Trained(folder=folder, result=done)
        training = FinalTraining(plan, feeds, start, ranks, teacher)
        if (state := kept_state(folder, plan)) is not None:
            training.restore(state)
            observer.said(f"going on behind step {training.step:,} of {plan.steps:,}")
        observer.training(f"training {plan.key}", len(training.rows), plan.epochs, 1)
        observer.begun("epoch", network_of(plan.key), 0)
        with _events(folder / EVENTS, tensorboard and ranks.first, training.step) as log_event:
            _train_to_the_end(training, folder, observer, stop, save_every, log_event)
        result = _tested(training)
        if ranks.first:
            write_weights(folder / WEIGHTS, training.best_state, _about(training, result, command))
            keep_result(folder, result)
        ranks.wait()
        return Trained(folder=folder, result=result)


def _train_to_the_end(
    training: FinalTraining,
    folder: Path,
    observer: Observer,
    stop: Callable[[], bool],
    save_every: float,
    log_event: Callable[[EpochRow], None],
) -> None:
    plan, ranks = training.plan, training.ranks
    began, first_step, saved = time.monotonic(), training.step, time.monotonic()
    stopping = False

    def left() -> float:
        return (plan.steps - training.step) * (time.monotonic() - began) / max(1, training.step - first_step)

    def after_step(loss: float | None) -> bool:
        nonlocal saved, stopping
        if training.step - first_step == _PACED and left() >= _LONG:
            observer.said(f"about {format_duration(left())} left at the pace of the first {_PACED} steps")
        if loss is not None:
            size = plan.batch_size
            observer.report("trained", training.step * size, plan.steps * size, loss)
        # All processes stop at the same step, of those at which they ask each other.
        if ranks.count == 1 or training.step % 10 == 0:
            stopping = ranks.any(stop())
        if ranks.first and time.monotonic() - saved >= save_every:
            keep_state(folder, training.state())
            saved = time.monotonic()
        return not stopping

    while not training.finished:
        training.advance(after_step)
        if ranks.first:
            keep_state(folder, training.state())
            keep_log(folder, training.rows)
            saved = time.monotonic()
        if stopping:
            raise KeyboardInterrupt
        row = training.rows[-1]
        log_event(row)
        observer.said(_words(row, plan, left()))


def _words(row: EpochRow, plan: FinalPlan, left: float) -> str:
    error = "" if row.validation_error is None else f", validation error {row.validation_error:.2%}"
    time_left = f", {format_duration(left)} left" if left else ""
    return (
        f"epoch {row.epoch}/{plan.epochs}: loss {row.train_loss:.3f}{error}, rate {row.learning_rate:.3g}{time_left}"
    )


def _tested(training: FinalTraining) -> FinalResult:
    """The chosen weights on the test images, which are read here for the first time."""
    plan, feeds = training.plan, training.feeds
    network = build_model(network_of(plan.key))
    network.load_state_dict(training.best_state)
    device = training.ranks.device
    run = run_of(network.to(device), Normaliser(feeds.mean, feeds.std, device))
    tally = tallied(run, feeds.test, len(plan.classes), training.ranks)
    return FinalResult(
        plan=plan,
        epoch=training.best_epoch,
        validation_error=training.rows[training.best_epoch - 1].validation_error,
        test=tally.evaluation(plan.classes),
    )


def _about(training: FinalTraining, result: FinalResult, command: Sequence[str]) -> Training:
    plan, feeds = training.plan, training.feeds
    return Training(
        key=plan.key,
        classes=plan.classes,
        mean=feeds.mean,
        std=feeds.std,
        data=plan.data,
        recipe=f"{plan.recipe.describe()}; {plan.epochs} epochs, batch {plan.batch_size}, "
        f"rate {plan.learning_rate:g}",
        seed=plan.seed,
        test_error=result.test.error,
        test_images=result.test.images,
        command=tuple(command),
        versions={"snsearch": __version__, "torch": str(torch.__version__)},
    )


def check_tensorboard() -> None:
    """Raises SpecError where the package is not installed."""
    check_installed("tensorboard", "tensorboard", "--tensorboard", SpecError)


@contextmanager
def _events(folder: Path, wanted: bool, step: int) -> Iterator[Callable[[EpochRow], None]]:
    """Writes epochs as TensorBoard's events, where wanted; what a killed run wrote behind `step` is hidden."""
    if not wanted:
        yield lambda row: None
        return
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder), purge_step=step + 1) as writer:

        def write(row: EpochRow) -> None:
            for name, value in encode(row).items():
                if name not in ("epoch", "step") and value is not None:
                    writer.add_scalar(name, value, row.step)

        yield write
