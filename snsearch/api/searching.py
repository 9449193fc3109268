"""One search, from its options to the record: what it trains and where, and measuring at its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snsearch.api.places import Place, default_name, is_number, new_place
from snsearch.api.precheck import mismatches, say_what_to_expect
from snsearch.api.targets import check_target, objective_of
from snsearch.device import device_of
from snsearch.interrupt import resumable
from snsearch.prose import printable
from snsearch.solver import Budget, load_budget, load_space, with_input
from snsearch.study import Objective, Observer
from snsearch.training import Options, parse_splits, resolve_data
from snsearch.units import format_resolution

if TYPE_CHECKING:
    from snsearch.study import Plan, StudyRecord
    from snsearch.training import Dataset, ProxyResult, Recipe


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchOptions:
    """The options of a search; `snsearch.search` says what each means and what it is by default."""

    budget: str
    space: str
    data: str
    split: tuple[str, ...]
    image_column: str | None
    label_column: str | None
    resolution: tuple[int, int] | None
    classes: int | None
    trials: int
    time_limit: float | None
    seed: int
    finalists: int
    seeds: int
    objective: str
    profile: str | None
    device: str | None
    search_shuffle: bool
    tight: bool
    study: str | None
    storage: str | None
    out: Path
    proxy_images: int | None
    proxy_epochs: int | None
    proxy_resolution: int | None
    augment: Any
    sampler: Any
    early_stop: bool
    stop_when_stable: bool
    go_ahead: bool
    workers: int | None
    threads: int | None
    proxy_device: str

    @property
    def place(self) -> Place:
        """Where the study is. Raises StudyError for a name that is no plain file name."""
        name = self.study or default_name(self.space, self.budget, self.data)
        return new_place(name, self.storage, self.out)

    def command(self, defaults: dict[str, Any]) -> list[str]:
        """The command line that asks for the same, without the storage's secrets."""
        from snsearch.study import without_secrets

        words = ["snsearch", "search"]
        for name, value in ((field.name, getattr(self, field.name)) for field in fields(self)):
            option = "yes" if name == "go_ahead" else name.replace("_", "-")
            if value == defaults.get(name):
                continue
            if isinstance(value, bool):
                words.append(f"--{option}" if value else f"--no-{option}")
            elif name == "split":
                words += [word for text in value for word in ("--split", text)]
            else:
                text = format_resolution(value) if name == "resolution" else str(value)
                words += [f"--{option}", without_secrets(text) if name == "storage" else text]
        return [printable(word) for word in words]

    def budget_on(self, dataset: Dataset) -> Budget:
        """The budget at the deployed input; a bare number of MFLOPs takes channels and classes from the data."""
        from snsearch.study import deployed

        budget = with_input(load_budget(self.budget), resolution=self.resolution, classes=self.classes)
        return deployed(budget, dataset, named=not is_number(self.budget), classes=self.classes)

    def recipe_on(self, dataset: Dataset) -> Recipe:
        """The recipe of the short trainings."""
        from snsearch.training import default_recipe

        usual = default_recipe(len(dataset.train))
        return replace(
            usual,
            images=min(self.proxy_images or usual.images, len(dataset.train)),
            epochs=self.proxy_epochs or (usual.epochs if self.proxy_images is None else 1),
            test_images=min(usual.test_images, len(dataset.scored)),
            augmentation=None if self.augment == "data" else self.augment,
        )


def data_options(split: tuple[str, ...], image_column: str | None, label_column: str | None) -> Options:
    """How to read data where the names do not say it. Raises DataError for a split that cannot be read."""
    return Options(splits=parse_splits(split), image_column=image_column, label_column=label_column)


def run_search(
    options: SearchOptions,
    defaults: dict[str, Any],
    observer: Observer,
    train: Callable[..., ProxyResult] | None = None,
) -> StudyRecord:
    """Searches as the options say; what is wrong with them is told before torch is loaded."""
    load_space(options.space)
    load_budget(options.budget)
    resolve_data(options.data)
    data_options(options.split, options.image_column, options.label_column)
    place = options.place
    device = None if options.device is None else device_of(options.device)
    objective = objective_of(options.objective, options.profile, device, place, observer)
    if device is not None:
        check_target(device, place, observer)

    from snsearch.api.measuring import measure_found
    from snsearch.study import read_study, run_plan

    where = str(place.folder) if options.storage is None else f"{place.name} --storage URL"
    named = device and (device.name if device.identity else device.url)
    later = f"snsearch measure {where} --device {named}"
    plan, run = _plan_of(options, defaults, place, objective, observer, train)
    try:
        with resumable(observer.stopping) as stop:
            reason = run_plan(plan, run, observer, stop)
    except KeyboardInterrupt:
        if device is not None:
            observer.said(f"not measured yet; {later} measures what is there")
        raise
    observer.said(f"search ended: {reason}")
    if device is not None:
        measure_found(read_study(place.url, place.name), device, later, observer)
    return read_study(place.url, place.name)


def _plan_of(
    options: SearchOptions,
    defaults: dict[str, Any],
    place: Place,
    objective: Objective,
    observer: Observer,
    train: Callable[..., ProxyResult] | None,
) -> tuple[Plan, dict[str, Any]]:
    """What is to be trained, and what the study keeps of this run."""
    from snsearch.solver import candidates_of
    from snsearch.study import Plan, Rungs, environment, read_dataset, settings_of
    from snsearch.training import machine_of, train_proxy

    machine = machine_of(options.proxy_device, options.workers, options.threads, tasks=options.trials)
    deployed = with_input(load_budget(options.budget), resolution=options.resolution)
    dataset = read_dataset(
        options.data,
        options.proxy_resolution,
        observer,
        deployed=min(deployed.resolution),
        options=data_options(options.split, options.image_column, options.label_column),
    )
    space, budget = load_space(options.space), options.budget_on(dataset)
    for line in mismatches(budget, dataset):
        observer.said(line)
    candidates = candidates_of(
        space, budget, tight=options.tight, search_shuffle=options.search_shuffle, cost=objective.of
    )
    costs = list(candidates.cost.values())
    profile = objective.profile
    if profile and (remarks := [remark for cost in costs if (remark := profile.remark(cost))]):
        observer.said(f"{len(remarks)} of {len(costs)} candidates are predicted {remarks[0]}")
    settings = settings_of(
        space,
        budget,
        dataset,
        options.recipe_on(dataset),
        data=printable(options.data),
        seed=options.seed,
        tight=options.tight,
        search_shuffle=options.search_shuffle,
        sampler=options.sampler,
        rungs=Rungs() if options.early_stop else Rungs(at=()),
        objective=objective,
    )
    plan = Plan(
        url=place.url,
        name=str(place.name),
        settings=settings,
        candidates=candidates,
        dataset=dataset,
        device=str(machine.device),
        checkpoints=place.folder / "checkpoints",
        trials=options.trials,
        time_limit=options.time_limit,
        workers=machine.workers,
        threads=machine.threads,
        stop_when_stable=options.stop_when_stable,
        finalists=options.finalists,
        seeds=options.seeds,
        train=train or train_proxy,
    )
    say_what_to_expect(plan, observer, go_ahead=options.go_ahead)
    run = environment(options.command(defaults))
    run |= {"proxy_device": plan.device, "workers": plan.workers, "skipped_count": len(dataset.skipped)}
    if dataset.skipped:
        run["skipped_images"] = [f"{skipped.name}: {skipped.reason}" for skipped in dataset.skipped[:50]]
    if dataset.description:
        run["data_summary"] = list(dataset.description.lines())
    return plan, run
