"""A network without its head, for detection and segmentation: its feature maps at several strides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from snsearch.network.graph import OpGraph
from snsearch.network.torch_model import Network, check_channels

MOST_FEATURES = 4  # of a network for images of 224 pixels: at the strides 4, 8, 16 and 32


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureInfo:
    """What a feature network returns, under the names that timm has for it."""

    dicts: tuple[dict[str, Any], ...]  # num_chs, reduction and module of each output

    def channels(self) -> list[int]:
        """Channels of each output."""
        return [one["num_chs"] for one in self.dicts]

    def reduction(self) -> list[int]:
        """Stride of each output against the image."""
        return [one["reduction"] for one in self.dicts]

    def module_name(self) -> list[str]:
        """The block that ends in each output."""
        return [one["module"] for one in self.dicts]

    def get_dicts(self) -> list[dict[str, Any]]:
        """All of it, a dictionary an output."""
        return [dict(one) for one in self.dicts]

    def __len__(self) -> int:
        return len(self.dicts)


class FeatureNetwork(nn.Module):
    """A network up to its head; submodules and parameters are the network's own, by the same names.

    Takes images (N, input_channels, H, W) and returns the last output at each of the four largest strides, each
    (N, channels, ceil(H / stride), ceil(W / stride)).

    Attributes:
        feature_info: channels, reduction and block of each output.
        channels: of each output.
        strides: of each output against the image.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.architecture = arch = network.architecture
        ops = OpGraph.of(arch).ops
        reductions = [1]
        ends: dict[int, int] = {}  # stride -> the last operator of the last block that has it
        for index, op in enumerate(ops[1:], start=1):
            if op.name.startswith("head."):
                break
            reductions.append(op.stride * max(reductions[source] for source in op.inputs))
            if _block(ops[index + 1].name) != _block(op.name):
                ends[reductions[index]] = index
        kept = dict(sorted(ends.items())[-MOST_FEATURES:])
        self.strides, self._ends = tuple(kept), tuple(kept.values())
        self.channels = tuple(ops[index].channels for index in self._ends)
        self.feature_info = FeatureInfo(
            dicts=tuple(
                {"num_chs": ops[index].channels, "reduction": stride, "module": _block(ops[index].name)}
                for stride, index in kept.items()
            )
        )
        self._steps = network._steps[: self._ends[-1]]
        for name, module in network.named_children():
            if name != "head":
                self.add_module(name, module)

    def forward(self, x_NCHW: Tensor) -> tuple[Tensor, ...]:
        check_channels(x_NCHW, self.architecture.input_channels)
        tensors: dict[int, Tensor] = {0: x_NCHW}
        features = []
        for index, (name, inputs, spent) in enumerate(self._steps, start=1):
            tensors[index] = self.get_submodule(name)(*[tensors[source] for source in inputs])
            if index in self._ends:
                features.append(tensors[index])
            for source in spent:
                del tensors[source]
        return tuple(features)


def _block(name: str) -> str:
    """The block of an operator, such as "stem" or "stage2.0"."""
    return name.rpartition(".")[0] if name.count(".") < 2 else ".".join(name.split(".")[:2])
