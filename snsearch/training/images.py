"""Image files -> uint8 pixels of one size, whatever their mode; what cannot be read is listed by name. No torch.

Deep images (more than 8 bits a channel) are scaled by one rule for a whole data set, never per image: see Depth.
"""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from snsearch.training.found import Read

SUFFIXES = frozenset(Image.registered_extensions()) - {".pdf", ".eps", ".ps", ".mpg", ".mpeg"}
# Reading EPS starts Ghostscript, whatever the file is called.
_FORMATS = tuple(sorted(set(Image.ID) - {"EPS", "WMF"}))
GRAY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N", "F"})
_NEAR = 0.75  # an image at least this large a part of the wanted side is padded rather than enlarged
_LARGE = 2**24  # pixels; larger images are decoded one at a time, to bound memory
_one_large = threading.Lock()

Color = Literal["L", "RGB"]
Pixels = npt.NDArray[np.uint8]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Depth:
    """The values of a data set's deep images that become white.

    Integers: 2^bits - 1, where bits is the least of 8, 10, 12, 14, 16, 24 and 32 that holds every integer pixel of
    the data set. Floats: 1 where no float pixel exceeds 1, else 2^bits - 1 by the same rule. Below 0 is black.
    """

    integer: int = 65535
    floating: int = 1

    @classmethod
    def of(cls, integer: float, floating: float) -> Depth:
        """The depth for the largest integer pixel and the largest float pixel of a data set."""
        return cls(integer=_white(integer), floating=1 if floating <= 1 else _white(floating))


def _white(largest: float) -> int:
    return next((2**bits - 1 for bits in (8, 10, 12, 14, 16, 24) if largest <= 2**bits - 1), 2**32 - 1)


def _to_8_bit(image: Image.Image, depth: Depth) -> Image.Image:
    """The same picture with at most 8 bits a channel."""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64) * 255 // depth.integer
        return Image.fromarray(values.clip(0, 255).astype(np.uint8))
    if image.mode == "F":
        floats = _finite(image) * (255 / depth.floating)
        return Image.fromarray(floats.round().clip(0, 255).astype(np.uint8))
    return image


def _finite(image: Image.Image) -> npt.NDArray[np.float64]:
    values = np.asarray(image, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("floating-point pixels that are not finite")
    return values


def _flatten(image: Image.Image) -> Image.Image:
    """The picture on white where it has transparency."""
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layered = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered)
    return image


def is_padded(width: int, height: int, side: int) -> bool:
    """Whether an image of that size is padded to the side, rather than scaled and cropped."""
    return side * _NEAR <= width <= side and side * _NEAR <= height <= side


def fit(image: Image.Image, color: Color, side: int, depth: Depth) -> Pixels:
    """(C, side, side) pixels: turned upright, opaque, 8 bits, scaled to the shorter side and cropped in the middle.

    An image a little smaller than wanted is padded with black rather than enlarged, so that small data sets keep
    their pixels (28 to 32).
    """
    image = _flatten(_to_8_bit(ImageOps.exif_transpose(image), depth)).convert(color)
    width, height = image.size
    if min(width, height) < 1:
        raise ValueError("no pixels")
    if is_padded(width, height, side):
        left, top = (side - width) // 2, (side - height) // 2
        image = ImageOps.expand(image, (left, top, side - width - left, side - height - top), fill=0)
    else:
        image = ImageOps.fit(image, (side, side), Image.Resampling.BILINEAR)
    pixels = np.array(image, dtype=np.uint8)
    return pixels[None] if color == "L" else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _open(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data), formats=_FORMATS)


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """What an image's header says, a digest of its file, and the largest pixel of a deep image."""

    width: int
    height: int
    gray: bool
    digest: bytes
    integer: float = 0.0
    floating: float = 0.0
    cut: bool = False  # a color image of 16 bits a channel, of which Pillow reads the upper 8


def digest_of(data: bytes) -> bytes:
    """Eight bytes that tell one image's file from another's."""
    return blake2b(data, digest_size=8).digest()


def _head(data: bytes) -> Head:
    with _open(data) as image:
        integer = floating = 0.0
        width, height = image.size
        gray = image.mode in GRAY_MODES
        cut = not gray and ";16" in str(getattr(image, "tile", ""))
        if image.mode.startswith("I"):
            integer = float(np.asarray(image).max(initial=0))
        elif image.mode == "F":
            floating = float(_finite(image).max(initial=0.0))
    return Head(
        width=width, height=height, gray=gray, digest=digest_of(data), integer=integer, floating=floating, cut=cut
    )


def heads(read: Read, count: int) -> Iterator[Head | None]:
    """The header of each image in order; None for those that cannot be opened."""
    return (head for head, _ in _in_threads(lambda index: _head(read(index)), count))


def decoded(read: Read, count: int, color: Color, side: int, depth: Depth) -> Iterator[tuple[Pixels | None, str]]:
    """Pixels (C, side, side) of each image in order, or None and why there are none."""

    def one(index: int) -> Pixels:
        with _open(read(index)) as image, _one_large if image.width * image.height > _LARGE else nullcontext():
            return fit(image, color, side, depth)

    return _in_threads(one, count)


def _in_threads(work: Callable[[int], T], count: int) -> Iterator[tuple[T | None, str]]:
    """What the work gives for every index, in order, or None and the reason of its failure; 1,024 at a time."""

    def guarded(index: int) -> tuple[T | None, str]:
        try:
            return work(index), ""
        except MemoryError:
            raise
        except Exception as error:  # decoders raise anything on a file made or broken to that end
            return None, _reason(error)

    with _bombs_refused(), ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, count, 1024):
            yield from pool.map(guarded, range(start, min(start + 1024, count)))
