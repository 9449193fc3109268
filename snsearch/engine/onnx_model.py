"""Operators and weights -> an ONNX model for ONNX Runtime.

Batch norm is folded into its convolution; activations are separate nodes, which the runtime fuses. Every tensor has a
leading dimension of one image. The model's inputs and outputs are those of `ncnn_model`. A network to give away has
a leading dimension of any number of images instead, may keep its batch norms, and says what it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper

from snsearch.engine.artefact import (
    INPUT,
    OPSET,
    OUTPUT,
    Artefact,
    check_reads_vector,
    folded_weights,
    image_read,
    output_indices,
    padding_of,
    read_indices,
    tensor_shapes,
)
from snsearch.engine.weights import EPSILON, Weights, random_weights
from snsearch.network import Activation, Op

IR_VERSION = 7  # of the same release
SUFFIX = ".onnx"
_SIXTH = {"alpha": 1 / 6, "beta": 0.5}
_ACTIVATIONS: dict[Activation, tuple[str, dict[str, float]]] = {
    "relu": ("Relu", {}),
    "sigmoid": ("Sigmoid", {}),
    "hardsigmoid": ("HardSigmoid", _SIXTH),
}
_GATES: dict[Activation, Activation] = {"swish": "sigmoid", "hardswish": "hardsigmoid"}  # x times one of these


def write_model(ops: Sequence[Op], weights: Weights | None = None) -> Artefact:
    """The operators as an ONNX model, with the weights or, without any, those of `random_weights`.

    Raises SpecError for an output size that no padding gives, or a convolution or pooling of a vector.
    """
    weights = random_weights(ops) if weights is None else weights
    return Artefact(files={SUFFIX: _serialised(_Writer(ops, weights).model())})


def write_network(
    ops: Sequence[Op], weights: Weights, *, keep_norms: bool = False, properties: Mapping[str, str] | None = None
) -> bytes:
    """A network as an ONNX model to give away: any number of images, "image" -> "logits".

    Args:
        ops: the network's.
        weights: of its layers.
        keep_norms: batch norms are nodes, instead of folded.
        properties: the model's metadata.
    """
    model = _Writer(ops, weights, any_batch=True, keep_norms=keep_norms).model()
    for name, value in (properties or {}).items():
        model.metadata_props.add(key=name, value=value)
    return _serialised(model)


def _serialised(model: ModelProto) -> bytes:
    content: bytes = model.SerializeToString(deterministic=True)
    return content


class _Writer:
    """Collects nodes and constants."""

    def __init__(
        self, ops: Sequence[Op], weights: Weights, *, any_batch: bool = False, keep_norms: bool = False
    ) -> None:
        self._ops = ops
        self._weights = weights
        self._any_batch = any_batch
        self._keep_norms = keep_norms
        self._shapes = tensor_shapes(ops)
        self._nodes: list[NodeProto] = []
        self._constants: dict[str, TensorProto] = {}

    def model(self) -> ModelProto:
        read = read_indices(self._ops)
        inputs = []
        names: list[str] = []  # of each operator's tensor
        for index, op in enumerate(self._ops):
            if op.kind != "input":
                names.append(self._operator(index, op, [names[source] for source in op.inputs]))
                continue
            names.append(self._tensor(index))
            if index in read:
                inputs.append(self._value(index, names[index]))
        outputs = [self._value(index, names[index]) for index in output_indices(self._ops)]
        graph = helper.make_graph(self._nodes, "snsearch", inputs, outputs, list(self._constants.values()))
        return helper.make_model(
            graph,
            producer_name="snsearch",
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
        )

    def _value(self, index: int, name: str) -> Any:
        batch = "batch" if self._any_batch else 1
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, (batch, *self._shapes[index]))

    def _tensor(self, index: int) -> str:
        """The name of an operator's tensor."""
        if self._any_batch and self._ops[index].kind == "input":
            return INPUT
        return OUTPUT if self._any_batch and index == len(self._ops) - 1 else f"t{index}"

    def _node(self, kind: str, name: str, reads: Sequence[str], makes: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(kind, list(reads), [makes], name=name, **attributes))
        return makes

    def _constant(self, name: str, values: NDArray[Any]) -> str:
        kind = TensorProto.FLOAT if values.dtype == np.float32 else TensorProto.INT64
        raw = values.astype(values.dtype.newbyteorder("<")).tobytes()
        self._constants[name] = helper.make_tensor(name, kind, values.shape, raw, raw=True)
        return name

    def _integers(self, name: str, *values: int) -> str:
        return self._constant(name, np.array(values, np.int64))

    def _operator(self, index: int, op: Op, reads: list[str]) -> str:
        """Adds one operator with its activation, and returns the name of its output tensor."""
        makes, name = self._tensor(index), f"{index}_{op.name}"
        match op.kind:
            case "conv":
                pads = self._pads(op)
                sizes = {"kernel_shape": [op.kernel] * 2, "strides": [op.stride] * 2, "group": op.groups}
                if self._keep_norms and op.norm:
                    self._convolution_and_norm(index, name, reads, makes, pads=pads, **sizes)
                else:
                    self._node("Conv", name, [*reads, *self._layer(index, name)], makes, pads=pads, **sizes)
            case "linear":
                check_reads_vector(self._ops, op, self._shapes)
                self._node("Gemm", name, [*reads, *self._layer(index, name)], makes, transB=1)
            case "max_pool" | "avg_pool":
                sizes = {"kernel_shape": [op.kernel] * 2, "strides": [op.stride] * 2, "pads": self._pads(op)}
                if op.kind == "max_pool":
                    self._node("MaxPool", name, reads, makes, **sizes)
                else:
                    # The average includes the padding, as torch's does.
                    self._node("AveragePool", name, reads, makes, count_include_pad=1, **sizes)
            case "global_pool":
                image_read(self._ops, op, self._shapes)
                pooled = self._node("GlobalAveragePool", name, reads, f"{makes}_pooled")
                self._node("Flatten", f"{name}_flat", [pooled], makes, axis=1)
            case "channel_shuffle":
                self._shuffle(index, name, reads, makes)
            case "add":
                self._node("Add", name, reads, makes)
            case "scale":
                axes = self._integers("channel_axes", 2, 3)
                gate = self._node("Unsqueeze", f"{name}_gate", [reads[1], axes], f"{makes}_gate")
                self._node("Mul", name, [reads[0], gate], makes)
            case "concat":
                self._node("Concat", name, reads, makes, axis=1)
            case "slice":
                ends = [
                    self._integers(f"{name}_{part}", value)
                    for part, value in (("first", op.offset), ("end", op.offset + op.channels), ("axis", 1))
                ]
                self._node("Slice", name, [*reads, *ends], makes)
            case "flatten":
                self._node("Flatten", name, reads, makes, axis=1)
            case "activate":
                return self._activation(op.activation, name, reads[0], f"{makes}_a")
            case "input":
                raise AssertionError("the input is not an operator")
        return self._activation(op.activation, name, makes, f"{makes}_a")

    def _activation(self, activation: Activation, name: str, read: str, makes: str) -> str:
        """Adds an activation, and returns the name of its output tensor; without one, that of the input."""
        if activation == "none":
            return read
        named = f"{name}_{activation}"
        if activation == "relu6":
            ends = [self._constant(f"clip_{end:g}", np.array(end, np.float32)) for end in (0.0, 6.0)]
            return self._node("Clip", named, [read, *ends], makes)
        if activation in _GATES:
            kind, values = _ACTIVATIONS[_GATES[activation]]
            gate = self._node(kind, f"{named}_gate", [read], f"{makes}_g", **values)
            return self._node("Mul", named, [read, gate], makes)
        kind, values = _ACTIVATIONS[activation]
        return self._node(kind, named, [read], makes, **values)

    def _shuffle(self, index: int, name: str, reads: list[str], makes: str) -> None:
        """View as (n, g, c/g, h, w), transpose groups and channels, flatten."""
        groups, (channels, *sides) = self._ops[index].groups, self._shapes[index]
        batch = 0 if self._any_batch else 1  # 0: as it is
        apart = self._integers(f"{name}_apart", batch, groups, channels // groups, *sides)
        whole = self._integers(f"{name}_whole", batch, channels, *sides)
        split = self._node("Reshape", f"{name}_split", [*reads, apart], f"{makes}_split")
        order = [0, 2, 1, *range(3, 3 + len(sides))]
        turned = self._node("Transpose", f"{name}_turned", [split], f"{makes}_turned", perm=order)
        self._node("Reshape", name, [turned, whole], makes)

    def _layer(self, index: int, name: str) -> list[str]:
        """Adds an operator's folded weight and bias, and returns their names."""
        weight, bias = folded_weights(self._ops, index, self._weights)
        made = [self._constant(f"{name}_weight", weight)]
        return made if bias is None else [*made, self._constant(f"{name}_bias", bias)]

    def _convolution_and_norm(self, index: int, name: str, reads: list[str], makes: str, **sizes: Any) -> None:
        """A convolution and its batch norm as two nodes."""
        layer = self._weights[index]
        norm = layer.norm
        assert norm is not None
        values = {"weight": layer.weight} if layer.bias is None else {"weight": layer.weight, "bias": layer.bias}
        made = [self._constant(f"{name}_{part}", value) for part, value in values.items()]
        convolved = self._node("Conv", name, [*reads, *made], f"{makes}_raw", **sizes)
        parts = {"scale": norm.scale, "shift": norm.shift, "mean": norm.mean, "variance": norm.variance}
        named = [self._constant(f"{name}_{part}", value) for part, value in parts.items()]
        self._node("BatchNormalization", f"{name}_norm", [convolved, *named], makes, epsilon=EPSILON)

    def _pads(self, op: Op) -> list[int]:
        """The padding in ONNX's order: top, left, bottom, right."""
        left, right, top, bottom = padding_of(op, image_read(self._ops, op, self._shapes))
        return [top, left, bottom, right]
