"""A small study on scikit-learn's digits, for the tests of the search, the report and their commands."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch

from snsearch.data import Dataset
from snsearch.proxy import ProxyResult, Recipe
from snsearch.search import Candidates, Search, candidates_of, deployed, settings_of
from snsearch.solver import Solution
from snsearch.sources import load_data
from snsearch.spec import Budget, SpaceSpec, load_budget, load_space, with_input
from snsearch.study import Settings, Study, TrialRecord

RECIPE = Recipe(images=256, batch_size=64, test_images=179, curve_points=2)


def accelerators() -> list[str]:
    """The torch devices of this machine beside the CPU."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return [name for name, available in there.items() if available]


@dataclass
class Log:
    """An observer that keeps what it hears."""

    begun_keys: list[str] = field(default_factory=list)
    batches: int = 0
    ended_records: list[TrialRecord] = field(default_factory=list)
    repeats: list[tuple[int, int]] = field(default_factory=list)

    def begun(self, number: int, solution: Solution) -> None:
        self.begun_keys.append(solution.architecture.key)

    def trained(self, images_seen: int, images_in_all: int, loss: float) -> None:
        self.batches += 1

    def ended(self, record: TrialRecord) -> None:
        self.ended_records.append(record)

    def repeated(self, record: TrialRecord, result: ProxyResult) -> None:
        self.repeats.append((record.number, result.seed))


def small_budget(dataset: Dataset, mflops: str = "3") -> Budget:
    """A budget whose networks train in about a second."""
    return deployed(with_input(load_budget(mflops), resolution=(96, 96)), dataset, named=False, classes=None)


@dataclass
class Setup:
    """Everything that a search on digits needs, in a folder of its own."""

    folder: Path
    dataset: Dataset = field(default_factory=lambda: load_data("digits"))
    space: SpaceSpec = field(default_factory=lambda: load_space("shufflenet-v1"))
    recipe: Recipe = RECIPE
    seed: int = 0
    storage: str | None = None  # None: SQLite in the folder

    @property
    def url(self) -> str:
        return self.storage or f"sqlite:///{self.folder / 'study.db'}"

    @property
    def budget(self) -> Budget:
        return small_budget(self.dataset)

    def settings(self) -> Settings:
        return settings_of(
            self.space,
            self.budget,
            self.dataset,
            self.recipe,
            data="digits",
            seed=self.seed,
            tight=True,
            search_shuffle=False,
        )

    def candidates(self) -> Candidates:
        return candidates_of(self.space, self.budget, tight=True, search_shuffle=False)

    def search(self, observer: Log | None = None, candidates: Candidates | None = None) -> Search:
        """A prepared search on the study in the folder."""
        search = Search(
            study=Study.open(self.url, "digits", self.settings()),
            candidates=candidates or self.candidates(),
            dataset=self.dataset,
            device=torch.device("cpu"),
            checkpoints=self.folder / "checkpoints",
            observer=observer or Log(),
        )
        search.prepare()
        return search
