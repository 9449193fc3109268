"""What was trained beside what will be deployed: the same widths on another input."""

from __future__ import annotations

import re
from collections.abc import Sequence

from scipy.stats import spearmanr

from snsearch.network import Architecture, Costs, count_costs
from snsearch.pages.candidate_rows import CandidateRow
from snsearch.pages.sections import Section
from snsearch.pages.view import View
from snsearch.tables import Column, Table
from snsearch.units import format_bytes, format_count, format_mflops, format_resolution

_INPUT = re.compile(r"(\d+) classes, (\d+)x(\d+)x(\d+)(?:;|$)")  # as a data set describes itself
_Line = tuple[str, str, str]


def deployed_section(view: View) -> tuple[Section, ...]:
    """The pick as it was trained and as it will be deployed; empty where the data does not say its size."""
    found = _INPUT.search(view.study.settings.data_description)
    if found is None:
        return ()
    classes, channels, height, width = map(int, found.groups())
    trained = [
        row.architecture.at_input(channels=channels, resolution=(height, width), classes=classes) for row in view.rows
    ]
    costs = [count_costs(arch, view.study.settings.budget.precision) for arch in trained]
    pick = view.rows.index(view.row(view.verdict.pick.trial) if view.verdict else _best(view))
    row = view.rows[pick]
    return (
        Section(
            name="deployed",
            title="Trained against deployed",
            lines=(
                "The widths, units and groups are the same; the input is not. Errors on this page are those of "
                f"networks as trained, at {height}x{width}. As deployed, a network has to be trained again, by "
                "snsearch train, and its error will be another.",
                *_trained_costs(view.rows, costs),
                "How near a pick by such trainings comes to the best network: snsearch bench show.",
            ),
            tables=(
                Table(
                    columns=(
                        Column[_Line]("", lambda line: line[0]),
                        Column[_Line]("as trained", lambda line: line[1], align="right"),
                        Column[_Line]("as deployed", lambda line: line[2], align="right"),
                    ),
                    rows=_lines(trained[pick], costs[pick], row),
                    title=f"#{row.number} ({row.trial.words})",
                ),
            ),
        ),
    )


def _best(view: View) -> CandidateRow:
    return min(view.rows, key=lambda row: (row.score.error, row.cost))


def _lines(trained: Architecture, costs: Costs, row: CandidateRow) -> Sequence[_Line]:
    deployed = row.architecture

    def both(name: str, ours: object, theirs: object) -> _Line:
        return name, str(ours), str(theirs)

    def yes(flag: bool) -> str:
        return "yes" if flag else "no"

    return (
        both(
            "input",
            f"{trained.input_channels}x{format_resolution(trained.resolution)}",
            f"{deployed.input_channels}x{format_resolution(deployed.resolution)}",
        ),
        both("classes", trained.classes, deployed.classes),
        both("stride of the first convolution", trained.stem_stride, deployed.stem_stride),
        both("max-pooling after it", yes(trained.stem_pool), yes(deployed.stem_pool)),
        both("MFLOPs", format_mflops(costs.macs), format_mflops(row.costs.macs)),
        both("parameters", format_count(costs.params), format_count(row.costs.params)),
        both(
            "peak activations",
            format_bytes(costs.peak_activation_bytes),
            format_bytes(row.costs.peak_activation_bytes),
        ),
    )


def _trained_costs(rows: Sequence[CandidateRow], costs: Sequence[Costs]) -> tuple[str, ...]:
    """Whether the candidates cost the same in training too, and whether the error follows that."""
    macs, deployed = [cost.macs for cost in costs], [row.costs.macs for row in rows]
    least, most = min(macs), max(macs)
    spread = max(deployed) / min(deployed) - 1
    line = (
        f"As deployed, the candidates' MFLOPs differ by {spread:.1%} at most; as trained, they take "
        f"{format_mflops(least)} to {format_mflops(most)} ({most / least - 1:.1%} apart)."
    )
    errors = [row.score.error for row in rows]
    if len(rows) >= 6 and most > least and max(errors) > min(errors):
        rank = float(spearmanr(macs, errors).statistic)
        line += f" Their rank correlation with the error is {rank:+.2f}, of {len(rows)} networks."
    return (line,)
