"""Which sampler, and whether to stop early: searches replayed on a table of learning curves, without training.

The table holds the curves of every candidate of a space with two seeds. A replayed search is the real one; only its
trainings are looked up, with one seed's curves (half of the searches see the first seed's). What it found is judged
by the mean error of both seeds: the hypervolume that its front spans below the worst error and the dearest cost, as a
share of what the whole table spans. A front is made of noisy errors, and a lucky candidate may hide a better one; so
what the tried candidates could span, were their mean errors known, is kept beside it. Compute is counted in whole
trainings, by images: all networks have the same MACs, and CPU seconds of a busy machine are noise.

    python -m benchmarks.replay make FOLDER     # trains the table: a quarter of an hour of one core
    python -m benchmarks.replay run [TABLE]     # replays the arms on the table in results/, and writes replay.json
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import optuna
import torch

from snsearch.lab.trainings import Curve, Training, TrainingLog, read_log, run_trainings
from snsearch.latency.profile import DEFAULT_PROFILE, load_profile
from snsearch.solver.budget import load_budget
from snsearch.solver.candidates import Candidates, candidates_of, deployed_on
from snsearch.solver.design import label_of
from snsearch.solver.spec import load_space
from snsearch.study.loop import Search, settings_of
from snsearch.study.objective import latency_objective
from snsearch.study.observer import Observer
from snsearch.study.pareto import front
from snsearch.study.records import explored
from snsearch.study.rungs import Rungs
from snsearch.study.sampler_names import Sampler
from snsearch.study.storage import Study, sampler_of
from snsearch.study.turns import Turn
from snsearch.training.machine import Machine
from snsearch.training.proxy import CurvePoint, ProxyResult, default_recipe
from snsearch.training.sources import load_data

RESULTS = Path(__file__).parent / "results" / "replay.json"
TABLE = RESULTS.with_name("replay-fashion-mnist-13.csv")
BUDGET = "13"
TRIALS = 48
BARS = (24, 48)  # candidates of random search whose hypervolume is to be reached; 24 are a search's default
SEEDS = 20  # of the search
FEWER_SEEDS = {"GP": 8}  # Optuna's takes half a second a proposal
ARMS: dict[str, tuple[Sampler, Rungs]] = {
    "random": ("random", Rungs(at=())),
    "random, early stop": ("random", Rungs()),
    "quasi-random": ("quasi-random", Rungs(at=())),
    "TPE": ("tpe", Rungs(at=())),
    "TPE, early stop": ("tpe", Rungs()),
    "NSGA-II": ("nsga2", Rungs(at=())),
    "NSGA-II, early stop": ("nsga2", Rungs()),
    "GP": ("gp", Rungs(at=())),
    "surrogate": ("surrogate", Rungs(at=())),
    "surrogate, early stop": ("surrogate", Rungs()),
}


class _Lines(Observer):
    def scored(self, name: str, result: ProxyResult, worker: int) -> None:
        print(f"{name}: {result.error:.2%}", flush=True)


def make(folder: Path, data: str, workers: int, *, with_shuffleless: bool) -> None:
    """Trains every candidate of the budget by the default recipe with two seeds."""
    dataset, candidates = _setup(data, search_shuffle=with_shuffleless)
    recipe = default_recipe(len(dataset.train))
    tasks = [
        Training(
            label=label_of(design),
            architecture=candidates.solutions[design].architecture,
            recipe_name="default",
            recipe=recipe,
            seed=seed,
        )
        for seed in (0, 1)
        for design in candidates.first.values()
    ]
    torch.set_num_threads(1)
    run_trainings(
        tasks,
        dataset,
        TrainingLog(folder / "trainings.csv"),
        machine=Machine(device=torch.device("cpu"), workers=workers, threads=1),
        checkpoints=folder / "checkpoints",
        observer=_Lines(),
        stop=lambda: False,
    )


def _setup(data: str, *, search_shuffle: bool = False) -> tuple[Any, Candidates]:
    """The data, and the candidates of a search with its default objective."""
    dataset = load_data(data)
    space = load_space("shufflenet-v1")
    budget = deployed_on(load_budget(BUDGET), dataset.channels, len(dataset.classes))
    cost = latency_objective(load_profile(DEFAULT_PROFILE)).of
    return dataset, candidates_of(space, budget, tight=True, search_shuffle=search_shuffle, cost=cost)


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
    """The trainings of a log, by network."""

    def __init__(self, log: Path, candidates: Candidates) -> None:
        curves = read_log(log)
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

    def train(self, arch: Any, *rest: Any, seed: int, on_point: Any = None, **options: Any) -> ProxyResult:
        """What train_proxy would give, from the table; even seeds see its first seed, odd ones its second."""
        curve = self.curves[arch.key][seed % 2]
        whole = _result(curve, curve[-1].images_seen)
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

    def share(self, keys: list[str]) -> float:
        """Of the table's hypervolume, what networks span by their true errors."""
        return self._hypervolume([self.truth[key] for key in keys]) / self.whole

    def _hypervolume(self, points: list[tuple[float, float]]) -> float:
        worst, dearest = self.corner
        area, best, last = 0.0, worst, None
        for error, cost in sorted(points, key=lambda point: (point[1], point[0])):
            if last is not None:
                area += (cost - last) * (worst - best)
            best, last = min(best, error), cost
        return area + (0.0 if last is None else (dearest - last) * (worst - best))


class Step(NamedTuple):
    """A replayed search after one more candidate."""

    spent: float  # whole trainings' worth of images
    front: float  # share of the hypervolume, by the front that the search sees
    tried: float  # by all candidates that it trained to the end


def replayed(table: Table, dataset: Any, candidates: Candidates, arm: str, seed: int) -> list[Step]:
    """One search, candidate by candidate."""
    sampler, rungs = ARMS[arm]
    space = load_space("shufflenet-v1")
    budget = deployed_on(load_budget(BUDGET), dataset.channels, len(dataset.classes))
    # What is compared are the samplers: no arm is given the published line-up.
    bare = replace(candidates, published=())
    settings = settings_of(
        space, budget, dataset, default_recipe(len(dataset.train)), data="replay", seed=seed, tight=True,
        search_shuffle=False, sampler=sampler, rungs=rungs,
    )  # fmt: skip
    storage = optuna.storages.InMemoryStorage()  # of a replay nothing is to be kept
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        proposes = sampler_of(sampler, seed)
    study = Study(
        optuna.create_study(storage=storage, directions=["minimize", "minimize"], sampler=proposes),
        settings,
        storage,
        Turn(nullcontext),
    )
    search = Search(
        study=study,
        candidates=bare,
        dataset=dataset,
        device=torch.device("cpu"),
        checkpoints=Path("nowhere"),
        train=table.train,
    )
    search.run(TRIALS)
    return list(_progress(table, explored(study.records())))


def _progress(table: Table, records: Any) -> Iterator[Step]:
    spent = 0.0
    keys: list[str] = []
    seen: list[tuple[float, float]] = []
    for record in sorted(records, key=lambda record: record.number):
        spent += record.curve[-1].images_seen / record.proxy.train_images
        if record.status == "complete":
            keys.append(record.architecture.key)
            seen.append((record.proxy.error, record.cost))
        yield Step(spent, table.share([keys[i] for i in front(seen)]), table.share(keys))


Read = Callable[[Step], float]
JUDGED: dict[str, Read] = {"front": lambda step: step.front, "tried": lambda step: step.tried}


def _share_at(search: list[Step], spent: float, read: Read) -> float:
    """The last share that a search had for so much compute."""
    return next((read(step) for step in reversed(search) if step.spent <= spent), 0.0)


def _quartiles(values: list[float]) -> list[float]:
    """By rank, without interpolation: a bar may never be reached."""
    ordered = sorted(values)
    return [ordered[round(q * (len(ordered) - 1))] for q in (0.25, 0.5, 0.75)]


def _summary(searches: list[list[Step]], bars: dict[int, float], read: Read) -> dict[str, Any]:
    """Quartiles over the searches; to reach a bar, in whole trainings (null: not within the search)."""
    summary: dict[str, Any] = {
        "searches": len(searches),
        "trainings_of_48": median(search[-1].spent for search in searches),
    }
    for count, bar in bars.items():
        reached = [next((step.spent for step in one if read(step) >= bar), float("inf")) for one in searches]
        summary[f"share_at_{count // 2}"] = _quartiles([_share_at(one, count / 2, read) for one in searches])
        summary[f"share_at_{count}"] = _quartiles([_share_at(one, count, read) for one in searches])
        summary[f"trainings_to_bar_{count}"] = _quartiles(reached)
        summary[f"within_half_of_{count}"] = sum(spent <= count / 2 for spent in reached)
    return summary


def run(log: Path, data: str) -> None:
    """Replays every arm, prints the comparison, and writes it."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    dataset, candidates = _setup(data)
    table = Table(log, candidates)
    runs: dict[str, list[list[Step]]] = {}
    for arm in ARMS:
        seeds = range(FEWER_SEEDS.get(arm, SEEDS))
        runs[arm] = [replayed(table, dataset, candidates, arm, seed) for seed in seeds]
        print(f"{arm}: replayed", flush=True)
    judged: dict[str, Any] = {}
    for name, read in JUDGED.items():
        # What random search has in the median after so many candidates.
        bars = {count: median(_share_at(one, count, read) for one in runs["random"]) for count in BARS}
        judged[name] = {"bars": bars, "arms": {arm: _summary(runs[arm], bars, read) for arm in ARMS}}
        for arm, line in judged[name]["arms"].items():
            cells = [f"{key} {value}" for key, value in line.items()]
            print(f"{name}, {arm}: " + "; ".join(cells))
    document = {"data": dataset.describe(), "budget": BUDGET, "candidates": len(table.truth)}
    document |= {"trials": TRIALS, "judged": judged}
    text = json.dumps(document, indent=1).replace("Infinity", "null")
    RESULTS.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["make", "run"])
    parser.add_argument("path", type=Path, nargs="?", default=TABLE)
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--all", action="store_true", help="networks without a shuffle too")
    arguments = parser.parse_args()
    if arguments.what == "make":
        make(arguments.path, arguments.data, arguments.workers, with_shuffleless=arguments.all)
    else:
        run(arguments.path, arguments.data)
