"""Channel tables in the layout of ShuffleNet's Table 1, as plain rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter

from snsearch.network import Architecture, blocks
from snsearch.solver.solution_table import caption_of, interval_words, notes_of
from snsearch.solver.solving import Solution
from snsearch.tables import Column, Table
from snsearch.units import format_bytes, format_count, format_mflops, format_resolution, format_stages, three_digits

Row = tuple[str, ...]
_HEAD = ("Layer", "Output", "Kernel", "Stride", "Repeat")

_TOTALS: dict[str, Callable[[Solution], str]] = {
    "MFLOPs": lambda s: format_mflops(s.costs.macs),
    "Parameters": lambda s: format_count(s.costs.params),
    "Peak activations": lambda s: format_bytes(s.costs.peak_activation_bytes),
    "Model size": lambda s: format_bytes(s.costs.weight_bytes),
    "Predicted ms": lambda s: "" if s.latency is None else three_digits(s.latency.ms),
    "95 % interval": interval_words,
    "From budget": lambda s: "" if s.deviation is None else f"{s.deviation:+.2%}",
    "Bound by": lambda s: s.binding or "",
}


def _names(solutions: Sequence[Solution]) -> list[str]:
    """A name for each column: the group count, with space and scale where several have the same."""
    several = len({s.space for s in solutions}) > 1
    names = [(f"{s.title} " if several else "") + f"g={format_stages(s.architecture.groups)}" for s in solutions]
    if len(set(names)) == len(names):
        return names
    return [f"{name} {s.scale:g}x" for name, s in zip(names, solutions, strict=True)]


def _after(resolution: tuple[int, int], stride: int) -> tuple[int, int]:
    """The size behind a layer of that stride; odd sides are rounded up."""
    return -(-resolution[0] // stride), -(-resolution[1] // stride)


def _stages(archs: Sequence[Architecture]) -> Iterator[tuple[Row, list[str]]]:
    """Each stage's cells in front, and its width in each network, with the number of units where they differ."""
    sizes = {
        placed.name: _after((placed.spec.height_in, placed.spec.width_in), placed.spec.stride)
        for placed in blocks(archs[0])
        if placed.spec.kind == "unit"
    }
    for index, (name, size) in enumerate(sizes.items()):
        stride, units = archs[0].stage_strides[index], archs[0].stage_repeats[index]
        alike = len({arch.stage_repeats[index] for arch in archs}) == 1
        first_differs = stride > 1 and units > 1
        yield (
            (
                name.capitalize(),
                format_resolution(size),
                "",
                f"{stride}/1" if first_differs else str(stride),
                (f"1+{units - 1}" if first_differs else str(units)) if alike else "varies",
            ),
            [str(a.stage_channels[index]) + ("" if alike else f" x{a.stage_repeats[index]}") for a in archs],
        )


def _layers(archs: Sequence[Architecture]) -> Iterator[tuple[Row, Sequence[object]]]:
    """Each layer's cells in front, and its cell for each network."""
    first, nothing = archs[0], [""] * len(archs)
    stem = _after(first.resolution, first.stem_stride)
    yield ("Image", format_resolution(first.resolution), "", "", ""), [arch.input_channels for arch in archs]
    yield (
        ("Conv1", format_resolution(stem), "3x3", str(first.stem_stride), "1"),
        [arch.stem_channels for arch in archs],
    )
    if first.stem_pool:
        yield ("MaxPool", format_resolution(_after(stem, 2)), "3x3", "2", "1"), nothing
    stages = list(_stages(archs))
    yield from stages
    yield ("GlobalPool", "1x1", stages[-1][0][1], "", "1"), nothing
    yield ("FC", "", "", "", "1"), [arch.classes for arch in archs]


def layout(solutions: Sequence[Solution], names: Sequence[str] | None = None) -> tuple[Row, list[Row], list[Row]]:
    """Head, layer rows and total rows of a channel table; the solutions share stem, stages and input size.

    A column is named by its group count, and by space and scale where several have the same; or as `names` says.
    """
    head = (*_HEAD, *(_names(solutions) if names is None else names))
    layers = [(*front, *map(str, cells)) for front, cells in _layers([s.architecture for s in solutions])]
    totals = [(name, "", "", "", "", *map(show, solutions)) for name, show in _TOTALS.items()]
    if all(s.latency is None for s in solutions):
        totals = [row for row in totals if row[0] not in ("Predicted ms", "95 % interval")]
    if all(s.deviation is None for s in solutions):
        totals = [row for row in totals if row[0] != "From budget"]
    if all(s.binding in (None, "mflops") for s in solutions):
        totals = [row for row in totals if row[0] != "Bound by"]
    return head, layers, totals


def networks_as_columns(solutions: Sequence[Solution], notes: Sequence[str] = ()) -> Table[Row]:
    """The layout as a table, a column a network."""
    head, layers, totals = layout(solutions)
    columns = [
        Column[Row](name, itemgetter(index), align="left" if index < 2 else "right")
        for index, name in enumerate(head)
    ]
    return Table(
        columns=columns,
        rows=(*layers, *totals),
        title=caption_of(solutions),
        notes=[*notes_of(solutions), *notes],
        rules=[len(layers)],
    )


def tables_of(solutions: Sequence[Solution]) -> list[list[Solution]]:
    """Solutions that share a channel table: same budget, input, stem and stage layout."""
    tables: dict[object, list[Solution]] = {}
    for solution in solutions:
        arch = solution.architecture
        shared = (solution.budget, arch.stem_pool, arch.stem_stride, arch.stage_strides, arch.resolution)
        tables.setdefault(shared, []).append(solution)
    return list(tables.values())
