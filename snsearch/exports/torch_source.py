"""OpGraph -> the source of a Python module that needs torch and safetensors only, with the same tensors by name."""

from __future__ import annotations

from collections.abc import Sequence
from pprint import pformat

from snsearch.network import Architecture, Op, block_ops, blocks

_HEAD = '''"""{key}

Written by snsearch {version}; needs torch and safetensors, and not snsearch. The weights are in {weights}.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

CHANNELS, HEIGHT, WIDTH = {channels}, {height}, {width}  # of the image
MEAN = {mean}  # per channel, of pixels from 0 to 255
STD = {std}
CLASSES = {classes}


def load(weights: Path = Path(__file__).with_name("{weights}")) -> "Network":
    """The network with its weights, ready to classify."""
    network = Network()
    network.load_state_dict(load_file(weights))
    return network.eval()


def normalise(pixels_NCHW: Tensor) -> Tensor:
    """What the network takes, from pixels of 0 to 255."""
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (MEAN, STD))
    return (pixels_NCHW.float() - mean) / std


class ConvNorm(nn.Module):
    """"Same"-padded convolution, batch norm, and ReLU where asked."""

    def __init__(self, channels_in: int, channels: int, groups: int, kernel: int, stride: int, relu: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return functional.relu(x) if self.relu else x


class Dense(nn.Module):
    """Fully connected layer."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels_in, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)
'''
_FUNCTIONS = {
    "max_pool": "functional.max_pool2d({0}, {kernel}, {stride}, {pad})",
    "avg_pool": "functional.avg_pool2d({0}, {kernel}, {stride}, {pad})",
    "global_pool": "{0}.mean(dim=(2, 3))",
    "add": "{0} + {1}",
    "concat": "torch.cat(({0}, {1}), dim=1)",
    "scale": "{0} * {1}[:, :, None, None]",
}
_ACTIVATIONS = {"relu": "functional.relu({})", "sigmoid": "torch.sigmoid({})"}
_LINE = 118


def torch_source(
    arch: Architecture,
    *,
    weights: str,
    mean: Sequence[float],
    std: Sequence[float],
    classes: Sequence[str],
    version: str,
) -> str:
    """The source of a module with a class Network, and `load`, which reads the file `weights` beside it."""
    height, width = arch.resolution
    head = _HEAD.format(
        key=arch.key,
        version=version,
        weights=weights,
        channels=arch.input_channels,
        height=height,
        width=width,
        mean=list(mean),
        std=list(std),
        classes=pformat(list(classes), width=_LINE - 10, compact=True),
    )
    classes_of: dict[str, str] = {}  # the class of each structure
    parts: dict[str, list[str]] = {}  # of the network: calls of constructors
    for placed in blocks(arch):
        ops = block_ops(arch, placed.spec)
        body = _body(ops)
        if body not in classes_of:
            units = sum(name.startswith("Unit") for name in classes_of.values())
            classes_of[body] = f"Unit{units + 1}" if placed.spec.kind == "unit" else placed.name.title()
        call = f"{classes_of[body]}({', '.join(_given(ops))})"
        parts.setdefault(placed.name, []).append(
            call if placed.repeats == 1 else f"*({call} for _ in range({placed.repeats}))"
        )
    defined = [f"\n\nclass {name}(nn.Module):\n{body}" for body, name in classes_of.items()]
    return head + "".join(defined) + _network(parts)


def _network(parts: dict[str, list[str]]) -> str:
    """The class of the whole network."""
    lines = [
        "",
        "",
        "class Network(nn.Module):",
        '    """Images (N, CHANNELS, H, W), normalised -> logits (N, classes)."""',
    ]
    lines += ["", "    def __init__(self) -> None:", "        super().__init__()"]
    for name, calls in parts.items():
        if name.startswith("stage"):
            inside = "".join(f"            {call},\n" for call in calls)
            lines.append(f"        self.{name} = nn.Sequential(\n{inside}        )")
        else:
            lines.append(f"        self.{name} = {calls[0]}")
    lines += ["", "    def forward(self, x: Tensor) -> Tensor:"]
    lines += [f"        x = self.{name}(x)" for name in parts]
    return "\n".join([*lines, "        return x", ""])


def _layers(ops: Sequence[Op]) -> list[Op]:
    return [op for op in ops if op.kind in ("conv", "linear")]


def _argument(op: Op) -> str:
    return op.name.replace(".", "_")


def _given(ops: Sequence[Op]) -> list[str]:
    """The arguments of a block's constructor: channels in and out of its layers, and groups."""
    given = []
    for op in ops:
        if op.kind == "conv":
            given.append(f"{_argument(op)}=({op.channels_in}, {op.channels}, {op.groups})")
        elif op.kind == "linear":
            given.append(f"{_argument(op)}=({op.channels_in}, {op.channels})")
        elif op.kind == "channel_shuffle":
            given.append(f"{_argument(op)}={op.groups}")
    return given


def _body(ops: Sequence[Op]) -> str:
    """What is below the head of a block's class."""
    parameters, made = [], []
    nested: dict[str, list[str]] = {}
    for op in ops:
        if op.kind == "conv":
            parameters.append(f"{_argument(op)}: tuple[int, int, int]")
            rest = f"kernel={op.kernel}, stride={op.stride}, relu={op.activation == 'relu'}"
            made.append(f"        self.{op.name} = ConvNorm(*{_argument(op)}, {rest})")
        elif op.kind == "channel_shuffle":
            parameters.append(f"{_argument(op)}: int")
            made.append(f"        self.{op.name} = nn.ChannelShuffle({_argument(op)})")
        elif op.kind == "linear":
            parameters.append(f"{_argument(op)}: tuple[int, int]")
            owner, _, leaf = op.name.rpartition(".")
            if owner:
                nested.setdefault(owner, []).append(f'"{leaf}": Dense(*{_argument(op)})')
            else:
                made.append(f"        self.{op.name} = Dense(*{_argument(op)})")
    made += [f"        self.{owner} = nn.ModuleDict({{{', '.join(inside)}}})" for owner, inside in nested.items()]
    signature = f"    def __init__(self, *, {', '.join(parameters)}) -> None:"
    if len(signature) > _LINE:
        signature = "    def __init__(\n        self,\n        *,\n"
        signature += "".join(f"        {parameter},\n" for parameter in parameters) + "    ) -> None:"
    steps = [f"        {_argument(op)} = {_step(op, ops)}" for op in ops[1:]]
    return "\n".join(
        [
            signature,
            "        super().__init__()",
            *made,
            "",
            "    def forward(self, x: Tensor) -> Tensor:",
            *steps,
            f"        return {_argument(ops[-1])}",
            "",
        ]
    )


def _step(op: Op, ops: Sequence[Op]) -> str:
    """The expression of an operator's tensor."""
    read = [_argument(ops[source]) if source else "x" for source in op.inputs]
    if op.kind in _FUNCTIONS:
        made = _FUNCTIONS[op.kind].format(*read, kernel=op.kernel, stride=op.stride, pad=op.kernel // 2)
    else:
        owner, _, leaf = op.name.rpartition(".")
        made = f'self.{owner}["{leaf}"]({read[0]})' if owner else f"self.{op.name}({read[0]})"
    return made if op.activation == "none" or op.kind == "conv" else _ACTIVATIONS[op.activation].format(made)
