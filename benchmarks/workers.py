"""Trials an hour with two workers of a thread each against one worker, of one and of two threads.

The same candidates in every arm: the published designs of 40 MFLOPs on Fashion-MNIST, 4,000 images each, in a fresh
study; arms interleaved. Time counts from a worker's first candidate to the last one's end, so that start-up, which
a search pays once, is left out. Writes results/workers.json.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import torch

from snsearch.network.arch import Architecture
from snsearch.solver.budget import load_budget
from snsearch.solver.candidates import candidates_of
from snsearch.solver.spec import load_space
from snsearch.study.loop import deployed, settings_of
from snsearch.study.objective import OBJECTIVES
from snsearch.study.observer import Observer
from snsearch.study.records import TrialRecord
from snsearch.study.storage import Study
from snsearch.study.workers import Plan, run_workers
from snsearch.training.proxy import Recipe
from snsearch.training.sources import load_data

TRIALS = 10
REPEATS = 3
ARMS = {"1 worker, 1 thread": (1, 1), "1 worker, 2 threads": (1, 2), "2 workers, 1 thread each": (2, 1)}


class _Clock(Observer):
    """Notes when the first candidate begins and each ends."""

    def __init__(self) -> None:
        self.first: float | None = None
        self.last = 0.0

    def begun(self, name: str, architecture: Architecture, worker: int) -> None:
        self.first = self.first or time.perf_counter()

    def ended(self, record: TrialRecord, worker: int) -> None:
        self.last = time.perf_counter()


def main() -> None:
    dataset = load_data("fashion-mnist")
    budget = deployed(load_budget("40"), dataset, named=False, classes=None)
    space = load_space("shufflenet-v1")
    candidates = candidates_of(space, budget, tight=True, search_shuffle=False, cost=OBJECTIVES["counted"].of)
    recipe = Recipe(images=4000, test_images=2000)
    settings = settings_of(
        space, budget, dataset, recipe, data="fashion-mnist", seed=0, tight=True, search_shuffle=False
    )
    rates: dict[str, list[float]] = {name: [] for name in ARMS}
    for _ in range(REPEATS):
        for name, (workers, threads) in ARMS.items():
            with tempfile.TemporaryDirectory() as folder:
                url = f"sqlite:///{folder}/study.db"
                study = Study.open(url, "bench", settings)
                for design in list(candidates.first.values())[:TRIALS]:
                    study.enqueue(design)
                clock = _Clock()
                plan = Plan(
                    url=url,
                    name="bench",
                    settings=settings,
                    candidates=candidates,
                    dataset=dataset,
                    device="cpu",
                    checkpoints=Path(folder) / "checkpoints",
                    trials=TRIALS,
                    time_limit=None,
                    workers=workers,
                    threads=threads,
                )
                run_workers(plan, clock, lambda: False)
                assert clock.first is not None
                rates[name].append(TRIALS / (clock.last - clock.first) * 3600)
                print(f"{name}: {rates[name][-1]:,.0f} trials an hour", flush=True)
    baseline = rates["1 worker, 1 thread"]
    rows = {}
    for name, values in rates.items():
        ratios = [value / base for value, base in zip(values, baseline, strict=True)]
        rows[name] = {
            "trials_per_hour": values,
            "ratio_to_one_worker_of_one_thread": statistics.median(ratios),
            "ratio_spread": [min(ratios), max(ratios)],
        }
        print(f"{name}: x{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]")
    result = {
        "what": "trials an hour, ten candidates of 40 MFLOPs, 4,000 images each, in one run",
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "cores": os.cpu_count(),
        "rows": rows,
    }
    path = Path(__file__).parent / "results" / "workers.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
