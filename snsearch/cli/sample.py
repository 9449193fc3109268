"""snsearch sample: random networks of a space that meet a budget, as CSV or parquet."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import snsearch
from snsearch import Solution, units
from snsearch.cli.shared.console import progress_console
from snsearch.cli.shared.options import BUDGET, Quantity, Whole, complete_names, network_options, space_option
from snsearch.device import named_profile, profile_of_device
from snsearch.errors import SnsearchError, SpecError, check_installed
from snsearch.files import faults_as, whole_file
from snsearch.solver import population_table

if TYPE_CHECKING:
    from snsearch.tables import Table

_AT_ONCE = 1000


@click.command()
@click.option(
    "-n", "count", type=Quantity("count", units.parse_samples), required=True, help="Networks, such as 100k."
)
@click.option(
    "--budget",
    type=BUDGET,
    metavar="N|NAME|FILE",
    shell_complete=complete_names("budgets"),
    help="MFLOPs, a name of `snsearch budgets`, or a TOML file.",
)
@click.option(
    "--mflops",
    type=Quantity("mflops", lambda text: units.parse_number(text, units.MFLOPS)),
    metavar="N",
    help="Millions of multiply-adds.",
)
@space_option("shufflenet-free")
@click.option("--seed", type=Whole(0), default=0, show_default=True, help="Of the draws.")
@network_options("mflops", "groups", "scale", "depth", "se", "se_stages", "ratios", "shuffle")
@click.option("--format", "form", type=click.Choice(["csv", "parquet"]), default="csv", show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write; it appears when it is whole  [default: stdout]",
)
def sample(form: str, out: Path | None, count: int, **of: Any) -> None:
    """Draw networks of a space that meet a budget, to see what the space holds.

    Structure is drawn uniformly, ratios of widths log-uniformly; widths are solved within 0.1 % of the MFLOPs where
    they allow it ("deviation"). With a --profile or --device each has its predicted latency. No network comes twice,
    and the same seed gives the same ones.
    """
    if form == "parquet" and out is None:
        raise click.UsageError("parquet is no text: give --out FILE")
    by = of["profile"] and named_profile(of["profile"])
    if of["device"] is not None and by is None:
        by = profile_of_device(of["device"])
    if by is not None:
        of |= {"profile": None if of["latency"] is None else by, "device": None}
    parts = _parts(_shown(snsearch.sample(count, **of), count))
    tables = (population_table(part, by) for part in parts)
    if out is None:
        sys.stdout.writelines(_lines(tables))
        return
    with faults_as(SnsearchError, f"{str(out)!r} cannot be written"), whole_file(out) as partial:
        (_write_csv if form == "csv" else _write_parquet)(partial, tables)


def _parts(solutions: Iterator[Solution]) -> Iterator[list[Solution]]:
    while part := list(islice(solutions, _AT_ONCE)):
        yield part


def _shown(solutions: Iterable[Solution], count: int) -> Iterator[Solution]:
    """The same solutions, with a bar on a terminal."""
    from rich.progress import track

    console = progress_console()
    yield from track(
        solutions, "drawn", total=count, console=console, transient=True, disable=not console.is_terminal
    )


def _lines(tables: Iterator[Table[Solution]]) -> Iterator[str]:
    """CSV with one head line."""
    for index, table in enumerate(tables):
        yield table.csv() if not index else table.csv().split("\n", 1)[1]


def _write_csv(path: Path, tables: Iterator[Table[Solution]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(_lines(tables))


def _write_parquet(path: Path, tables: Iterator[Table[Solution]]) -> None:
    check_installed("pyarrow", "parquet", "--format parquet", SpecError)
    import pyarrow
    from pyarrow import parquet

    first = pyarrow.Table.from_pylist(next(tables).records())
    with parquet.ParquetWriter(path, first.schema) as writer:
        for table in chain([first], (pyarrow.Table.from_pylist(one.records(), first.schema) for one in tables)):
            writer.write_table(table)
