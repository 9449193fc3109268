"""snsearch fidelity: how well cheap scores rank a matched set as long training does."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape
from rich.table import Table

from snsearch.cli.shared.console import print_json, print_rich
from snsearch.cli.shared.options import RESOLUTION, complete_names
from snsearch.cli.trainings import TrainingsProgress, machine_of, machine_options, read_dataset
from snsearch.errors import StudyError
from snsearch.solver import load_budget, load_space, with_input
from snsearch.study import counted_objective

if TYPE_CHECKING:
    from snsearch.lab import ReferenceSet, SetFidelity

PROXY_SEED = 100  # apart from the reference's, with which a proxy would share its noise


@click.group()
def fidelity() -> None:
    """How well cheap scores rank candidates of one budget as long training does.

    A reference set is a folder of long trainings and cheap ones of the same candidates; some come with snsearch.
    """


@fidelity.command()
@click.option(
    "--budget",
    "budget_text",
    required=True,
    metavar="N|NAME|FILE",
    shell_complete=complete_names("budgets"),
    help="MFLOPs at the deployed resolution, a budget of budgets/, or a TOML file.",
)
@click.option("--space", "space_text", default="shufflenet-v1", show_default=True, metavar="NAME|FILE")
@click.option("--data", default="fashion-mnist", show_default=True, metavar="DATA", help="As for search.")
@click.option("--resolution", type=RESOLUTION, help="Deployed input size  [default: the budget's, 224]")
@click.option("--candidates", "count", type=click.IntRange(6, 1000), default=20, show_default=True)
@click.option("--seeds", type=click.IntRange(2), default=3, show_default=True, help="Seeds of the reference.")
@click.option(
    "--reference-images", type=click.IntRange(1), default=20_000, show_default=True, help="Images an epoch."
)
@click.option("--reference-epochs", type=click.IntRange(1), default=8, show_default=True)
@click.option(
    "--reference-augment",
    type=click.Choice(["none", "flip", "crop", "crop+flip"]),
    help="Augmentation of the long trainings  [default: the data set's own]",
)
@click.option("--proxy-seeds", type=click.IntRange(1), default=2, show_default=True)
@click.option("--remark", default="", help="A note that is kept with the set: why this data, say.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the set  [default: reports/fidelity-BUDGET-DATA]",
)
@machine_options
def run(
    budget_text: str,
    space_text: str,
    data: str,
    resolution: tuple[int, int] | None,
    count: int,
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
) -> None:
    """Make a reference set, or go on with it: train candidates of BUDGET long, and by the default proxy.

    Every finished training is kept, and the same command goes on where it was stopped. Long trainings come seed by
    seed, so that a set is of use after its second seed.
    """
    space = load_space(space_text)
    load_budget(budget_text)  # a wrong name should not cost the wait for torch and the data

    from snsearch.interrupt import stop_on_signals
    from snsearch.lab import (
        FEWEST_MEMBERS,
        REFERENCE,
        ReferenceSet,
        extended,
        log_of,
        members_of,
        read_set,
        run_trainings,
        write_set,
    )
    from snsearch.solver import candidates_of, deployed_on, digest_of, matched_set
    from snsearch.study import environment
    from snsearch.training import Recipe, default_recipe

    machine = machine_of(proxy_device, workers, threads, tasks=count)
    dataset = read_dataset(data, None)
    budget = deployed_on(
        with_input(load_budget(budget_text), resolution=resolution), dataset.channels, len(dataset.classes)
    )
    candidates = candidates_of(
        space, budget, tight=True, search_shuffle="shuffle" in space.options, cost=counted_objective().of
    )
    train_images = len(dataset.train)
    wanted = ReferenceSet(
        name=(out or Path(f"fidelity-{Path(budget_text).stem}-{Path(data).stem}")).name,
        space=space.name,
        space_digest=digest_of(space),
        budget=budget,
        tight=True,
        data=dataset.name,
        data_fingerprint=dataset.fingerprint(),
        data_description=f"{dataset.describe()}; {dataset.source}",
        train_images=train_images,
        members=members_of(candidates, matched_set(candidates, count)),
        recipes={
            REFERENCE: Recipe(
                images=min(reference_images, train_images),
                epochs=reference_epochs,
                batch_size=128,
                test_images=10_000,
                curve_points=1,
                schedule="cosine",
                averaging=0.0,
                recalibration=0,
                augmentation=reference_augment or dataset.augmentation,
            ),
            "default": default_recipe(train_images),
        },
        seeds=tuple(range(seeds)),
        remark=remark,
        runs=(environment(["snsearch", *sys.argv[1:]]),),
    )
    if len(wanted.members) < FEWEST_MEMBERS:
        raise StudyError(
            f"{budget.describe()} leaves {len(wanted.members)} different networks of {space.name}; fidelity needs "
            f"{FEWEST_MEMBERS}: name another --budget or --space"
        )
    folder = out or Path("reports") / wanted.name
    reference = extended(read_set(folder), wanted) if (folder / "set.json").exists() else wanted
    write_set(reference, folder)
    tasks = [
        *reference.trainings("default", range(PROXY_SEED, PROXY_SEED + proxy_seeds)),
        *reference.trainings(REFERENCE, range(seeds)),
    ]
    log = log_of(folder)
    done = log.read()
    progress = TrainingsProgress(machine.workers)
    interrupted = False
    with (
        progress.showing(sum(task.identity in done for task in tasks), len(tasks)),
        stop_on_signals(progress.stopping) as stop,
    ):
        try:
            _score(reference, dataset, folder, machine.device, stop)
            run_trainings(
                tasks,
                dataset,
                log,
                device=machine.device,
                checkpoints=folder / "checkpoints",
                workers=machine.workers,
                threads=machine.threads,
                observer=progress,
                stop=stop,
            )
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        click.echo("interrupted; the same command goes on from here", err=True)
        sys.exit(130)
    _print_table([_read(folder)], whole=False)
    click.echo(f"set: {folder}; all proxies: snsearch fidelity show {folder} --all", err=True)


def _score(reference: ReferenceSet, dataset: Any, folder: Path, device: Any, stop: Callable[[], bool]) -> None:
    """Computes the training-free scores of every member with the proxies' first seeds, where they are missing.

    Raises KeyboardInterrupt where `stop` says so; scores are kept once all of them are there.
    """
    import torch

    from snsearch import __version__
    from snsearch.lab import read_scores, write_scores, zero_cost

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


def _read(folder: Path) -> SetFidelity:
    from snsearch.lab import fidelity_of

    return fidelity_of(folder)


@fidelity.command()
@click.argument("sets", nargs=-1)
@click.option("--all", "whole", is_flag=True, help="Every proxy at every cost, not only the best known of a kind.")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
def show(sets: tuple[str, ...], whole: bool, form: str) -> None:
    """Compare the proxies of SETS (folders or shipped names; without any, all that come with snsearch).

    Nothing is trained: rank correlations and their bootstrap intervals come from the trainings that a set holds.
    """
    from snsearch.lab import set_folder, shipped_sets

    names = sets or shipped_sets()
    if not names:
        raise StudyError("no reference set was named, and none comes with snsearch; name a set's folder")
    found = [_read(set_folder(name)) for name in names]
    records = [record for one in found for record in one.to_json()]
    if form == "json":
        print_json(records)
    elif form == "csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        sys.stdout.write(text.getvalue())
    else:
        _print_table(found, whole=whole)


def _print_table(found: list[SetFidelity], *, whole: bool) -> None:
    from snsearch.lab import HEAD, notable, proxy_cells

    for one in found:
        reference = one.reference
        recipe = reference.recipes["reference"].describe()
        click.echo(f"{reference.name}: {one.members} candidates of {reference.budget.describe()}, {reference.space}")
        click.echo(f"  data: {reference.data_description}")
        click.echo(f"  reference: {recipe}, {one.seeds} seeds; {one.reference_seconds:.0f} CPU seconds a training")
        click.echo(
            f"  reference errors {min(one.errors):.2%} to {max(one.errors):.2%}, spread {one.ceiling.spread:.2%}, "
            f"seed noise {one.ceiling.seed_deviation:.2%}; noise ceiling of tau {one.ceiling.mean:.2f} "
            f"(one seed with another {one.ceiling.one_seed:.2f})"
        )
        if reference.remark:
            click.echo(f"  {reference.remark}")
        table = Table()
        for name in HEAD:
            table.add_column(name, justify="left" if name == "proxy" else "right")
        for row in sorted(one.rows if whole else notable(one), key=lambda row: -row.agreement.kendall_tau):
            table.add_row(*map(escape, proxy_cells(row)), style="bold" if row.default else None)
        print_rich(table)
