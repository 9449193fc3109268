"""Networks side by side: what they cost, their predicted latencies, and their printed errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from snsearch.api.arguments import checked
from snsearch.api.network_calls import architecture_of
from snsearch.api.predictions import Prediction, predict
from snsearch.api.studies import trial_of
from snsearch.device import named_profile
from snsearch.errors import SpecError
from snsearch.files import write_whole
from snsearch.latency import Profile
from snsearch.network import KNOWN, AnyNetwork, Costs, OpGraph, cost_column, count_costs
from snsearch.prose import excerpt
from snsearch.solver import Solution
from snsearch.tables import Column, Table
from snsearch.units import format_interval, format_resolution, three_digits

if TYPE_CHECKING:
    from snsearch.study import StudyRecord, TrialRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """One network of a comparison."""

    name: str  # as it was given
    network: AnyNetwork
    costs: Costs
    depth: int
    prediction: Prediction | None
    printed_mflops: float | None
    printed_error: float | None  # top-1 on ImageNet, in percent
    proxy_error: tuple[float, float] | None  # of the search's trainings: percent, and half of its 95 % interval


def _with_interval(pair: tuple[float, float] | None) -> str:
    if pair is None:
        return ""
    error, half = pair
    return f"{error:.1f} {format_interval(error, (max(0.0, error - half), min(100.0, error + half)), '.1f')}"


_COLUMNS: tuple[tuple[Callable[[Compared], object], Column[Compared]], ...] = (
    (lambda one: one.name, Column("network", lambda one: one.name)),
    (
        lambda one: one.printed_error,
        Column(
            "printed_error",
            lambda one: one.printed_error,
            heading="printed top-1 error",
            unit="%",
            text=lambda one: "" if one.printed_error is None else f"{one.printed_error:.1f}",
            align="right",
        ),
    ),
    (
        lambda one: one.proxy_error,
        Column(
            "proxy_error",
            lambda one: None if one.proxy_error is None else [round(part, 4) for part in one.proxy_error],
            heading="error of the search's trainings",
            unit="%",
            text=lambda one: _with_interval(one.proxy_error),
            align="right",
        ),
    ),
    (lambda one: True, cost_column("mflops", attrgetter("costs"))),
    (
        lambda one: one.printed_mflops,
        Column("printed_mflops", lambda one: one.printed_mflops, heading="printed", align="right", drop=3),
    ),
    (lambda one: True, cost_column("params", attrgetter("costs"))),
    (lambda one: True, cost_column("peak_activation_bytes", attrgetter("costs"), drop=1)),
    (lambda one: True, Column("depth", lambda one: one.depth, heading="layers", align="right", drop=2)),
    (
        lambda one: one.prediction,
        Column(
            "latency_ms",
            lambda one: None if one.prediction is None else round(one.prediction.ms, 4),
            heading="predicted",
            unit="ms",
            text=lambda one: "" if one.prediction is None else three_digits(one.prediction.ms),
            align="right",
        ),
    ),
    (
        lambda one: one.prediction,
        Column(
            "latency_interval_ms",
            lambda one: None if one.prediction is None else [round(side, 4) for side in one.prediction.interval],
            heading="95 % interval",
            unit="ms",
            text=lambda one: (
                "" if one.prediction is None else " to ".join(map(three_digits, one.prediction.interval))
            ),
            align="right",
            drop=1,
        ),
    ),
    (lambda one: True, Column("key", lambda one: one.network.key, place="wide")),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Networks side by side."""

    rows: tuple[Compared, ...]

    def __repr__(self) -> str:
        return f"<comparison of {excerpt(', '.join(one.name for one in self.rows))}>"

    @property
    def table(self) -> Table[Compared]:
        """A row a network; a column that all lack is left out."""
        columns = [column for known, column in _COLUMNS if any(known(row) is not None for row in self.rows)]
        notes = list(dict.fromkeys(row.prediction.provenance for row in self.rows if row.prediction is not None))
        if remark := _differing_inputs([row.network for row in self.rows]):
            notes.append(remark)
        if any(row.printed_error is not None for row in self.rows):
            notes.append("printed errors are ImageNet's, each network after its own training; costs are counted here")
        if any(row.proxy_error is not None for row in self.rows):
            notes.append(
                "errors of a search's trainings are on the study's own data: they rank, and are no final errors"
            )
        return Table(columns=columns, rows=self.rows, notes=notes)

    def html(self) -> str:
        """A page with the table and a drawing of the networks."""
        from snsearch.pages import Chart, Page, Section, render_page, strips_spec

        drawing = Chart(
            name="strips-chart",
            spec=strips_spec([(row.name, row.network) for row in self.rows]),
            label="Stages of the networks: length is multiply-adds, height is channels",
        )
        sections = (
            Section(name="networks", title="Networks", tables=(self.table,)),
            Section(
                name="stages",
                title="Their stages",
                lines=("Length: multiply-adds, on one scale. Height: channels, logarithmic.",),
                charts=(drawing,),
            ),
        )
        return render_page(
            Page(
                title="Networks side by side",
                subtitle=" / ".join(row.name for row in self.rows),
                sections=sections,
                document={"networks": self.table.records()},
            )
        )

    def save(self, path: str | Path) -> Path:
        """Writes `html()` to a file. Raises OSError."""
        write_whole(Path(path), self.html())
        return Path(path)

    def _repr_html_(self) -> str:
        """The comparison as a notebook shows it."""
        return self.table.html(wide=True)


@checked
def compare(
    *networks: AnyNetwork | Solution | str, profile: str | Profile | None = None, storage: str | None = None
) -> Comparison:
    """Networks side by side: counted costs, predicted latencies, printed errors and those of a study.

    Args:
        networks: architectures, solutions, keys, names of known networks, or "STUDY#TRIAL".
        profile: predicts latencies, as `predict` takes it; None: no latencies.
        storage: URL of the studies' storage; None: SQLite in their folders.

    Raises:
        SpecError: there is no such network or profile, or none is given.
        StudyError: there is no such study or trial.

    Example:
        >>> import snsearch
        >>> found = snsearch.compare("alexnet", "shufflenet-v1-0.5x-g4")
        >>> [(row.name, row.printed_error, round(row.costs.mflops)) for row in found.rows]
        [('alexnet', 42.8, 724), ('shufflenet-v1-0.5x-g4', 41.6, 41)]
    """
    if not networks:
        raise SpecError("no network is given; name those to compare")
    known = named_profile(profile) if isinstance(profile, str) else profile
    return Comparison(rows=tuple(_compared(network, known, storage) for network in networks))


def _compared(given: AnyNetwork | Solution | str, profile: Profile | None, storage: str | None) -> Compared:
    found = trial_of(given, storage) if isinstance(given, str) else None
    network = architecture_of(given) if found is None else found[2]
    printed = next((one for one in KNOWN.values() if given == one.name), None)
    return Compared(
        name=given if isinstance(given, str) else network.key,
        network=network,
        costs=count_costs(network),
        depth=OpGraph.of(network).depth,
        prediction=None if profile is None else predict(network, profile=profile),
        printed_mflops=None if printed is None else printed.mflops,
        printed_error=None if printed is None else printed.top1_error,
        proxy_error=None if found is None else _proxy_error(found[0], found[1]),
    )


def _differing_inputs(networks: Sequence[AnyNetwork]) -> str:
    """What of input and classes is not the same in all the networks, and what it changes; empty where all is."""
    parts = {
        "input channels": [str(one.input_channels) for one in networks],
        "resolution": [format_resolution(one.resolution) for one in networks],
        "classes": [str(one.classes) for one in networks],
    }
    found = {name: list(dict.fromkeys(values)) for name, values in parts.items() if len(set(values)) > 1}
    if not found:
        return ""
    costs = "MFLOPs and peak activations" if list(found) == ["resolution"] else "parameters and MFLOPs"
    listed = ", ".join(f"{name} ({', '.join(values)})" for name, values in found.items())
    return f"the networks differ in {listed}: their {costs} differ for that reason as well"


def _proxy_error(study: StudyRecord, trial: TrialRecord) -> tuple[float, float] | None:
    """The error of the search's trainings of a candidate, and half of its interval, in percent."""
    from snsearch.study import scores_of

    candidates = study.candidates
    scores = dict(zip((one.number for one in candidates), scores_of([t.results for t in candidates]), strict=True))
    score = scores.get(trial.number if trial.duplicate_of is None else trial.duplicate_of)
    return None if score is None else (100 * score.error, 100 * score.deviation_95)
