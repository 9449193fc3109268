"""OpGraph -> the source of a Python module that needs torch and safetensors only. Tensors keep their names."""

from __future__ import annotations

from collections.abc import Sequence
from pprint import pformat

from snsearch.network import Activation, AnyNetwork, Op, network_blocks

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
    """Convolution, batch norm, and activation; a bias instead of the batch norm where `norm` is False."""

    def __init__(
        self,
        channels_in: int,
        channels: int,
        groups: int,
        kernel: int,
        stride: int,
        activation: str = "",
        pad: int | None = None,
        norm: bool = True,
        bias: bool = False,
    ) -> None:
        super().__init__()
        pad = kernel // 2 if pad is None else pad
        self.conv = nn.Conv2d(channels_in, channels, kernel, stride, pad, groups=groups, bias=bias)
        self.norm = nn.BatchNorm2d(channels) if norm else nn.Identity()
        self.activation = getattr(functional, activation) if activation else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.norm(self.conv(x)))


class Dense(nn.Module):
    """Fully connected layer."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels_in, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)
'''
_FUNCTIONS = {
    "max_pool": "functional.max_pool2d({0}, {kernel}, {stride}, {pad}{ceil})",
    "avg_pool": "functional.avg_pool2d({0}, {kernel}, {stride}, {pad})",
    "global_pool": "{0}.mean(dim=(2, 3))",
    "add": "{0} + {1}",
    "concat": "torch.cat(({all}), dim=1)",
    "scale": "{0} * {1}[:, :, None, None]",
    "slice": "{0}[:, {offset}:{end}]",
    "flatten": "{0}.flatten(1)",
    "activate": "{0}",
}
_ACTIVATIONS: dict[Activation, str] = {  # torch.nn.functional's names
    "none": "",
    "relu": "relu",
    "relu6": "relu6",
    "sigmoid": "sigmoid",
    "swish": "silu",
    "hardsigmoid": "hardsigmoid",
    "hardswish": "hardswish",
}
_LINE = 118


def torch_source(
    arch: AnyNetwork,
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
    for block in network_blocks(arch):
        ops = block.ops
        body = _body(ops)
        if body not in classes_of:
            units = sum(name.startswith("Unit") for name in classes_of.values())
            classes_of[body] = f"Unit{units + 1}" if block.is_unit else block.name.title()
        call = f"{classes_of[body]}({', '.join(_given(ops))})"
        parts.setdefault(block.name, []).append(
            call if block.repeats == 1 else f"*({call} for _ in range({block.repeats}))"
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
        if name not in ("stem", "head"):
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
            rest = f"kernel={op.kernel}, stride={op.stride}"
            rest += f', activation="{_ACTIVATIONS[op.activation]}"' if op.activation != "none" else ""
            rest += f", pad={op.padding}" if op.padding is not None else ""
            rest += "" if op.norm else f", norm=False, bias={op.bias}"
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
        made = _FUNCTIONS[op.kind].format(
            *read,
            all=", ".join(read),
            kernel=op.kernel,
            stride=op.stride,
            pad=op.pad,
            ceil=", ceil_mode=True" if op.ceil else "",
            offset=op.offset,
            end=op.offset + op.channels,
        )
    else:
        owner, _, leaf = op.name.rpartition(".")
        made = f'self.{owner}["{leaf}"]({read[0]})' if owner else f"self.{op.name}({read[0]})"
    alone = op.activation == "none" or op.kind == "conv"
    return made if alone else f"functional.{_ACTIVATIONS[op.activation]}({made})"
