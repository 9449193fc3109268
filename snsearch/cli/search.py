"""snsearch search: candidates that meet a budget, trained briefly on the user's data, ending in a report."""

from __future__ import annotations

import hashlib
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snsearch.cli.data import data_options, options_of
from snsearch.cli.device import complete_devices
from snsearch.cli.precheck import mismatches, say_what_to_expect
from snsearch.cli.search_device import measure_found, objective_for, target_of
from snsearch.cli.shared.console import print_rich, printable, say
from snsearch.cli.shared.options import (
    CLASSES,
    DURATION,
    RESOLUTION,
    complete_names,
    study_options,
)
from snsearch.cli.trainings import machine_of, machine_options, read_dataset
from snsearch.errors import StudyError
from snsearch.latency import DEFAULT_PROFILE
from snsearch.solver import Budget, load_budget, load_space, with_input

if TYPE_CHECKING:
    from snsearch.study import Objective, StudyRecord
    from snsearch.training import Dataset

DEFAULT_TRIALS = 24


def study_folder(out: Path, name: str) -> Path:
    """The folder of a study's files. Raises StudyError for a name that is no plain file name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise StudyError(
            f"study name {name!r}: expected up to 100 letters, digits, dots, dashes and underscores, "
            "beginning with a letter or digit"
        )
    return out / name


def _default_name(space: str, budget: str, data: str) -> str:
    """A study name such as shufflenet-v1-40-fashion-mnist."""
    argument = data.partition(":")[2] or data
    parts = (Path(space).stem, budget.strip() if _is_number(budget) else Path(budget).stem, Path(argument).name)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts)).strip("-.")[:90]
    # A name that lost letters could be another's too.
    lost = re.sub(r"[A-Za-z0-9._ /-]+", "", "".join(parts))
    return f"{name}-{hashlib.sha256(data.encode('utf-8', 'surrogateescape')).hexdigest()[:6]}" if lost else name


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _say_what_is_extrapolated(objective: Objective, costs: list[float]) -> None:
    """Says how many candidates the profile of the second objective predicts beyond what it is judged by."""
    if objective.profile is None:
        return
    if remarks := [remark for cost in costs if (remark := objective.profile.remark(cost))]:
        click.echo(f"{len(remarks)} of {len(costs)} candidates are predicted {remarks[0]}", err=True)


def _budget_at(text: str, dataset: Dataset, resolution: tuple[int, int] | None, classes: int | None) -> Budget:
    """The budget at the deployed input; a bare number of MFLOPs takes channels and classes from the data."""
    from snsearch.study import deployed

    budget = with_input(load_budget(text), resolution=resolution, classes=classes)
    return deployed(budget, dataset, named=not _is_number(text), classes=classes)


@click.command()
@click.option(
    "--budget",
    "budget_text",
    required=True,
    metavar="N|NAME|FILE",
    shell_complete=complete_names("budgets"),
    help="MFLOPs at the deployed resolution, a budget of budgets/, or a TOML file.",
)
@click.option(
    "--space",
    "space_text",
    default="shufflenet-v1",
    show_default=True,
    metavar="NAME|FILE",
    shell_complete=complete_names("spaces"),
)
@click.option(
    "--data",
    default="fashion-mnist",
    show_default=True,
    metavar="DATA",
    help="fashion-mnist, digits, an image folder, a .parquet file, or a Hugging Face owner/name.",
)
@data_options
@click.option("--resolution", type=RESOLUTION, help="Deployed input size  [default: the budget's, 224]")
@click.option("--classes", type=CLASSES, help="Deployed classes  [default: the budget's, or the data's]")
@click.option(
    "--trials", type=click.IntRange(1), default=DEFAULT_TRIALS, show_default=True, help="Candidates in all."
)
@click.option("--time-limit", type=DURATION, metavar="TIME", help="Begin no candidate past this, such as 15min.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option(
    "--finalists", type=click.IntRange(0), default=3, show_default=True, help="Candidates given more seeds."
)
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Seeds of each finalist.")
@click.option(
    "--profile",
    "profile_text",
    metavar="NAME|FILE|counted",
    shell_complete=complete_names("profiles", "counted"),
    help="Latency profile of the second objective (snsearch profiles), or counted: MMACs + MB moved  "
    f"[default: the device's own, else {DEFAULT_PROFILE}]",
)
@click.option(
    "--device",
    "device_text",
    metavar="NAME|URL",
    shell_complete=complete_devices,
    help="Measure the front and the finalists on this device at the end (snsearch device).",
)
@click.option("--search-shuffle", is_flag=True, help="Search networks without channel shuffle too.")
@click.option("--tight/--no-tight", default=True, show_default=True, help="Match the MFLOPs within 0.1 %.")
@click.option(
    "--study", "study_name", metavar="NAME", help="Study to make or resume  [default: from space, budget, data]"
)
@study_options
@click.option(
    "--proxy-images", type=click.IntRange(1), help="Training images an epoch  [default: as many as the recipe's]"
)
@click.option("--proxy-epochs", type=click.IntRange(1), help="[default: 1; more on small data]")
@click.option(
    "--proxy-resolution",
    type=click.IntRange(8, 512),
    help="Pixels per side of proxy images  [default: 32 to 64, by the data]",
)
@click.option(
    "--augment",
    type=click.Choice(["none", "flip", "crop", "crop+flip", "data"]),
    default="none",
    show_default=True,
    help="Augmentation of proxy training; data takes the data set's own.",
)
@click.option(
    "--sampler",
    type=click.Choice(["surrogate", "tpe", "nsga2", "gp", "random", "quasi-random"]),
    default="surrogate",
    show_default=True,
    help="What proposes candidates; the others than surrogate are Optuna's.",
)
@click.option(
    "--early-stop/--no-early-stop",
    default=True,
    show_default=True,
    help="Stop candidates that are beaten at a rung.",
)
@click.option("--stop-when-stable", is_flag=True, help="End when the front has not moved beyond the noise.")
@click.option("--yes", "go_ahead", is_flag=True, help="Start also where memory is expected not to suffice.")
@machine_options
def search(
    budget_text: str,
    space_text: str,
    data: str,
    split_texts: tuple[str, ...],
    image_column: str | None,
    label_column: str | None,
    resolution: tuple[int, int] | None,
    classes: int | None,
    trials: int,
    time_limit: float | None,
    seed: int,
    finalists: int,
    seeds: int,
    profile_text: str | None,
    device_text: str | None,
    search_shuffle: bool,
    tight: bool,
    study_name: str | None,
    storage: str | None,
    out: Path,
    proxy_images: int | None,
    proxy_epochs: int | None,
    proxy_resolution: int | None,
    augment: Any,
    sampler: Any,
    early_stop: bool,
    stop_when_stable: bool,
    go_ahead: bool,
    workers: int | None,
    threads: int | None,
    proxy_device: str,
) -> None:
    """Search networks that meet a budget, and report the front of proxy error against cost.

    The same command goes on where it was stopped: a killed run loses at most the epoch in flight. With one worker,
    the same seed gives the same study.
    """
    space = load_space(space_text)
    from snsearch.training import keep_manifest, kept_difference, resolve_data

    # Wrong input should not cost the wait for torch and the data.
    deployed_side = min(with_input(load_budget(budget_text), resolution=resolution).resolution)
    resolve_data(data)
    options = options_of(split_texts, image_column, label_column)
    folder = study_folder(out, study_name or _default_name(space_text, budget_text, data))
    url = storage or f"sqlite:///{folder / 'study.db'}"
    target = None if device_text is None else target_of(device_text, url, folder.name)
    objective = objective_for(profile_text, target, url, folder.name)

    from snsearch.cli.shared.progress import SearchProgress
    from snsearch.interrupt import stop_on_signals
    from snsearch.solver import candidates_of
    from snsearch.study import (
        Plan,
        Rungs,
        Search,
        Study,
        environment,
        read_study,
        run_workers,
        settings_of,
        without_password,
    )
    from snsearch.training import default_recipe

    machine = machine_of(proxy_device, workers, threads, tasks=trials)
    dataset = read_dataset(data, proxy_resolution, deployed=deployed_side, options=options)
    progress = SearchProgress()
    budget = _budget_at(budget_text, dataset, resolution, classes)
    for line in mismatches(budget, dataset):
        say(line)
    candidates = candidates_of(space, budget, tight=tight, search_shuffle=search_shuffle, cost=objective.of)
    _say_what_is_extrapolated(objective, list(candidates.cost.values()))
    usual = default_recipe(len(dataset.train))
    recipe = replace(
        usual,
        images=min(proxy_images or usual.images, len(dataset.train)),
        epochs=proxy_epochs or (usual.epochs if proxy_images is None else 1),
        test_images=min(usual.test_images, len(dataset.scored)),
        augmentation=None if augment == "data" else augment,
    )
    trainings = min(trials, candidates.count) + min(finalists, trials) * (seeds - 1)
    say_what_to_expect(candidates, dataset, recipe, machine, trainings=trainings, go_ahead=go_ahead)
    settings = settings_of(
        space,
        budget,
        dataset,
        recipe,
        data=printable(data),
        seed=seed,
        tight=tight,
        search_shuffle=search_shuffle,
        sampler=sampler,
        rungs=Rungs() if early_stop else Rungs(at=()),
        objective=objective,
    )
    study = Study.open(url, folder.name, settings, images_changed=lambda: kept_difference(folder, dataset.manifest))
    keep_manifest(folder, dataset.manifest)
    skipped_entry = {"skipped_images": [f"{s.name}: {s.reason}" for s in dataset.skipped[:50]]}
    # The page is shared: a storage's password is nobody's.
    command = [
        "snsearch",
        *(printable(word.replace(storage, without_password(storage)) if storage else word) for word in sys.argv[1:]),
    ]
    study.add_run(
        environment(command)
        | {"proxy_device": str(machine.device), "workers": machine.workers, "skipped_count": len(dataset.skipped)}
        | (skipped_entry if dataset.skipped else {})
        | ({"data_summary": list(dataset.description.lines())} if dataset.description else {})
    )
    plan = Plan(
        url=url,
        name=folder.name,
        settings=settings,
        candidates=candidates,
        dataset=dataset,
        device=str(machine.device),
        checkpoints=folder / "checkpoints",
        trials=trials,
        time_limit=time_limit,
        workers=machine.workers,
        threads=machine.threads,
        stop_when_stable=stop_when_stable,
    )
    interrupted = False
    fault: StudyError | None = None
    started = time.monotonic()
    with progress.searching(study, candidates, trials, machine.workers), stop_on_signals(progress.stopping) as stop:
        run = Search(
            study=study,
            candidates=candidates,
            dataset=dataset,
            device=machine.device,
            checkpoints=folder / "checkpoints",
            observer=progress,
            stop=stop,
        )
        run.prepare()
        try:
            if machine.workers == 1:
                reason = run.run(trials, time_limit, stop_when_stable=stop_when_stable)
            else:
                reason = run_workers(plan, progress.hear, stop)
            left = None if time_limit is None else max(0.0, time_limit - (time.monotonic() - started))
            if tasks := run.finalists(finalists, seeds):
                progress.repeating(len(tasks))
                if machine.workers == 1:
                    run.repeat(tasks, left)
                else:
                    count = min(machine.workers, len(tasks))
                    further = replace(plan, repeats=tuple(tasks), workers=count, time_limit=left)
                    run_workers(further, progress.hear, stop)
        except KeyboardInterrupt:
            interrupted, reason = True, "interrupted; the same command goes on from here"
        except StudyError as error:  # a worker that died, say: what is scored is worth its page
            fault, reason = error, str(error)
    if plan.checkpoints.is_dir() and not any(plan.checkpoints.iterdir()):
        plan.checkpoints.rmdir()
    pace = progress.summary()
    study.close()
    click.echo(pace, err=True)
    measured = None
    if target is not None and fault is None:
        measured = measure_found(target, url, folder, storage, interrupted=interrupted)
    _finish(read_study(url, folder.name), folder, reason)
    if fault is not None:
        sys.exit(fault.exit_code)
    if interrupted or (measured is not None and measured.interrupted):
        sys.exit(130)
    if measured is not None:
        measured.end()


def _finish(record: StudyRecord, folder: Path, reason: str) -> None:
    from snsearch.cli.shared.progress import front_table
    from snsearch.pages import report_data, write_report

    click.echo(f"search ended: {reason}", err=True)
    if not record.candidates:
        click.echo("no candidate has been trained yet; there is nothing to report", err=True)
        return
    data = report_data(record)
    print_rich(front_table(data))
    path = folder / "report.html"
    write_report(data, path)
    click.echo(f"report: {path}")
