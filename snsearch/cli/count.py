"""snsearch count: a network's total under each counting convention, and what makes them differ."""

from __future__ import annotations

from typing import Any

import click

from snsearch.cli.shared.architectures import KEY_HELP, architectures_of, designs_by, given_for_a_space
from snsearch.cli.shared.console import print_json, print_rich
from snsearch.cli.shared.options import (
    GROUPS,
    MFLOPS,
    SCALES,
    bound_options,
    complete_names,
    design_options,
    free_budget,
    gather_budgets,
)
from snsearch.network import Architecture, ConventionCount, CostReport, OpGraph, cost_report, count_conventions
from snsearch.units import format_bytes, format_count, format_mflops


@click.command(help=f"Count a network under each counting convention.\n\n{KEY_HELP}")
@click.argument("spec", shell_complete=complete_names("spaces"))
@click.option("--groups", type=GROUPS, metavar="G[,G…]", help="Group counts of a space  [default: its first]")
@click.option("--scale", "scales", type=SCALES, metavar="S[,S…]", help="Scales of a space  [default: 1]")
@click.option("--mflops", type=MFLOPS, default=(), metavar="N[,N…]", help="Solve the space for these budgets first.")
@design_options
@bound_options
@click.option("--layers", is_flag=True, help="Print every operator.")
@click.option("--check", is_flag=True, help="Run thop and torch's FlopCounterMode on the real module beside it.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def count(
    spec: str,
    groups: tuple[int, ...] | None,
    scales: tuple[float, ...] | None,
    mflops: tuple[float, ...],
    depth: str | None,
    se: bool,
    no_shuffle: bool,
    layers: bool,
    check: bool,
    form: str,
    **bounds: Any,
) -> None:
    budgets = gather_budgets(mflops, (), **bounds) if mflops else []
    designs_of = designs_by(groups, scales, depth=depth, se=se, no_shuffle=no_shuffle)
    found = architectures_of(spec, budgets, designs_of, free_budget(bounds), given_for_a_space(_OWN))
    documents = []
    for arch in found:
        graph = OpGraph.of(arch)
        report = cost_report(graph, bounds["precision"] or "float32")
        counts = count_conventions(graph)
        checked = _checked(arch) if check else None
        if form == "json":
            documents.append(_document(report, graph.depth, counts, checked, layers))
        else:
            _print(report, graph.depth, counts, checked, layers)
    if form == "json":
        print_json({"schema": 1, "counts": documents})


_OWN = ("spec", "layers", "check", "form", "precision")


def _checked(arch: Architecture) -> dict[str, int]:
    """The real counters' totals. Raises VerificationError where they disagree with the cost report."""
    from dataclasses import asdict

    from snsearch.network import verify

    verification = verify(arch)
    verification.check()
    return asdict(verification)


def _document(
    report: CostReport, depth: int, counts: tuple[ConventionCount, ...], checked: dict[str, int] | None, layers: bool
) -> dict[str, Any]:
    document: dict[str, Any] = {
        "key": report.architecture.key,
        "macs": report.totals.macs,
        "params": report.totals.params,
        "model_size_bytes": report.totals.weight_bytes,
        "bytes_moved": report.totals.bytes_moved,
        "peak_activation_bytes": report.totals.peak_activation_bytes,
        "precision": report.precision,
        "depth": depth,
        "conventions": {
            one.convention: {"total": one.total, "meaning": one.meaning, "difference": one.difference}
            for one in counts
        },
    }
    if checked is not None:
        document["checked"] = checked
    if layers:
        document["layers"] = [
            {
                "name": op.name,
                "kind": op.kind,
                "output": list(op.output),
                "macs": op.macs,
                "params": op.params,
                "bytes_moved": op.bytes_moved,
            }
            for op in report.operators
        ]
    return document


def _print(
    report: CostReport, depth: int, counts: tuple[ConventionCount, ...], checked: dict[str, int] | None, layers: bool
) -> None:
    from rich.table import Table

    if layers:
        table = Table("operator", "kind", "output", title=report.architecture.key, title_justify="left")
        for name in ("MACs", "parameters", "bytes moved"):
            table.add_column(name, justify="right")
        for op in report.operators:
            size = "x".join(map(str, op.output))
            table.add_row(op.name, op.kind, size, f"{op.macs:,}", f"{op.params:,}", f"{op.bytes_moved:,}")
        print_rich(table)
    table = Table("convention", title=report.architecture.key, title_justify="left")
    table.add_column("total, M", justify="right")
    table.add_column("to paper", justify="right")
    table.add_column("what it counts")
    paper = counts[0].total
    for one in counts:
        table.add_row(one.convention, format_mflops(one.total), f"{one.total / paper - 1:+.1%}", one.meaning)
        for source, value in sorted(one.difference.items(), key=lambda item: -item[1]):
            table.add_row("", f"+{format_mflops(value)}", f"{value / paper:+.1%}", f"  {source}")
    print_rich(table)
    totals = report.totals
    click.echo(
        f"{depth} layers deep, parameters {format_count(totals.params)}, "
        f"model size {format_bytes(totals.weight_bytes)}, bytes moved {format_bytes(totals.bytes_moved)}, "
        f"peak activations {format_bytes(totals.peak_activation_bytes)} ({report.precision})"
    )
    if checked is not None:
        click.echo(
            f"checked on the torch module: thop on convolutions and fully connected layers "
            f"{checked['thop_macs']:,}, FlopCounterMode / 2 {checked['torch_macs']:,}, thop as it comes "
            f"{checked['thop_total']:,}, parameters {checked['module_params']:,}: all agree"
        )
