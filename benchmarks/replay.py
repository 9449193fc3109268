"""Which sampler, and whether to stop early: searches replayed on a table of learning curves, without training.

The table holds the curves of every candidate of a space with two seeds. A replayed search is the real one; only its
trainings are looked up, with the first seed's curves. What it found is judged by the mean error of both seeds: the
hypervolume that the front spans below the worst error and the dearest cost, as a share of what the whole table
spans, against the CPU seconds that its trainings took.

    python benchmarks/replay.py make FOLDER     # trains the table: an hour and a half of one core
    python benchmarks/replay.py run FOLDER      # replays the arms, and writes results/replay.json
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from snsearch.candidates import Candidates, candidates_of, deployed_on, label_of
from snsearch.pareto import front
from snsearch.proxy import CurvePoint, ProxyResult, default_recipe
from snsearch.rungs import Rungs
from snsearch.search import Search, settings_of
from snsearch.sources import load_data
from snsearch.spec import load_budget, load_space
from snsearch.study import Sampler, Study, explored
from snsearch.trainings import Curve, Training, TrainingLog, TrainingsObserver, read_log, run_trainings

RESULTS = Path(__file__).parent / "results" / "replay.json"
BUDGET = "13"
TRIALS = 48
SEEDS = 8  # of the search
ARMS: dict[str, tuple[Sampler, Rungs]] = {
    "random": ("random", Rungs(at=())),
    "random, early stop": ("random", Rungs()),
    "quasi-random": ("quasi-random", Rungs(at=())),
    "TPE": ("tpe", Rungs(at=())),
    "TPE, early stop": ("tpe", Rungs()),
    "NSGA-II": ("nsga2", Rungs(at=())),
    "GP": ("gp", Rungs(at=())),
    "surrogate": ("surrogate", Rungs(at=())),
    "surrogate, early stop": ("surrogate", Rungs()),
}


class _Lines(TrainingsObserver):
    def begun(self, training: Training, worker: int) -> None: ...

    def trained(self, images_seen: int, images_in_all: int, loss: float, worker: int) -> None: ...

    def ended(self, training: Training, result: ProxyResult, worker: int) -> None:
        print(f"{training.label}, seed {training.seed}: {result.error:.2%}", flush=True)


class _Silent:
    def begun(self, *details: Any) -> None: ...

    def trained(self, *details: Any) -> None: ...

    def ended(self, *details: Any) -> None: ...

    def repeated(self, *details: Any) -> None: ...


def make(folder: Path, data: str, workers: int) -> None:
    """Trains every candidate of the budget by the default recipe with two seeds; those with a shuffle first."""
    dataset, candidates = _setup(data)
    recipe = default_recipe(len(dataset.train))
    tasks = [
        Training(
            label=label_of(design),
            architecture=candidates.solutions[design].architecture,
            recipe_name="default",
            recipe=recipe,
            seed=seed,
        )
        for shuffle in (True, False)
        for seed in (0, 1)
        for design in candidates.first.values()
        if design.shuffle == shuffle
    ]
    torch.set_num_threads(1)
    run_trainings(
        tasks,
        dataset,
        TrainingLog(folder / "trainings.csv"),
        device=torch.device("cpu"),
        checkpoints=folder / "checkpoints",
        workers=workers,
        threads=1,
        observer=_Lines(),
        stop=lambda: False,
    )


def _setup(data: str) -> tuple[Any, Candidates]:
    dataset = load_data(data)
    space = load_space("shufflenet-v1")
    budget = deployed_on(load_budget(BUDGET), dataset.channels, len(dataset.classes))
    return dataset, candidates_of(space, budget, tight=True, search_shuffle=True)


def _result(curve: Curve, images: int) -> ProxyResult:
    points = tuple(
        CurvePoint(
            images_seen=point.images_seen,
            train_loss=point.train_loss,
            test_error=point.test_error,
            test_loss=point.test_loss,
            test_images=point.test_images,
            cpu_seconds=point.cpu_seconds,
        )
        for point in curve
    )
    last = points[-1]
    return ProxyResult(
        error=last.test_error,
        loss=last.test_loss,
        test_images=last.test_images,
        train_images=images,
        curve=points,
        seconds=last.cpu_seconds,
        seed=curve[0].seed,
        device="cpu",
        threads=1,
        torch_version=curve[0].torch,
    )


class Table:
    """The trainings of a folder, by network."""

    def __init__(self, folder: Path, candidates: Candidates) -> None:
        curves = read_log(folder / "trainings.csv")
        self.curves = {
            key: (curves[label_of(design), "default", 0], curves[label_of(design), "default", 1])
            for key, design in candidates.first.items()
        }
        self.truth = {
            key: (
                float(np.mean([curve[-1].test_error for curve in both])),
                candidates.cost[candidates.first[key]],
            )
            for key, both in self.curves.items()
        }
        errors, costs = zip(*self.truth.values(), strict=True)
        self.corner = (max(errors), max(costs) * 1.01)
        self.whole = self._hypervolume(list(self.truth.values()))

    def train(self, arch: Any, *rest: Any, on_point: Any = None, **options: Any) -> ProxyResult:
        """What train_proxy would give, from the table."""
        whole = _result(self.curves[arch.key][0], 20_000)
        for index, point in enumerate(whole.curve[:-1], start=1):
            if on_point is not None and not on_point(whole.curve[:index], whole.curve[-1].images_seen):
                return replace(
                    whole,
                    error=point.test_error,
                    loss=point.test_loss,
                    test_images=point.test_images,
                    curve=whole.curve[:index],
                    seconds=point.cpu_seconds,
                    finished=False,
                )
        return whole

    def share(self, keys: list[str], seen: list[tuple[float, float]]) -> float:
        """Of the table's hypervolume, what the front of the seen points spans by the true errors of its networks."""
        return self._hypervolume([self.truth[keys[i]] for i in front(seen)]) / self.whole

    def _hypervolume(self, points: list[tuple[float, float]]) -> float:
        worst, dearest = self.corner
        area, best, last = 0.0, worst, None
        for error, cost in sorted(points, key=lambda point: (point[1], point[0])):
            if last is not None:
                area += (cost - last) * (worst - best)
            best, last = min(best, error), cost
        return area + (0.0 if last is None else (dearest - last) * (worst - best))


def replayed(table: Table, dataset: Any, candidates: Candidates, arm: str, seed: int) -> list[tuple[float, float]]:
    """(CPU seconds, share of the hypervolume) after every candidate of one search."""
    sampler, rungs = ARMS[arm]
    space = load_space("shufflenet-v1")
    budget = deployed_on(load_budget(BUDGET), dataset.channels, len(dataset.classes))
    # What is compared are the samplers: no arm is given the published line-up.
    bare = replace(candidates, published=())
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        settings = settings_of(
            space, budget, dataset, default_recipe(len(dataset.train)), data="replay", seed=seed, tight=True,
            search_shuffle=True, sampler=sampler, rungs=rungs,
        )  # fmt: skip
        study = Study.open(f"sqlite:///{folder / 'study.db'}", "replay", settings)
        search = Search(
            study=study,
            candidates=bare,
            dataset=dataset,
            device=torch.device("cpu"),
            checkpoints=folder,
            observer=_Silent(),
        )
        search.prepare()
        with patch("snsearch.search.train_proxy", table.train):
            search.run(TRIALS)
        records = explored(study.records())
        study.close()
    finally:
        shutil.rmtree(folder)
    return list(_progress(table, records))


def _progress(table: Table, records: Any) -> Iterator[tuple[float, float]]:
    spent = 0.0
    keys: list[str] = []
    seen: list[tuple[float, float]] = []
    for record in sorted(records, key=lambda record: record.number):
        spent += record.proxy.seconds
        if record.status == "complete":
            keys.append(record.architecture.key)
            seen.append((record.proxy.error, record.cost))
        yield spent, table.share(keys, seen)


def run(folder: Path, data: str) -> None:
    """Replays every arm, prints the comparison, and writes it."""
    dataset, candidates = _setup(data)
    table = Table(folder, candidates)
    runs = {arm: [replayed(table, dataset, candidates, arm, seed) for seed in range(SEEDS)] for arm in ARMS}
    # The bar: what random search has in the median when it has trained all its candidates.
    bar = median(one[-1][1] for one in runs["random"])
    reference = median(one[-1][0] for one in runs["random"])
    lines: dict[str, dict[str, Any]] = {}
    for arm, searches in runs.items():
        reached = [next((spent for spent, share in one if share >= bar), float("inf")) for one in searches]
        lines[arm] = {
            "seconds_of_48": median(one[-1][0] for one in searches),
            "share_at_end": [float(v) for v in np.percentile([one[-1][1] for one in searches], (25, 50, 75))],
            "share_at_half_of_random": float(
                median(max((s for t, s in one if t <= reference / 2), default=0.0) for one in searches)
            ),
            "seconds_to_bar": [float(v) for v in np.percentile(reached, (25, 50, 75))],
            "compute_to_bar": float(median(reached)) / reference,
        }
        print(
            f"{arm:24} {lines[arm]['seconds_of_48']:6.0f} s  share {lines[arm]['share_at_end'][1]:.3f} "
            f"[{lines[arm]['share_at_end'][0]:.3f}, {lines[arm]['share_at_end'][2]:.3f}]  "
            f"at half of random's time {lines[arm]['share_at_half_of_random']:.3f}  "
            f"to random's end: {lines[arm]['compute_to_bar']:.2f} of its compute",
            flush=True,
        )
    RESULTS.parent.mkdir(exist_ok=True)
    document = {"data": dataset.describe(), "budget": BUDGET, "candidates": len(table.truth), "seeds": SEEDS}
    document |= {"trials": TRIALS, "bar": bar, "arms": lines}
    text = json.dumps(document, indent=1).replace("Infinity", "null")
    RESULTS.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["make", "run"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.what == "make":
        make(arguments.folder, arguments.data, arguments.workers)
    else:
        run(arguments.folder, arguments.data)
