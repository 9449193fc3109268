"""A small study on scikit-learn's digits, for the tests of the search, the report and their commands."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snsearch import api, lab
from snsearch.device.counting.counts import Counts
from snsearch.device.counting.cpus import load_cpu
from snsearch.device.counting.record import CountedNetwork, CountedRecord
from snsearch.network.arch import Architecture
from snsearch.solver.budget import Budget, load_budget, with_input
from snsearch.solver.candidates import Candidates, candidates_of
from snsearch.solver.solving import Solution
from snsearch.solver.spec import SpaceSpec, load_space
from snsearch.study.effort import Effort
from snsearch.study.objective import OBJECTIVES, mac_and_bytes_cost
from snsearch.study.observer import Observer
from snsearch.study.records import Settings, Status, StudyRecord, TrialRecord
from snsearch.study.sampler_names import Sampler
from snsearch.study.search import Plan, run_plan
from snsearch.study.settings import deployed, settings_of
from snsearch.study.storage import read_study
from snsearch.training.data import Dataset
from snsearch.training.proxy import OnBatch, train_proxy
from snsearch.training.recipe import CurvePoint, Part, ProxyResult, Recipe, text_of
from snsearch.training.sources import load_data

RECIPE = Recipe(images=256, batch_size=64, test_images=179, curve_points=2, recalibration=128)
QUICK = Effort(trainings=5.0, seeds=2)


def accelerators() -> list[str]:
    """The torch devices of this machine beside the CPU."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return [name for name, available in there.items() if available]


@dataclass
class Log(Observer):
    """An observer that keeps what it hears."""

    begun_keys: list[str] = field(default_factory=list)
    batches: int = 0
    ended_records: list[TrialRecord] = field(default_factory=list)
    repeats: list[tuple[int, int]] = field(default_factory=list)
    postponed_names: list[str] = field(default_factory=list)

    def begun(self, name: str, architecture: Architecture, worker: int) -> None:
        self.begun_keys.append(architecture.key)

    def trained(self, images_seen: int, images_in_all: int, loss: float, worker: int) -> None:
        self.batches += 1

    def ended(self, record: TrialRecord, worker: int) -> None:
        self.ended_records.append(record)

    def postponed(self, name: str, reason: str, worker: int) -> None:
        self.postponed_names.append(name)

    def scored(self, name: str, result: ProxyResult, worker: int) -> None:
        self.repeats.append((int(name.strip("#").partition(",")[0]), result.seed))


def small_budget(dataset: Dataset, mflops: str = "3") -> Budget:
    """A budget whose networks train in about a second."""
    return deployed(with_input(load_budget(mflops), resolution=(96, 96)), dataset, named=False, classes=None)


@cache
def candidates_at(mflops: str, space: str = "shufflenet-v1") -> Candidates:
    """A space's candidates of a budget at 224x224, solved once for all tests."""
    return candidates_of(
        load_space(space), load_budget(mflops), tight=False, search_shuffle=False, cost=OBJECTIVES["counted"].of
    )


@cache
def tight_candidates(space: SpaceSpec, budget: Budget, seed: int = 0) -> Candidates:
    """A space's candidates of a budget as a search solves them, solved once for all tests."""
    return candidates_of(space, budget, tight=True, search_shuffle=False, cost=OBJECTIVES["counted"].of, seed=seed)


@cache
def digits() -> Dataset:
    """scikit-learn's digits as a search uses them, read once for all tests."""
    return load_data("digits", scored_on_test=False)


def made_up_result(
    errors: tuple[float, ...],
    *,
    whole: int | None = None,
    seed: int = 0,
    cpu_seconds: float = 1.0,
    score_on: Part = "validation",
) -> ProxyResult:
    """A training's score with these errors at its points, of so many points in all; losses are ten times as high.

    The images that it misses are the first ones.
    """
    curve = tuple(
        CurvePoint(
            images_seen=1000 * (index + 1),
            train_loss=10 * error,
            test_error=error,
            test_loss=10 * error,
            test_images=10_000,
            cpu_seconds=cpu_seconds * (index + 1) / len(errors),
        )
        for index, error in enumerate(errors)
    )
    return ProxyResult(
        error=errors[-1],
        loss=10 * errors[-1],
        test_images=10_000,
        train_images=1000 * (whole or len(errors)),
        curve=curve,
        seconds=cpu_seconds,
        seed=seed,
        device="cpu",
        threads=1,
        torch_version="2",
        finished=len(errors) == (whole or len(errors)),
        share=len(errors) / (whole or len(errors)),
        scored_on=score_on,
        correct=text_of(np.arange(10_000) >= round(10_000 * errors[-1])),
    )


def made_up_record(
    number: int,
    solution: Solution,
    *errors: float,
    status: Status = "complete",
    cost: float | None = None,
    duplicate_of: int | None = None,
) -> TrialRecord:
    """A trial with these errors at the points of its learning curve, though nothing was trained."""
    scored = status in ("complete", "stopped")
    result = made_up_result(errors, whole=len(errors) + (status == "stopped")) if scored else None
    return TrialRecord(
        number=number,
        status=status,
        design=solution.design,
        architecture=solution.architecture,
        costs=solution.costs,
        deviation=solution.deviation,
        binding=solution.binding,
        notes=(),
        cost=mac_and_bytes_cost(solution.costs) if cost is None else cost,
        proxy=result,
        curve=result.curve if result else (),
        repeats=(),
        lost_seeds=(),
        reason="",
        fault=None,
        duplicate_of=duplicate_of,
        finished=None,
    )


def made_up_counts(
    subject: str,
    *,
    instructions: int = 1_000_000,
    l1d_misses: int = 10_000,
    l2_misses: int = 1_000,
    core: str = "cortex-a72",
    runner: str = "ab" * 32,
    kept: str = "2026-01-01T00:00:00+00:00",
) -> CountedNetwork:
    """A network's counts on a core, though nothing was counted."""
    record = CountedRecord(
        cpu=core,
        counts=Counts(
            instructions=instructions,
            loads=0,
            stores=0,
            l1d_accesses=0,
            l1d_misses=l1d_misses,
            l1i_accesses=0,
            l1i_misses=0,
            l2_accesses=0,
            l2_misses=l2_misses,
        ),
        artefact=f"artefact of {subject}",
        runner=runner,
        ncnn="1.0.20261020",
        qemu="7.2.22",
        key=f"{core} {runner} {subject}",
    )
    return CountedNetwork(subject=subject, core=load_cpu(core), record=record, kept=kept)


def pretended_training(errors_of: Callable[[Architecture], tuple[float, ...]]) -> Callable[..., ProxyResult]:
    """In train_proxy's place: trains nothing, and its curve has the errors that the function gives a network."""

    def train(
        arch: Architecture,
        dataset: Dataset,
        recipe: Recipe,
        *,
        seed: int,
        on_batch: OnBatch | None = None,
        until: float = 1.0,
        score_on: Part = "validation",
        **_: Any,
    ) -> ProxyResult:
        errors = errors_of(arch)
        points = math.ceil(until * len(errors) - 1e-9)
        seen = made_up_result(errors[:points], whole=len(errors), seed=seed, score_on=score_on)
        if on_batch is not None:
            on_batch(seen.images_seen, seen.train_images, seen.loss)
        return seen

    return train


def train_in(monkeypatch: pytest.MonkeyPatch, train: Callable[..., Any]) -> None:
    """Lets the commands train by that function."""
    monkeypatch.setattr(api, "search", partial(api.search, train=train))
    monkeypatch.setattr(lab, "make_set", partial(lab.make_set, train=train))
    monkeypatch.setattr(lab, "begin_paper", partial(lab.begin_paper, train=train))


@dataclass
class Setup:
    """Everything that a search on digits needs, in a folder of its own."""

    folder: Path
    dataset: Dataset = field(default_factory=digits)
    space: SpaceSpec = field(default_factory=lambda: load_space("shufflenet-v1"))
    recipe: Recipe = RECIPE
    pilot: bool = False
    seed: int = 0
    storage: str | None = None  # None: SQLite in the folder
    sampler: Sampler = "surrogate"
    workers: int = 1
    train: Callable[..., ProxyResult] = train_proxy

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
            pilot=self.pilot,
            sampler=self.sampler,
        )

    def candidates(self) -> Candidates:
        return tight_candidates(self.space, self.budget, self.seed if self.space.opened else 0)

    def plan(self, **options: Any) -> Plan:
        """The plan of a quick search, with other options where they are given."""
        given: dict[str, Any] = {
            "url": self.url,
            "name": "digits",
            "settings": self.settings(),
            "candidates": self.candidates(),
            "dataset": self.dataset,
            "device": "cpu",
            "folder": self.folder,
            "effort": QUICK,
            "started": time.monotonic(),
            "workers": self.workers,
            "threads": 1,
            "train": self.train,
        }
        return Plan(**given | options)

    def search(
        self, observer: Observer | None = None, stop: Callable[[], bool] = lambda: False, **options: Any
    ) -> str:
        """Runs a search, or goes on with it; returns why it ended."""
        return run_plan(self.plan(**options), {"command": ["snsearch", "search"]}, observer or Log(), stop)

    def study(self) -> StudyRecord:
        """The study as it is."""
        return read_study(self.url, "digits")


# Of shufflenet-free: what leaves an open space of two group counts, with and without SE.
FOUR_NETWORKS: dict[str, Any] = {
    "search_per_stage": (),
    "search_groups": (1, 2),
    "search_units": ((4, 4), (8, 8), (4, 4)),
    "search_scale": None,
    "search_scales": (0.5,),
    "search_growth": None,
    "search_shuffle": (),
}
