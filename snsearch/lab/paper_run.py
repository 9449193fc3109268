"""One run of the paper's line-ups: what is trained where, and what is seen of each claim so far."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from snsearch import __version__
from snsearch.interrupt import resumable
from snsearch.lab.logs import Curve, TrainingLog
from snsearch.lab.paper import (
    LineUp,
    PaperSettings,
    Verdict,
    errors_of,
    judge,
    line_up,
    trained_macs,
    trainings_of,
)
from snsearch.lab.trainings import Train, Training, run_trainings
from snsearch.study import Observer, read_dataset
from snsearch.training import Dataset, Machine, Options, Recipe, machine_of, train_proxy

DEFAULT_IMAGES, QUICK_IMAGES = 20_000, 5_000  # quick keeps the seeds: two would leave no interval to speak of
SCHEMA = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class PaperRun:
    """The line-ups of some budgets on a data set; made by `begin_paper`."""

    folder: Path  # of the trainings' log
    tables: tuple[int, ...]
    tight: bool
    seeds: int
    quick: bool
    line_ups: Sequence[LineUp]
    dataset: Dataset
    recipe: Recipe
    machine: Machine
    train: Train

    @property
    def log(self) -> TrainingLog:
        """The log of the finished trainings."""
        return TrainingLog(self.folder / "trainings.csv")

    @property
    def tasks(self) -> list[Training]:
        """Every training that is wanted."""
        return trainings_of(self.line_ups, self.recipe, self.seeds)

    def go_on(self, observer: Observer) -> None:
        """Does the trainings that the log lacks. Raises KeyboardInterrupt and StudyError."""
        with resumable(observer.stopping) as stop:
            run_trainings(
                self.tasks,
                self.dataset,
                self.log,
                machine=self.machine,
                checkpoints=self.folder / "checkpoints",
                observer=observer,
                stop=stop,
                train=self.train,
            )

    def seen(self) -> PaperSeen:
        """What the finished trainings say."""
        curves = self.log.read()
        return PaperSeen(
            run=self,
            verdicts=judge(self.line_ups, curves, self.tables, seeds=self.seeds, classes=len(self.dataset.classes)),
            curves={task.identity: curves[task.identity] for task in self.tasks if task.identity in curves},
        )


def begin_paper(
    observer: Observer,
    train: Train = train_proxy,
    *,
    budgets: Sequence[float],
    tables: tuple[int, ...],
    data: str,
    reading: Options,
    tight: bool,
    seeds: int,
    quick: bool,
    out: Path | None,
    proxy_images: int | None,
    proxy_epochs: int,
    workers: int | None,
    threads: int | None,
    proxy_device: str,
) -> PaperRun:
    """The run that checks the paper's claims of some tables at some MFLOPs; its settings are kept in its folder.

    Args:
        reading: how the data is read where its names do not say it.
        out: folder of the trainings' log; None: one such as reports/paper-fashion-mnist-quick.

    Raises InfeasibleBudgetError, DataError, and StudyError where the folder was begun with other settings.
    """
    line_ups = [line_up(mflops, tables, tight=tight) for mflops in sorted(set(budgets))]
    tasks = seeds * sum(len(line.solutions) for line in line_ups)
    machine = machine_of(proxy_device, workers, threads, tasks=tasks)
    dataset = read_dataset(data, None, observer, options=reading)
    images = proxy_images or (QUICK_IMAGES if quick else DEFAULT_IMAGES)
    recipe = Recipe(
        images=min(images, len(dataset.train)), epochs=proxy_epochs, test_images=min(10_000, len(dataset.scored))
    )
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(data.partition(":")[2] or data).name).strip("-.")[:80] or "data"
    folder = out or Path("reports") / f"paper-{name}{'-quick' if quick else ''}"
    PaperSettings.of(dataset, recipe, tight=tight).keep(folder / "settings.json")
    return PaperRun(
        folder=folder,
        tables=tables,
        tight=tight,
        seeds=seeds,
        quick=quick,
        line_ups=line_ups,
        dataset=dataset,
        recipe=recipe,
        machine=machine,
        train=train,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class PaperSeen:
    """What is seen of the claims so far."""

    run: PaperRun
    verdicts: tuple[Verdict, ...]
    curves: Mapping[tuple[str, str, int], Curve]

    def networks(self) -> list[dict[str, Any]]:
        """One JSON object for each network."""
        run = self.run
        return [
            {
                "label": label,
                "serves": line.served_by(label),
                "budget_mflops": line.mflops,
                "mflops": round(solution.costs.mflops, 4),
                "macs": solution.costs.macs,
                "deviation": round(solution.deviation or 0.0, 6),
                "trained_mflops": round(trained_macs(solution.architecture, run.dataset) / 1e6, 4),
                "params": solution.costs.params,
                "stem_channels": solution.architecture.stem_channels,
                "stage_channels": list(solution.architecture.stage_channels),
                "repeats": list(solution.architecture.stage_repeats),
                "key": solution.architecture.key,
                "notes": list(solution.notes),
                "errors": {str(seed): error for seed, error in errors.items()},
            }
            for line in run.line_ups
            for (label, solution), errors in zip(
                line.solutions.items(), errors_of(line, self.curves, run.seeds).values(), strict=True
            )
        ]

    def document(self) -> dict[str, Any]:
        """Everything, as a JSON object."""
        run = self.run
        last = [curve[-1] for curve in self.curves.values()]
        wanted = len(run.tasks)
        return {
            "schema": SCHEMA,
            "paper": "arXiv:1707.01083",
            "paper_metric": "top-1 error on ImageNet, percent",
            "quick": run.quick,
            "complete": len(self.curves) == wanted,
            "trainings": {"done": len(self.curves), "wanted": wanted},
            "data": {
                "description": run.dataset.describe(),
                "source": run.dataset.source,
                "fingerprint": run.dataset.fingerprint(),
            },
            "recipe": asdict(run.recipe),
            "seeds": run.seeds,
            "tight": run.tight,
            "verdicts": [asdict(verdict) for verdict in self.verdicts],
            "networks": self.networks(),
            "missing": [
                {"budget_mflops": line.mflops, "network": name, "reason": reason}
                for line in run.line_ups
                for name, reason in line.missing.items()
            ],
            "versions": {
                "snsearch": __version__,
                "trained_with_snsearch": sorted({point.snsearch for point in last}),
                "trained_with_torch": sorted({point.torch for point in last}),
                "trained_on": sorted({point.device for point in last}),
            },
        }
