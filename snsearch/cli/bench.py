"""snsearch bench: searches and cheap scores replayed on tables of full trainings, without training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click
from rich.progress import Progress

from snsearch.cli.shared.console import print_table, progress_console
from snsearch.cli.shared.options import Number, Whole, table_options
from snsearch.errors import StudyError
from snsearch.lab import CLAIM_COLUMNS, RESULT_COLUMNS, TABLE_COLUMNS, check_table_names, table_names
from snsearch.tables import Table

if TYPE_CHECKING:
    from snsearch.lab import Result

_NOTES = (
    "regret: how much larger the pick's true error is than the lowest one, in standard deviations of the networks' "
    "true errors. tau: between predicted and true order; of: what one full training of every network reaches. "
    "95 % intervals: networks drawn with replacement.",
)


class _Numbers(click.ParamType[tuple[float, ...]]):
    """Full trainings, separated by commas."""

    name = "N,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        numbers = tuple(Number(3, 72).convert(one, param, ctx) for one in value.split(","))
        return tuple(dict.fromkeys(numbers))


_replays = click.option("--replays", type=Whole(2, 10_000), default=50, show_default=True)


@click.group()
def bench() -> None:
    """Ask how well a search finds the best network, without training.

    A table holds learning curves of networks of equal MFLOPs, to the end of training and by several seeds, on one
    data set. A method is replayed on the curves of one seed, and judged by the other seeds.
    """


@bench.command("list")
@table_options("json", "csv", "markdown")
def list_tables(form: str, wide: bool) -> None:
    """List the tables: networks, seeds, and how far their order can be trusted."""
    from snsearch.lab import table_summaries

    print_table(Table(columns=TABLE_COLUMNS, rows=table_summaries()), form, wide=wide, under="tables")


@bench.command()
@click.argument("tables", nargs=-1)
@_replays
@table_options("json", "csv", "markdown")
def show(tables: tuple[str, ...], replays: int, form: str, wide: bool) -> None:
    """Replay the default search on TABLES, by as much as 10 full trainings, beside what it is measured against.

    JSON and CSV hold one record a table, of the search. Without TABLES: all whose trainings are complete.
    """
    from snsearch.lab import BENCH_METHODS, BENCH_SEARCH

    found = list(_replayed(tables, tuple(BENCH_METHODS), (10.0,), replays))
    rows = found if form in ("table", "markdown") else [one for one in found if one.method == BENCH_SEARCH]
    print_table(Table(columns=RESULT_COLUMNS, rows=rows, notes=_NOTES), form, wide=wide)


@bench.command()
@click.argument("methods", nargs=-1, required=True, metavar="METHOD...")
@click.option("--table", "tables", multiple=True, metavar="TABLE", help="[default: all that are complete]")
@click.option(
    "--compute", type=_Numbers(), default="5,10,20", show_default=True, help="Full trainings that may be spent."
)
@_replays
@table_options("json", "csv", "markdown")
def replay(
    methods: tuple[str, ...], tables: tuple[str, ...], compute: tuple[float, ...], replays: int, form: str, wide: bool
) -> None:
    """Replay METHODs against compute: search, random, published, everything, short, tpe-hyperband, or a score.

    Scores are training-free: params, synflow, grad_norm, snip, naswot, jacob_cov, zen, zico.
    """
    found = list(_replayed(tables, methods, compute, replays))
    print_table(Table(columns=RESULT_COLUMNS, rows=found, notes=_NOTES), form, wide=wide)


@bench.command()
@click.argument("tables", nargs=-1)
@click.option("--verdicts", type=Whole(1, 100_000), default=200, show_default=True)
@table_options("json", "csv", "markdown")
def claims(tables: tuple[str, ...], verdicts: int, form: str, wide: bool) -> None:
    """Replay verdicts on TABLES, and count how many of their 95 % intervals hold what other seeds say.

    Without TABLES: all that have three seeds of some networks.
    """
    check_table_names(tables)
    from snsearch.lab import claims_on

    found = {name: claims_on(name, verdicts=verdicts) for name in tables or table_names()}
    if missing := [name for name in tables if found[name] is None]:
        raise StudyError(f"table {missing[0]!r}: fewer than four of its networks have three seeds")
    rows = [one for one in found.values() if one is not None]
    print_table(Table(columns=CLAIM_COLUMNS, rows=rows), form, wide=wide)


def _replayed(
    tables: Sequence[str], methods: Sequence[str], compute: Sequence[float], replays: int
) -> Iterator[Result]:
    """The results of the methods on the tables, with a progress bar."""
    check_table_names(tables)
    from snsearch.lab import check_methods, complete_tables, read_table
    from snsearch.lab import replay as replay_on

    console = progress_console()
    chosen = [read_table(name) for name in tables] if tables else list(complete_tables())
    for table in chosen:
        check_methods(methods, table)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("replaying", total=len(chosen) * len(compute) * len(methods) * replays)
        for table in chosen:
            for spent in compute:

                def done(method: str, count: int, name: str = table.name) -> None:
                    bar.update(task, advance=1, description=f"{method} on {name}")

                yield from replay_on(table, methods, compute=spent, replays=replays, done=done)
