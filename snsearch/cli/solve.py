"""snsearch solve: channel counts that meet a budget, in the layout of ShuffleNet's Table 1."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from typing import Any

import click

from snsearch.cli.console import print_json, print_table
from snsearch.cli.options import (
    GROUPS,
    MFLOPS,
    SCALES,
    bound_options,
    complete_names,
    design_options,
    free_budget,
    gather_budgets,
)
from snsearch.codec import encode
from snsearch.errors import InfeasibleBudgetError, SpecError
from snsearch.files import bundled_names
from snsearch.solver import Design, Solution, SpaceSpec, layout, load_space, scaled
from snsearch.solver import solve as solve_budget
from snsearch.units import (
    format_resolution,
    plain_resolution,
)


def solution_json(solution: Solution) -> dict[str, Any]:
    """A solution as a JSON object; "architecture" can be given to other commands as a file."""
    arch, costs, budget = solution.architecture, solution.costs, solution.budget
    return {
        "budget": None if budget is None else budget.name,
        "budget_mflops": None if budget is None or budget.macs is None else _plain(budget.macs / 1e6),
        "space": solution.space,
        "groups": arch.groups,
        "scale": _plain(solution.scale),
        "stem_channels": arch.stem_channels,
        "stage_channels": list(arch.stage_channels),
        "repeats": list(arch.stage_repeats),
        "shuffle": arch.shuffle,
        "se": bool(arch.se_reduction),
        "mflops": round(costs.mflops, 4),
        "macs": costs.macs,
        "params": costs.params,
        "model_size_bytes": costs.weight_bytes,
        "bytes_moved": costs.bytes_moved,
        "peak_activation_bytes": costs.peak_activation_bytes,
        "deviation": None if solution.deviation is None else round(solution.deviation, 6),
        "binding": solution.binding,
        "notes": list(solution.notes),
        "key": arch.key,
        "architecture": encode(arch),
    }


def _plain(value: float) -> float | int:
    return int(value) if value == int(value) else value


def _document(solutions: Sequence[Solution], spaces: Sequence[SpaceSpec]) -> dict[str, Any]:
    inputs = {(s.architecture.resolution, s.architecture.classes) for s in solutions}
    shared = solutions[0].architecture if len(inputs) == 1 else None
    return {
        "schema": 1,
        "space": spaces[0].name if len(spaces) == 1 else [space.name for space in spaces],
        # Where budgets of several inputs were asked for, each solution's architecture has its own.
        "resolution": None if shared is None else plain_resolution(shared.resolution),
        "classes": None if shared is None else shared.classes,
        "solutions": [solution_json(solution) for solution in solutions],
    }


def _caption(solutions: Sequence[Solution]) -> str:
    first = solutions[0]
    title = " / ".join(dict.fromkeys(s.title for s in solutions))
    at = f"{format_resolution(first.architecture.resolution)}, {first.architecture.classes} classes"
    if first.budget is None:
        return f"{title} at {at}"
    return f"{title} for {first.budget.describe()} at {at}"


def _notes(solutions: Sequence[Solution]) -> list[str]:
    several = len({s.space for s in solutions}) > 1
    return [
        f"{s.title + ' ' if several else ''}g={s.architecture.groups}: {note}" for s in solutions for note in s.notes
    ]


def _print_rich(solutions: Sequence[Solution]) -> None:
    from rich.markup import escape
    from rich.table import Table

    head, layers, totals = layout(solutions)
    table = Table(title=escape(_caption(solutions)), title_justify="left")
    for index, name in enumerate(head):
        table.add_column(escape(name), justify="left" if index < 2 else "right")
    for index, cells in enumerate(layers):
        table.add_row(*cells, end_section=index == len(layers) - 1)
    for cells in totals:
        table.add_row(*cells)
    print_table(table)
    for note in _notes(solutions):
        click.echo(f"  {note}")


def _markdown(solutions: Sequence[Solution]) -> str:
    head, layers, totals = layout(solutions)
    lines = [f"**{_caption(solutions)}**", ""]
    lines += ["| " + " | ".join(cells) + " |" for cells in (head, ("---",) * len(head), *layers, *totals)]
    notes = [f"- {note}" for note in _notes(solutions)]
    return "\n".join(lines + (["", *notes] if notes else [])) + "\n"


def _csv(solutions: Sequence[Solution]) -> str:
    out = io.StringIO()
    rows = []
    for solution in solutions:
        values = solution_json(solution)
        del values["architecture"]
        values["resolution"] = plain_resolution(solution.architecture.resolution)
        values["classes"] = solution.architecture.classes
        for key, joint in (("stage_channels", "-"), ("repeats", "-"), ("notes", "; ")):
            values[key] = joint.join(map(str, values[key]))
        rows.append(values)
    writer = csv.DictWriter(out, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _tables(solutions: Sequence[Solution]) -> list[list[Solution]]:
    """Solutions that share a table: same budget, input, stem and stage layout."""
    tables: dict[object, list[Solution]] = {}
    for solution in solutions:
        arch = solution.architecture
        layout_of = (solution.budget, arch.stem_pool, arch.stem_stride, arch.stage_strides, arch.resolution)
        tables.setdefault(layout_of, []).append(solution)
    return list(tables.values())


@click.command()
@click.option("--mflops", type=MFLOPS, default=(), metavar="N[,N…]", help="Budgets in millions of multiply-adds.")
@click.option(
    "--budget",
    "budget_names",
    multiple=True,
    metavar="N|NAME|FILE",
    shell_complete=complete_names("budgets"),
    help="A budget of budgets/, a TOML file, or MFLOPs. May be repeated.",
)
@click.option(
    "--space",
    "space_names",
    default="shufflenet-v1",
    show_default=True,
    metavar="NAME|FILE|all[,…]",
    shell_complete=complete_names("spaces", "all"),
    help="Design spaces; all prints the matched line-up.",
)
@click.option("--groups", type=GROUPS, metavar="G[,G…]", help="Group counts  [default: the space's]")
@click.option("--scale", "scales", type=SCALES, metavar="S[,S…]", help="Scales; without a budget, what they cost.")
@design_options
@bound_options
@click.option("--tight", is_flag=True, help="Let stages leave 1:2:4 a little, to come within 0.1 % of the MFLOPs.")
@click.option("--packed", is_flag=True, help="Prefer channels a group that divide by 4.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv", "markdown"]),
    default="table",
    show_default=True,
)
def solve(
    mflops: tuple[float, ...],
    budget_names: tuple[str, ...],
    space_names: str,
    groups: tuple[int, ...] | None,
    scales: tuple[float, ...] | None,
    depth: str | None,
    se: bool,
    no_shuffle: bool,
    tight: bool,
    packed: bool,
    form: str,
    **bounds: Any,
) -> None:
    """Solve the channel counts of each group count so that all meet the same budget.

    Without a budget, prints what the given groups and scales cost.
    """
    budgets = gather_budgets(mflops, budget_names, **bounds)
    names = bundled_names("spaces") if space_names == "all" else tuple(space_names.split(","))
    spaces = [load_space(name.strip()) for name in names]
    if not budgets and (tight or packed):
        raise click.UsageError("--tight and --packed need a budget; give --mflops or --budget")
    solutions = []
    unreachable = []
    for budget in budgets or (None,):
        for space in spaces:
            for design in _designs(
                space, groups, scales, depth, se, no_shuffle, lenient=len(spaces) > 1, budgeted=budget is not None
            ):
                try:
                    if budget is None:
                        solutions.append(scaled(space, design, free_budget(bounds)))
                    else:
                        solutions.append(solve_budget(space, budget, design, tight=tight, packed=packed))
                except InfeasibleBudgetError as error:
                    unreachable.append(error)
    if solutions:
        _print(solutions, spaces, form)
    for reason in unreachable:
        click.echo(f"snsearch: {reason}", err=True)
    if unreachable:
        sys.exit(InfeasibleBudgetError.exit_code)


def _designs(
    space: SpaceSpec,
    groups: tuple[int, ...] | None,
    scales: tuple[float, ...] | None,
    depth: str | None,
    se: bool,
    no_shuffle: bool,
    lenient: bool,
    budgeted: bool,
) -> list[Design]:
    """The designs asked of one space; in a line-up, a space keeps its own where it lacks what is asked."""
    asked = groups or space.groups
    if lenient and groups:
        asked = tuple(g for g in groups if g in space.groups) or space.groups
    if lenient and depth is not None and depth not in dict(space.depths):
        raise SpecError(f"space {space.name} has no depth {depth!r}; name the spaces that do")
    asked_scales: tuple[float | None, ...] = scales or (None,)
    if lenient and budgeted and not space.stem_at_scale:
        asked_scales = (None,)
    shuffle = False if no_shuffle and not (lenient and "shuffle" not in space.options) else None
    return [
        Design(groups=count, scale=scale, depth=depth, se=se, shuffle=shuffle)
        for scale in asked_scales
        for count in asked
    ]


def _print(solutions: list[Solution], spaces: list[SpaceSpec], form: str) -> None:
    if form == "json":
        print_json(_document(solutions, spaces))
    elif form == "csv":
        sys.stdout.write(_csv(solutions))
    elif form == "markdown":
        sys.stdout.write("\n".join(_markdown(table) for table in _tables(solutions)))
    else:
        for table in _tables(solutions):
            _print_rich(table)
