"""Data sets in memory as uint8 tensors, and the augmented batches drawn from them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from snsearch.network import Architecture
from snsearch.training.description import Description
from snsearch.training.found import Augmentation, Skipped


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Images:
    """One split: pixels (N, C, H, W) uint8 and labels (N,) int64."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"<{len(self):,} images of {'x'.join(map(str, self.pixels.shape[1:]))}>"

    def take(self, indices: Tensor) -> Images:
        """The images of those indices."""
        return Images(pixels=self.pixels[indices], labels=self.labels[indices])

    def to(self, device: torch.device) -> Images:
        """The split on a device."""
        return Images(pixels=self.pixels.to(device), labels=self.labels.to(device))


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Dataset:
    """The images of a data set by split, and where they come from.

    A search trains on `train` and chooses by `scored`; `test` is for the error of the networks that were chosen.
    """

    name: str
    source: str
    classes: tuple[str, ...]
    train: Images
    test: Images
    augmentation: Augmentation
    validation: Images | None = None
    # Published figures of this data set are test errors of networks that were trained on all training images: `train`
    # holds the validation images too.
    scored_on_test: bool = False
    description: Description | None = None
    manifest: bytes = b""  # of the images' files; see manifest.py

    def __repr__(self) -> str:
        return f"<{self.describe()}>"

    @property
    def scored(self) -> Images:
        """The images that a search chooses by: validation, or test where there are no others."""
        if self.scored_on_test or self.validation is None or not len(self.validation):
            return self.test
        return self.validation

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Files that are not used, the unreadable images first."""
        return () if self.description is None else self.description.skipped

    @property
    def channels(self) -> int:
        """Channels of the images: 1 where none has color, else 3."""
        return int(self.train.pixels.shape[1])

    @property
    def side(self) -> int:
        """Pixels per side."""
        return int(self.train.pixels.shape[2])

    def network(self, arch: Architecture) -> Architecture:
        """A network with the channels, resolution and classes of these images."""
        return arch.at_input(channels=self.channels, resolution=(self.side, self.side), classes=len(self.classes))

    @property
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation per channel of the training images: what `Batches` normalises by."""
        mean, deviation = _statistics(self.train)
        return tuple(mean.flatten().tolist()), tuple(deviation.flatten().tolist())

    def fingerprint(self) -> str:
        """Sixteen hex digits that change with any pixel or label."""
        digest = hashlib.sha256()
        for split in (self.train, self.test, None if self.scored_on_test else self.validation):
            if split is None:
                continue
            digest.update(repr(tuple(split.pixels.shape)).encode())
            for start in range(0, len(split), 4096):
                digest.update(split.pixels[start : start + 4096].contiguous().numpy().tobytes())
            digest.update(split.labels.numpy().tobytes())
        return digest.hexdigest()[:16]

    def describe(self) -> str:
        """Name, sizes and classes in a line."""
        validation = "" if self.scored is self.test else f", {len(self.scored):,} validation"
        return (
            f"{self.name}: {len(self.train):,} training{validation} and {len(self.test):,} test images, "
            f"{len(self.classes)} classes, {self.channels}x{self.side}x{self.side}"
        )


class Batches:
    """Augmented training batches, drawn and assembled on the device that holds the images.

    A batch is one gather: for each image, the rows and columns of a shifted and perhaps mirrored window. The order
    and the augmentation depend on the seed alone, not on the device.
    """

    def __init__(self, images: Images, augmentation: Augmentation, *, batch_size: int, seed: int) -> None:
        assert augmentation in get_args(Augmentation)
        self._images = images
        self._augmentation = augmentation
        self._batch_size = min(batch_size, len(images))
        self._generator = torch.Generator().manual_seed(seed)
        self._order = torch.empty(0, dtype=torch.int64)  # of the pass under way, what is left of it
        self._mean, self._std = _statistics(images)

    def __len__(self) -> int:
        return len(self._images) // self._batch_size

    @property
    def state(self) -> dict[str, Tensor]:
        """Where the drawing is, to continue from."""
        return {"random": self._generator.get_state(), "order": self._order.to(torch.int32)}

    @state.setter
    def state(self, value: dict[str, Tensor]) -> None:
        self._generator.set_state(value["random"].cpu())
        self._order = value["order"].cpu().long()

    @property
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation per channel, of pixels from 0 to 255: what `normalise` takes."""
        return tuple(self._mean.flatten().tolist()), tuple(self._std.flatten().tolist())

    def draw(self) -> tuple[Tensor, Tensor]:
        """The next batch: normalised (B, C, H, W) float32, channels_last, and labels (B,).

        Behind the last whole batch of a pass, the next one begins, in a new order.
        """
        return self.gather(*self.place())

    def place(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of the next batch, on the CPU: the images (B,), and the rows and columns (B, side) of each one's window.

        Rows and columns outside of an image are black.
        """
        if len(self._order) < self._batch_size:
            self._order = torch.randperm(len(self._images), generator=self._generator)
        indices, self._order = self._order.tensor_split([self._batch_size])
        count, side = len(indices), self._images.pixels.shape[-1]
        steps = torch.arange(side)
        if self._augmentation == "none":
            return indices, steps.expand(count, side), steps.expand(count, side)
        reach = max(1, side // 16) if "crop" in self._augmentation else 0
        shift = torch.randint(-reach, reach + 1, (2, count, 1), generator=self._generator)
        mirror = torch.rand((count, 1), generator=self._generator) < (0.5 if "flip" in self._augmentation else 0.0)
        return indices, steps + shift[0], torch.where(mirror, side - 1 - steps, steps) + shift[1]

    def gather(self, indices: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """The batch of a place: normalised (B, C, H, W) float32, channels_last, and labels (B,)."""
        pixels, labels = self._images.pixels, self._images.labels
        indices = indices.to(pixels.device)
        if self._augmentation == "none":
            return self.normalise(pixels[indices].contiguous(memory_format=torch.channels_last)), labels[indices]
        rows, columns, last = rows.to(pixels.device), columns.to(pixels.device), pixels.shape[-1] - 1
        inside = ((rows >= 0) & (rows <= last))[:, :, None] & ((columns >= 0) & (columns <= last))[:, None, :]
        rows, columns = rows.clamp(0, last), columns.clamp(0, last)
        x_NHWC = pixels[indices[:, None, None], :, rows[:, :, None], columns[:, None, :]] * inside[..., None]
        return self.normalise(x_NHWC.permute(0, 3, 1, 2)), labels[indices]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass."""
        return (self.draw() for _ in range(len(self)))

    def normalise(self, x_NCHW: Tensor) -> Tensor:
        """Float32, scaled to mean 0 and deviation 1 per channel of the training images."""
        return (x_NCHW.float() - self._mean) / self._std


def _statistics(images: Images) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation per channel of the first 8,192 training images, shaped (1, C, 1, 1)."""
    sample = images.pixels[:8192].float()
    mean = sample.mean(dim=(0, 2, 3), keepdim=True)
    deviation = sample.std(dim=(0, 2, 3), keepdim=True, correction=0)
    return mean, deviation.clamp_min(1.0)
