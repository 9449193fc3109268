"""What commands that train share: options, the machine, reading of the data, the display of many trainings."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from snsearch.cli.shared.console import printable, progress_console, say
from snsearch.units import format_duration

if TYPE_CHECKING:
    from snsearch.lab import Training
    from snsearch.training import Dataset, Options, ProxyResult

F = TypeVar("F", bound=Callable[..., Any])
_SHOWN_SKIPPED = 5


def machine_options(command: F) -> F:
    """--workers, --threads, --proxy-device."""
    for option in (
        click.option(
            "--proxy-device",
            default="auto",
            show_default=True,
            metavar="DEVICE",
            help="Device of proxy training: auto, cpu, cuda, mps.",
        ),
        click.option(
            "--threads", type=click.IntRange(1), help="CPU threads of a worker  [default: its share of the cores]"
        ),
        click.option(
            "--workers", type=click.IntRange(1, 256), help="Candidates trained at once  [default: a core each]"
        ),
    ):
        command = option(command)
    return command


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """Where trainings run."""

    device: Any  # torch.device
    workers: int
    threads: int  # of each worker


def machine_of(device: str, workers: int | None, threads: int | None, *, tasks: int) -> Machine:
    """The machine of the options, for so many trainings; torch's threads are set. Raises StudyError."""
    import torch

    from snsearch.training import pick_device

    chosen = pick_device(device)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if workers is None:
        workers = min(cores, tasks) if chosen.type == "cpu" else 1
    threads = threads or max(1, cores // workers)
    torch.set_num_threads(threads)
    return Machine(device=chosen, workers=workers, threads=threads)


def read_dataset(
    data: str, side: int | None, *, deployed: int | None = None, options: Options | None = None
) -> Dataset:
    """The data set of a `--data` text, with a progress bar, a line for what was skipped, and its summary.

    `deployed` is the deployed network's pixels per side, above which no training resolution is chosen.
    """
    from snsearch.training import load_data

    console = progress_console()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(f"reading {escape(printable(data))}", total=None)
        dataset = load_data(
            data,
            side=side,
            deployed=deployed,
            options=options,
            progress=lambda done, total: bars.update(task, completed=done, total=total),
        )
    for skipped in dataset.skipped[:_SHOWN_SKIPPED]:
        say(f"skipped {skipped.name}: {skipped.reason}")
    if len(dataset.skipped) > _SHOWN_SKIPPED:
        say(f"skipped {len(dataset.skipped)} files in all")
    if dataset.description is not None:
        for line in dataset.description.lines():
            say(line)
    if dataset.scored_on_test:
        say("  networks are trained on the training and validation images and scored on the test images")
    return dataset


class TrainingsProgress:
    """Shows a list of trainings on stderr: bars on a terminal, a line a training elsewhere."""

    def __init__(self, workers: int) -> None:
        self._console = progress_console()
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            console=self._console, transient=True, disable=not self._console.is_terminal,
        )  # fmt: skip
        self._workers = workers
        self._all: TaskID | None = None
        self._each: list[TaskID] = []
        self._words: dict[int, str] = {}
        self._done = self._total = 0
        self._started = 0.0

    @contextmanager
    def showing(self, done: int, total: int) -> Iterator[None]:
        """Shows the trainings while the context is open; so many of them are done already."""
        self._done, self._total, self._started = done, total, time.monotonic()
        self._console.print(f"{total} trainings, {done} of them done before")
        with self._bars:
            self._all = self._bars.add_task("trainings", total=total, completed=done)
            self._each = [self._bars.add_task("", total=None) for _ in range(self._workers)]
            yield

    def stopping(self) -> None:
        """The user asked to stop."""
        self._console.print("stopping at the next step; once more ends at once")

    def begun(self, training: Training, worker: int) -> None:
        """A training begins."""
        self._words[worker] = escape(f"{training.label}, {training.recipe_name}, seed {training.seed}")
        self._bars.reset(self._each[worker], description=self._words[worker], total=None)

    def trained(self, images_seen: int, images_in_all: int, loss: float, worker: int) -> None:
        """A training goes on."""
        words = f"{self._words[worker]}: loss {loss:.3f}"
        self._bars.update(self._each[worker], completed=images_seen, total=images_in_all, description=words)

    def ended(self, training: Training, result: ProxyResult, worker: int) -> None:
        """A training is done and kept."""
        self._done += 1
        assert self._all is not None
        self._bars.update(self._all, completed=self._done)
        if not self._console.is_terminal:
            self._console.print(
                f"{self._done}/{self._total} {self._words[worker]}: error {result.error:.2%}, "
                f"{format_duration(result.seconds)}"
            )
