"""Image files -> uint8 pixels of one size, whatever their mode, with what could not be read listed by name."""

from __future__ import annotations

import io
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

SUFFIXES = frozenset(Image.registered_extensions()) - {".pdf", ".eps", ".ps", ".mpg", ".mpeg"}
GRAY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N", "F"})
_NEAR = 0.75  # an image at least this large a part of the wanted side is padded rather than enlarged

Color = Literal["L", "RGB"]
Pixels = npt.NDArray[np.uint8]
Read = Callable[[int], bytes]  # a file's bytes by its index


@dataclass(frozen=True, kw_only=True, slots=True)
class Skipped:
    """An image that could not be used, by name, and why."""

    name: str
    reason: str


def _to_8_bit(image: Image.Image) -> Image.Image:
    """The same picture with at most 8 bits a channel."""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        # 16-bit files are opened as I;16; some formats give 32-bit I, whatever depth they have.
        deep = image.mode.startswith("I;16") or values.max(initial=0) > 255
        values = values // 257 if deep else values
        return Image.fromarray(values.clip(0, 255).astype(np.uint8))
    if image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        if not np.isfinite(values).all():
            raise ValueError("floating-point pixels that are not finite")
        scale = 255.0 if values.max(initial=0.0) <= 1.0 else 1.0
        return Image.fromarray((values * scale).round().clip(0, 255).astype(np.uint8))
    return image


def _flatten(image: Image.Image) -> Image.Image:
    """The picture on white where it has transparency."""
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layered = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered)
    return image


def fit(image: Image.Image, color: Color, side: int) -> Pixels:
    """(C, side, side) pixels: turned upright, opaque, 8 bits, scaled to the shorter side and cropped in the middle.

    An image a little smaller than wanted is padded with black rather than enlarged, so that small data sets keep
    their pixels (28 to 32).
    """
    image = _flatten(_to_8_bit(ImageOps.exif_transpose(image))).convert(color)
    width, height = image.size
    if min(width, height) < 1:
        raise ValueError("no pixels")
    if side * _NEAR <= width <= side and side * _NEAR <= height <= side:
        left, top = (side - width) // 2, (side - height) // 2
        image = ImageOps.expand(image, (left, top, side - width - left, side - height - top), fill=0)
    else:
        image = ImageOps.fit(image, (side, side), Image.Resampling.BILINEAR)
    pixels = np.array(image, dtype=np.uint8)
    return pixels[None] if color == "L" else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _open(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@contextmanager
def _bombs_refused() -> Iterator[None]:
    """Makes a picture so large that Pillow takes it for an attack an error rather than a warning.

    Warning filters are the whole process's: this stands around the threads, not inside them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image that Pillow knows"
    return str(error) or type(error).__name__


def is_gray(read: Read, index: int) -> bool | None:
    """Whether the image has no color, by its header; None where it cannot be opened."""
    try:
        with _bombs_refused(), _open(read(index)) as image:
            return image.mode in GRAY_MODES
    except Exception:  # decoders raise anything on a file made or broken to that end
        return None


def available_memory() -> int:
    """Bytes of memory that are free now; a guess of 2 GiB where the system does not say."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return 2 * 1024**3


def allocate(shape: tuple[int, ...]) -> torch.Tensor:
    """An uint8 tensor of the shape: in memory where it takes at most half of what is free, else in a mapped file.

    The file has no name (it goes when the process ends).
    """
    size = int(np.prod(shape))
    if size <= available_memory() // 2:
        return torch.empty(shape, dtype=torch.uint8)
    with tempfile.NamedTemporaryFile(prefix="snsearch-pixels-") as file:
        file.truncate(size)
        return torch.from_file(file.name, shared=True, size=size, dtype=torch.uint8).view(shape)


def decode(
    names: Sequence[str],
    read: Read,
    color: Color,
    side: int,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[torch.Tensor, list[int], list[Skipped]]:
    """Pixels (N, C, side, side), the indices that they belong to, and what was skipped.

    `read` gives the file's bytes for an index; it and the decoding run in threads. Order is that of the names.
    """
    pixels = allocate((len(names), 1 if color == "L" else 3, side, side))

    def one(index: int) -> tuple[Pixels | None, str]:
        try:
            with _open(read(index)) as image:
                return fit(image, color, side), ""
        except Exception as error:  # decoders raise anything on a file made or broken to that end
            return None, _reason(error)

    kept: list[int] = []
    skipped: list[Skipped] = []
    with _bombs_refused(), ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(names), 1024):
            batch = range(start, min(start + 1024, len(names)))
            for index, (values, reason) in zip(batch, pool.map(one, batch), strict=True):
                if values is None:
                    skipped.append(Skipped(name=names[index], reason=reason))
                else:
                    pixels[len(kept)] = torch.from_numpy(values)
                    kept.append(index)
            if progress is not None:
                progress(min(start + 1024, len(names)), len(names))
    return pixels[: len(kept)], kept, skipped


def file_reader(paths: Sequence[Path]) -> Read:
    """Reads the bytes of a path by index."""
    return lambda index: paths[index].read_bytes()
