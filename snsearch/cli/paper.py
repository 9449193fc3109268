"""snsearch paper: the claims of ShuffleNet's tables 2 to 5, each beside what proxy training sees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import click

from snsearch.cli.shared.console import print_json, print_table, print_text, say
from snsearch.cli.shared.machine import machine_options
from snsearch.cli.shared.options import MFLOPS, Quantity, Whole, reading_of, reading_options, table_options
from snsearch.cli.shared.progress import Progress
from snsearch.errors import SpecError
from snsearch.tables import Column, Table
from snsearch.training import resolve_data
from snsearch.units import format_mflops

if TYPE_CHECKING:
    from snsearch.lab import PaperSeen, Verdict


def _tables(text: str) -> tuple[int, ...]:
    numbers = text.replace(" ", "").split(",")
    if not all(number in ("2", "3", "4", "5") for number in numbers):
        raise SpecError(f"{text!r}: expected tables of the paper among 2,3,4,5")
    return tuple(sorted({int(number) for number in numbers}))


@click.command()
@click.option(
    "--budget",
    "budgets",
    type=MFLOPS,
    multiple=True,
    default=["38"],
    show_default=True,
    metavar="N[,N…]",
    help="MFLOPs of the line-ups; the paper has 13, 38, 140 and (table 5) 292, 524. May be repeated.",
)
@click.option(
    "--table",
    "tables",
    type=Quantity("tables", _tables),
    default="2,3,4,5",
    show_default=True,
    metavar="N[,N…]",
    help="Tables of the paper.",
)
@click.option(
    "--data",
    default="fashion-mnist",
    show_default=True,
    metavar="DATA",
    help="fashion-mnist, digits, an image folder, a .parquet file, or a Hugging Face owner/name.",
)
@reading_options
@click.option("--tight/--no-tight", default=True, show_default=True, help="Match the MFLOPs within 0.1 %.")
@click.option("--seeds", type=Whole(1), default=3, show_default=True, help="Seeds of each network.")
@click.option("--quick", is_flag=True, help="5,000 images an epoch, unless told otherwise.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the trainings' log  [default: reports/paper-DATA, with --quick reports/paper-DATA-quick]",
)
@click.option("--proxy-images", type=Whole(1), help="Images an epoch  [default: 20000]")
@click.option("--proxy-epochs", type=Whole(1), default=1, show_default=True)
@machine_options
@table_options("json", "csv")
def paper(budgets: Sequence[tuple[float, ...]], form: str, wide: bool, **given: Any) -> None:
    """Check the ShuffleNet paper's claims at matched FLOPs by proxy training.

    Solves the line-ups of its tables 2 to 5 for each budget, trains every network briefly with the same seeds, and
    prints each claim beside what was seen. The same command goes on where it was stopped, and with more seeds, tables
    or budgets it adds to what is there.
    """
    resolve_data(given["data"])  # a wrong name should not cost the wait for torch
    reading = reading_of(given)
    from snsearch import lab

    with (progress := Progress()):
        mflops = [one for several in budgets for one in several]
        run = lab.begin_paper(progress, budgets=mflops, reading=reading, **given)
    try:
        with (progress := Progress()):
            run.go_on(progress)
    finally:
        _show(run.seen(), form, wide=wide)


def _show(seen: PaperSeen, form: str, *, wide: bool) -> None:
    if form == "json":
        print_json(seen.document())
    elif form == "csv":
        print_table(_claims(seen), form)
    elif not seen.curves:
        say("no training is done yet; there is nothing to show")
    else:
        print_table(_networks(seen), wide=wide)
        print_text("")
        print_table(_claims(seen), wide=wide)


def _head(seen: PaperSeen) -> str:
    return f"{'quick, ' if seen.run.quick else ''}{len(seen.curves)} of {len(seen.run.tasks)} trainings"


def _networks(seen: PaperSeen) -> Table[dict[str, Any]]:
    def by_seed(row: dict[str, Any]) -> str:
        return " ".join(f"{100 * error:.2f}" for error in row["errors"].values())

    Network = Column[dict[str, Any]]
    return Table(
        columns=(
            Network("network", lambda row: " = ".join((row["label"], *row["serves"][1:]))),
            Network(
                "channels", lambda row: "/".join(map(str, (row["stem_channels"], *row["stage_channels"]))), drop=2
            ),
            Network("MFLOPs", lambda row: format_mflops(row["macs"]), align="right"),
            Network("from budget", lambda row: f"{row['deviation']:+z.2%}", align="right", drop=3),
            Network("as trained", lambda row: f"{row['trained_mflops']:.2f}", align="right", drop=4),
            Network("error", lambda row: f"{fmean(e):.2%}" if (e := row["errors"].values()) else "", align="right"),
            Network("by seed, %", by_seed, align="right", drop=1),
        ),
        rows=seen.networks(),
        title=f"networks: {seen.run.dataset.name}, {_head(seen)}",
    )


def _claims(seen: PaperSeen) -> Table[Verdict]:
    """The claims: cells for people, and in CSV every field of a verdict."""
    line_ups, data = seen.run.line_ups, seen.run.dataset.name
    several = len(line_ups) > 1
    at = "" if several else f" at {line_ups[0].mflops:g} MFLOPs"
    Claim = Column["Verdict"]

    def field(name: str, value: Any = None) -> Column[Verdict]:
        return Claim(name, value or (lambda one: getattr(one, name)), place="data")

    def named(name: str) -> Column[Verdict]:
        return field(name, lambda one: "; ".join(f"{key}: {value:g}" for key, value in getattr(one, name).items()))

    def joined(name: str) -> Column[Verdict]:
        return field(name, lambda one: "-".join(f"{value:g}" for value in getattr(one, name)))

    def shown(heading: str, text: Any, drop: int = 0, align: Any = "left") -> Column[Verdict]:
        return Claim(heading, text, align=align, drop=drop, data=())

    return Table(
        columns=(
            *(field(name) for name in ("claim", "table", "text")),
            joined("mflops"),
            named("networks"),
            joined("paper_mflops"),
            named("paper_errors"),
            *(
                field(name)
                for name in (
                    "paper_points", "points", "points_95", "confidence", "degrees", "seeds", "finding", "note",
                )
            ),
            field("data", lambda one: data),
            field("quick", lambda one: seen.run.quick),
            shown("table", lambda one: str(one.table), 3),
            *([shown("MFLOPs", lambda one: " and ".join(f"{mflops:g}" for mflops in one.mflops))] if several else []),
            shown("claim", lambda one: one.text),
            shown("paper's errors, %", _paper_errors, 2),
            shown("points", lambda one: f"{one.paper_points:+z.2f}", 0, "right"),
            shown("seen here, 95 %", _seen_here, 0, "right"),
            shown("paper's sign", _confidence, 1, "right"),
            shown("finding", lambda one: one.finding + (f" ({one.note})" if one.note else "")),
        ),
        rows=seen.verdicts,
        title=f"the ShuffleNet paper's claims{at}: ImageNet there, {data} here; {_head(seen)}",
        notes=tuple(_remarks(seen)),
    )  # fmt: skip


def _remarks(seen: PaperSeen) -> Iterator[str]:
    run = seen.run
    counts = Counter(verdict.finding for verdict in seen.verdicts)
    yield ", ".join(f"{count} {finding}" for finding, count in counts.most_common())
    yield "points: difference of the errors that are compared; positive is the paper's sign"
    yield f"data: {run.dataset.describe()}; the paper's figures are of ImageNet, trained to the end"
    yield f"recipe: {run.recipe.describe()}; {run.seeds} seed{'s' if run.seeds > 1 else ''}"
    matching = "within 0.1 % where the lattice allows" if run.tight else "to the nearest network in proportion"
    yield f"matched at 224x224 and 1000 classes, {matching}; as trained: MFLOPs on images of the data"
    yield (
        "interval and sign: Student's t; errors are compared within a seed, the noise of seeds is pooled over a "
        "budget's networks of one structure unit (95 % are nearer 93 for units seen once); for these test images"
    )
    yield "each claim is judged alone: of twenty intervals one is expected to miss by chance"
    for line in run.line_ups:
        for name, reason in line.missing.items():
            yield f"{name}: {reason}"
    yield f"log: {run.log.path}"


def _paper_errors(verdict: Verdict) -> str:
    at = " and ".join(f"{mflops:g}" for mflops in dict.fromkeys(verdict.paper_mflops))
    errors = "; ".join(
        f"{name.replace('ShuffleNet ', '')} {error:.1f}" for name, error in verdict.paper_errors.items()
    )
    return errors + (f" (at {at} MFLOPs)" if verdict.paper_mflops != verdict.mflops else "")


def _seen_here(verdict: Verdict) -> str:
    seen = "" if verdict.points is None else f"{verdict.points:+z.2f}"
    return seen + ("" if verdict.points_95 is None else f" ±{verdict.points_95:.2f}")


def _confidence(verdict: Verdict) -> str:
    sure = verdict.confidence
    if sure is None:
        return ""
    return "> 99.9 %" if sure > 0.999 else "< 0.1 %" if sure < 0.001 else f"{100 * sure:.1f} %"
