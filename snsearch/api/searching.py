"""One search, from its options to the record: what it trains and where, and measuring at its end."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snsearch import units
from snsearch.api.arguments import check_range, checked, naming
from snsearch.api.places import is_number, search_place
from snsearch.api.precheck import mismatches, say_what_to_expect
from snsearch.api.solutions import latency_bounds, pixels_of
from snsearch.api.targets import check_target, objective_of
from snsearch.codec import suggestion
from snsearch.device import Device, device_of, named_profile, profile_of_device
from snsearch.errors import SpecError
from snsearch.interrupt import resumable
from snsearch.prose import counted, printable
from snsearch.solver import Budget, load_budget, load_space, with_input
from snsearch.study import EFFORTS, FULL_IMAGES, MARGIN, STANDARD, EffortName, Observer, Sampler, objective_named
from snsearch.training import Elsewhere, Options, elsewhere, load_changes, parse_splits, resolve_data
from snsearch.units import format_latency, format_resolution, parse_duration

if TYPE_CHECKING:
    from snsearch.study import StudyRecord
    from snsearch.training import ProxyResult


def data_options(split: Sequence[str], image_column: str | None, label_column: str | None) -> Options:
    """How to read data where the names do not say it. Raises DataError for a split that cannot be read."""
    return Options(splits=parse_splits(tuple(split)), image_column=image_column, label_column=label_column)


@checked
def search(
    budget: str | float | None = None,
    *,
    latency: float | str | None = None,
    confidence: float | str | None = None,
    space: str = "shufflenet-v1",
    data: str = "fashion-mnist",
    split: Sequence[str] = (),
    image_column: str | None = None,
    label_column: str | None = None,
    resolution: str | int | tuple[int, int] | None = None,
    classes: int | None = None,
    effort: EffortName = STANDARD,
    trials: int | None = None,
    time_limit: str | float | None = None,
    margin: float = MARGIN,
    seed: int = 0,
    objective: str = "latency",
    profile: str | None = None,
    device: str | None = None,
    search_shuffle: bool = False,
    tight: bool = True,
    study: str | None = None,
    storage: str | None = None,
    out: str | Path = "reports",
    full_images: int | None = None,
    recipe: str | Path | None = None,
    proxy_resolution: int | None = None,
    sampler: Sampler = "surrogate",
    go_ahead: bool = False,
    workers: int | None = None,
    threads: int | None = None,
    proxy_device: str = "auto",
    executor: Executor | str = "local",
    resources: str | None = None,
    observer: Observer | None = None,
    train: Callable[..., ProxyResult] | None = None,
) -> StudyRecord:
    """Trains candidates that meet a budget, compares the best with the published designs, and returns the study.

    The same call continues a stopped search; a greater effort continues one that has ended. Ctrl-C ends it at the
    next safe point with KeyboardInterrupt: what is trained is in the study. With one worker, the same seed gives the
    same study.

    Args:
        budget: MFLOPs at the deployed resolution, a named budget, or a TOML file; None: the latency alone.
        latency: at most this latency, in milliseconds or such as "25ms", predicted by `profile`, else by the device's
            own one.
        confidence: 0.95 or "95%" keeps the upper end of the prediction's interval within the latency.
        space: a named space, or a TOML file.
        data: as for `load_data`, as are `split`, `image_column` and `label_column`.
        split: folders or splits to use.
        image_column: of the images in a table.
        label_column: of the labels in a table.
        resolution: deployed input size, such as 224 or "480x640"; None: the budget's.
        classes: deployed classes; None: the budget's, or the data's.
        effort: "quick", "standard" or "thorough": how many full trainings the search may take, and each finalist.
        trials: candidates to try at least; None: the effort's number.
        time_limit: seconds for all of it, or a text such as "15min"; half of it is for the search, the rest for the
            finalists. What does not fit is cut, and the verdict says so.
        margin: points of error below which two networks are equal.
        seed: of everything random.
        objective: what is weighed against the error: "latency", "params", "peak-memory" or "counted".
        profile: latency profile; None: the budget's, the device's own, else the default one.
        device: measure the front and the finalists on this device at the end.
        search_shuffle: search networks without channel shuffle too.
        tight: match the MFLOPs within 0.1 %.
        study: name of the study; None: from space, budget and data.
        storage: URL of an Optuna storage; None: SQLite in the study's folder.
        out: folder of the studies' folders.
        full_images: images of a full training, repetitions counted, at least 64 (a batch); None: found by a pilot.
        recipe: a TOML file with what to change of how candidates are trained.
        proxy_resolution: pixels per side of the images in training; None: 32 to 64, by the data.
        sampler: what proposes candidates; the others than "surrogate" are Optuna's, and train each in full.
        go_ahead: start even if memory is expected not to suffice.
        workers: candidates trained at once; None: one per core, or what a Ray cluster has room for, or 8 SLURM jobs.
        threads: CPU threads of a worker; None: its share of the cores.
        proxy_device: "auto", "cpu", "cuda" or "mps".
        executor: what does the trainings: "local" is processes of this machine; "ray" and "slurm" are engines, and
            "ray://HOST:PORT" is a Ray cluster that this machine is not in; or an executor with the interface of
            `concurrent.futures`. Checkpoints are files in `out`, which all machines see, except for "ray://...".
        resources: what one training takes of an engine, such as "cpu=2,gpu=0.25".
        observer: hears of the progress.
        train: in the place of `train_proxy`; with several workers, importable by its module and name.

    Raises:
        SpecError: the space, budget, objective, profile or a number cannot be used.
        InfeasibleBudgetError: no design of the space meets the budget.
        DataError: the data cannot be read.
        StudyError: the study was made with other settings, another search is at work on it, several candidates in a
            row failed, or the engine is not installed or cannot be reached.
        DeviceError: the device cannot be used.

    Example:
        >>> import snsearch
        >>> import tempfile
        >>> small = dict(data="digits", resolution=96, effort="quick", full_images=64, workers=1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = snsearch.search(3, objective="params", out=folder, **small)
        >>> found.candidates[0].words
        'g=1, conv1 12, paper, 48/96/176'
    """
    given = dict(locals())
    started = time.monotonic()
    check_range("trials", trials, 1)
    check_range("margin", margin, 0, 100)
    check_range("seed", seed, 0, 2**31 - 1)
    check_range("proxy_resolution", proxy_resolution, 8, 512)
    check_range("workers", workers, 1, 10_000)
    check_range("threads", threads, 1)
    if effort not in EFFORTS:
        raise SpecError(f"effort {effort!r}{suggestion(effort, EFFORTS)}")
    named = f"{budget:g}" if isinstance(budget, int | float) else budget
    pixels = None if resolution is None else pixels_of(resolution)
    with naming("time_limit"):
        seconds = None if time_limit is None else parse_duration(time_limit)
    if classes is not None:
        with naming("classes"):
            units.CLASSES.check(classes, classes)
    if full_images is not None:
        with naming("full_images"):
            units.FULL_IMAGES.check(full_images, full_images)
    given |= {"budget": named, "split": tuple(split), "resolution": pixels, "time_limit": seconds, "out": str(out)}
    seen = observer or Observer()
    where = elsewhere(executor, resources) if isinstance(executor, str) else executor
    # What is wrong with the options is told before torch is loaded.
    target = None if device is None else device_of(device)
    spec, limits = load_space(space), _limits(named, latency, confidence, profile, target)
    at_input = with_input(limits, resolution=pixels)
    resolve_data(data)
    changes = None if recipe is None else load_changes(str(recipe))
    reading = data_options(split, image_column, label_column)
    place = search_place(
        *(study, storage, Path(out)),
        space=space,
        budget=named,
        data=data,
        latency=None if latency is None else limits.latency_ms,
        confidence=None if latency is None else limits.confidence,
        profile=profile,
        device=device,
    )
    if limits.profile is None:
        goal = objective_of(objective, profile, target, place, seen)
    else:
        goal = objective_named(objective, limits.profile)
    if target is not None:
        check_target(target, place, seen)
    from snsearch.api.crews import crew_of
    from snsearch.api.measuring import measure_found
    from snsearch.solver import candidates_of
    from snsearch.study import Plan, deployed, environment, read_dataset, read_study, run_plan, settings_of
    from snsearch.training import MOST_PASSES, full_recipe, train_proxy

    with crew_of(
        where,
        place.folder,
        seen,
        device=proxy_device,
        workers=workers,
        threads=threads,
        tasks=max(int(EFFORTS[effort].trainings), trials or 0),
    ) as crew:
        dataset = read_dataset(
            data, proxy_resolution, seen, deployed=min(at_input.resolution), options=reading, scored_on_test=False
        )
        # A bare number of MFLOPs takes channels and classes from the data.
        at_input = with_input(at_input, classes=classes)
        on_data = deployed(at_input, dataset, named=named is not None and not is_number(named), classes=classes)
        for line in mismatches(on_data, dataset):
            seen.said(line)
        candidates = candidates_of(
            spec, on_data, tight=tight, search_shuffle=search_shuffle, cost=goal.of, seed=seed, progress=seen.drawn
        )
        costs = list(candidates.cost.values())
        if goal.profile and (remarks := [remark for cost in costs if (remark := goal.profile.remark(cost))]):
            seen.said(f"{len(remarks)} of {len(costs)} candidates are predicted {remarks[0]}")
        settings = settings_of(
            spec,
            on_data,
            dataset,
            full_recipe(len(dataset.train), FULL_IMAGES if full_images is None else full_images),
            changes=changes,
            pilot=full_images is None,
            data=printable(data),
            seed=seed,
            tight=tight,
            search_shuffle=search_shuffle,
            sampler=sampler,
            objective=goal,
        )
        used = settings.recipe
        if full_images is not None and (takes := used.images * used.epochs) != full_images:
            seen.said(
                f"a full training takes {counted(takes, 'image')}, not {full_images:,}: "
                f"{counted(used.epochs, 'whole pass', 'whole passes')} (at most {MOST_PASSES}) over {used.images:,} "
                f"of the {counted(len(dataset.train), 'training image')}"
            )
        plan = Plan(
            url=place.url,
            name=str(place.name),
            settings=settings,
            candidates=candidates,
            dataset=dataset,
            device=crew.device,
            folder=place.folder if crew.executor is None else place.folder.absolute(),
            effort=EFFORTS[effort],
            trials=trials,
            margin=margin,
            time_limit=seconds,
            started=started,
            workers=crew.workers,
            threads=crew.threads,
            executor=crew.executor,
            carries=isinstance(where, Elsewhere) and where.address is not None,
            train=train or train_proxy,
        )
        say_what_to_expect(plan, seen, go_ahead=go_ahead)
        run = environment(_command(given))
        run |= {
            "margin_points": margin,
            "proxy_device": plan.device,
            "workers": plan.workers,
            "skipped_count": len(dataset.skipped),
        }
        if dataset.skipped:
            run["skipped_images"] = [f"{skipped.name}: {skipped.reason}" for skipped in dataset.skipped[:50]]
        if dataset.description:
            run["data_summary"] = list(dataset.description.lines())
        stored = str(place.folder) if storage is None else f"{place.name} --storage URL"
        later = f"snsearch measure {stored} --device {target and (target.name if target.identity else target.url)}"
        try:
            with resumable(seen.stopping) as stop:
                reason = run_plan(plan, run, seen, stop)
        except KeyboardInterrupt:
            if target is not None:
                seen.said(f"not measured yet; {later} measures what is there")
            raise
    seen.said(f"search ended: {reason}")
    if target is not None:
        measure_found(read_study(place.url, place.name), target, later, seen)
    return read_study(place.url, place.name)


def _limits(
    named: str | None,
    latency: float | str | None,
    confidence: float | str | None,
    profile: str | None,
    target: Device | None,
) -> Budget:
    """The budget of a search; a latency is predicted by the profile, that of the budget's file, or the device's own.

    Raises SpecError, and DeviceError if the device has no profile.
    """
    if named is None and latency is None:
        raise SpecError("a search needs a budget: MFLOPs, a named budget, a TOML file, or a latency")
    given = latency_bounds(latency, None, None, confidence)
    bounds = {name: value for name, value in given.items() if value is not None}
    if named is None:
        budget = Budget(name=format_latency(bounds["latency_ms"]), **bounds)
    else:
        budget = replace(load_budget(named), **bounds)
    if budget.latency_ms is None:
        return budget
    if profile is not None:
        return replace(budget, profile=named_profile(profile))
    if budget.profile is None and target is not None:
        return replace(budget, profile=profile_of_device(target.url))
    assert budget.latency_profile is not None, "it raises without one"
    return budget


def _command(given: dict[str, Any]) -> list[str]:
    """The command line that asks for the same as these arguments of `search`, without the storage's secrets."""
    from snsearch.study import without_secrets

    words = ["snsearch", "search"]
    for name, parameter in inspect.signature(search).parameters.items():
        value, option = given[name], "yes" if name == "go_ahead" else name.replace("_", "-")
        if name in ("observer", "train") or isinstance(value, Executor) or value == parameter.default:
            continue
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        elif name == "split":
            words += [word for text in value for word in ("--split", text)]
        else:
            text = format_resolution(value) if name == "resolution" else str(value)
            words += [f"--{option}", without_secrets(text) if name == "storage" else text]
    return [printable(word) for word in words]
