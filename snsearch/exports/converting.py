"""The converters of LiteRT and ExecuTorch, in a process of their own.

They print much, and change torch as they load.

python -m snsearch.exports.converting litert WEIGHTS FILE
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from snsearch.engine import INPUT, OUTPUT
from snsearch.errors import ExportError
from snsearch.network import Network, Op, OpGraph, build_model, network_of
from snsearch.training import load_into, read_weights

_LIMIT_S = 3600


def convert(to: str, weights: Path, file: Path) -> None:
    """Writes a weights file's network in a format. Raises ExportError where its converter fails."""
    command = [sys.executable, "-m", __name__, to, str(weights), str(file)]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, errors="replace", check=False)
    except subprocess.TimeoutExpired:
        raise ExportError(f"the converter to {to} did not end within {_LIMIT_S} s") from None
    if ran.returncode or not file.is_file():
        said = [line.strip() for line in ran.stderr.splitlines() if line.strip()]
        why = said[-1] if said else f"exit code {ran.returncode}"
        raise ExportError(f"the converter to {to} failed: {why}")


class Shuffle(nn.Module):
    """The channel shuffle on channels that come last, as LiteRT's kernels have them: one TRANSPOSE, not three."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x_NCHW: Tensor) -> Tensor:
        n, channels, height, width = x_NCHW.shape
        apart = x_NCHW.permute(0, 2, 3, 1).reshape(n, height, width, self.groups, channels // self.groups)
        return apart.transpose(3, 4).reshape(n, height, width, channels).permute(0, 3, 1, 2)


class ChannelsLast(nn.Module):
    """A network for images (1, H, W, C); the converter names tensors after its submodules, "op" and an index."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._ops: tuple[Op, ...] = OpGraph.of(network.architecture).ops
        for index, op in enumerate(self._ops[1:], start=1):
            shuffles = op.kind == "channel_shuffle"
            self.add_module(f"op{index}", Shuffle(op.groups) if shuffles else network.get_submodule(op.name))

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        tensors = [image.permute(0, 3, 1, 2)]
        for index, op in enumerate(self._ops[1:], start=1):
            tensors.append(self.get_submodule(f"op{index}")(*[tensors[source] for source in op.inputs]))
        return {OUTPUT: tensors[-1]}


def _litert(network: Network, file: Path) -> None:
    import litert_torch

    arch = network.architecture
    image = torch.zeros(1, *arch.resolution, arch.input_channels)
    litert_torch.convert(ChannelsLast(network).eval(), sample_kwargs={INPUT: image}).export(str(file))


def _executorch(network: Network, file: Path) -> None:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    arch = network.architecture
    program = torch.export.export(network, (torch.zeros(1, arch.input_channels, *arch.resolution),))
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    file.write_bytes(lowered.to_executorch().buffer)


_CONVERTERS: dict[str, Callable[[Network, Path], None]] = {"litert": _litert, "executorch": _executorch}


def main() -> None:
    """Converts what the command line names."""
    to, weights, file = sys.argv[1:]
    state, training = read_weights(Path(weights))
    assert training is not None, "the parent wrote it"
    network = build_model(network_of(training.key)).eval()
    load_into(network, state, weights)
    with torch.no_grad():
        _CONVERTERS[to](network, Path(file))


if __name__ == "__main__":
    main()
