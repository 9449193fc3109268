"""A network without its head, for detection and segmentation: the outputs of its stem and stages."""

from __future__ import annotations

from torch import Tensor, nn

from snsearch.network.graph import OpGraph
from snsearch.network.torch_model import Network, check_channels


class FeatureNetwork(nn.Module):
    """The stem and stages of a network; submodules and parameters are the network's own, by the same names.

    Takes images (N, input_channels, H, W) and returns the outputs of the stem and of every stage, each
    (N, channels, ceil(H / stride), ceil(W / stride)).

    Attributes:
        channels: of each output.
        strides: of each output against the image.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.architecture = arch = network.architecture
        for name, module in network.named_children():
            if name != "head":
                self.add_module(name, module)
        ops = OpGraph.of(arch).ops
        last_of_block = {op.name.partition(".")[0]: index for index, op in enumerate(ops)}
        self._ends = tuple(index for name, index in last_of_block.items() if name not in ("input", "head"))
        self._steps = network._steps[: self._ends[-1]]
        strides = [arch.stem_stride * (2 if arch.stem_pool else 1)]
        for stride in arch.stage_strides:
            strides.append(strides[-1] * stride)
        self.strides = tuple(strides)
        self.channels = tuple(ops[index].channels for index in self._ends)

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
