"""What a search costs beside its trainings, which are stubs that sleep for two seconds.

    python -m benchmarks.driving [--finished 100 1000 10000] [--workers 1 2 4 8]

The driver is the one that users get, with an executor of threads. Its studies of many finished trials are written
into SQLite at once: networks of shufflenet-free with made-up errors, a quarter of them trained in full. CPU time is
that of the driver's thread; `proposals` is the time in which the next network is chosen (and drawn), which is no part
of `coordination`. Figures go
into results/driving.json, beside those of earlier runs that were not asked for again.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import random
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from snsearch.codec import encode
from snsearch.network.costs import count_costs
from snsearch.pages.page import render, report_data
from snsearch.solver.budget import load_budget, with_input
from snsearch.solver.candidates import candidates_of
from snsearch.solver.spec import load_space
from snsearch.study import search as driver
from snsearch.study.effort import Effort
from snsearch.study.lengths import Attempt, Lengths
from snsearch.study.networks import Network
from snsearch.study.objective import OBJECTIVES
from snsearch.study.observer import Observer
from snsearch.study.settings import deployed, settings_of
from snsearch.study.storage import Study, read_study
from snsearch.study.storage.distributions import distributions_of
from snsearch.training.recipe import CurvePoint, ProxyResult, Recipe, text_of
from snsearch.training.sources import load_data

SLEEP = 2.0
POINTS, SHORT = 6, 2 / 6
RECIPE = Recipe(images=600, batch_size=60, test_images=160, curve_points=POINTS)
RESULTS = Path(__file__).parent / "results" / "driving.json"


class Clock:
    """CPU seconds of the driver's thread, those of proposals among them, and when trainings began."""

    def __init__(self) -> None:
        self.proposals: list[float] = []
        self.began: list[float] = []

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose CPU time is kept."""

        def call(*arguments: Any, **options: Any) -> Any:
            before = time.thread_time()
            try:
                return function(*arguments, **options)
            finally:
                self.proposals.append(time.thread_time() - before)

        return call

    def train(self, sleep: float) -> Callable[..., ProxyResult]:
        """A training that sleeps."""

        def train(arch: Any, *_: Any, seed: int, until: float = 1.0, score_on: Any = "validation", **__: Any) -> Any:
            self.began.append(time.monotonic())
            time.sleep(sleep)
            return made_up(arch.key, round(until * POINTS), seed, score_on)

        return train


def made_up(key: str, points: int, seed: int, score_on: Any = "validation") -> ProxyResult:
    """The result of a training that was not done."""
    own = random.Random(key).uniform(0.1, 0.2) + random.Random(f"{key} {seed}").uniform(0, 0.01)
    curve = tuple(
        CurvePoint(
            images_seen=100 * at,
            train_loss=1.0,
            test_error=own + 0.05 * (POINTS - at),
            test_loss=1.0,
            test_images=160,
            cpu_seconds=1.0,
        )
        for at in range(1, points + 1)
    )
    return ProxyResult(
        error=curve[-1].test_error,
        loss=1.0,
        test_images=160,
        train_images=100 * POINTS,
        curve=curve,
        seconds=SLEEP,
        seed=seed,
        device="cpu",
        threads=1,
        torch_version="2",
        finished=points == POINTS,
        share=points / POINTS,
        scored_on=score_on,
        correct=text_of(np.arange(160) >= round(160 * curve[-1].test_error)),
    )


def plan_in(folder: Path, **options: Any) -> driver.Plan:
    """A search of shufflenet-free on digits; its budget is small, which nothing here depends on."""
    dataset, space = load_data("digits", scored_on_test=False), load_space("shufflenet-free")
    budget = deployed(with_input(load_budget("3"), resolution=(96, 96)), dataset, named=False, classes=None)
    settings = settings_of(
        space,
        budget,
        dataset,
        RECIPE,
        data="digits",
        seed=0,
        tight=True,
        search_shuffle=False,
        pilot=False,
    )
    given: dict[str, Any] = {
        "url": f"sqlite:///{folder / 'study.db'}",
        "name": "driving",
        "settings": settings,
        "candidates": candidates_of(
            space, budget, tight=True, search_shuffle=False, cost=OBJECTIVES["counted"].of, seed=0
        ),
        "dataset": dataset,
        "device": "cpu",
        "folder": folder,
        "effort": Effort(start=12, trainings=12.0, seeds=1),
        "started": time.monotonic(),
        "workers": 1,
        "threads": 1,
    }
    return driver.Plan(**given | options)


def fill(plan: driver.Plan, finished: int) -> float:
    """Writes a study with finished trials; returns how many full trainings they are."""
    study = Study.open(plan.url, plan.name, plan.settings)
    study.settle_lengths(Lengths(recipe=RECIPE, short=SHORT, chance=0.9, tried=(Attempt(images=600, error=0.2),)))
    study.close()
    distributions = distributions_of(plan.candidates.parameters)
    spent = 0.0
    with sqlite3.connect(plan.folder / "study.db") as database:
        for number, network in enumerate(_networks(plan, finished)):
            full = number % 4 == 0
            result = made_up(network.architecture.key, POINTS if full else round(SHORT * POINTS), 0)
            spent += result.share
            state = "COMPLETE" if full else "PRUNED"
            times = ("2026-01-01 00:00:00", "2026-01-01 00:01:00")
            database.execute("INSERT INTO trials VALUES (?, ?, 1, ?, ?, ?)", (number + 1, number, state, *times))
            for objective, value in enumerate([result.error, network.cost] if full else []):
                database.execute(
                    "INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (?, ?, ?, 'FINITE')",
                    (number + 1, objective, value),
                )
            for name, value in network.values.items():
                one = distributions[name]
                database.execute(
                    "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) "
                    "VALUES (?, ?, ?, ?)",
                    (number + 1, name, one.to_internal_repr(value), optuna.distributions.distribution_to_json(one)),
                )
            attributes = {"published": False, "proxy": encode(result), **network.attributes()}
            if not full:
                attributes["reason"] = "left"
            for key, value in attributes.items():
                database.execute(
                    "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (?, ?, ?)",
                    (number + 1, key, json.dumps(value)),
                )
    return spent


def _networks(plan: driver.Plan, count: int) -> Iterator[Network]:
    """Different networks: drawn ones, and such that are a little wider at the end."""
    drawn = [Network.of(one) for one in plan.candidates.networks]
    for at in range(count):
        network, more = drawn[at % len(drawn)], at // len(drawn)
        if not more:
            yield network
            continue
        arch, step = network.architecture, 4 * math.prod(network.architecture.groups)
        wider = (*arch.stage_channels[:-1], arch.stage_channels[-1] + more * step)
        arch = replace(arch, stage_channels=wider)
        costs = count_costs(arch)
        yield replace(network, architecture=arch, costs=costs, cost=costs.macs / 1e6)


def coordination(finished: int, further: float) -> dict[str, float]:
    """What a driver takes per training after `finished` finished trials, and until the first training."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spent = fill(plan_in(folder), finished)
        clock, started, cpu = Clock(), time.monotonic(), time.thread_time()
        with ThreadPoolExecutor(2) as executor:
            plan = plan_in(
                folder,
                effort=Effort(start=12, trainings=spent + further, seeds=1),
                executor=executor,
                workers=2,
                train=clock.train(0.1),
            )
            first: list[float] = []
            trainings: list[int] = []
            standing, step = driver.Search._standing, driver.next_step
            explore = driver.Search._explore

            def exploring(self: driver.Search, *arguments: Any) -> str:
                first.append(time.thread_time())
                try:
                    return explore(self, *arguments)
                finally:
                    first.append(time.thread_time())
                    trainings.append(len(clock.began))

            driver.Search._standing = clock.timed(standing)  # type: ignore[method-assign]
            driver.next_step = clock.timed(step)  # type: ignore[assignment]
            driver.Search._explore = exploring  # type: ignore[method-assign]
            try:
                driver.run_plan(plan, {"command": ["snsearch", "search"]}, Observer(), lambda: False)
            finally:
                driver.Search._standing, driver.next_step = standing, step  # type: ignore[method-assign]
                driver.Search._explore = explore  # type: ignore[method-assign]
        total = first[1] - first[0] - sum(clock.proposals)
        by_step = [a + b for a, b in zip(clock.proposals[::2], clock.proposals[1::2], strict=False)]
        return {
            "trainings": trainings[0],
            "cpu_ms_per_training": 1e3 * total / trainings[0],
            "proposal_cpu_ms_median": 1e3 * float(np.median(by_step)),
            "proposal_cpu_ms_most": 1e3 * max(by_step),
            "cpu_seconds_to_first_training": first[0] - cpu + by_step[0],
            "wall_seconds_to_first_training": clock.began[0] - started,
        }


def report_seconds(trials: int) -> float:
    """CPU seconds of making the page of a study with that number of trials."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plan = plan_in(folder)
        fill(plan, trials)
        before = time.process_time()
        render(report_data(read_study(plan.url, plan.name)))
        return time.process_time() - before


def throughput(workers: int, rounds: int) -> dict[str, float]:
    """Trainings per sleep of as many workers, from the first training of a search to the last that it explores."""
    with tempfile.TemporaryDirectory() as name:
        clock = Clock()
        with ThreadPoolExecutor(workers) as executor:
            plan = plan_in(
                Path(name),
                effort=Effort(start=workers * rounds, trainings=1000.0, seeds=1),
                executor=executor,
                workers=workers,
                train=clock.train(SLEEP),
            )
            count = workers * rounds

            def stop() -> bool:
                return len(clock.began) > count + 2

            with suppress(KeyboardInterrupt):
                driver.run_plan(plan, {"command": ["snsearch", "search"]}, Observer(), stop)
        # The pilot's two trainings come first.
        began = clock.began[2:]
        span = began[count - 1] - began[0] if workers == 1 else began[count] - began[0]
        done = count - 1 if workers == 1 else count
        return {"workers": workers, "trainings": done, "rate": done * SLEEP / span}


def main(arguments: argparse.Namespace) -> None:
    """Prints every figure, and keeps them."""
    earlier = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    result: dict[str, Any] = earlier | {
        "what": "a search beside its trainings; CPU of the driver's thread, trainings are sleeps",
        "python": platform.python_version(),
        "optuna": optuna.__version__,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
    }
    for finished in arguments.finished:
        result[f"coordination, {finished} finished"] = found = coordination(finished, arguments.further)
        print(finished, found, flush=True)
    if arguments.report:
        result[f"report_cpu_seconds, {arguments.report} trials"] = found_seconds = report_seconds(arguments.report)
        print("report", found_seconds, flush=True)
    for workers in arguments.workers:
        result[f"throughput, {workers} workers"] = rate = throughput(workers, arguments.rounds)
        print(rate, flush=True)
    result["most_memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--finished", type=int, nargs="*", default=[100, 1000, 10_000])
    parser.add_argument("--further", type=float, default=8.0, help="full trainings' worth of work beyond them")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4, 8])
    parser.add_argument("--rounds", type=int, default=12, help="trainings of each worker")
    parser.add_argument("--report", type=int, default=2000)
    main(parser.parse_args())
