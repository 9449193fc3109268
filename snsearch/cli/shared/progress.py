"""How a search shows itself: a live display on a terminal, one line a candidate elsewhere, always on stderr."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from snsearch.cli.shared.console import progress_console
from snsearch.study import explored, front, trained
from snsearch.units import format_count, format_duration, format_mflops, three_digits

if TYPE_CHECKING:
    from collections.abc import Callable

    from snsearch.pages import ReportData
    from snsearch.solver import Candidates, Solution
    from snsearch.study import Study, TrialRecord
    from snsearch.training import Event, ProxyResult

_SHOWN = 8  # candidates of the front in the live display


def front_table(data: ReportData) -> Table:
    """The front of a finished search, for the terminal."""
    table = Table(title=f"front of proxy error against {escape(data.cost_axis)}", title_justify="left")
    for name in ("trial", "candidate"):
        table.add_column(name)
    for name in ("error", "95 %", "seeds", "cost", "MFLOPs", "parameters"):
        table.add_column(name, justify="right")
    for row in sorted(data.rows, key=lambda row: row.cost):
        if row.on_front:
            table.add_row(
                f"#{row.number}",
                escape(row.trial.words),
                f"{row.error:.2%}",
                f"±{row.deviation_95:.2%}",
                str(row.score.seeds),
                three_digits(row.cost),
                format_mflops(row.costs.macs),
                format_count(row.costs.params),
            )
    return table


class SearchProgress:
    """Observer of a search that shows it."""

    def __init__(self) -> None:
        self._console = progress_console()
        self._live: Live | None = None
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            console=self._console,
        )  # fmt: skip
        self._study: Study | None = None
        self._all: TaskID | None = None
        self._each: list[TaskID] = []  # one bar a worker
        self._words: dict[int, str] = {}
        self._before = self._trials = 0
        self._started = 0.0

    @contextmanager
    def searching(self, study: Study, candidates: Candidates, trials: int, workers: int) -> Iterator[None]:
        """Shows a search while the context is open."""
        self._study = study
        done = len(explored(study.records()))
        self._before, self._trials, self._started = done, trials, time.monotonic()
        self._console.print(
            f"study {study.name}: {candidates.count} candidates meet the budget "
            f"({len(candidates.left_out)} designs left out), {done} of {trials} tried"
        )
        self._all = self._bars.add_task("candidates", total=trials, completed=done)
        self._each = [self._bars.add_task("training", total=None) for _ in range(workers)]
        if not self._console.is_terminal:
            yield
            return
        with Live(self._display(), console=self._console, refresh_per_second=4, transient=True) as live:
            self._live = live
            yield
            self._live = None

    def stopping(self) -> None:
        """The user asked to stop."""
        self._console.print("stopping at the next step; once more ends at once")

    def hear(self, event: Event) -> None:
        """Shows what a worker process said."""
        kind, worker, details = event
        hearers: dict[str, Callable[..., None]] = {
            "begun": self.begun,
            "trained": self.trained,
            "ended": self.ended,
            "repeated": self.repeated,
        }
        hearers[kind](*details, worker=worker)

    def begun(self, number: int, solution: Solution, worker: int = 0) -> None:
        """A candidate's training begins."""
        arch = solution.architecture
        self._words[worker] = f"#{number} g={arch.groups} {'/'.join(map(str, arch.stage_channels))}"
        self._bars.reset(self._each[worker], description=self._words[worker], total=None)

    def trained(self, images_seen: int, images_in_all: int, loss: float, worker: int = 0) -> None:
        """A training goes on."""
        description = f"{self._words[worker]} loss {loss:.3f}"
        self._bars.update(self._each[worker], completed=images_seen, total=images_in_all, description=description)

    def ended(self, record: TrialRecord, worker: int = 0) -> None:
        """A candidate is done."""
        assert self._study is not None
        if record.proxy is None:
            self._console.print(f"#{record.number} {record.status}: {escape(record.reason)}")
        elif record.status == "stopped":
            if self._live is None:
                self._console.print(
                    f"#{record.number} {escape(record.words)}: {escape(record.reason)}, "
                    f"{format_duration(record.proxy.seconds)}"
                )
        elif self._live is None:
            self._console.print(
                f"#{record.number} {escape(record.words)}: error {record.proxy.error:.2%}, "
                f"cost {'unknown' if record.cost is None else three_digits(record.cost)}, "
                f"{format_duration(record.proxy.seconds)}"
            )
        if self._all is not None:
            self._bars.update(self._all, completed=len(explored(self._study.records())))
        if self._live is not None:
            self._live.update(self._display())

    def repeating(self, count: int) -> None:
        """The finalists' trainings with further seeds begin."""
        self._console.print(f"{count} trainings of finalists with further seeds")
        if self._all is not None:
            self._bars.reset(self._all, description="finalists' seeds", total=count)

    def repeated(self, record: TrialRecord, result: ProxyResult, worker: int = 0) -> None:
        """A finalist has been trained with a further seed."""
        if self._live is None:
            self._console.print(
                f"#{record.number} seed {result.seed}: error {result.error:.2%}, {format_duration(result.seconds)}"
            )
        if self._all is not None:
            self._bars.advance(self._all)

    def _display(self) -> RenderableType:
        assert self._study is not None
        every = self._study.records()
        records = trained(every)
        table = Table(title="front so far (proxy error, one seed; cost)", title_justify="left")
        for name in ("trial", "candidate", "error", "cost"):
            table.add_column(name, justify="left" if name in ("trial", "candidate") else "right")
        points = [(r.proxy.error, r.cost) for r in records if r.proxy is not None and r.cost is not None]
        for index in front(points)[:_SHOWN]:
            record = records[index]
            error, cost = points[index]
            table.add_row(f"#{record.number}", escape(record.words), f"{error:.2%}", three_digits(cost))
        parts: list[RenderableType] = [self._bars, Text(self._pace(every))]
        return Group(*parts, table) if records else Group(*parts)

    def _pace(self, records: Sequence[TrialRecord]) -> str:
        """Trials an hour, stopped early, spent and left, in a line."""
        tried = explored(records)
        spent = time.monotonic() - self._started
        fresh = len(tried) - self._before
        words = [f"{sum(record.status == 'stopped' for record in tried)} stopped early"]
        words += [f"spent {format_duration(spent)}"]
        if fresh > 0:
            words.insert(0, f"{fresh / spent * 3600:,.0f} candidates an hour")
            words += [f"about {format_duration(spent / fresh * max(0, self._trials - len(tried)))} left"]
        return ", ".join(words)

    def summary(self) -> str:
        """What the search has come to, in a line."""
        assert self._study is not None
        records = self._study.records()
        return f"{len(explored(records))} candidates tried; {self._pace(records)}"
