"""Operators and weights -> an ONNX model for ONNX Runtime.

Batch norm is folded into its convolution; activations are separate nodes, which the runtime fuses. Every tensor has a
leading dimension of one image. The model's inputs and outputs are those of `ncnn_model`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper

from snsearch.engine.artefact import (
    Artefact,
    check_reads_vector,
    folded_weights,
    image_read,
    output_indices,
    padding_of,
    read_indices,
    tensor_shapes,
)
from snsearch.engine.weights import Weights, random_weights
from snsearch.network import Op

OPSET = 13  # axes are inputs; runtimes of the last five years read it
IR_VERSION = 7  # of the same release
SUFFIX = ".onnx"
_ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid"}


def write_model(ops: Sequence[Op], weights: Weights | None = None) -> Artefact:
    """The operators as an ONNX model, with the weights or, without any, those of `random_weights`.

    Raises SpecError for an output size that no padding gives, or a convolution or pooling of a vector.
    """
    model = _Writer(ops, random_weights(ops) if weights is None else weights).model()
    return Artefact(files={SUFFIX: model.SerializeToString(deterministic=True)})


class _Writer:
    """Collects nodes and constants."""

    def __init__(self, ops: Sequence[Op], weights: Weights) -> None:
        self._ops = ops
        self._weights = weights
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
            names.append(f"t{index}")
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
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, *self._shapes[index]))

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
        makes, name = f"t{index}", f"{index}_{op.name}"
        match op.kind:
            case "conv":
                pads = self._pads(op)
                layer = self._layer(index, name)
                sizes = {"kernel_shape": [op.kernel] * 2, "strides": [op.stride] * 2, "group": op.groups}
                self._node("Conv", name, [*reads, *layer], makes, pads=pads, **sizes)
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
            case "input":
                raise AssertionError("the input is not an operator")
        if op.activation == "none":
            return makes
        return self._node(_ACTIVATIONS[op.activation], f"{name}_{op.activation}", [makes], f"{makes}_a")

    def _shuffle(self, index: int, name: str, reads: list[str], makes: str) -> None:
        """View as (1, g, c/g, h, w), transpose groups and channels, flatten."""
        groups, (channels, *sides) = self._ops[index].groups, self._shapes[index]
        apart = self._integers(f"{name}_apart", 1, groups, channels // groups, *sides)
        whole = self._integers(f"{name}_whole", 1, channels, *sides)
        split = self._node("Reshape", f"{name}_split", [*reads, apart], f"{makes}_split")
        order = [0, 2, 1, *range(3, 3 + len(sides))]
        turned = self._node("Transpose", f"{name}_turned", [split], f"{makes}_turned", perm=order)
        self._node("Reshape", name, [turned, whole], makes)

    def _layer(self, index: int, name: str) -> list[str]:
        """Adds an operator's folded weight and bias, and returns their names."""
        weight, bias = folded_weights(self._ops, index, self._weights)
        made = [self._constant(f"{name}_weight", weight)]
        return made if bias is None else [*made, self._constant(f"{name}_bias", bias)]

    def _pads(self, op: Op) -> list[int]:
        """The padding in ONNX's order: top, left, bottom, right."""
        left, right, top, bottom = padding_of(op, image_read(self._ops, op, self._shapes))
        return [top, left, bottom, right]
