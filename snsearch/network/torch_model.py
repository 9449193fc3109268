"""OpGraph -> torch module, with exactly the operators and parameters that the cost report counts."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from snsearch.network.graph import OpGraph
from snsearch.network.known.named import AnyNetwork
from snsearch.network.operators import Activation, Op


def _activate(x: Tensor, activation: Activation) -> Tensor:
    """The activation of a tensor that nothing else reads."""
    match activation:
        case "none":
            return x
        case "relu":
            return functional.relu(x, inplace=True)
        case "relu6":
            return functional.relu6(x, inplace=True)
        case "sigmoid":
            return torch.sigmoid(x)
        case "swish":
            return functional.silu(x)
        case "hardsigmoid":
            return functional.hardsigmoid(x)
        case "hardswish":
            return functional.hardswish(x)


class ConvNorm(nn.Module):
    """Convolution, batch norm where the operator has one, and activation."""

    def __init__(self, op: Op) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            op.channels_in, op.channels, op.kernel, op.stride, op.pad, groups=op.groups, bias=op.bias
        )
        self.norm = nn.BatchNorm2d(op.channels) if op.norm else nn.Identity()
        self.activation: Activation = op.activation

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return _activate(self.norm(self.conv(x_NCHW)), self.activation)


class Dense(nn.Module):
    """Fully connected layer on a pooled tensor (N, C), and activation."""

    def __init__(self, op: Op) -> None:
        super().__init__()
        self.linear = nn.Linear(op.channels_in, op.channels)
        self.activation: Activation = op.activation

    def forward(self, x_NC: Tensor) -> Tensor:
        return _activate(self.linear(x_NC), self.activation)


class GlobalPool(nn.Module):
    """Global average pooling from (N, C, H, W) to (N, C)."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        pooled: Tensor = self.pool(x_NCHW)
        return pooled.flatten(1)


class Add(nn.Module):
    """Element-wise sum, and activation."""

    def __init__(self, op: Op) -> None:
        super().__init__()
        self.activation: Activation = op.activation

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return _activate(left + right, self.activation)


class Concat(nn.Module):
    """Channel concatenation, and activation."""

    def __init__(self, op: Op) -> None:
        super().__init__()
        self.activation: Activation = op.activation

    def forward(self, *parts: Tensor) -> Tensor:
        return _activate(torch.cat(parts, dim=1), self.activation)


class Slice(nn.Module):
    """Some of the channels."""

    def __init__(self, op: Op) -> None:
        super().__init__()
        self.first, self.channels = op.offset, op.channels

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return x_NCHW[:, self.first : self.first + self.channels]


class Activate(nn.Module):
    """An activation of a tensor that others may read too."""

    def __init__(self, op: Op) -> None:
        super().__init__()
        self.activation: Activation = op.activation

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x) if self.activation == "relu" else _activate(x, self.activation)


class Scale(nn.Module):
    """Each channel times its gate of shape (N, C)."""

    def forward(self, x_NCHW: Tensor, gate_NC: Tensor) -> Tensor:
        return x_NCHW * gate_NC[:, :, None, None]


def _module(op: Op) -> nn.Module:
    match op.kind:
        case "conv":
            return ConvNorm(op)
        case "linear":
            return Dense(op)
        case "max_pool":
            return nn.MaxPool2d(op.kernel, op.stride, padding=op.pad, ceil_mode=op.ceil)
        case "avg_pool":
            return nn.AvgPool2d(op.kernel, op.stride, padding=op.pad)
        case "global_pool":
            return GlobalPool()
        case "channel_shuffle":
            return nn.ChannelShuffle(op.groups)  # as in the paper: view as (g, C/g), transpose, flatten
        case "add":
            return Add(op)
        case "concat":
            return Concat(op)
        case "scale":
            return Scale()
        case "slice":
            return Slice(op)
        case "flatten":
            return nn.Flatten()
        case "activate":
            return Activate(op)
        case "input":
            raise AssertionError("the input is not an operator")


def check_channels(x_NCHW: Tensor, expected: int) -> None:
    """Raises ValueError for images of other channels. While torch traces a module, shapes may be no numbers."""
    channels = x_NCHW.shape[1]
    if isinstance(channels, int) and channels != expected:
        raise ValueError(f"the network takes {expected}-channel images; these have {channels}")


class Network(nn.Module):
    """A torch module that runs a graph's operators in order; submodules have the operators' names.

    Takes images (N, input_channels, H, W) of any size from which the strides leave a pixel, and returns logits
    (N, classes).
    """

    def __init__(self, graph: OpGraph) -> None:
        super().__init__()
        self.architecture: AnyNetwork = graph.architecture
        last_reader = {source: index for index, op in enumerate(graph.ops) for source in op.inputs}
        steps = []
        for index, op in enumerate(graph.ops[1:], start=1):
            self._attach(op.name, _module(op))
            spent = tuple(source for source in dict.fromkeys(op.inputs) if last_reader[source] == index)
            steps.append((op.name, op.inputs, spent))
        self._steps = tuple(steps)

    def _attach(self, name: str, module: nn.Module) -> None:
        owner: nn.Module = self
        *path, leaf = name.split(".")
        for part in path:
            if part not in owner._modules:
                owner.add_module(part, nn.Module())
            owner = owner.get_submodule(part)
        owner.add_module(leaf, module)

    @property
    def _body(self) -> int:
        """The steps before the head."""
        return next(index for index, (name, _, _) in enumerate(self._steps) if name.startswith("head."))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x_NCHW))

    def forward_features(self, x_NCHW: Tensor) -> Tensor:
        """The last stage's output, (N, channels, H / stride, W / stride): what the head reads."""
        check_channels(x_NCHW, self.architecture.input_channels)
        tensors: dict[int, Tensor] = {0: x_NCHW}
        return self._run(tensors, 0, self._body)

    def forward_head(self, features_NCHW: Tensor, pre_logits: bool = False) -> Tensor:
        """Logits (N, classes) of what forward_features returns; before the last layer with `pre_logits`."""
        first, last = self._body, len(self._steps)
        if pre_logits:
            last = max(index for index in range(first, last) if isinstance(self._layer(index), Dense | ConvNorm))
        return self._run({first: features_NCHW}, first, last)

    def _run(self, tensors: dict[int, Tensor], first: int, last: int) -> Tensor:
        """Runs the steps from `first` up to `last`, and returns the last one's tensor."""
        for index, (name, inputs, spent) in enumerate(self._steps[first:last], start=first + 1):
            tensors[index] = self.get_submodule(name)(*[tensors[source] for source in inputs])
            for source in spent:
                del tensors[source]
        return tensors[last]

    def _layer(self, step: int) -> nn.Module:
        return self.get_submodule(self._steps[step][0])

    @property
    def classifier(self) -> str:
        """The name of the last layer with weights."""
        names = (name for name, _, _ in reversed(self._steps))
        return next(name for name in names if isinstance(self.get_submodule(name), Dense | ConvNorm))

    def reset_classifier(self, num_classes: int, seed: int = 0) -> None:
        """Replaces the last layer by one of that many classes, initialised from the seed; all else stays.

        Raises SpecError if the number is no positive one.
        """
        self.architecture = replace(self.architecture, classes=num_classes)
        like = next(self.parameters())
        fresh = build_model(self.architecture, seed)
        name = self.classifier
        owner, _, leaf = name.rpartition(".")
        new = fresh.get_submodule(name).to(device=like.device, dtype=like.dtype).train(self.training)
        setattr(self.get_submodule(owner), leaf, new)


def initialise(network: Network, seed: int, *, zero_start: bool = True) -> None:
    """Initialises every weight from the seed, with the same values on every device.

    Convolutions follow He's rule (arXiv:1502.01852) on the inputs per group; the classifier starts small.

    Args:
        network: is changed in place.
        seed: of the weights.
        zero_start: initialise the last batch norm of each added residual branch to zero, so that the unit begins
            as its shortcut (arXiv:1706.02677, section 5.1).
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(tensor: Tensor, std: float) -> None:
        tensor.copy_(torch.randn(tensor.shape, generator=generator) * std)

    branch_ends = {op.name for op in OpGraph.of(network.architecture).ops if op.ends_branch}
    with torch.no_grad():
        for name, module in network.named_modules():
            if isinstance(module, ConvNorm):
                fan_in = module.conv.weight[0].numel()
                normal(module.conv.weight, (2 / fan_in) ** 0.5)
                if module.conv.bias is not None:
                    nn.init.zeros_(module.conv.bias)
                if isinstance(module.norm, nn.BatchNorm2d):
                    module.norm.reset_running_stats()
                    nn.init.constant_(module.norm.weight, 0.0 if zero_start and name in branch_ends else 1.0)
                    nn.init.zeros_(module.norm.bias)
            elif isinstance(module, Dense):
                last = name == network._steps[-1][0]
                normal(module.linear.weight, 0.01 if last else module.linear.in_features**-0.5)
                nn.init.zeros_(module.linear.bias)


def build_model(arch: AnyNetwork, seed: int = 0, *, zero_start: bool = True) -> Network:
    """The initialised torch module of a network, on the CPU, in training mode.

    Neither reads nor changes torch's global random state. `seed` and `zero_start` are those of `initialise`.

    Raises SpecError where groups do not divide channels.
    """
    with torch.device("meta"):
        network = Network(OpGraph.of(arch))
    network.to_empty(device="cpu")
    initialise(network, seed, zero_start=zero_start)
    return network
