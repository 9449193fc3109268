"""How long work shows itself on stderr: a live display on a terminal, one line an event elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

import click
from rich import progress as rich
from rich.console import Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from snsearch.cli.shared.console import message_lines, progress_console
from snsearch.errors import DeviceError, SnsearchError
from snsearch.interrupt import EndNow, stop_on_signals
from snsearch.study import Observer
from snsearch.units import format_duration, three_digits

if TYPE_CHECKING:
    from snsearch.api import Outcome
    from snsearch.network import AnyNetwork
    from snsearch.study import TrialRecord
    from snsearch.training import ProxyResult, Step

_SHOWN = 8  # candidates of the front in the live display


class Progress(Observer):
    """Shows what it hears of while its context is open, and keeps what was measured."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self._console = progress_console()
        self._bars = rich.Progress(
            rich.TextColumn("{task.description}"), rich.BarColumn(), rich.MofNCompleteColumn(),
            rich.TimeRemainingColumn(), console=self._console,
        )  # fmt: skip
        self._live: Live | None = None
        self._all: rich.TaskID | None = None
        self._step = ""
        self._each: list[rich.TaskID] = []  # one bar per worker
        self._names: dict[int, str] = {}
        self._done = self._total = 0
        self._records_of: Callable[[], Sequence[TrialRecord]] | None = None
        self._records: Sequence[TrialRecord] = ()
        self._unit = ""
        self._spent: Callable[[], float] = float
        self._before = self._effort = 0.0
        self._started = 0.0
        self._is_searching = False

    def __enter__(self) -> Progress:
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self._display, console=self._console, refresh_per_second=4, transient=True
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_searching = self._is_searching and kind is not None  # stopped: the same command goes on
        if self._live is not None:
            self._live.stop()

    @property
    def has_searched(self) -> bool:
        """Whether a search has begun."""
        return self._records_of is not None

    def said(self, text: str) -> None:
        """Prints a remark."""
        self._console.print(Text("\n".join(message_lines(text))))

    def stopping(self) -> None:
        """Says that the signal was heard."""
        self.said("stopping at the next step; once more ends at once")

    def confirm(self, question: str) -> bool:
        """Asks on a terminal. Raises click.Abort where the answer is no."""
        if not (sys.stdin.isatty() and self._live is not None):
            return False
        self._live.stop()
        self.said(question)
        click.confirm("start it anyway?", abort=True, err=True)
        self._live.start()
        return True

    def read(self, step: Step, done: int, total: int) -> None:
        """Shows the reading of images, where a step of it takes longer than a second."""
        self._show(step, done, total)

    def drawn(self, done: int, total: int) -> None:
        """Shows the drawing of networks, where it takes longer than a second."""
        self._show("drawing networks", done, total)

    def _show(self, step: str, done: int, total: int) -> None:
        if self._all is None or self._step != step:
            self._clear()
            self._step, self._started = step, time.monotonic()
            self._all = self._bars.add_task(step, total=total, visible=False)
        self._bars.update(self._all, completed=done, visible=time.monotonic() - self._started > 1)

    def searching(
        self,
        head: str,
        records: Callable[[], Sequence[TrialRecord]],
        spent: Callable[[], float],
        total: float,
        workers: int,
        unit: str,
    ) -> None:
        """Begins the display of a search."""
        self._records_of, self._records, self._unit = records, records(), unit
        self._is_searching = True
        self._spent, self._before, self._effort, self._started = spent, spent(), total, time.monotonic()
        self._begin(head, "full trainings' worth", self._before, total, workers)

    def training(self, head: str, done: int, total: int, workers: int) -> None:
        """Begins the display of a list of trainings."""
        self._done, self._total = done, total
        self._is_searching = False
        self._begin(head, "trainings", done, total, workers)

    def _begin(self, head: str, what: str, done: float, total: float, workers: int) -> None:
        self.said(head)
        self._clear()
        self._all = self._bars.add_task(what, total=total)
        self._bars.update(self._all, completed=min(done, total))
        self._each = [self._bars.add_task("training", total=None) for _ in range(workers)]

    def _clear(self) -> None:
        for task in self._bars.task_ids:
            self._bars.remove_task(task)

    def begun(self, name: str, architecture: AnyNetwork, worker: int) -> None:
        """Shows that a training begins."""
        self._names[worker] = name
        self._bars.reset(self._each[worker], description=escape(name), total=None)

    def trained(self, images_seen: int, images_in_all: int, loss: float, worker: int) -> None:
        """Shows how far a training is."""
        description = escape(f"{self._names[worker]}: loss {loss:.3f}")
        self._bars.update(self._each[worker], completed=images_seen, total=images_in_all, description=description)

    def ended(self, record: TrialRecord, worker: int) -> None:
        """Shows a candidate's score so far, or why it has none."""
        assert self._records_of is not None
        assert self._all is not None
        self._records = self._records_of()
        self._bars.update(self._all, completed=min(self._spent(), self._effort))
        if record.proxy is None or record.status in ("failed", "left out"):
            self.said(f"#{record.number} {record.status}: {record.reason}")
        elif self._live is None:
            cost = "" if record.cost is None else f", {three_digits(record.cost)} {self._unit}"
            length = "" if record.proxy.finished else f" after {record.proxy.images_seen:,} images"
            seconds = format_duration(record.proxy.seconds)
            self.said(f"#{record.number} {record.words}: error {record.proxy.error:.2%}{length}{cost}, {seconds}")

    def scored(self, name: str, result: ProxyResult, worker: int) -> None:
        """Shows a training's score."""
        self._done += 1
        assert self._all is not None
        self._bars.update(self._all, completed=self._done)
        if self._live is None:
            score = f"error {result.error:.2%}, {format_duration(result.seconds)}"
            self.said(f"{self._done}/{self._total} {name}: {score}")

    def postponed(self, name: str, reason: str, worker: int) -> None:
        """Says why a training is left to the next run."""
        self.said(f"{name}: {reason}; the same command takes it up again (if memory ran out: with fewer --workers)")

    def measured(self, outcome: Outcome, done: int, total: int) -> None:
        """Keeps an outcome, and shows it."""
        from snsearch.cli.shared.outcomes import words_of

        self.outcomes.append(outcome)
        self.said(f"{done} of {total}: {words_of(outcome)}")

    def check_outcomes(self) -> None:
        """Raises DeviceError where networks that were measured have no latency."""
        from snsearch.device import Unmeasured

        outcomes = self.outcomes
        lost = [one for one in outcomes if isinstance(one, Unmeasured) or getattr(one, "verdict", "") == "refused"]
        if lost:
            raise DeviceError(f"{len(lost)} of {len(outcomes)} networks have no latency; see the reasons above")

    def _display(self) -> RenderableType:
        if not self._records:
            return self._bars
        from snsearch.study import front, trained

        table = Table(title=f"front so far (proxy error, one seed; {self._unit})", title_justify="left")
        for name in ("trial", "candidate", "error", self._unit):
            table.add_column(name, justify="left" if name in ("trial", "candidate") else "right")
        records = trained(self._records)
        points = [(r.proxy.error, r.cost) for r in records if r.proxy is not None and r.cost is not None]
        for index in front(points)[:_SHOWN]:
            record = records[index]
            error, cost = points[index]
            table.add_row(f"#{record.number}", escape(record.words), f"{error:.2%}", three_digits(cost))
        parts: list[RenderableType] = [self._bars, Text(self._pace())]
        return Group(*parts, table) if records else Group(*parts)

    def _pace(self) -> str:
        """How many candidates are tried, and the time that is spent and left, in a line."""
        from snsearch.study import explored

        took, spent = time.monotonic() - self._started, self._spent()
        words = [f"{len(explored(self._records))} candidates tried"]
        words += [f"{min(spent, self._effort):.1f} of {self._effort:g} full trainings' worth"]
        if (beyond := spent - self._effort) >= 0.05:
            words += [f"{beyond:.1f} beyond it for --trials, or to train the finalists to the full length"]
        words += [f"spent {format_duration(took)}"]
        if self._is_searching and (fresh := spent - self._before) > 0 and spent < self._effort:
            words += [f"about {format_duration(took / fresh * (self._effort - spent))} left of the search"]
        return ", ".join(words)

    def summary(self) -> str:
        """What the search has come to, in a line."""
        return self._pace()


@contextmanager
def ending_with(finish: Callable[[], None], observer: Observer) -> Iterator[None]:
    """Finishes behind the block, also where that fails; then what fails in finishing is only a remark.

    A first signal interrupts once finishing is done, a second one at once.
    """
    try:
        yield
    except EndNow:
        raise
    except BaseException:
        try:
            with stop_on_signals():
                finish()
        except (SnsearchError, OSError) as error:
            observer.said(str(error))
        raise
    with stop_on_signals() as stop:
        finish()
    if stop():
        raise KeyboardInterrupt
