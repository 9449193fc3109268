"""snsearch profiles, snsearch calibrate: the devices that are known, and a device of one's own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

import snsearch
from snsearch import Profile
from snsearch.cli.latency import errors_line
from snsearch.cli.shared.console import print_json, print_table, say
from snsearch.cli.shared.options import Whole, complete_names, table_options
from snsearch.codec import encode
from snsearch.files import check_new
from snsearch.latency import DEFAULT_PROFILE, NCNN_PROFILE, PredictionErrors, load_profile
from snsearch.tables import Column, Table
from snsearch.units import three_digits


def _words(errors: PredictionErrors) -> str:
    return f"{errors.mape:.1%}, rank correlation {errors.spearman:.2f}"


_PROFILES: tuple[Column[Profile], ...] = (
    Column("profile", lambda p: p.name),
    Column("device", lambda p: p.device),
    Column("core", lambda p: p.core, place="wide"),
    Column("library", lambda p: p.library, place="wide"),
    Column("threads", lambda p: p.threads, place="wide"),
    Column("precision", lambda p: p.precision, place="wide"),
    Column("figures", lambda p: f"{p.figures}: {p.source}", place="wide"),
    Column("fitted on", lambda p: list(p.fitted_on), place="wide"),
    Column("networks", lambda p: p.kept_out, heading="networks held out", align="right", drop=1, place="wide"),
    Column(
        "error",
        lambda p: p.by_network.mape,
        text=lambda p: f"{p.by_network.mape:.1%}{' of counted' if p.figures == 'counted' else ''}",
    ),
    Column(
        "ranks",
        lambda p: p.by_network.spearman,
        heading="rank correlation",
        text=lambda p: f"{p.by_network.spearman:.2f}",
        align="right",
        drop=2,
    ),
    Column("family error", lambda p: _words(p.by_family), heading="error with the family held out", place="wide"),
    Column("log-log FLOPs", lambda p: _words(p.log_log_flops), heading="error of log-log FLOPs", place="wide"),
    Column("pixel scaling", lambda p: _words(p.pixel_scaling), heading="error of pixel scaling", place="wide"),
    Column("interval", lambda p: f"×÷ {p.interval_factor:.2f}", heading="95 % interval", align="right", drop=1),
    Column(
        "judged by",
        lambda p: " to ".join(map(three_digits, p.judged_ms)) + " ms" if p.judged_ms else "",
        heading="latencies held out",
        place="wide",
    ),
    Column("rates", lambda p: [f"{term} {rate:.3g}" for term, rate in p.rates], heading="ns per unit", place="wide"),
    Column("unseen", lambda p: list(p.unseen), heading="refuses networks with", place="wide"),
    Column("note", lambda p: p.note, place="wide"),
)


@click.command()
@click.argument("names", nargs=-1, shell_complete=complete_names("profiles"))
@table_options("json", "toml")
def profiles(names: tuple[str, ...], form: str, wide: bool) -> None:
    """List the latency profiles, or describe the NAMES: bundled names, TOML files, or devices of your own.

    --format toml prints one profile's file, to keep, change or share.
    """
    found = snsearch.profiles(*names)
    if form == "json":
        print_json({"schema": 1, "profiles": [encode(profile) for profile in found]})
    elif form == "toml":
        if len(found) != 1:
            raise click.UsageError("--format toml prints one profile; name it")
        sys.stdout.write(found[0].to_toml())
    else:
        notes = ["error: mean error of the predictions for networks that are held out of the fit"]
        print_table(Table(columns=_PROFILES, rows=found, notes=notes), wide=wide, blocks=bool(names))


@click.command()
@click.argument("figures", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--benchncnn",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="What ncnn's benchncnn printed on the device, on one thread, instead of FIGURES.",
)
@click.option("--name", required=True, help="The profile's name.")
@click.option("--device", required=True, help="The device, as every prediction names it.")
@click.option("--library", help="The library that ran the networks, with its version  [--benchncnn: ncnn]")
@click.option("--core", default="", help="The processor core.")
@click.option("--threads", type=Whole(1, 1024), default=1, show_default=True)
@click.option("--precision", default="float32", show_default=True)
@click.option("--source", help="Where the figures come from  [default: own figures, or own benchncnn]")
@click.option(
    "--prior",
    metavar="NAME|FILE",
    shell_complete=complete_names("profiles"),
    help="The profile that the rates are drawn to where there are few figures; best one of the same library  "
    f"[default: {DEFAULT_PROFILE}; --benchncnn: {NCNN_PROFILE}]",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The file to write.")
@click.option("--force", is_flag=True, help="Overwrite the file.")
def calibrate(
    figures: Path | None,
    benchncnn: Path | None,
    prior: str | None,
    out: Path,
    force: bool,
    library: str | None,
    source: str | None,
    **about: Any,
) -> None:
    """Fit a profile of your own device on FIGURES, a CSV file with the columns key and latency_ms.

    Each line is a network, by its key as `snsearch solve` prints it or its name in `snsearch networks`, and its
    latency on the device, all with one library, thread count and precision. --benchncnn takes what ncnn's own
    benchmark prints instead. The profile is a file that `snsearch latency --profile` reads; it says how far
    predictions for held-out networks were from their figures.
    """
    if not force:
        check_new(out, ", or give --force")
    if (figures is None) == (benchncnn is None):
        raise click.UsageError("give FIGURES or --benchncnn, one of them")
    known: Any = figures
    if benchncnn is not None:
        if about["threads"] != 1:
            raise click.UsageError("--benchncnn is a run on one thread; leave --threads out")
        known = snsearch.read_benchncnn(benchncnn)
        say(f"{len(known.measured)} networks are fitted on; not known here: {', '.join(known.skipped) or 'none'}")
    elif library is None:
        raise click.UsageError("FIGURES need --library, which ran the networks")
    profile = snsearch.calibrate(
        known,
        prior=None if prior is None else load_profile(prior),
        library=library or "ncnn",
        source=source or ("own figures" if benchncnn is None else "own benchncnn"),
        **about,
    )
    out.write_text(profile.to_toml(), encoding="utf-8")
    say(f"wrote {out}: {errors_line(profile)}")
