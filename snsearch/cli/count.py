"""snsearch count: a network's total under each counting convention, and what makes them differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import click

import snsearch
from snsearch import NetworkCount
from snsearch.cli.shared.architectures import KEY_HELP, architectures_of
from snsearch.cli.shared.console import print_table
from snsearch.cli.shared.options import complete_names, network_options, table_options
from snsearch.network import OpCost, Precision
from snsearch.tables import Column, Table
from snsearch.units import format_bytes, format_count, format_mflops

_OWN = ("spec", "layers", "check", "form", "wide", "precision")


class _Share(NamedTuple):
    """A line of the table of conventions: a convention's total, or a part of what it counts beyond the paper's."""

    convention: str
    total: str
    to_paper: float
    meaning: str


_SHARES: tuple[Column[_Share], ...] = (
    Column("convention", lambda share: share.convention),
    Column("total", lambda share: share.total, unit="M", align="right"),
    Column("to paper", lambda share: share.to_paper, text=lambda share: f"{share.to_paper:+.1%}", align="right"),
    Column("what it counts", lambda share: share.meaning),
)

_OPERATORS: tuple[Column[OpCost], ...] = (
    Column("name", lambda op: op.name, heading="operator"),
    Column("kind", lambda op: op.kind, drop=2),
    Column("output", lambda op: list(op.output), text=lambda op: "x".join(map(str, op.output)), drop=1),
    Column("macs", lambda op: op.macs, heading="MACs", text=lambda op: f"{op.macs:,}", align="right"),
    Column("params", lambda op: op.params, heading="parameters", text=lambda op: f"{op.params:,}", align="right"),
    Column(
        "bytes_moved",
        lambda op: op.bytes_moved,
        heading="bytes moved",
        text=lambda op: f"{op.bytes_moved:,}",
        align="right",
        drop=3,
    ),
)


def _operators(one: NetworkCount) -> Table[OpCost]:
    return Table(columns=_OPERATORS, rows=one.report.operators, title=one.report.architecture.key)


_COUNTS: tuple[Column[NetworkCount], ...] = (
    Column("key", lambda one: one.report.architecture.key),
    Column("macs", lambda one: one.macs),
    Column("params", lambda one: one.report.totals.params),
    Column("model_size_bytes", lambda one: one.report.totals.weight_bytes),
    Column("bytes_moved", lambda one: one.report.totals.bytes_moved),
    Column("peak_activation_bytes", lambda one: one.report.totals.peak_activation_bytes),
    Column("precision", lambda one: one.report.precision),
    Column("depth", lambda one: one.depth),
    Column(
        "conventions",
        lambda one: {
            count.convention: {"total": count.total, "meaning": count.meaning, "difference": count.difference}
            for count in one.conventions
        },
    ),
)
_CHECKED: Column[NetworkCount] = Column("checked", lambda one: one.checked and asdict(one.checked))
_LAYERS: Column[NetworkCount] = Column("layers", lambda one: _operators(one).records())


@click.command(help=f"Count a network under each counting convention.\n\n{KEY_HELP}")
@click.argument("spec", shell_complete=complete_names("spaces"))
@network_options()
@click.option("--layers", is_flag=True, help="Print every operator.")
@click.option("--check", is_flag=True, help="Run thop and torch's FlopCounterMode on the real module beside it.")
@table_options("json")
def count(spec: str, layers: bool, check: bool, form: str, wide: bool, **of_space: Any) -> None:
    precision: Precision = of_space["precision"] or "float32"
    networks = architectures_of(spec, of_space, _OWN)
    counted = [snsearch.count(network, precision=precision, check=check) for network in networks]
    if form == "json":
        columns = [*_COUNTS, *([_CHECKED] if check else []), *([_LAYERS] if layers else [])]
        print_table(Table(columns=columns, rows=counted), form, under="counts")
        return
    for index, one in enumerate(counted):
        if index:
            click.echo()
        if layers:
            print_table(_operators(one), wide=wide)
            click.echo()
        _print(one)


def _shares(one: NetworkCount) -> Sequence[_Share]:
    shares = []
    for count in one.conventions:
        shares.append(_Share(count.convention, format_mflops(count.total), count.total / one.macs - 1, count.meaning))
        for source, value in sorted(count.difference.items(), key=lambda item: -item[1]):
            shares.append(_Share("", f"+{format_mflops(value)}", value / one.macs, source))
    return shares


def _print(one: NetworkCount) -> None:
    shares = _shares(one)
    rules = [index for index, share in enumerate(shares) if share.convention and index]
    totals = one.report.totals
    notes = [
        f"{one.depth} layers deep, parameters {format_count(totals.params)}, "
        f"model size {format_bytes(totals.weight_bytes)}, bytes moved {format_bytes(totals.bytes_moved)}, "
        f"peak activations {format_bytes(totals.peak_activation_bytes)} ({one.report.precision})"
    ]
    if (checked := one.checked) is not None:
        notes.append(
            f"checked on the torch module: thop on convolutions and fully connected layers {checked.thop_macs:,}, "
            f"FlopCounterMode / 2 {checked.torch_macs:,}, thop as it comes {checked.thop_total:,}, "
            f"parameters {checked.module_params:,}: all agree"
        )
    title = one.report.architecture.key
    print_table(Table(columns=_SHARES, rows=shares, title=title, rules=rules, notes=notes))
