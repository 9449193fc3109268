"""Channel tables in the layout of ShuffleNet's Table 1, as plain rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from snsearch.network import Architecture, blocks
from snsearch.solver.solving import Solution
from snsearch.units import format_bytes, format_count, format_mflops, format_resolution

Row = tuple[str, ...]


def _sides(arch: Architecture) -> list[str]:
    """Output sizes of the stem's parts and of each stage."""
    outs = {}
    for placed in blocks(arch):
        spec = placed.spec
        if spec.kind == "unit":
            height, width = (-(-side // spec.stride) for side in (spec.height_in, spec.width_in))
            outs[placed.name] = format_resolution((height, width))
    return list(outs.values())


def layout(solutions: Sequence[Solution], names: Sequence[str] | None = None) -> tuple[Row, list[Row], list[Row]]:
    """Head, layer rows and total rows of a channel table; the solutions share stem, stages and input size.

    A column is named by its group count, and by space and scale where several have the same; or as `names` says.
    """
    first = solutions[0].architecture
    if names is None:
        several = len({solution.space for solution in solutions}) > 1
        names = [
            f"{s.title} g={s.architecture.groups}" if several else f"g={s.architecture.groups}" for s in solutions
        ]
        if len(set(names)) < len(names):
            names = [f"{name} {solution.scale:g}x" for name, solution in zip(names, solutions, strict=True)]
    head = ("Layer", "Output", "Kernel", "Stride", "Repeat", *names)

    def row(label: str, output: str, kernel: str, stride: str, repeat: str, values: Sequence[object]) -> Row:
        return (label, output, kernel, stride, repeat, *map(str, values))

    count = len(solutions)
    height, width = first.resolution
    stem_out = format_resolution((-(-height // first.stem_stride), -(-width // first.stem_stride)))
    layers = [
        row("Image", format_resolution(first.resolution), "", "", "", [first.input_channels] * count),
        row(
            "Conv1",
            stem_out,
            "3x3",
            str(first.stem_stride),
            "1",
            [s.architecture.stem_channels for s in solutions],
        ),
    ]
    sides = _sides(first)
    if first.stem_pool:
        pooled = tuple(-(-side // (2 * first.stem_stride)) for side in first.resolution)
        layers.append(row("MaxPool", format_resolution((pooled[0], pooled[1])), "3x3", "2", "1", [""] * count))
    for index, side in enumerate(sides):
        repeats = {s.architecture.stage_repeats[index] for s in solutions}
        stride = first.stage_strides[index]
        alike = first.stage_repeats[index]
        if len(repeats) > 1:
            units = "varies"
        elif stride > 1 and alike > 1:
            units = f"1+{alike - 1}"
        else:
            units = str(alike)
        layers.append(
            row(
                f"Stage{index + 2}",
                side,
                "",
                f"{stride}/1" if stride > 1 and alike > 1 else str(stride),
                units,
                [
                    f"{s.architecture.stage_channels[index]}"
                    + (f" x{s.architecture.stage_repeats[index]}" if len(repeats) > 1 else "")
                    for s in solutions
                ],
            )
        )
    layers += [
        row("GlobalPool", "1x1", sides[-1], "", "1", [""] * count),
        row("FC", "", "", "", "1", [s.architecture.classes for s in solutions]),
    ]

    def total(label: str, show: Callable[[Solution], str]) -> Row:
        return row(label, "", "", "", "", [show(s) for s in solutions])

    totals = [
        total("MFLOPs", lambda s: format_mflops(s.costs.macs)),
        total("Parameters", lambda s: format_count(s.costs.params)),
        total("Peak activations", lambda s: format_bytes(s.costs.peak_activation_bytes)),
        total("Model size", lambda s: format_bytes(s.costs.weight_bytes)),
    ]
    if any(s.deviation is not None for s in solutions):
        totals.append(total("From budget", lambda s: "" if s.deviation is None else f"{s.deviation:+.2%}"))
    if any(s.binding not in (None, "mflops") for s in solutions):
        totals.append(total("Bound by", lambda s: s.binding or ""))
    return head, layers, totals
