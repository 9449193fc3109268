"""snsearch profiles, snsearch calibrate: the devices that are known, and a device of one's own."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import click

from snsearch.cli.console import print_json, print_table
from snsearch.cli.options import complete_names
from snsearch.codec import encode
from snsearch.device import device_names, named_profile, profile_path
from snsearch.errors import SpecError
from snsearch.files import bundled_names
from snsearch.latency import DEFAULT_PROFILE, load_profile


@click.command()
@click.argument("names", nargs=-1, shell_complete=complete_names("profiles"))
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "toml"]),
    default="table",
    show_default=True,
    help="toml prints one profile's file, to keep, change or share.",
)
def profiles(names: tuple[str, ...], form: str) -> None:
    """List the latency profiles, or describe the NAMES: bundled names, TOML files, or devices of your own."""
    from rich.markup import escape
    from rich.table import Table

    found = [named_profile(name) for name in names or (*bundled_names("profiles"), *_devices_with_one())]
    if form == "json":
        print_json({"schema": 1, "profiles": [encode(profile) for profile in found]})
        return
    if form == "toml":
        if len(found) != 1:
            raise click.UsageError("--format toml prints one profile; name it")
        sys.stdout.write(found[0].to_toml())
        return
    table = Table("profile", "device", "library", "threads", "source", "networks", caption_justify="left")
    for head in ("error", "ranks", "by family", "log-log FLOPs", "pixel scaling", "interval"):
        table.add_column(head, justify="right")
    for profile in found:
        table.add_row(
            escape(profile.name),
            escape(f"{profile.device}, {profile.core}"),
            escape(profile.library),
            str(profile.threads),
            escape(profile.source),
            str(profile.kept_out),
            f"{profile.by_network.mape:.1%}",
            f"{profile.by_network.spearman:.2f}",
            f"{profile.by_family.mape:.1%}",
            f"{profile.log_log_flops.mape:.1%}",
            f"{profile.pixel_scaling.mape:.1%}",
            f"x/÷ {profile.interval_factor:.2f}",
        )
    print_table(table)
    click.echo(
        "  error: mean, on networks kept out of the fit; ranks: Spearman's correlation there; by family: with all "
        "networks of the family kept out; then two plain baselines on the same networks"
    )


def _devices_with_one() -> tuple[str, ...]:
    """The devices that have a profile of their own."""
    return tuple(name for name in device_names() if profile_path(name).is_file())


def _measured(path: Path) -> list[tuple[str, str, float]]:
    """(architecture key, family, milliseconds) of each line of a CSV file. Raises SpecError."""
    where = f'figures "{path.name}"'
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            fields = tuple(reader.fieldnames or ())
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SpecError(f"{where}: cannot be read: {error}") from None
    if not {"key", "latency_ms"} <= set(fields):
        raise SpecError(
            f"{where}: has the columns {', '.join(fields) or 'none'}; expected key, as `snsearch solve --format csv` "
            "prints it, and latency_ms; and family where several networks are alike"
        )
    found = []
    for number, row in enumerate(rows, start=2):
        try:
            ms = float(row["latency_ms"])
        except (TypeError, ValueError):
            ms = 0.0
        if not 0 < ms < float("inf"):
            raise SpecError(f"{where}, line {number}: latency_ms is {row['latency_ms']!r}; expected milliseconds")
        key = row["key"] or ""
        found.append((key, row.get("family") or key, ms))
    return found


@click.command()
@click.argument("figures", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--name", required=True, help="The profile's name.")
@click.option("--device", required=True, help="The device, as every prediction names it.")
@click.option("--library", required=True, help="The library that ran the networks, with its version.")
@click.option("--core", default="", help="The processor core.")
@click.option("--threads", type=click.IntRange(1, 1024), default=1, show_default=True)
@click.option("--precision", default="float32", show_default=True)
@click.option("--source", default="own figures", show_default=True, help="Where the figures come from.")
@click.option(
    "--prior",
    default=DEFAULT_PROFILE,
    show_default=True,
    metavar="NAME|FILE",
    shell_complete=complete_names("profiles"),
    help="The profile whose ratios the figures are drawn to, the fewer the more; best one of the same library.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The file to write.")
@click.option("--force", is_flag=True, help="Overwrite the file.")
def calibrate(
    figures: Path,
    name: str,
    device: str,
    library: str,
    core: str,
    threads: int,
    precision: str,
    source: str,
    prior: str,
    out: Path,
    force: bool,
) -> None:
    """Fit a profile of your own device on FIGURES, a CSV file with the columns key and latency_ms.

    Each line is a network, by its key as `snsearch solve` prints it, and what it took on the device, all with one
    library, thread count and precision. The profile is a file that `snsearch latency --profile` reads; it says how
    far networks that were kept out of the fit were missed.
    """
    from snsearch.latency import calibrate_own

    about: dict[str, Any] = {
        "name": name,
        "device": device,
        "library": library,
        "core": core,
        "threads": threads,
        "precision": precision,
        "figures": "measured",
        "source": source,
    }
    if out.exists() and not force:
        raise SpecError(f'"{out.name}" exists; name another file, or give --force')
    profile = calibrate_own(_measured(figures), load_profile(prior), **about)
    out.write_text(profile.to_toml(), encoding="utf-8")
    from snsearch.cli.latency import errors_line

    click.echo(f"wrote {out}: {errors_line(profile)}", err=True)
