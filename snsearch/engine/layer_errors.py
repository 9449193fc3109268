"""What quantisation does to the output of each layer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from snsearch.engine.weights import Floats
from snsearch.network import Op

LAYERS = ("conv", "linear")  # the kinds of operators with weights
MOST_IMAGES = 32  # that errors are computed on

# Images (N, C, H, W) -> the value of every operator's tensor, behind its activation: (N, C, H, W), or (N, C).
ReadTensors = Callable[[Floats], Sequence[Floats]]


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerError:
    """What quantisation does to a layer's output: 0 to 1, relative to each channel's root mean square."""

    layer: str
    error: float  # of its output, with all layers before it quantised
    added: float  # of that, what its input does not have already


class Quantiser(Protocol):
    """A format's own tool, with a float32 model and calibration images; `close` removes what it keeps."""

    def model(self, keep_float: Collection[str] = ()) -> bytes:
        """The int8 model, with the layers of those names in float32."""

    def errors(self, model: bytes) -> tuple[LayerError, ...]:
        """The error of every convolution and linear layer, on the first calibration images."""

    def close(self) -> None:
        """Removes temporary files."""


def layer_errors(
    ops: Sequence[Op], exact: ReadTensors, rough: ReadTensors, batches: Sequence[Floats]
) -> tuple[LayerError, ...]:
    """The error of every layer of a quantised model, on the first images of these batches."""
    wrong, whole = ([np.zeros(1) for _ in ops] for _ in range(2))  # squares of differences and values, per channel
    images = np.concatenate(batches[: -(-MOST_IMAGES // len(batches[0]))])[:MOST_IMAGES]
    for start in range(0, len(images), 4):  # few at once: every tensor is kept
        pairs = zip(*(read(images[start : start + 4]) for read in (exact, rough)), strict=True)
        for at, (one, other) in enumerate(pairs):
            axes = tuple(axis for axis in range(one.ndim) if axis != 1)
            wrong[at] = wrong[at] + np.square(one - other, dtype=np.float64).sum(axes)
            whole[at] = whole[at] + np.square(one, dtype=np.float64).sum(axes)
    # Channels count alike, whatever their scale: the next layer's weights may make up for it.
    shares = (np.minimum(1, part / np.maximum(all_, 1e-30)) for part, all_ in zip(wrong, whole, strict=True))
    relative = [float(np.sqrt(share.mean())) for share in shares]
    return tuple(
        LayerError(
            layer=op.name,
            error=relative[index],
            added=max(0.0, relative[index] ** 2 - relative[op.inputs[0]] ** 2) ** 0.5,
        )
        for index, op in enumerate(ops)
        if op.kind in LAYERS
    )
