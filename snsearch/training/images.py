"""Image files -> uint8 pixels of one size, whatever their mode; what cannot be read is listed by name. No torch.

Deep images (more than 8 bits a channel) are scaled by one rule for a whole data set, never per image: see Depth.
"""

from __future__ import annotations

import io
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal, TypeVar

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
_UPPER = np.uint16(256)  # what the upper byte counts
# Of 16 bits a channel in color, Pillow keeps the first byte or the second, as the raw mode says. Raw modes that keep
# the upper byte, and those that keep the lower one of the same file.
_LOWER_BYTE = {
    f"{mode};16{end}": f"{mode};16{other}"
    for mode in ("RGB", "RGBX", "RGBA", "CMYK")
    for end, other in (("B", "L"), ("L", "B"), ("N", "B" if sys.byteorder == "little" else "L"))
} | {"LA;16B": "RGBA"}  # all four bytes

Color = Literal["L", "RGB"]
Pixels = npt.NDArray[np.uint8]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Depth:
    """The values of a data set's deep images that become white.

    Integers: 2^bits - 1, where bits is the least of 8, 10, 12, 14, 16, 24 and 32 that holds every integer pixel of
    the data set, in gray or in any color. Floats: 1 where no float pixel exceeds 1, else 2^bits - 1 by the same rule.
    Below 0 is black; opacity has 16 bits.
    """

    integer: int = 65535
    floating: int = 1

    @classmethod
    def of(cls, integer: float, floating: float) -> Depth:
        """The depth for the largest integer pixel and the largest float pixel of a data set."""
        return cls(integer=_white(integer), floating=1 if floating <= 1 else _white(floating))


def _white(largest: float) -> int:
    return next((2**bits - 1 for bits in (8, 10, 12, 14, 16, 24) if largest <= 2**bits - 1), 2**32 - 1)


def _raw_mode(image: Image.Image) -> str:
    """How an image's file holds its pixels, in Pillow's words; empty where that is not said."""
    if not (tiles := getattr(image, "tile", None)):
        return ""
    said = tiles[0][3]
    return str(said[0] if isinstance(said, tuple) and said else said)


def _wide(data: bytes, image: Image.Image) -> npt.NDArray[np.uint16]:
    """(C, H, W) pixels of an opened color image of 16 bits a channel: RGB, RGBA or CMYK, turned upright."""
    raw, key = _raw_mode(image), image.info.get("transparency")
    with _open(data) as second:
        second.tile = [  # type: ignore[attr-defined]  # of every image that is read from a file
            tile._replace(
                args=(_LOWER_BYTE[raw], *tile.args[1:]) if isinstance(tile.args, tuple) else _LOWER_BYTE[raw]
            )
            for tile in image.tile  # type: ignore[attr-defined]
        ]
        lower = _upright_bands(second)
    if raw == "LA;16B":
        return (lower[::2] * _UPPER + lower[1::2])[[0, 0, 0, 1]]
    values = _upright_bands(image) * _UPPER + lower
    if isinstance(key, tuple):  # the color that is transparent
        opaque = (values != np.reshape(key, (3, 1, 1))).any(axis=0, keepdims=True)
        return np.concatenate((values, np.where(opaque, np.uint16(65535), np.uint16(0))))
    return values


def _upright_bands(image: Image.Image) -> npt.NDArray[np.uint16]:
    return np.asarray(ImageOps.exif_transpose(image), dtype=np.uint16).transpose(2, 0, 1)


def _scaled(values: npt.NDArray[Any], white: int) -> Pixels:
    """Integers from 0 to white in 8 bits, to the nearest."""
    if values.dtype == np.uint16:  # by a table, which takes less memory
        return np.take(_scaled(np.arange(65536), white), values)
    return ((values.astype(np.int64) * 255 + white // 2) // white).clip(0, 255).astype(np.uint8)


def _to_8_bit(data: bytes, image: Image.Image, depth: Depth) -> Image.Image:
    """The same picture, upright and with at most 8 bits a channel."""
    if _raw_mode(image) in _LOWER_BYTE:
        bands = _wide(data, image)
        mode = "CMYK" if image.mode == "CMYK" else "RGB" if len(bands) == 3 else "RGBA"
        whites = (*[depth.integer] * 3, 65535 if mode == "RGBA" else depth.integer)
        return Image.merge(mode, [Image.fromarray(_scaled(*one)) for one in zip(bands, whites, strict=False)])
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        return Image.fromarray(_scaled(np.asarray(image), depth.integer))
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


def fit(image: Image.Image, color: Color, side: int) -> Pixels:
    """(C, side, side) pixels of an upright image of 8 bits: opaque, its shorter side scaled, its middle cropped.

    An image a little smaller than wanted is padded with black rather than enlarged, so that small data sets keep
    their pixels (28 to 32).
    """
    image = _flatten(image).convert(color)
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
def _opened(data: bytes) -> Iterator[Image.Image]:
    """An image of which only the header is read; a large one waits for the last large one to be done with."""
    with _open(data) as image, _one_large if image.width * image.height > _LARGE else nullcontext():
        yield image


@contextmanager
def bombs_refused() -> Iterator[None]:
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


def digest_of(data: bytes) -> bytes:
    """Eight bytes that tell one image's file from another's."""
    return blake2b(data, digest_size=8).digest()


def _head(data: bytes) -> Head:
    with _opened(data) as image:
        integer = floating = 0.0
        width, height = image.size
        gray = image.mode in GRAY_MODES or _raw_mode(image) == "LA;16B"
        if _raw_mode(image) in _LOWER_BYTE:
            integer = float(_wide(data, image)[: None if image.mode == "CMYK" else 3].max(initial=0))
        elif image.mode.startswith("I"):
            integer = float(np.asarray(image).max(initial=0))
        elif image.mode == "F":
            floating = float(_finite(image).max(initial=0.0))
    return Head(width=width, height=height, gray=gray, digest=digest_of(data), integer=integer, floating=floating)


def heads(read: Read, count: int) -> Iterator[Head | None]:
    """The header of each image in order; None for those that cannot be opened."""
    return (head for head, _ in _in_threads(lambda index: _head(read(index)), count))


def decode_image(data: bytes, color: Color, side: int, depth: Depth) -> Pixels:
    """Pixels (C, side, side) of an image file's bytes. Decoders raise anything on a file that is broken."""
    with _opened(data) as image:
        return fit(_to_8_bit(data, image, depth), color, side)


def decoded(read: Read, count: int, color: Color, side: int, depth: Depth) -> Iterator[tuple[Pixels | None, str]]:
    """Pixels (C, side, side) of each image in order, or None and why there are none."""
    return _in_threads(lambda index: decode_image(read(index), color, side, depth), count)


def _in_threads(work: Callable[[int], T], count: int) -> Iterator[tuple[T | None, str]]:
    """What the work gives for every index, in order, or None and the reason of its failure; 1,024 at a time."""

    def guarded(index: int) -> tuple[T | None, str]:
        try:
            return work(index), ""
        except MemoryError:
            raise
        except Exception as error:  # decoders raise anything on a file made or broken to that end
            return None, _reason(error)

    with bombs_refused(), ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, count, 1024):
            yield from pool.map(guarded, range(start, min(start + 1024, count)))
