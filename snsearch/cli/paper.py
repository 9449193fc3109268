"""snsearch paper: the claims of ShuffleNet's tables 2 to 5, each beside what proxy training sees of it."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import click

from snsearch.cli.shared.console import print_json, print_rich
from snsearch.cli.shared.options import MFLOPS, Quantity
from snsearch.cli.trainings import TrainingsProgress, machine_of, machine_options, read_dataset
from snsearch.errors import SnsearchError, SpecError
from snsearch.units import format_mflops

if TYPE_CHECKING:
    from snsearch.lab import Curve, LineUp, Verdict
    from snsearch.training import Dataset, Recipe

    Curves = Mapping[tuple[str, str, int], Curve]

DEFAULT_IMAGES, QUICK_IMAGES = 20_000, 5_000  # quick keeps the seeds: two would leave no interval to speak of
SCHEMA = 1


def _tables(text: str) -> tuple[int, ...]:
    numbers = text.replace(" ", "").split(",")
    if not all(number in ("2", "3", "4", "5") for number in numbers):
        raise SpecError(f"{text!r}: expected tables of the paper among 2,3,4,5")
    return tuple(sorted({int(number) for number in numbers}))


def _default_folder(data: str, *, quick: bool) -> Path:
    """A folder such as reports/paper-fashion-mnist-quick."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(data.partition(":")[2] or data).name).strip("-.")[:80]
    return Path("reports") / f"paper-{name or 'data'}{'-quick' if quick else ''}"


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
@click.option("--tight/--no-tight", default=True, show_default=True, help="Match the MFLOPs within 0.1 %.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Seeds of each network.")
@click.option("--quick", is_flag=True, help=f"{QUICK_IMAGES:,} images an epoch, unless told otherwise.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the trainings' log  [default: reports/paper-DATA, with --quick reports/paper-DATA-quick]",
)
@click.option("--proxy-images", type=click.IntRange(1), help=f"Images an epoch  [default: {DEFAULT_IMAGES}]")
@click.option("--proxy-epochs", type=click.IntRange(1), default=1, show_default=True)
@machine_options
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
def paper(
    budgets: Sequence[tuple[float, ...]],
    tables: tuple[int, ...],
    data: str,
    tight: bool,
    seeds: int,
    quick: bool,
    out: Path | None,
    proxy_images: int | None,
    proxy_epochs: int,
    workers: int | None,
    threads: int | None,
    proxy_device: str,
    form: str,
) -> None:
    """Check the ShuffleNet paper's claims at matched FLOPs by proxy training.

    Solves the line-ups of its tables 2 to 5 for each budget, trains every network briefly with the same seeds, and
    prints each claim beside what was seen. The same command goes on where it was stopped, and with more seeds, tables
    or budgets it adds to what is there.
    """
    proxy_images = proxy_images or (QUICK_IMAGES if quick else DEFAULT_IMAGES)
    folder = out or _default_folder(data, quick=quick)

    from snsearch.interrupt import stop_on_signals
    from snsearch.lab import PaperSettings, TrainingLog, judge, line_up, run_trainings, trainings_of
    from snsearch.training import Recipe

    line_ups = [
        line_up(mflops, tables, tight=tight) for mflops in sorted({m for several in budgets for m in several})
    ]
    machine = machine_of(proxy_device, workers, threads, tasks=seeds * sum(len(line.solutions) for line in line_ups))
    dataset = read_dataset(data, None)
    recipe = Recipe(
        images=min(proxy_images, len(dataset.train)),
        epochs=proxy_epochs,
        test_images=min(10_000, len(dataset.scored)),
    )
    PaperSettings.of(dataset, recipe, tight=tight).keep(folder / "settings.json")
    tasks = trainings_of(line_ups, recipe, seeds)
    log = TrainingLog(folder / "trainings.csv")
    done = log.read()
    progress = TrainingsProgress(machine.workers)
    fault: SnsearchError | None = None
    interrupted = False
    with (
        progress.showing(sum(task.identity in done for task in tasks), len(tasks)),
        stop_on_signals(progress.stopping) as stop,
    ):
        try:
            run_trainings(
                tasks,
                dataset,
                log,
                device=machine.device,
                checkpoints=folder / "checkpoints",
                workers=machine.workers,
                threads=machine.threads,
                observer=progress,
                stop=stop,
            )
        except KeyboardInterrupt:
            interrupted = True
        except SnsearchError as error:  # a worker that died, say: what is trained is worth its table
            fault = error
    curves = log.read()
    page = _Page(
        line_ups=line_ups,
        verdicts=judge(line_ups, curves, tables, seeds=seeds, classes=len(dataset.classes)),
        curves={task.identity: curves[task.identity] for task in tasks if task.identity in curves},
        wanted=len(tasks),
        dataset=dataset,
        recipe=recipe,
        seeds=seeds,
        quick=quick,
        tight=tight,
        folder=folder,
    )
    page.show(form)
    if fault is not None:
        click.echo(f"snsearch: {fault}", err=True)
        sys.exit(fault.exit_code)
    if interrupted:
        click.echo("interrupted; the same command goes on from here", err=True)
        sys.exit(130)


@dataclass(frozen=True, kw_only=True)
class _Page:
    """What is printed of a run, in each format."""

    line_ups: Sequence[LineUp]
    verdicts: Sequence[Verdict]
    curves: Curves
    wanted: int  # trainings
    dataset: Dataset
    recipe: Recipe
    seeds: int
    quick: bool
    tight: bool
    folder: Path

    def show(self, form: str) -> None:
        """Prints it to stdout."""
        if form == "json":
            print_json(self.document())
        elif form == "csv":
            sys.stdout.write(self.csv())
        elif not self.curves:
            click.echo("no training is done yet; there is nothing to show", err=True)
        else:
            self.tables()

    def networks(self) -> list[dict[str, Any]]:
        """One JSON object a network."""
        from snsearch.lab import errors_of, trained_macs

        return [
            {
                "label": label,
                "serves": line.served_by(label),
                "budget_mflops": line.mflops,
                "mflops": round(solution.costs.mflops, 4),
                "macs": solution.costs.macs,
                "deviation": round(solution.deviation or 0.0, 6),
                "trained_mflops": round(trained_macs(solution.architecture, self.dataset) / 1e6, 4),
                "params": solution.costs.params,
                "stem_channels": solution.architecture.stem_channels,
                "stage_channels": list(solution.architecture.stage_channels),
                "repeats": list(solution.architecture.stage_repeats),
                "key": solution.architecture.key,
                "notes": list(solution.notes),
                "errors": {str(seed): error for seed, error in errors.items()},
            }
            for line in self.line_ups
            for (label, solution), errors in zip(
                line.solutions.items(), errors_of(line, self.curves, self.seeds).values(), strict=True
            )
        ]

    def document(self) -> dict[str, Any]:
        """Everything, as a JSON object."""
        from snsearch import __version__

        last = [curve[-1] for curve in self.curves.values()]
        return {
            "schema": SCHEMA,
            "paper": "arXiv:1707.01083",
            "paper_metric": "top-1 error on ImageNet, percent",
            "quick": self.quick,
            "complete": len(self.curves) == self.wanted,
            "trainings": {"done": len(self.curves), "wanted": self.wanted},
            "data": {
                "description": self.dataset.describe(),
                "source": self.dataset.source,
                "fingerprint": self.dataset.fingerprint(),
            },
            "recipe": asdict(self.recipe),
            "seeds": self.seeds,
            "tight": self.tight,
            "verdicts": [asdict(verdict) for verdict in self.verdicts],
            "networks": self.networks(),
            "missing": [
                {"budget_mflops": line.mflops, "network": name, "reason": reason}
                for line in self.line_ups
                for name, reason in line.missing.items()
            ],
            "versions": {
                "snsearch": __version__,
                "trained_with_snsearch": sorted({point.snsearch for point in last}),
                "trained_with_torch": sorted({point.torch for point in last}),
                "trained_on": sorted({point.device for point in last}),
            },
        }

    def csv(self) -> str:
        """One row a claim."""
        out = io.StringIO()
        rows = [asdict(verdict) for verdict in self.verdicts]
        for row in rows:
            row["mflops"] = "-".join(f"{value:g}" for value in row["mflops"])
            row["paper_mflops"] = "-".join(f"{value:g}" for value in row["paper_mflops"])
            for key in ("networks", "paper_errors"):
                row[key] = "; ".join(f"{name}: {value:g}" for name, value in row[key].items())
            row |= {"data": self.dataset.name, "quick": self.quick}
        writer = csv.DictWriter(out, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue()

    def tables(self) -> None:
        """The networks, then the claims, then how to read them."""
        from rich.markup import escape
        from rich.table import Table

        head = f"{'quick, ' if self.quick else ''}{len(self.curves)} of {self.wanted} trainings"
        networks = Table(title=escape(f"networks: {self.dataset.name}, {head}"), title_justify="left")
        for name in ("network", "channels"):
            networks.add_column(name)
        for name in ("MFLOPs", "from budget", "as trained", "error", "by seed, %"):
            networks.add_column(name, justify="right")
        for row in self.networks():
            errors = list(row["errors"].values())
            networks.add_row(
                escape(" = ".join((row["label"], *row["serves"][1:]))),
                "/".join(map(str, (row["stem_channels"], *row["stage_channels"]))),
                format_mflops(row["macs"]),
                f"{row['deviation']:+z.2%}",
                f"{row['trained_mflops']:.2f}",
                f"{fmean(errors):.2%}" if errors else "",
                " ".join(f"{100 * error:.2f}" for error in errors),
            )
        print_rich(networks)
        several = len(self.line_ups) > 1
        at = "" if several else f" at {self.line_ups[0].mflops:g} MFLOPs"
        title = f"the ShuffleNet paper's claims{at}: ImageNet there, {self.dataset.name} here; {head}"
        claims = Table(title=escape(title), title_justify="left")
        for name in ("table", *(["MFLOPs"] if several else []), "claim", "paper's errors, %"):
            claims.add_column(name)
        for name in ("points", "seen here, 95 %", "paper's sign"):
            claims.add_column(name, justify="right")
        claims.add_column("finding")
        for verdict in self.verdicts:
            first, mflops, *others = _cells(verdict)
            claims.add_row(*map(escape, (first, *([mflops] if several else []), *others)))
        print_rich(claims)
        for line in self._remarks():
            click.echo(f"  {line}")

    def _remarks(self) -> Iterator[str]:
        counts = Counter(verdict.finding for verdict in self.verdicts)
        yield ", ".join(f"{count} {finding}" for finding, count in counts.most_common())
        yield "points: difference of the errors that are compared; positive is the paper's sign"
        yield f"data: {self.dataset.describe()}; the paper's figures are of ImageNet, trained to the end"
        yield f"recipe: {self.recipe.describe()}; {self.seeds} seed{'s' if self.seeds > 1 else ''}"
        matching = "within 0.1 % where the lattice allows" if self.tight else "to the nearest network in proportion"
        yield f"matched at 224x224 and 1000 classes, {matching}; as trained: MFLOPs on images of the data"
        yield (
            "interval and sign: Student's t; errors are compared within a seed, the noise of seeds is pooled over a "
            "budget's networks of one structure unit (95 % are nearer 93 for units seen once); for these test images"
        )
        yield "each claim is judged alone: of twenty intervals one is expected to miss by chance"
        for line in self.line_ups:
            for name, reason in line.missing.items():
                yield f"{name}: {reason}"
        yield f"log: {self.folder / 'trainings.csv'}"


def _cells(verdict: Verdict) -> tuple[str, ...]:
    at = " and ".join(f"{mflops:g}" for mflops in dict.fromkeys(verdict.paper_mflops))
    elsewhere = verdict.paper_mflops != verdict.mflops
    seen = "" if verdict.points is None else f"{verdict.points:+z.2f}"
    seen += "" if verdict.points_95 is None else f" ±{verdict.points_95:.2f}"
    sure = verdict.confidence
    confidence = (
        "" if sure is None else "> 99.9 %" if sure > 0.999 else "< 0.1 %" if sure < 0.001 else f"{100 * sure:.1f} %"
    )
    return (
        str(verdict.table),
        " and ".join(f"{mflops:g}" for mflops in verdict.mflops),
        verdict.text,
        "; ".join(f"{name.replace('ShuffleNet ', '')} {error:.1f}" for name, error in verdict.paper_errors.items())
        + (f" (at {at} MFLOPs)" if elsewhere else ""),
        f"{verdict.paper_points:+z.2f}",
        seen,
        confidence,
        verdict.finding + (f" ({verdict.note})" if verdict.note else ""),
    )
