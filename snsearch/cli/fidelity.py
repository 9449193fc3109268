"""snsearch fidelity: how well cheap scores rank a reference set as long training does."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snsearch.cli.shared.console import print_table, print_text, say
from snsearch.cli.shared.machine import machine_options
from snsearch.cli.shared.options import (
    BUDGET,
    RESOLUTION,
    Whole,
    complete_names,
    reading_of,
    reading_options,
    table_options,
)
from snsearch.cli.shared.progress import Progress
from snsearch.errors import StudyError
from snsearch.lab import set_folder, shipped_sets
from snsearch.solver import load_budget, load_space
from snsearch.training import resolve_data

if TYPE_CHECKING:
    from snsearch.lab import SetFidelity


@click.group()
def fidelity() -> None:
    """How well cheap scores rank candidates of one budget as long training does.

    A reference set is a folder of long trainings and cheap ones of the same candidates; some come with snsearch.
    """


@fidelity.command()
@click.option(
    "--budget",
    type=BUDGET,
    required=True,
    metavar="N|NAME|FILE",
    shell_complete=complete_names("budgets"),
    help="MFLOPs at the deployed resolution, a name of `snsearch budgets`, or a TOML file.",
)
@click.option("--space", default="shufflenet-v1", show_default=True, metavar="NAME|FILE")
@click.option("--data", default="fashion-mnist", show_default=True, metavar="DATA", help="As for search.")
@reading_options
@click.option("--resolution", type=RESOLUTION, help="Deployed input size  [default: the budget's, 224]")
@click.option("--candidates", type=Whole(6, 1000), default=20, show_default=True)
@click.option("--seeds", type=Whole(2), default=3, show_default=True, help="Seeds of the reference.")
@click.option("--reference-images", type=Whole(1), default=20_000, show_default=True, help="Images an epoch.")
@click.option("--reference-epochs", type=Whole(1), default=8, show_default=True)
@click.option(
    "--reference-augment",
    type=click.Choice(["none", "flip", "crop", "crop+flip"]),
    help="Augmentation of the long trainings  [default: the data set's own]",
)
@click.option("--proxy-seeds", type=Whole(1), default=2, show_default=True)
@click.option("--remark", default="", help="A note that is kept with the set: why this data, say.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the set  [default: reports/fidelity-BUDGET-DATA]",
)
@machine_options
def run(**given: Any) -> None:
    """Make a reference set, or go on with it: train candidates of BUDGET long, and by the default proxy.

    Every finished training is kept, and the same command goes on where it was stopped. Long trainings come seed by
    seed, so that a set is of use after its second seed.
    """
    load_space(given["space"])  # a wrong name should not cost the wait for torch and the data
    load_budget(given["budget"])
    resolve_data(given["data"])
    reading = reading_of(given)
    from snsearch import lab

    with Progress() as progress:
        folder = lab.make_set(["snsearch", *sys.argv[1:]], progress, reading=reading, **given)
    _show_set(lab.fidelity_of(folder), whole=False, wide=False)
    say(f"set: {folder}; all proxies: snsearch fidelity show {folder} --all")


@fidelity.command()
@click.argument("sets", nargs=-1)
@click.option("--all", "whole", is_flag=True, help="Every proxy at every cost, not only the best known of a kind.")
@table_options("json", "csv")
def show(sets: tuple[str, ...], whole: bool, form: str, wide: bool) -> None:
    """Compare the proxies of SETS (folders or shipped names; without any, all that come with snsearch).

    Nothing is trained: rank correlations and their bootstrap intervals come from the trainings that a set holds.
    """
    names = sets or shipped_sets()
    if not names:
        raise StudyError("no reference set was named, and none comes with snsearch; name a set's folder")
    folders = [set_folder(name) for name in names]
    from snsearch.lab import fidelity_of, proxy_table

    found = [fidelity_of(folder) for folder in folders]
    if form != "table":
        print_table(proxy_table(found, lambda one: one.rows), form)
        return
    for one in found:
        _show_set(one, whole=whole, wide=wide)


def _show_set(found: SetFidelity, *, whole: bool, wide: bool) -> None:
    from snsearch.lab import notable, proxy_table

    reference = found.reference
    recipe = reference.recipes["reference"].describe()
    print_text(f"{reference.name}: {found.members} candidates of {reference.budget.describe()}, {reference.space}")
    for line in (
        f"data: {reference.data_description}",
        f"reference: {recipe}, {found.seeds} seeds; {found.reference_seconds:.0f} CPU seconds a training",
        f"reference errors {min(found.errors):.2%} to {max(found.errors):.2%}, spread {found.ceiling.spread:.2%}, "
        f"seed noise {found.ceiling.seed_deviation:.2%}; noise ceiling of tau {found.ceiling.mean:.2f} "
        f"(one seed with another {found.ceiling.one_seed:.2f})",
        reference.remark,
    ):
        if line:
            print_text(line, indent=2)
    rows = sorted(found.rows if whole else notable(found), key=lambda row: -row.agreement.kendall_tau)
    print_table(proxy_table([found], lambda one: rows), wide=wide)
