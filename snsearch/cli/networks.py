"""snsearch networks: the known networks of the literature, counted, beside their printed figures."""

from __future__ import annotations

from operator import attrgetter

import click

import snsearch
from snsearch import KnownCount
from snsearch.cli.shared.console import print_table
from snsearch.cli.shared.options import complete_networks, table_options
from snsearch.network import cost_column
from snsearch.tables import Column, Table
from snsearch.units import format_resolution, plain_resolution


def _printed(value: float | None, deviation: float | None) -> str:
    return "" if value is None or deviation is None else f"{value:g} ({deviation:+.1%})"


_NETWORKS: tuple[Column[KnownCount], ...] = (
    Column("name", lambda one: one.known.name, heading="network"),
    Column("title", lambda one: one.known.title, place="wide"),
    Column(
        "resolution",
        lambda one: plain_resolution(one.network.resolution),
        text=lambda one: format_resolution(one.network.resolution),
        heading="input",
        place="wide",
    ),
    cost_column("mflops", attrgetter("costs")),
    Column(
        "printed_mflops",
        lambda one: one.known.mflops,
        heading="printed",
        text=lambda one: _printed(one.known.mflops, one.mflops_deviation),
        align="right",
    ),
    Column("mflops_deviation", lambda one: one.mflops_deviation, place="data"),
    cost_column("params", attrgetter("costs")),
    Column(
        "printed_params",
        lambda one: one.known.params and round(one.known.params * 1e6),
        heading="printed, M",
        text=lambda one: _printed(one.known.params, one.params_deviation),
        align="right",
    ),
    Column("params_deviation", lambda one: one.params_deviation, place="data"),
    Column("reason", lambda one: one.reason, heading="why not within 1 %", place="wide"),
    Column("source", lambda one: one.known.source, place="wide"),
    Column("figures", lambda one: one.known.figures or one.known.source, heading="printed in", place="wide"),
    Column("key", lambda one: one.network.key, place="wide"),
)
_NOTE = "Trained weights of these networks are not part of snsearch; export takes your own by --weights."


@click.command()
@click.argument("names", nargs=-1, shell_complete=complete_networks)
@table_options("json", "csv")
def networks(names: tuple[str, ...], form: str, wide: bool) -> None:
    """List the known networks, or describe the NAMES: counted, beside the figures that were printed of them.

    count, latency, measure, compare, train, evaluate and export take the names.
    """
    found = snsearch.networks(*names)
    reasons = [] if names or wide else [f"{one.known.name}: {one.reason}" for one in found if one.reason]
    table = Table(columns=_NETWORKS, rows=found, notes=[*reasons, _NOTE])
    print_table(table, form, wide=wide, blocks=bool(names), under="networks")
