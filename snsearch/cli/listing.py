"""snsearch spaces, snsearch budgets: what is bundled."""

from __future__ import annotations

from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from snsearch.cli.shared.console import print_json, print_rich
from snsearch.cli.shared.options import complete_names
from snsearch.files import bundled_names
from snsearch.solver import Budget, SpaceSpec, load_budget, load_space
from snsearch.units import format_resolution, plain_resolution

FORMAT = click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)


def _space_json(space: SpaceSpec) -> dict[str, Any]:
    return {
        "name": space.name,
        "title": space.title,
        "source": space.source,
        "unit": space.unit,
        "groups": list(space.groups),
        "any_groups": space.any_groups,
        "options": list(space.options),
        "depths": {name: list(repeats) for name, repeats in space.depths},
        "scales": list(space.named_scales),
        "search": {
            "groups": list(space.search_groups),
            "scales": list(space.search_scales),
            "depths": list(space.search_depths),
            "se": list(space.search_se),
        },
    }


@click.command()
@click.argument("names", nargs=-1, shell_complete=complete_names("spaces"))
@FORMAT
def spaces(names: tuple[str, ...], form: str) -> None:
    """List the design spaces, or describe the NAMES (bundled names or TOML files)."""
    found = [load_space(name) for name in names or bundled_names("spaces")]
    if form == "json":
        print_json({"schema": 1, "spaces": [_space_json(space) for space in found]})
        return
    table = Table("space", "groups", "depths", "switches", "source")
    for space in found:
        table.add_row(
            escape(space.name),
            ", ".join(map(str, space.groups)) + (" or any" if space.any_groups else ""),
            escape(", ".join(f"{name} {'-'.join(map(str, repeats))}" for name, repeats in space.depths)),
            ", ".join(space.options) or "none",
            escape(space.source),
        )
    print_rich(table)


def _budget_json(budget: Budget) -> dict[str, Any]:
    return {
        "name": budget.name,
        "title": budget.title,
        "source": budget.source,
        "mflops": None if budget.macs is None else budget.macs / 1e6,
        "match": budget.match,
        "params": budget.params,
        "peak_activation_bytes": budget.peak_activation_bytes,
        "model_size_bytes": budget.weight_bytes,
        "precision": budget.precision,
        "resolution": plain_resolution(budget.resolution),
        "classes": budget.classes,
    }


@click.command()
@click.argument("names", nargs=-1, shell_complete=complete_names("budgets"))
@FORMAT
def budgets(names: tuple[str, ...], form: str) -> None:
    """List the named budgets, or describe the NAMES (bundled names or TOML files)."""
    found = [load_budget(name) for name in names or bundled_names("budgets")]
    if form == "json":
        print_json({"schema": 1, "budgets": [_budget_json(budget) for budget in found]})
        return
    table = Table("budget", "bounds", "at", "what it is", "source")
    for budget in found:
        table.add_row(
            escape(budget.name),
            budget.describe(),
            f"{format_resolution(budget.resolution)}, {budget.classes} classes, {budget.precision}",
            escape(budget.title),
            escape(budget.source),
        )
    print_rich(table)
