"""Observers: who hears of long work as it goes on, and shows it or keeps it. Loads no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snsearch.network import AnyNetwork
    from snsearch.study.records import TrialRecord
    from snsearch.training import Dataset, Event, Options, ProxyResult, Step


class Observer:
    """Hears of a search, of trainings and of measurements.

    A method does nothing unless it is overridden. Each is called in the process that began the work, and must return
    at once. Trainings name their worker, from 0.
    """

    def said(self, text: str) -> None:
        """A remark for the user."""

    def stopping(self) -> None:
        """The user asked to stop: the work ends at the next safe point."""

    def confirm(self, question: str) -> bool:
        """Whether to go ahead with what may fail; nobody is asked, and the answer is no."""
        return False

    def read(self, step: Step, done: int, total: int) -> None:
        """Images of the data set are read: first their headers, then all of them; an export is checked on them."""

    def drawn(self, done: int, total: int) -> None:
        """Networks of an open space are drawn, and solved for the budget."""

    def searching(
        self,
        head: str,
        records: Callable[[], Sequence[TrialRecord]],
        spent: Callable[[], float],
        total: float,
        workers: int,
        unit: str,
    ) -> None:
        """A search begins; `records` returns its trials so far, whose cost is in `unit`.

        `spent` returns how many full trainings' worth of work is done, of a `total`.
        """

    def training(self, head: str, done: int, total: int, workers: int) -> None:
        """A list of trainings begins, some of which are done already."""

    def begun(self, name: str, architecture: AnyNetwork, worker: int) -> None:
        """A training begins."""

    def trained(self, images_seen: int, images_in_all: int, loss: float, worker: int) -> None:
        """A training goes on."""

    def ended(self, record: TrialRecord, worker: int) -> None:
        """A candidate of a search is trained further, or failed."""

    def scored(self, name: str, result: ProxyResult, worker: int) -> None:
        """A training of a list is done and kept."""

    def postponed(self, name: str, reason: str, worker: int) -> None:
        """A training with a further seed ran out of memory; the next run takes it up again."""

    def measured(self, outcome: Any, done: int, total: int) -> None:
        """A network is measured (a Measurement), counted (a CountedNetwork), or could not be (an Unmeasured)."""

    def hear(self, event: Event) -> None:
        """Calls the method that an event of a worker names."""
        kind, worker, details = event
        getattr(self, kind)(*details, worker=worker)

    def report(self, kind: str, *details: Any) -> None:
        """Hears an event of this process, which is worker 0."""
        self.hear((kind, 0, details))


_SHOWN_SKIPPED = 5


def read_dataset(
    data: str,
    side: int | None,
    observer: Observer,
    *,
    deployed: int | None = None,
    options: Options | None = None,
    scored_on_test: bool | None = None,
) -> Dataset:
    """The data set of a `--data` text at `side` pixels; the observer hears what was skipped, and a summary.

    `deployed` is the deployed network's pixels per side, above which no training resolution is chosen;
    `scored_on_test` as for load_data. Raises DataError.
    """
    from snsearch.training import load_data

    dataset = load_data(
        data, side=side, deployed=deployed, options=options, scored_on_test=scored_on_test, progress=observer.read
    )
    for skipped in dataset.skipped[:_SHOWN_SKIPPED]:
        observer.said(f"skipped {skipped.name}: {skipped.reason}")
    if len(dataset.skipped) > _SHOWN_SKIPPED:
        observer.said(f"skipped {len(dataset.skipped)} files in all")
    if dataset.description is not None:
        for line in dataset.description.lines():
            observer.said(line)
    if dataset.scored_on_test:
        observer.said("  networks are trained on the training and validation images and scored on the test images")
    return dataset
