"""One run of the paper's line-ups: what is trained where, and what is seen of each claim so far."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from snsearch import __version__
from snsearch.interrupt import resumable
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
from snsearch.lab.trainings import Curve, Train, Training, TrainingLog, run_trainings
from snsearch.study import Observer, read_dataset
from snsearch.training import Dataset, Machine, Recipe, machine_of, train_proxy

DEFAULT_IMAGES, QUICK_IMAGES = 20_000, 5_000  # quick keeps the seeds: two would leave no interval to speak of
SCHEMA = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class PaperOptions:
    """What is checked of the paper, and on what."""

    budgets: tuple[float, ...]  # MFLOPs
    tables: tuple[int, ...]
    data: str
    tight: bool
    seeds: int
    quick: bool
    out: Path | None  # folder of the trainings' log
    proxy_images: int | None
    proxy_epochs: int
    workers: int | None
    threads: int | None
    proxy_device: str

    @property
    def folder(self) -> Path:
        """The folder of the trainings' log, such as reports/paper-fashion-mnist-quick."""
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(self.data.partition(":")[2] or self.data).name)
        return self.out or Path("reports") / (
            f"paper-{name.strip('-.')[:80] or 'data'}{'-quick' if self.quick else ''}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class PaperRun:
    """The line-ups of some options on a data set; made by `begin_paper`."""

    options: PaperOptions
    line_ups: Sequence[LineUp]
    dataset: Dataset
    recipe: Recipe
    machine: Machine
    train: Train

    @property
    def log(self) -> TrainingLog:
        """The log of the finished trainings."""
        return TrainingLog(self.options.folder / "trainings.csv")

    @property
    def tasks(self) -> list[Training]:
        """Every training that is wanted."""
        return trainings_of(self.line_ups, self.recipe, self.options.seeds)

    def go_on(self, observer: Observer) -> None:
        """Does the trainings that the log lacks. Raises KeyboardInterrupt and StudyError."""
        with resumable(observer.stopping) as stop:
            run_trainings(
                self.tasks,
                self.dataset,
                self.log,
                machine=self.machine,
                checkpoints=self.options.folder / "checkpoints",
                observer=observer,
                stop=stop,
                train=self.train,
            )

    def seen(self) -> PaperSeen:
        """What the finished trainings say."""
        curves = self.log.read()
        options = self.options
        return PaperSeen(
            run=self,
            verdicts=judge(
                self.line_ups, curves, options.tables, seeds=options.seeds, classes=len(self.dataset.classes)
            ),
            curves={task.identity: curves[task.identity] for task in self.tasks if task.identity in curves},
        )


def begin_paper(options: PaperOptions, observer: Observer, train: Train = train_proxy) -> PaperRun:
    """The run that the options ask for; its settings are kept in its folder.

    Raises InfeasibleBudgetError, DataError, and StudyError where the folder was begun with other settings.
    """
    line_ups = [line_up(mflops, options.tables, tight=options.tight) for mflops in sorted(set(options.budgets))]
    tasks = options.seeds * sum(len(line.solutions) for line in line_ups)
    machine = machine_of(options.proxy_device, options.workers, options.threads, tasks=tasks)
    dataset = read_dataset(options.data, None, observer)
    images = options.proxy_images or (QUICK_IMAGES if options.quick else DEFAULT_IMAGES)
    recipe = Recipe(
        images=min(images, len(dataset.train)),
        epochs=options.proxy_epochs,
        test_images=min(10_000, len(dataset.scored)),
    )
    PaperSettings.of(dataset, recipe, tight=options.tight).keep(options.folder / "settings.json")
    return PaperRun(options=options, line_ups=line_ups, dataset=dataset, recipe=recipe, machine=machine, train=train)


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
                line.solutions.items(), errors_of(line, self.curves, run.options.seeds).values(), strict=True
            )
        ]

    def document(self) -> dict[str, Any]:
        """Everything, as a JSON object."""
        run, options = self.run, self.run.options
        last = [curve[-1] for curve in self.curves.values()]
        wanted = len(run.tasks)
        return {
            "schema": SCHEMA,
            "paper": "arXiv:1707.01083",
            "paper_metric": "top-1 error on ImageNet, percent",
            "quick": options.quick,
            "complete": len(self.curves) == wanted,
            "trainings": {"done": len(self.curves), "wanted": wanted},
            "data": {
                "description": run.dataset.describe(),
                "source": run.dataset.source,
                "fingerprint": run.dataset.fingerprint(),
            },
            "recipe": asdict(run.recipe),
            "seeds": options.seeds,
            "tight": options.tight,
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
