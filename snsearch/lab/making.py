"""Making a reference set, or going on with it: candidates of a budget trained long, and by the default proxy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from snsearch import __version__
from snsearch.errors import StudyError
from snsearch.interrupt import resumable
from snsearch.lab.fidelity import FEWEST_MEMBERS
from snsearch.lab.reference import (
    REFERENCE,
    ReferenceSet,
    extended,
    log_of,
    members_of,
    read_scores,
    read_set,
    write_scores,
    write_set,
)
from snsearch.lab.scores import zero_cost
from snsearch.lab.trainings import Train, run_trainings
from snsearch.solver import (
    Budget,
    Candidates,
    candidates_of,
    deployed_on,
    digest_of,
    load_budget,
    load_space,
    matched_set,
    with_input,
)
from snsearch.study import COUNTED, OBJECTIVES, Observer, environment, read_dataset
from snsearch.training import Dataset, Recipe, default_recipe, machine_of, train_proxy

PROXY_SEED = 100  # apart from the reference's, with which a proxy would share its noise


@dataclass(frozen=True, kw_only=True, slots=True)
class SetOptions:
    """What a set is made of, and on what."""

    budget: str
    space: str
    data: str
    resolution: tuple[int, int] | None
    candidates: int
    seeds: int  # of the reference
    reference_images: int  # per epoch
    reference_epochs: int
    reference_augment: Any  # None: the data set's own
    proxy_seeds: int
    remark: str
    out: Path | None  # folder of the set
    workers: int | None
    threads: int | None
    proxy_device: str

    @property
    def name(self) -> str:
        """The set's name."""
        return (self.out or Path(f"fidelity-{Path(self.budget).stem}-{Path(self.data).stem}")).name

    @property
    def folder(self) -> Path:
        """The set's folder."""
        return self.out or Path("reports") / self.name

    def long_recipe(self, dataset: Dataset) -> Recipe:
        """The recipe of the reference."""
        return Recipe(
            images=min(self.reference_images, len(dataset.train)),
            epochs=self.reference_epochs,
            batch_size=128,
            test_images=10_000,
            curve_points=1,
            schedule="cosine",
            averaging=0.0,
            recalibration=0,
            augmentation=self.reference_augment or dataset.augmentation,
        )


def make_set(options: SetOptions, command: list[str], observer: Observer, train: Train = train_proxy) -> Path:
    """Makes a set or goes on with it, and returns its folder.

    Every finished training is kept. Long trainings come seed by seed, so that a set is of use after its second seed.

    Raises:
        StudyError: the folder holds another set, the budget leaves too few networks, or a training failed.
        KeyboardInterrupt: the user stopped it; what is finished is kept.
    """
    space = load_space(options.space)
    machine = machine_of(options.proxy_device, options.workers, options.threads, tasks=options.candidates)
    dataset = read_dataset(options.data, None, observer)
    budget = deployed_on(
        with_input(load_budget(options.budget), resolution=options.resolution), dataset.channels, len(dataset.classes)
    )
    cost = OBJECTIVES[COUNTED].of
    candidates = candidates_of(space, budget, tight=True, search_shuffle="shuffle" in space.options, cost=cost)
    wanted = _wanted(options, budget, dataset, candidates, command)
    folder = options.folder
    reference = extended(read_set(folder), wanted) if (folder / "set.json").exists() else wanted
    write_set(reference, folder)
    tasks = [
        *reference.trainings("default", range(PROXY_SEED, PROXY_SEED + options.proxy_seeds)),
        *reference.trainings(REFERENCE, range(options.seeds)),
    ]
    with resumable(observer.stopping) as stop:
        _score(reference, dataset, folder, machine.device, stop)
        run_trainings(
            tasks,
            dataset,
            log_of(folder),
            machine=machine,
            checkpoints=folder / "checkpoints",
            observer=observer,
            stop=stop,
            train=train,
        )
    return folder


def _wanted(
    options: SetOptions, budget: Budget, dataset: Dataset, candidates: Candidates, command: list[str]
) -> ReferenceSet:
    """The set that the options ask for. Raises StudyError where the budget leaves too few networks."""
    space = load_space(options.space)
    members = members_of(candidates, matched_set(candidates, options.candidates))
    if len(members) < FEWEST_MEMBERS:
        raise StudyError(
            f"{budget.describe()} leaves {len(members)} different networks of {space.name}; fidelity needs "
            f"{FEWEST_MEMBERS}: name another --budget or --space"
        )
    return ReferenceSet(
        name=options.name,
        space=space.name,
        space_digest=digest_of(space),
        budget=budget,
        tight=True,
        data=dataset.name,
        data_fingerprint=dataset.fingerprint(),
        data_description=f"{dataset.describe()}; {dataset.source}",
        train_images=len(dataset.train),
        members=members,
        recipes={REFERENCE: options.long_recipe(dataset), "default": default_recipe(len(dataset.train))},
        seeds=tuple(range(options.seeds)),
        remark=options.remark,
        runs=(environment(command),),
    )


def _score(
    reference: ReferenceSet, dataset: Dataset, folder: Path, device: torch.device, stop: Callable[[], bool]
) -> None:
    """Computes the training-free scores of every member with the proxies' first seeds, where they are missing.

    Raises KeyboardInterrupt where `stop` says so; scores are kept once all of them are there.
    """
    if read_scores(folder):
        return
    scores = []
    for seed in range(PROXY_SEED, PROXY_SEED + 2):
        for member in reference.members:
            if stop():
                raise KeyboardInterrupt
            results = zero_cost(member.architecture, dataset, seed=seed, device=device)
            scores += [(member.label, result) for result in results]
    write_scores(folder, scores, (__version__, str(torch.__version__)))
