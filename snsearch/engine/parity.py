"""Parity: whether an engine computes what torch computes from the same weights and input.

A time is valid only if this holds on the device itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from snsearch.engine.artefact import output_indices, padding_of, read_indices, tensor_shapes
from snsearch.engine.python_runner import model_input
from snsearch.engine.weights import EPSILON, LayerWeights, Weights
from snsearch.network import Activation, Op

Outputs = tuple[NDArray[np.float32], ...]


def expected_outputs(ops: Sequence[Op], weights: Weights, input_seed: int = 0) -> Outputs:
    """The outputs of the operators in torch, in order, with a runner's own inputs and batch norms unfolded.

    Args:
        ops: the model.
        weights: of its layers.
        input_seed: of the inputs, as in the runner's job.
    """
    shapes = tensor_shapes(ops)
    read = read_indices(ops)
    tensors: list[Tensor] = []
    fed = 0
    with torch.no_grad():
        for index, op in enumerate(ops):
            if op.kind == "input":
                used = index in read
                values = model_input(shapes[index], input_seed, fed) if used else np.zeros(shapes[index], np.float32)
                fed += used
                tensors.append(torch.from_numpy(values)[None])
            else:
                inputs = [tensors[source] for source in op.inputs]
                tensors.append(_operator(op, ops, inputs, weights.get(index)))
    return tuple(tensors[index][0].numpy() for index in output_indices(ops))


def deviation(output: Sequence[float], expected: Outputs) -> float:
    """The greatest difference between a runner's output and the expected one, over the tensor's largest value.

    Infinite for an output of another length, or with a value that is not finite.
    """
    if len(output) != sum(tensor.size for tensor in expected):
        return float("inf")
    values = np.asarray(output, dtype=np.float64)
    worst, begin = 0.0, 0
    for tensor in expected:
        part = values[begin : begin + tensor.size]
        begin += tensor.size
        difference = float(np.abs(part - tensor.ravel()).max())
        largest = float(np.abs(tensor).max())
        if not np.isfinite(difference):
            return float("inf")
        worst = max(worst, difference / largest if largest else (float("inf") if difference else 0.0))
    return worst


def _operator(op: Op, ops: Sequence[Op], inputs: list[Tensor], layer: LayerWeights | None) -> Tensor:
    x_NCHW = inputs[0]
    match op.kind:
        case "conv":
            assert layer is not None
            pad = padding_of(op, ops[op.inputs[0]])
            bias = None if layer.bias is None else torch.from_numpy(layer.bias)
            y = functional.conv2d(
                functional.pad(x_NCHW, pad), torch.from_numpy(layer.weight), bias, op.stride, groups=op.groups
            )
            if layer.norm is not None:
                norm = layer.norm
                mean, variance, scale, shift = map(
                    torch.from_numpy, (norm.mean, norm.variance, norm.scale, norm.shift)
                )
                y = functional.batch_norm(y, mean, variance, scale, shift, eps=EPSILON)
        case "linear":
            assert layer is not None
            bias = None if layer.bias is None else torch.from_numpy(layer.bias)
            y = functional.linear(x_NCHW, torch.from_numpy(layer.weight), bias)
        case "max_pool":
            pad = padding_of(op, ops[op.inputs[0]])
            y = functional.max_pool2d(functional.pad(x_NCHW, pad, value=float("-inf")), op.kernel, op.stride)
        case "avg_pool":
            pad = padding_of(op, ops[op.inputs[0]])
            y = functional.avg_pool2d(functional.pad(x_NCHW, pad), op.kernel, op.stride)
        case "global_pool":
            y = x_NCHW.mean(dim=(2, 3))
        case "channel_shuffle":
            y = functional.channel_shuffle(x_NCHW, op.groups)
        case "add":
            y = inputs[0] + inputs[1]
        case "concat":
            y = torch.cat(inputs, dim=1)
        case "scale":
            y = x_NCHW * inputs[1][..., None, None]
        case "slice":
            y = x_NCHW[:, op.offset : op.offset + op.channels]
        case "flatten":
            y = x_NCHW.flatten(1)
        case "activate":
            y = x_NCHW
        case "input":
            raise AssertionError("the input is not an operator")
    return _ACTIVATIONS[op.activation](y)


_ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "none": lambda y: y,
    "relu": functional.relu,
    "relu6": functional.relu6,
    "sigmoid": torch.sigmoid,
    "swish": functional.silu,
    "hardsigmoid": functional.hardsigmoid,
    "hardswish": functional.hardswish,
}
