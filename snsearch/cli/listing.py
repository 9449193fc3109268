"""snsearch spaces, snsearch budgets: what is bundled."""

from __future__ import annotations

import click

import snsearch
from snsearch import Budget, SpaceSpec
from snsearch.cli.shared.console import print_table
from snsearch.cli.shared.options import complete_names, table_options
from snsearch.tables import Column, Table
from snsearch.units import format_resolution, plain_resolution

_SPACES: tuple[Column[SpaceSpec], ...] = (
    Column("name", lambda space: space.name, heading="space"),
    Column("title", lambda space: space.title, heading="what it is", place="wide"),
    Column("source", lambda space: space.source, place="wide"),
    Column("unit", lambda space: space.unit, place="wide"),
    Column("groups", lambda space: list(space.groups), text=lambda space: _groups(space)),
    Column("any_groups", lambda space: space.any_groups, place="data"),
    Column("options", lambda space: list(space.options), heading="switches", drop=2),
    Column(
        "depths",
        lambda space: {name: list(repeats) for name, repeats in space.depths},
        text=lambda space: ", ".join(f"{name} {'-'.join(map(str, repeats))}" for name, repeats in space.depths),
        drop=1,
    ),
    Column("scales", lambda space: list(space.named_scales), place="wide"),
    Column(
        "search",
        lambda space: {
            "groups": list(space.search_groups),
            "scales": list(space.search_scales),
            "depths": list(space.search_depths),
            "se": list(space.search_se),
            **space.opened,
        },
        heading="searched",
        text=lambda space: _searched(space),
        place="wide",
    ),
)


def _groups(space: SpaceSpec) -> str:
    return ", ".join(map(str, space.groups)) + (" or any" if space.any_groups else "")


def _searched(space: SpaceSpec) -> str:
    parts = {
        "groups": space.search_groups,
        "scales": [f"{scale:g}" for scale in space.search_scales],
        "depths": space.search_depths,
        "SE": ["with" if se else "without" for se in space.search_se],
        "per stage": space.search_per_stage,
        "shuffle": ["with" if shuffle else "without" for shuffle in space.search_shuffle],
        "units": [f"{least} to {most}" for least, most in space.search_units],
        "growth of width": [f"{end:g}" for end in space.search_growth or ()],
        "scale": [f"{end:g}" for end in space.search_scale or ()],
    }
    return "; ".join(f"{name} {', '.join(map(str, values))}" for name, values in parts.items() if values)


@click.command()
@click.argument("names", nargs=-1, shell_complete=complete_names("spaces"))
@table_options("json")
def spaces(names: tuple[str, ...], form: str, wide: bool) -> None:
    """List the design spaces, or describe the NAMES (bundled names or TOML files)."""
    table = Table(columns=_SPACES, rows=snsearch.spaces(*names))
    print_table(table, form, wide=wide, blocks=bool(names), under="spaces")


_BUDGETS: tuple[Column[Budget], ...] = (
    Column("name", lambda budget: budget.name, heading="budget"),
    Column("bounds", lambda budget: budget.describe(), data=()),
    Column("title", lambda budget: budget.title, heading="what it is", drop=2),
    Column("source", lambda budget: budget.source, place="wide"),
    Column("mflops", lambda budget: None if budget.macs is None else budget.macs / 1e6, place="data"),
    Column("match", lambda budget: budget.match, place="wide"),
    Column("params", lambda budget: budget.params, place="data"),
    Column("peak_activation_bytes", lambda budget: budget.peak_activation_bytes, place="data"),
    Column("model_size_bytes", lambda budget: budget.weight_bytes, place="data"),
    Column("precision", lambda budget: budget.precision, place="wide"),
    Column(
        "resolution",
        lambda budget: plain_resolution(budget.resolution),
        heading="input",
        text=lambda budget: format_resolution(budget.resolution),
        drop=1,
    ),
    Column("classes", lambda budget: budget.classes, align="right", drop=1),
)


@click.command()
@click.argument("names", nargs=-1, shell_complete=complete_names("budgets"))
@table_options("json")
def budgets(names: tuple[str, ...], form: str, wide: bool) -> None:
    """List the named budgets, or describe the NAMES (bundled names or TOML files)."""
    table = Table(columns=_BUDGETS, rows=snsearch.budgets(*names))
    print_table(table, form, wide=wide, blocks=bool(names), under="budgets")
