"""The plan of a search: its settings, its effort, and what it runs on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from snsearch.solver import Candidates
from snsearch.study.effort import MARGIN, Effort
from snsearch.study.records import Settings
from snsearch.training import Dataset, ProxyResult, train_proxy


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A search's settings, its effort, and what it runs on."""

    url: str
    name: str
    settings: Settings
    candidates: Candidates
    dataset: Dataset
    device: str
    folder: Path  # of the study: checkpoints and weights
    effort: Effort
    trials: int | None = None  # networks that are begun, at least; None: the effort's
    margin: float = MARGIN
    time_limit: float | None = None  # seconds from `started`
    started: float  # when the command began, of the monotonic clock
    workers: int
    threads: int  # of each worker
    executor: Executor | None = None
    carries: bool = False  # whether checkpoints travel with the pieces: the executor's machines do not see the folder
    train: Callable[..., ProxyResult] = train_proxy

    @property
    def checkpoints(self) -> Path:
        """The folder of unfinished trainings."""
        return self.folder / "checkpoints"
