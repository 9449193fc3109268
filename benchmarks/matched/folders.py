"""Writes image folders that `snsearch --data` reads: SPLIT/CLASS/NUMBER.png."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]  # (H, W, 3)


def write_split(folder: Path, split: str, images: Iterable[tuple[str, Pixels]]) -> int:
    """The number of images written; each is a class name and its pixels."""
    count = 0
    for count, (label, pixels) in enumerate(images, start=1):
        path = folder / split / label / f"{count - 1:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, compress_level=1)
    return count
