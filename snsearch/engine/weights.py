"""Weights of operators: a torch module's, or random ones from a seed; the folding of batch norm.

Latency does not depend on the values of weights, so random ones serve for timing. But outputs are compared with
torch's: each random batch norm has its own statistics, so that wrong folding shows, and activations keep the input's
magnitude through the whole network. If they grew, a gate of squeeze-and-excitation could switch on a rounding error,
and two correct engines would differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snsearch.network import Op

EPSILON = 1e-5  # torch's batch norm

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Norm:
    """A batch norm in inference: (x - mean) / sqrt(variance + EPSILON) * scale + shift, each of shape (channels,)."""

    scale: Floats
    shift: Floats
    mean: Floats
    variance: Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerWeights:
    """The weights of a convolution (channels, channels_in / groups, k, k) or linear layer (channels, channels_in)."""

    weight: Floats
    bias: Floats | None = None
    norm: Norm | None = None

    def folded(self) -> tuple[Floats, Floats | None]:
        """The weight and bias of the same layer with its batch norm folded in."""
        if self.norm is None:
            return self.weight, self.bias
        gain = self.norm.scale / np.sqrt(self.norm.variance.astype(np.float64) + EPSILON)
        bias = 0.0 if self.bias is None else self.bias
        shift = self.norm.shift + (bias - self.norm.mean) * gain
        weight = self.weight * gain.reshape(-1, *[1] * (self.weight.ndim - 1))
        return weight.astype(np.float32), shift.astype(np.float32)


Weights = Mapping[int, LayerWeights]  # by the operator's index


def weights_of(ops: Sequence[Op], state: Mapping[str, Floats]) -> Weights:
    """The weights of a torch module of these operators, from the arrays of its state_dict()."""

    def layer(op: Op) -> LayerWeights:
        if op.kind == "linear":
            return LayerWeights(weight=state[f"{op.name}.linear.weight"], bias=state[f"{op.name}.linear.bias"])
        bias = state.get(f"{op.name}.conv.bias")
        norm = None
        if op.norm:
            norm = Norm(**{part: state[f"{op.name}.norm.{name}"] for part, name in _NORM_NAMES.items()})
        return LayerWeights(weight=state[f"{op.name}.conv.weight"], bias=bias, norm=norm)

    return {index: layer(op) for index, op in enumerate(ops) if op.kind in ("conv", "linear")}


def state_of(ops: Sequence[Op], weights: Weights) -> dict[str, Floats]:
    """The inverse of `weights_of`."""
    state = {}
    for index, layer in weights.items():
        name = f"{ops[index].name}.{ops[index].kind}"
        state[f"{name}.weight"] = layer.weight
        if layer.bias is not None:
            state[f"{name}.bias"] = layer.bias
        if layer.norm is not None:
            state |= {f"{ops[index].name}.norm.{at}": getattr(layer.norm, part) for part, at in _NORM_NAMES.items()}
    return state


_NORM_NAMES = {"scale": "weight", "shift": "bias", "mean": "running_mean", "variance": "running_var"}

# A batch norm's scale and variance are uniform in [0.5, 1.5]; the mean of scale^2 / variance is then 13/12 * ln 3.
_NORM_GAIN = (13 / 12 * np.log(3)) ** -0.5
_ADDED_GAIN = 0.3  # a branch adds about a tenth to its shortcut's variance
_GATE_GAIN = 0.25


def random_weights(ops: Sequence[Op], seed: int = 0) -> Weights:
    """Random weights for every convolution and linear layer, by He's rule on the inputs per group.

    The same seed gives the same weights.
    """
    random = np.random.default_rng(seed)
    added = _added(ops)

    def normal(*shape: int, std: float) -> Floats:
        drawn: Floats = random.standard_normal(shape, dtype=np.float32)
        return drawn * np.float32(std)

    def uniform(count: int, gain: float = 1.0) -> Floats:
        return (random.uniform(0.5, 1.5, count) * gain).astype(np.float32)

    weights = {}
    for index, op in enumerate(ops):
        if op.kind not in ("conv", "linear"):
            continue
        shape = weight_shape(op)
        fan_in = int(np.prod(shape[1:]))
        gain = (_NORM_GAIN if op.norm else 1.0) * (_ADDED_GAIN if index in added else 1.0)
        norm = None
        if op.norm:
            norm = Norm(
                scale=uniform(op.channels, gain),
                shift=normal(op.channels, std=0.1),
                mean=normal(op.channels, std=0.1),
                variance=uniform(op.channels),
            )
        std = (2 / fan_in) ** 0.5 * (_GATE_GAIN if op.activation in ("sigmoid", "hardsigmoid") else 1.0)
        bias = normal(op.channels, std=0.1) if op.bias else None
        weights[index] = LayerWeights(weight=normal(*shape, std=std), bias=bias, norm=norm)
    return weights


def _added(ops: Sequence[Op]) -> set[int]:
    """The operators whose tensors are added to another, directly or after a gate."""
    summed = {source for op in ops if op.kind == "add" for source in op.inputs}
    gated = {ops[index].inputs[0] for index in summed if ops[index].kind == "scale"}
    return summed | gated


def weight_shape(op: Op) -> tuple[int, ...]:
    """The shape of a layer's weight: (out, in / groups, k, k) of a convolution, (out, in) of a linear layer."""
    if op.kind == "linear":
        return op.channels, op.channels_in
    return op.channels, op.channels_in // op.groups, op.kernel, op.kernel
