"""An int8 model beside the float32 one: its accuracy, its latency and its error by layer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from snsearch.codec import suggestion
from snsearch.engine import LAYERS, LayerError, Quantiser, Run
from snsearch.errors import ExportError
from snsearch.exports.checking import Parity, compared
from snsearch.exports.formats import STEM, Format, Int8Tool
from snsearch.exports.subject import Floats, Subject
from snsearch.files import write_whole
from snsearch.network import Op
from snsearch.study import environment
from snsearch.training import Dataset

_BATCH = 32
_ROUNDS, _WARM_UP = 30, 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Int8Options:
    """How to quantise.

    Args:
        keep_float: layers that stay float32, by name or by the beginning of their names ("stem", "stage2.0"); "auto":
            those that add most error, as few as keep the drop on calibration images within `max_drop`.
        max_drop: points of accuracy that int8 may lose.
        calibration_images: training images at most.
    """

    keep_float: tuple[str, ...] | Literal["auto"] = ()
    max_drop: float = 1.0
    calibration_images: int = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A figure of the float32 model and of the int8 one."""

    float32: float
    int8: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Int8:
    """An int8 model beside its float32 one."""

    accuracy: Pair  # shares of the test images
    latency_ms: Pair
    latency_of: str  # where it was taken
    bytes: Pair
    parity: Parity  # with torch
    calibration_images: int
    kept_float: tuple[str, ...]
    layers: tuple[LayerError, ...]
    warnings: tuple[str, ...]  # slower, or less accurate than allowed


def check_int8(
    format: Format, data: str | None, ops: Sequence[Op], options: Int8Options, *, norms_kept: bool
) -> None:
    """Raises ExportError where the format has no int8, without data, and for a layer that there is not."""
    if isinstance(format.int8, str):
        raise ExportError(f"{format.name} cannot be exported in int8: {format.int8}; onnx and litert can")
    if data is None:
        raise ExportError("int8 is calibrated on training images, and judged on test images: name them by --data")
    if norms_kept:
        raise ExportError("int8 needs batch norms folded into convolutions; do not keep them")
    _layers(ops, options.keep_float)


def _layers(ops: Sequence[Op], given: tuple[str, ...] | Literal["auto"]) -> tuple[str, ...]:
    """The names of the layers that are meant."""
    names = [op.name for op in ops if op.kind in LAYERS]
    found: dict[str, None] = {}
    for part in () if given == "auto" else given:
        inside = [name for name in names if name == part or name.startswith(f"{part}.")]
        if not inside:
            raise ExportError(f"the network has no layer {part!r}{suggestion(part, names[:6])}")
        found |= dict.fromkeys(inside)
    return tuple(name for name in names if name in found)


def write_int8(
    subject: Subject,
    tool: Int8Tool,
    folder: Path,
    dataset: Dataset,
    options: Int8Options,
    say: Callable[[str], None],
) -> Int8:
    """Writes the int8 model beside the float32 model in the folder, and compares the two."""
    content = (folder / f"{STEM}{tool.suffix}").read_bytes()
    train = dataset.train.take(torch.arange(min(len(dataset.train), options.calibration_images)))
    starts = range(0, len(train), _BATCH)
    batches = [subject.normalise(train.pixels[start : start + _BATCH].numpy()) for start in starts]
    exact = tool.open(content)
    with closing(tool.quantiser(subject.ops, content, batches)) as quantiser:
        if options.keep_float == "auto":
            kept, made = _few_kept(
                subject.ops, tool, quantiser, exact, train.labels.numpy(), batches, options.max_drop, say
            )
        else:
            kept = _layers(subject.ops, options.keep_float)
            made = quantiser.model(kept)
        layers = quantiser.errors(made)
    write_whole(folder / tool.file, made)
    rough = tool.open(made)
    parity, after = compared(subject, rough, dataset)
    _, before = compared(subject, exact, dataset)
    assert before is not None
    assert after is not None
    accuracy = Pair(float32=before.exported, int8=after.exported)
    latency = Pair(**dict(zip(("float32", "int8"), host_latency((exact, rough), batches[0][:1]), strict=True)))
    return Int8(
        accuracy=accuracy,
        latency_ms=latency,
        latency_of=_this_host(tool.runtime),
        bytes=Pair(float32=len(content), int8=len(made)),
        parity=parity,
        calibration_images=len(train),
        kept_float=kept,
        layers=layers,
        warnings=tuple(_warnings(accuracy, latency, options.max_drop)),
    )


def _few_kept(
    ops: Sequence[Op],
    tool: Int8Tool,
    quantiser: Quantiser,
    exact: Run,
    labels: NDArray[np.int64],
    batches: Sequence[Floats],
    max_drop: float,
    say: Callable[[str], None],
) -> tuple[tuple[str, ...], bytes]:
    """The layers to keep in float32, and the model: none, or the 1, 2, 4 and so on that add most error.

    The layers that read them are kept too, or they would have the same tensor quantised. They are enough where the
    calibration images lose no more than `max_drop` points; of more than half of the layers, there are no more.
    """

    def right(run: Run) -> float:
        return float((np.concatenate([run(batch) for batch in batches]).argmax(1) == labels).mean())

    kept: tuple[str, ...] = ()
    made = quantiser.model()
    worst = [one.layer for one in sorted(quantiser.errors(made), key=lambda one: -one.added)]
    count, wanted = 1, right(exact) - max_drop / 100
    while right(tool.open(made)) < wanted and 2 * len(kept) < len(worst):
        kept = _with_readers(ops, worst[:count])
        lost = f"int8 loses more than {max_drop:g} points of the calibration images"
        say(f"{lost}; keeping {', '.join(kept)} in float32")
        made = quantiser.model(kept)
        count *= 2
    return kept, made


def _with_readers(ops: Sequence[Op], layers: Sequence[str]) -> tuple[str, ...]:
    """Layers and those that read them, in order."""
    chosen = {index for index, op in enumerate(ops) if op.name in layers}
    readers = (op for index, op in enumerate(ops) if index in chosen or chosen & {*op.inputs})
    return tuple(op.name for op in readers if op.kind in LAYERS)


def host_latency(runs: Sequence[Run], image: Floats) -> list[float]:
    """The median milliseconds of each on one image, taken in turn on this host."""
    taken: list[list[float]] = [[] for _ in runs]
    for number in range(_WARM_UP + _ROUNDS):
        for run, samples in zip(runs, taken, strict=True):
            start = time.perf_counter()
            run(image)
            if number >= _WARM_UP:
                samples.append((time.perf_counter() - start) * 1e3)
    return [median(samples) for samples in taken]


def _this_host(runtime: str) -> str:
    host = environment(())["processor"]
    return f"on this host ({host}), {runtime} {version(runtime)}, one thread; elsewhere the order may differ"


def _warnings(accuracy: Pair, latency: Pair, max_drop: float) -> Iterator[str]:
    drop = 100 * (accuracy.float32 - accuracy.int8)
    if drop > max_drop:
        yield f"int8 loses {drop:.2f} points of accuracy; at most {max_drop:g} were to be lost: try --keep-float auto"
    if latency.int8 > latency.float32:
        yield f"int8 is slower: {latency.int8:.3g} ms where float32 takes {latency.float32:.3g} ms, on this host"
