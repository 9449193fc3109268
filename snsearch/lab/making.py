"""Making a reference set, or going on with it: candidates trained long, and by the default proxy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from snsearch import __version__
from snsearch.errors import StudyError
from snsearch.interrupt import resumable
from snsearch.lab.fidelity import DEFAULT, FEWEST_MEMBERS
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
    candidates_of,
    deployed_on,
    digest_of,
    load_budget,
    load_space,
    matched_set,
    with_input,
)
from snsearch.study import COUNTED, OBJECTIVES, Observer, environment, read_dataset
from snsearch.training import Dataset, Options, Recipe, default_recipe, machine_of, train_proxy

PROXY_SEED = 100  # apart from the reference's, with which a proxy would share its noise


def make_set(
    command: list[str],
    observer: Observer,
    train: Train = train_proxy,
    *,
    budget: str,
    space: str,
    data: str,
    reading: Options,
    resolution: tuple[int, int] | None,
    candidates: int,
    seeds: int,
    reference_images: int,
    reference_epochs: int,
    reference_augment: Any,
    proxy_seeds: int,
    remark: str,
    out: Path | None,
    workers: int | None,
    threads: int | None,
    proxy_device: str,
) -> Path:
    """Makes a set or goes on with it, and returns its folder.

    Every finished training is kept. Long trainings come seed by seed, so that a set is of use after its second seed.

    Args:
        command: the command line, which the set keeps.
        reading: how the data is read where its names do not say it.
        candidates: of the budget; those that the space leaves may be fewer.
        seeds: of the reference.
        reference_images: per epoch.
        reference_augment: of the reference; None: the data set's own.
        proxy_seeds: of the default proxy.
        out: folder of the set; None: reports/fidelity-BUDGET-DATA.

    Raises:
        StudyError: the folder holds another set, the budget leaves too few networks, or a training failed.
        KeyboardInterrupt: the user stopped it; what is finished is kept.
    """
    folder = out or Path("reports") / f"fidelity-{Path(budget).stem}-{Path(data).stem}"
    spec = load_space(space)
    machine = machine_of(proxy_device, workers, threads, tasks=candidates)
    dataset = read_dataset(data, None, observer, options=reading)
    at_input = with_input(load_budget(budget), resolution=resolution)
    deployed = deployed_on(at_input, dataset.channels, len(dataset.classes))
    cost = OBJECTIVES[COUNTED].of
    found = candidates_of(spec, deployed, tight=True, search_shuffle="shuffle" in spec.options, cost=cost)
    members = members_of(found, matched_set(found, candidates))
    if len(members) < FEWEST_MEMBERS:
        raise StudyError(
            f"{deployed.describe()} leaves {len(members)} different networks of {spec.name}; fidelity needs "
            f"{FEWEST_MEMBERS}: name another --budget or --space"
        )
    long_recipe = Recipe(
        images=min(reference_images, len(dataset.train)),
        epochs=reference_epochs,
        batch_size=128,
        test_images=10_000,
        curve_points=1,
        schedule="cosine",
        averaging=0.0,
        recalibration=0,
        augmentation=reference_augment or dataset.augmentation,
    )
    wanted = ReferenceSet(
        name=folder.name,
        space=spec.name,
        space_digest=digest_of(spec),
        budget=deployed,
        tight=True,
        data=dataset.name,
        data_fingerprint=dataset.fingerprint(),
        data_description=f"{dataset.describe()}; {dataset.source}",
        train_images=len(dataset.train),
        members=members,
        recipes={REFERENCE: long_recipe, DEFAULT: default_recipe(len(dataset.train))},
        seeds=tuple(range(seeds)),
        remark=remark,
        runs=(environment(command),),
    )
    log = log_of(folder)
    with log, resumable(observer.stopping) as stop:
        reference = extended(read_set(folder), wanted) if (folder / "set.json").exists() else wanted
        write_set(reference, folder)
        tasks = [
            *reference.trainings(DEFAULT, range(PROXY_SEED, PROXY_SEED + proxy_seeds)),
            *reference.trainings(REFERENCE, range(seeds)),
        ]
        _score(reference, dataset, folder, machine.device, stop)
        run_trainings(
            tasks,
            dataset,
            log,
            machine=machine,
            checkpoints=folder / "checkpoints",
            observer=observer,
            stop=stop,
            train=train,
        )
    return folder


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
