"""snsearch solve: channel counts that meet a budget, in the layout of ShuffleNet's Table 1."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

import snsearch
from snsearch.api import UnmetBudgetsError
from snsearch.cli.shared.console import print_table, say, terminal_width
from snsearch.cli.shared.options import BUDGET, as_asked, complete_names, network_options, table_options
from snsearch.files import names_a_file
from snsearch.solver import Solution, networks_as_columns, networks_as_rows, tables_of
from snsearch.units import plain_resolution

_STEPS = (
    "Widths move in steps, so the networks match the budget to the nearest step; "
    "--tight brings each within 0.1 % of it where the widths allow that."
)


@click.command()
@click.option(
    "--budget",
    type=BUDGET,
    multiple=True,
    metavar="N|NAME|FILE",
    shell_complete=complete_names("budgets"),
    help="MFLOPs, a name of `snsearch budgets`, or a TOML file. May be repeated.",
)
@click.option(
    "--space",
    default="shufflenet-v1",
    show_default=True,
    metavar="NAME|FILE|all[,…]",
    shell_complete=complete_names("spaces", "all"),
    help="Design spaces; all: every bundled space that lists its designs.",
)
@network_options()
@click.option("--tight", is_flag=True, help="Let stages leave 1:2:4 a little, to come within 0.1 % of the MFLOPs.")
@click.option("--packed", is_flag=True, help="Prefer channels per group that are multiples of 4.")
@table_options("json", "csv", "markdown")
def solve(budget: tuple[str, ...], space: str, tight: bool, packed: bool, form: str, wide: bool, **of: Any) -> None:
    """Solve the channel counts of each group count so that all meet the same budget.

    Without a budget, prints what the given groups and scales cost.
    """
    limits = (budget, of["mflops"], of["params"], of["peak_memory"], of["model_size"], of["latency"])
    if (tight or packed) and not any(limits):
        raise click.UsageError("--tight and --packed need a budget; give --mflops or --budget")
    spaces = "all" if space == "all" else _names(space)
    try:
        found = snsearch.solve(budget=budget, space=spaces, tight=tight, packed=packed, **as_asked(of))
    except UnmetBudgetsError as error:
        if error.found:
            _print(error.found, form, wide=wide, tight=tight)
        for reason in error.reasons:
            say(f"snsearch: {reason}")
        sys.exit(error.exit_code)
    _print(found, form, wide=wide, tight=tight)


def _names(text: str) -> list[str]:
    """The names of a list; a file is one name, whatever commas it has."""
    parts, names = text.split(","), []
    while parts:
        count = next((n for n in range(len(parts), 1, -1) if names_a_file(",".join(parts[:n]))), 1)
        names.append(",".join(parts[:count]).strip())
        del parts[:count]
    return names


def _print(found: Sequence[Solution], form: str, *, wide: bool, tight: bool) -> None:
    if form in ("json", "csv"):
        print_table(networks_as_rows(found), form, under="solutions", head=_shared(found))
        return
    for index, solutions in enumerate(tables_of(found)):
        stepwise = any(abs(s.deviation or 0) > 0.001 and s.binding == "mflops" for s in solutions) and not tight
        notes = [_STEPS] if stepwise else []
        if index:
            click.echo()
        columns = networks_as_columns(solutions, notes)
        if form == "markdown" or (not wide and columns.fits(terminal_width())):
            print_table(columns, form)
        else:
            print_table(networks_as_rows(solutions, notes), wide=wide)


def _shared(found: Sequence[Solution]) -> dict[str, Any]:
    """What all solutions share; where their inputs differ, each solution's architecture has its own."""
    spaces = list(dict.fromkeys(s.space for s in found))
    [*inputs] = {(s.architecture.resolution, s.architecture.classes) for s in found}
    resolution, classes = inputs[0] if len(inputs) == 1 else (None, None)
    return {
        "space": spaces[0] if len(spaces) == 1 else spaces,
        "resolution": None if resolution is None else plain_resolution(resolution),
        "classes": classes,
    }
