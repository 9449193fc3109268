"""How a network does on images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from snsearch.training.data import Batches, Images


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """How a network does on some images."""

    correct: Tensor  # (N,) bool
    error: float
    loss: float  # mean cross-entropy
    balanced_error: float  # mean over the classes of each one's share of wrong images


def evaluate(network: nn.Module, images: Images, batches: Batches, batch_size: int = 256) -> Evaluation:
    """A network on images, in evaluation mode; the network's mode is restored."""
    was_training = network.training
    network.eval()
    missed = torch.zeros(len(images), dtype=torch.bool, device=images.labels.device)
    loss = torch.zeros((), dtype=torch.float32, device=images.labels.device)
    with torch.inference_mode():
        for start in range(0, len(images), batch_size):
            labels = images.labels[start : start + batch_size]
            pixels = images.pixels[start : start + batch_size].contiguous(memory_format=torch.channels_last)
            logits = network(batches.normalise(pixels))
            missed[start : start + batch_size] = logits.argmax(1) != labels
            loss += nn.functional.cross_entropy(logits, labels, reduction="sum")
    network.train(was_training)
    per_class = torch.bincount(images.labels)
    wrong_per_class = torch.bincount(images.labels[missed], minlength=len(per_class))
    shares = (wrong_per_class[per_class > 0] / per_class[per_class > 0]).tolist()
    return Evaluation(
        correct=~missed,
        error=int(missed.sum()) / len(images),
        loss=float(loss) / len(images),
        balanced_error=sum(shares) / len(shares),
    )
