"""Operators and weights -> ncnn's .param and .bin, without a converter.

Batch norm and activation are folded into their convolution, as ncnn's own converter does. A tensor that is read twice
goes through a Split layer, as ncnn requires. The operators may be a network, a block or a single operator. An
operator of the kind "input" that is read is an input of the model; any other tensor that none reads is an output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from snsearch.engine.artefact import (
    Artefact,
    check_reads_vector,
    folded_weights,
    image_read,
    padding_of,
    tensor_shapes,
)
from snsearch.engine.weights import Floats, Weights, random_weights
from snsearch.network import Activation, Op

MAGIC = 7767517
ACTIVATION_TYPES: dict[Activation, int] = {"none": 0, "relu": 1, "sigmoid": 4}  # that a layer can end with
# Layers of their own, with their parameters. ncnn's hard ones multiply by 1/6 and add 1/2 before they clip.
_SIXTH = {0: 1 / 6, 1: 0.5}
ACTIVATION_LAYERS: dict[Activation, tuple[str, Mapping[int, object]]] = {
    "relu": ("ReLU", {}),
    "relu6": ("Clip", {0: 0.0, 1: 6.0}),
    "sigmoid": ("Sigmoid", {}),
    "swish": ("Swish", {}),
    "hardsigmoid": ("HardSigmoid", _SIXTH),
    "hardswish": ("HardSwish", _SIXTH),
}
ADD, MULTIPLY = 0, 2  # BinaryOp's operation types
FLOOR = 1  # Pooling's padding mode: the given padding, output sizes rounded down
SHAPE_HINT = -23330
FLOAT32_TAG = bytes(4)  # before each weight in the .bin
PARAM, BIN = ".param", ".bin"


def write_model(ops: Sequence[Op], weights: Weights | None = None) -> Artefact:
    """The operators as an ncnn model, with the weights or, without any, those of `random_weights`.

    Raises SpecError for an output size that no padding gives, or a convolution or pooling of a vector.
    """
    return _Writer(ops, random_weights(ops) if weights is None else weights).artefact()


class _Writer:
    """Collects layers, blobs and weights."""

    def __init__(self, ops: Sequence[Op], weights: Weights) -> None:
        self._ops = ops
        self._weights = weights
        self._shapes = tensor_shapes(ops)
        self._lines: list[str] = []
        self._blobs = 0
        self._binary: list[bytes] = []
        reads = [0] * len(ops)
        for op in ops:
            for source in op.inputs:
                reads[source] += 1
        self._reads = reads
        self._waiting: dict[int, list[str]] = {}  # each tensor's blobs that no operator has read yet

    def artefact(self) -> Artefact:
        for index, op in enumerate(self._ops):
            if op.kind == "input" and not self._reads[index]:
                continue  # ncnn would treat it as an output
            self._tensor(index, self._operator(index, op, [self._waiting[source].pop() for source in op.inputs]))
        head = f"{MAGIC}\n{len(self._lines)} {self._blobs}\n"
        param = (head + "".join(f"{line}\n" for line in self._lines)).encode()
        return Artefact(files={PARAM: param, BIN: b"".join(self._binary)})

    def _layer(
        self, kind: str, name: str, bottoms: Sequence[str], tops: Sequence[str], parameters: Mapping[int, object]
    ) -> None:
        values = "".join(f" {key}={value}" for key, value in parameters.items())
        self._lines.append(f"{kind} {name} {len(bottoms)} {len(tops)} {' '.join((*bottoms, *tops))}{values}")
        self._blobs += len(tops)

    def _tensor(self, index: int, blob: str) -> None:
        """Makes one blob per reader of a tensor, as ncnn requires."""
        count = self._reads[index]
        if count < 2:
            self._waiting[index] = [blob]
            return
        copies = [f"{blob}_{number}" for number in range(count)]
        self._layer("Split", f"split_{blob}", [blob], copies, {})
        self._waiting[index] = copies[::-1]

    def _operator(self, index: int, op: Op, bottoms: list[str]) -> str:
        """Writes one operator with its activation, and returns the name of its output blob."""
        blob, name = f"b{index}", f"{index}_{op.name}"
        fused = op.kind in ("conv", "linear") and op.activation in ACTIVATION_TYPES
        activation = ACTIVATION_TYPES[op.activation] if fused else 0
        match op.kind:
            case "input":
                channels, *sides = self._shapes[index]
                sizes = {0: sides[1], 1: sides[0], 2: channels} if sides else {0: channels}
                # The runner reads the shape from this hint: number of dimensions, then width, height, channels.
                hint = f"4,3,{sides[1]},{sides[0]},{channels}" if sides else f"4,1,{channels},1,1"
                self._layer("Input", name, [], [blob], {**sizes, SHAPE_HINT: hint})
            case "conv":
                self._convolution(index, op, name, bottoms, blob, activation)
            case "linear":
                check_reads_vector(self._ops, op, self._shapes)
                weight, bias = self._folded(index)
                sizes = {0: op.channels, 1: int(bias is not None), 2: weight.size, 9: activation}
                self._layer("InnerProduct", name, bottoms, [blob], sizes)
            case "max_pool" | "avg_pool":
                left, right, top, bottom = padding_of(op, image_read(self._ops, op, self._shapes))
                sizes = {0: int(op.kind == "avg_pool"), 1: op.kernel, 2: op.stride}
                sizes |= {3: left, 13: top, 14: right, 15: bottom}
                sizes |= {5: FLOOR, 6: 1}  # the average counts the padding, as torch's does
                self._layer("Pooling", name, bottoms, [blob], sizes)
            case "global_pool":
                image_read(self._ops, op, self._shapes)
                self._layer("Pooling", name, bottoms, [blob], {0: 1, 4: 1})
            case "channel_shuffle":
                self._layer("ShuffleChannel", name, bottoms, [blob], {0: op.groups})
            case "add":
                self._layer("BinaryOp", name, bottoms, [blob], {0: ADD})
            case "scale":
                self._layer("BinaryOp", name, bottoms, [blob], {0: MULTIPLY})
            case "concat":
                self._layer("Concat", name, bottoms, [blob], {0: 0})
            case "slice":
                channels, *sides = self._shapes[index]
                sizes = {2: op.offset, 3: sides[1], 4: sides[0], 5: channels}
                self._layer("Crop", name, bottoms, [blob], sizes)
            case "flatten":
                image_read(self._ops, op, self._shapes)
                self._layer("Flatten", name, bottoms, [blob], {})
            case "activate":
                blob = bottoms[0]
        if op.activation == "none" or fused:
            return blob
        kind, parameters = ACTIVATION_LAYERS[op.activation]
        made = f"b{index}_a"
        self._layer(kind, f"{name}_{op.activation}", [blob], [made], parameters)
        return made

    def _convolution(self, index: int, op: Op, name: str, bottoms: list[str], blob: str, activation: int) -> None:
        left, right, top, bottom = padding_of(op, image_read(self._ops, op, self._shapes))
        weight, bias = self._folded(index)
        sizes = {0: op.channels, 1: op.kernel, 3: op.stride}
        sizes |= {4: left, 14: top, 15: right, 16: bottom}
        sizes |= {5: int(bias is not None), 6: weight.size}
        grouped = op.groups > 1
        if grouped:
            sizes |= {7: op.groups}
        kind = "ConvolutionDepthWise" if grouped else "Convolution"
        self._layer(kind, name, bottoms, [blob], {**sizes, 9: activation})

    def _folded(self, index: int) -> tuple[Floats, Floats | None]:
        """Writes the operator's folded weight and bias, and returns them."""
        weight, bias = folded_weights(self._ops, index, self._weights)
        self._binary.append(FLOAT32_TAG + weight.astype("<f4").tobytes())
        if bias is not None:
            self._binary.append(bias.astype("<f4").tobytes())
        return weight, bias
