"""The network that the tests of exports train and export, and its training."""

from __future__ import annotations

from pathlib import Path

import torch

from snsearch.network.arch import Architecture
from snsearch.network.torch_model import build_model
from snsearch.training.data import Batches, Dataset
from snsearch.training.weights_file import Training, write_weights
from tests.architectures import shufflenet

# Groups and SE differ per stage; the digits' images have 8 pixels a side and one channel.
SMALL = shufflenet(
    (1, 2, 4), 32, 64, 128, stem=8, se_reduction=(0, 8, 0), stage_repeats=(2, 2, 2), input_channels=1,
    resolution=(16, 16), classes=10, stem_pool=False, stem_stride=1,
)  # fmt: skip


def trained_on(digits: Dataset, arch: Architecture, path: Path) -> Path:
    """The weights file of a network after three epochs, in seconds."""
    torch.set_num_threads(1)
    network = build_model(arch, seed=0)
    batches = Batches(digits.train, "none", batch_size=64, seed=0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    for _ in range(3):
        for images, labels in batches:
            torch.nn.functional.cross_entropy(network(images), labels).backward()
            optimizer.step()
            optimizer.zero_grad()
    mean, std = digits.statistics
    training = Training(
        key=arch.key, classes=digits.classes, mean=mean, std=std, data="digits", recipe="test", seed=0
    )
    write_weights(path, network.state_dict(), training)
    return path
