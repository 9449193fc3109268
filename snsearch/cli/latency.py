"""snsearch latency: what a device's profile predicts for the networks of a space."""

from __future__ import annotations

import csv
import io
import sys
from dataclasses import dataclass
from typing import Any

import click

from snsearch.cli.shared.console import print_json, print_rich
from snsearch.cli.shared.options import (
    CLASSES,
    GROUPS,
    MFLOPS,
    RESOLUTIONS,
    SCALES,
    complete_names,
    design_options,
    plain_number,
)
from snsearch.latency import DEFAULT_PROFILE, Latency, Profile, load_profile
from snsearch.network import count_macs
from snsearch.solver import Design, Solution, SpaceSpec, load_space, mflops_budget, scaled, solve, with_input
from snsearch.units import format_mflops, format_resolution, plain_resolution, three_digits


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One predicted network."""

    solution: Solution
    latency: Latency


def row_json(row: Row) -> dict[str, Any]:
    """A prediction as a JSON object."""
    arch = row.solution.architecture
    return {
        "groups": arch.groups,
        "scale": plain_number(row.solution.scale),
        "resolution": plain_resolution(arch.resolution),
        "latency_ms": round(row.latency.ms, 4),
        "interval_ms": [round(row.latency.low_ms, 4), round(row.latency.high_ms, 4)],
        "provenance": row.latency.provenance,
    }


def _csv(rows: list[Row]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ("space", "key", "groups", "scale", "resolution", "mflops", "latency_ms", "low_ms", "high_ms", "provenance")
    )
    for row in rows:
        values = row_json(row)
        arch = row.solution.architecture
        writer.writerow(
            (
                row.solution.space,
                arch.key,
                values["groups"],
                values["scale"],
                values["resolution"],
                round(count_macs(arch) / 1e6, 4),
                values["latency_ms"],
                *values["interval_ms"],
                values["provenance"],
            )
        )
    return out.getvalue()


def errors_line(profile: Profile) -> str:
    """The profile's kept-out error beside the baselines', in words."""
    parts = [
        f"{label} {errors.mape:.1%} (rank correlation {errors.spearman:.2f})"
        for label, errors in (
            ("this profile", profile.by_network),
            ("with the whole family kept out", profile.by_family),
            ("log-log FLOPs", profile.log_log_flops),
            ("pixel scaling", profile.pixel_scaling),
        )
    ]
    return f"mean error on {profile.kept_out} figures of kept-out networks: {', '.join(parts)}"


def _print(rows: list[Row], profile: Profile) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(f"{rows[0].solution.title}, {profile.provenance}"), title_justify="left")
    for name in ("g", "scale", "resolution", "MFLOPs", "ms", "95 % interval, ms"):
        table.add_column(name, justify="right")
    for row in rows:
        arch, latency = row.solution.architecture, row.latency
        table.add_row(
            str(arch.groups),
            f"{row.solution.scale:g}",
            format_resolution(arch.resolution),
            format_mflops(row.solution.costs.macs),
            three_digits(latency.ms),
            f"{three_digits(latency.low_ms)} to {three_digits(latency.high_ms)}",
        )
    print_rich(table)
    click.echo(f"  {profile.library} on {profile.device}, {profile.threads} thread, {profile.precision}")
    click.echo(f"  {errors_line(profile)}")
    if remarks := [remark for row in rows if (remark := profile.remark(row.latency.ms))]:
        click.echo(f"  {len(remarks)} of {len(rows)} lie {remarks[0]}")


def _solutions(
    space: SpaceSpec,
    designs: list[Design],
    resolutions: tuple[tuple[int, int], ...],
    mflops: tuple[float, ...],
    classes: int | None,
) -> list[Solution]:
    if mflops:
        budgets = [
            with_input(mflops_budget(value), resolution=resolution, classes=classes)
            for value in mflops
            for resolution in resolutions
        ]
        return [solve(space, budget, design) for budget in budgets for design in designs]
    inputs = [with_input(mflops_budget(1), resolution=resolution, classes=classes) for resolution in resolutions]
    return [scaled(space, design, at) for design in designs for at in inputs]


@click.command()
@click.option(
    "--space",
    "space_name",
    default="shufflenet-v1",
    show_default=True,
    metavar="NAME|FILE",
    shell_complete=complete_names("spaces"),
    help="The design space.",
)
@click.option("--groups", type=GROUPS, metavar="G[,G…]", help="Group counts  [default: the space's]")
@click.option("--scale", "scales", type=SCALES, metavar="S[,S…]", help="Scales  [default: 1]")
@click.option(
    "--mflops", type=MFLOPS, default=(), metavar="N[,N…]", help="Solve the space for these budgets instead."
)
@click.option(
    "--resolution",
    "resolutions",
    type=RESOLUTIONS,
    default="224",
    show_default=True,
    metavar="PIXELS|HxW[,…]",
    help="Input sizes.",
)
@click.option("--classes", type=CLASSES, help="Classes of the deployed network  [default: 1000]")
@design_options
@click.option(
    "--profile",
    "profile_name",
    metavar="NAME|FILE",
    shell_complete=complete_names("profiles"),
    help=f"The device: a name of `snsearch profiles`, or a profile's file  [default: {DEFAULT_PROFILE}]",
)
@click.option(
    "--device",
    "device_text",
    metavar="NAME|URL",
    help="A device of your own, once `snsearch device profile` has made its profile.",
)
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
def latency(
    space_name: str,
    groups: tuple[int, ...] | None,
    scales: tuple[float, ...] | None,
    mflops: tuple[float, ...],
    resolutions: tuple[tuple[int, int], ...],
    classes: int | None,
    depth: str | None,
    se: bool,
    no_shuffle: bool,
    profile_name: str | None,
    device_text: str | None,
    form: str,
) -> None:
    """Predict the latency of a space's networks on a device.

    The figures are predictions of a profile, never measurements; each carries its 95 % interval and says what the
    profile is fitted on.
    """
    if profile_name is not None and device_text is not None:
        raise click.UsageError("--profile and --device both name the device; give one of them")
    space = load_space(space_name)
    if device_text is not None:
        from snsearch.device import profile_of_device

        profile = profile_of_device(device_text)
    else:
        profile = load_profile(profile_name or DEFAULT_PROFILE)
    designs = [
        Design(groups=count, scale=scale, depth=depth, se=se, shuffle=False if no_shuffle else None)
        for count in groups or space.groups
        for scale in scales or (None,)
    ]
    solutions = _solutions(space, designs, resolutions, mflops, classes)
    rows = [Row(solution=solution, latency=profile.predict(solution.architecture)) for solution in solutions]
    if form == "json":
        print_json([row_json(row) for row in rows])
    elif form == "csv":
        sys.stdout.write(_csv(rows))
    else:
        _print(rows, profile)
