"""Decoding: every mode's pixels, orientation, size and transparency, and what becomes of files that are none."""

from __future__ import annotations

import io
import struct
import sys
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, features

from snsearch.training import loading
from snsearch.training.folder import file_reader
from snsearch.training.found import Found, Listing, Progress, Read, Skipped
from snsearch.training.images import Color, heads
from snsearch.training.loading import allocate
from snsearch.training.memory import available_memory
from snsearch.training.survey import survey

Made = Callable[[], bytes]


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    """The file of an image."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def gray(values: Any, kind: Any = np.uint8) -> Image.Image:
    """An image of one channel."""
    return Image.fromarray(np.asarray(values, dtype=kind))


def deep_png(values: Any, *further: tuple[bytes, bytes], interlaced: bool = False) -> bytes:
    """A PNG of (H, W, C) values of 16 bits, of 1 to 4 channels: gray, gray with opacity, RGB, RGBA.

    Args:
        further: chunks behind the header, each with its kind.
        interlaced: needs a picture of 1x1, all of which is in the first of seven passes.
    """

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = np.asarray(values, dtype=">u2")
    height, width, channels = pixels.shape
    head = struct.pack(">IIBBBBB", width, height, 16, (0, 4, 2, 6)[channels - 1], 0, 0, interlaced)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    chunks = [(b"IHDR", head), *further, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


def deep_tiff(values: Any, order: str, *, photometric: int = 2, deflated: bool = False) -> bytes:
    """A TIFF of (H, W, C) values of 16 bits, in the byte order "<" or ">"."""
    pixels = np.asarray(values, dtype=f"{order}u2")
    height, width, channels = pixels.shape
    bits, start = 8 + 2 + 9 * 12 + 4, 8 + 2 + 9 * 12 + 4 + 2 * channels
    data = zlib.compress(pixels.tobytes()) if deflated else pixels.tobytes()
    tags = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, channels, bits), (259, 4, 1, 8 if deflated else 1),
        (262, 4, 1, photometric), (273, 4, 1, start), (277, 4, 1, channels), (278, 4, 1, height),
        (279, 4, 1, len(data)),
    ]  # fmt: skip
    directory = struct.pack(f"{order}H", len(tags)) + b"".join(struct.pack(f"{order}HHII", *tag) for tag in tags)
    magic = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    return magic + directory + bytes(4) + struct.pack(f"{order}{channels}H", *[16] * channels) + data


def noise(side: int = 32) -> Image.Image:
    """A colored image that does not compress."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8))


def decode(
    names: Sequence[str], read: Read, color: Color, side: int, progress: Progress | None = None
) -> tuple[torch.Tensor, list[int], list[Skipped]]:
    """The pixels of a data set of those files, the indices that they belong to, and what was skipped."""
    listing = Listing(role="train", origin="", names=names, labels=["a"] * len(names), read=read)
    surveyed = survey(Found(name="files", source="files", listings=(listing,)), side, None)
    return loading.decode(replace(surveyed, color=color), listing, progress)


def is_gray(read: Read, index: int) -> bool | None:
    """Whether the image has no color, by its header; None where it cannot be opened."""
    [head] = heads(lambda _: read(index), 1)
    return None if head is None else head.gray


def pixels_of(data: bytes, color: Color, side: int) -> Any:
    """The decoded (C, side, side) pixels of one file, as nested lists."""
    pixels, kept, skipped = decode(["one"], lambda index: data, color, side)
    assert (kept, skipped, pixels.dtype) == ([0], [], torch.uint8)
    return pixels[0].tolist()


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's limit lowered to 100 pixels: a warning above it, an error above twice of it."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)


# Modes. Every picture is 2x2 and wanted at 2x2, so that pixels are those of the file.

_STEPS = [[0, 85], [170, 255]]


def _palette() -> Image.Image:
    image = Image.new("P", (2, 2))
    image.putpalette([10, 20, 30, 200, 100, 50, 0, 0, 0])
    image.putdata([0, 1, 1, 2])
    return image


def _layered(mode: str, *pixels: tuple[int, ...]) -> Image.Image:
    image = Image.new(mode, (2, 2))
    image.putdata(pixels)
    return image


def _rgb_key() -> bytes:
    image = Image.new("RGB", (2, 2), (10, 20, 30))
    image.putpixel((1, 1), (200, 100, 50))
    return encoded(image, transparency=(200, 100, 50))


GRAY: dict[str, tuple[Made, Any]] = {
    "8-bit PNG": (lambda: encoded(gray(_STEPS)), _STEPS),
    "1-bit PNG": (lambda: encoded(gray([[0, 255], [255, 0]]).convert("1")), [[0, 255], [255, 0]]),
    "16-bit PNG": (lambda: encoded(gray([[0, 257], [32768, 65535]], np.uint16)), [[0, 1], [128, 255]]),
    "16-bit TIFF": (lambda: encoded(gray([[0, 257], [32768, 65535]], np.uint16), "TIFF"), [[0, 1], [128, 255]]),
    "32-bit TIFF up to 255": (lambda: encoded(gray([[0, 1], [128, 255]], np.int32), "TIFF"), [[0, 1], [128, 255]]),
    "32-bit TIFF up to 65535": (
        lambda: encoded(gray([[-5, 257], [32768, 65535]], np.int32), "TIFF"),
        [[0, 1], [128, 255]],
    ),
    "float TIFF up to 1": (lambda: encoded(gray([[0, 0.25], [0.75, 1]], np.float32), "TIFF"), [[0, 64], [191, 255]]),
    "float TIFF up to 255": (
        lambda: encoded(gray([[-3, 1.6], [128, 255]], np.float32), "TIFF"),
        [[0, 2], [128, 255]],
    ),
    "16-bit LA PNG": (
        lambda: deep_png([[[128, 65535], [129, 65535]], [[32768, 0], [65535, 65535]]]),
        [[0, 1], [255, 255]],
    ),
    "LA PNG": (lambda: encoded(_layered("LA", (0, 0), (0, 255), (100, 255), (0, 51))), [[255, 0], [100, 204]]),
    "8-bit PNG with a transparent gray": (lambda: encoded(gray(_STEPS), transparency=85), [[0, 255], [170, 255]]),
}

# 65535 is 255; 257 values are one step, and the middle of 257 is nearer to the step below: 128 is 0, 129 is 1.
_DEEP = np.array([[[0, 128, 129], [385, 386, 257]], [[32767, 32768, 65406], [65407, 65535, 1]]])
_DEEP_IN_8 = [(0, 0, 1), (1, 2, 1), (127, 128, 254), (255, 255, 0)]
_SHARES = np.array([65535, 65535, 0, 13107])[:, None].reshape(2, 2, 1)  # opaque, opaque, not at all, a fifth

COLORED: dict[str, tuple[Made, Any]] = {
    "16-bit RGB PNG": (lambda: deep_png(_DEEP), _DEEP_IN_8),
    "16-bit RGB PNG with a transparent color": (
        lambda: deep_png(_DEEP, (b"tRNS", struct.pack(">HHH", 385, 386, 257))),
        [_DEEP_IN_8[0], (255, 255, 255), *_DEEP_IN_8[2:]],
    ),
    "16-bit RGBA PNG": (
        lambda: deep_png(np.dstack((_DEEP, _SHARES))),
        [*_DEEP_IN_8[:2], (255, 255, 255), (255, 255, 204)],
    ),
    "16-bit RGB TIFF, little-endian": (lambda: deep_tiff(_DEEP, "<"), _DEEP_IN_8),
    "16-bit RGB TIFF, big-endian": (lambda: deep_tiff(_DEEP, ">"), _DEEP_IN_8),
    "16-bit RGB TIFF, deflated": (lambda: deep_tiff(_DEEP, ">", deflated=True), _DEEP_IN_8),
    "16-bit CMYK TIFF": (
        lambda: deep_tiff([[[32768, 0, 0, 0], [0, 129, 0, 0]], [[0] * 4, [65535] * 4]], "<", photometric=5),
        [(127, 255, 255), (255, 254, 255), (255, 255, 255), (0, 0, 0)],
    ),
    "RGB PNG": (
        lambda: encoded(_layered("RGB", (1, 2, 3), (4, 5, 6), (7, 8, 9), (255, 0, 128))),
        [(1, 2, 3), (4, 5, 6), (7, 8, 9), (255, 0, 128)],
    ),
    "RGBA PNG": (
        lambda: encoded(_layered("RGBA", (9, 9, 9, 0), (1, 2, 3, 255), (0, 0, 0, 51), (255, 0, 0, 51))),
        [(255, 255, 255), (1, 2, 3), (204, 204, 204), (255, 204, 204)],
    ),
    "RGB PNG with a transparent color": (_rgb_key, [(10, 20, 30), (10, 20, 30), (10, 20, 30), (255, 255, 255)]),
    "palette PNG": (
        lambda: encoded(_palette()),
        [(10, 20, 30), (200, 100, 50), (200, 100, 50), (0, 0, 0)],
    ),
    "palette PNG with a transparent color": (
        lambda: encoded(_palette(), transparency=1),
        [(10, 20, 30), (255, 255, 255), (255, 255, 255), (0, 0, 0)],
    ),
    "palette PNG with an opacity a color": (
        lambda: encoded(_palette(), transparency=bytes([255, 0, 51])),
        [(10, 20, 30), (255, 255, 255), (255, 255, 255), (204, 204, 204)],
    ),
    "GIF with a transparent color": (
        lambda: encoded(_palette(), "GIF", transparency=1),
        [(10, 20, 30), (255, 255, 255), (255, 255, 255), (0, 0, 0)],
    ),
    "CMYK TIFF": (
        lambda: encoded(_layered("CMYK", (255, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 255), (0, 255, 255, 0)), "TIFF"),
        [(0, 255, 255), (255, 255, 255), (0, 0, 0), (255, 0, 0)],
    ),
}


@pytest.mark.parametrize("name", GRAY)
def test_gray_files_give_their_8_bit_pixels_on_white(name: str) -> None:
    make, expected = GRAY[name]
    data = make()
    assert is_gray(lambda index: data, 0) is True
    assert pixels_of(data, "L", 2) == [expected]
    assert pixels_of(data, "RGB", 2) == [expected] * 3


@pytest.mark.parametrize("name", COLORED)
def test_colored_files_give_their_8_bit_pixels_on_white(name: str) -> None:
    make, expected = COLORED[name]
    data = make()
    assert is_gray(lambda index: data, 0) is False
    pixels = np.array(pixels_of(data, "RGB", 2))
    assert [tuple(pixel) for pixel in pixels.reshape(3, 4).T.tolist()] == expected


def test_deep_pictures_of_a_data_set_are_scaled_by_its_brightest_one_and_never_each_by_its_own() -> None:
    # 12 bits in 16: the brightest pixel of all files needs 12 bits, so 4095 is white in every file.
    bright, dark = encoded(gray([[0, 4095]] * 2, np.uint16)), encoded(gray([[100, 2048]] * 2, np.uint16))
    pixels, *_ = decode(["bright", "dark"], [bright, dark].__getitem__, "L", 2)
    assert pixels[:, 0, 0].tolist() == [[0, 255], [6, 128]]  # 100 / 4095 * 255 = 6.2, 2048 / 4095 * 255 = 127.5


def test_deep_colored_pictures_are_scaled_with_the_gray_ones_of_their_data_set() -> None:
    pictures = [
        deep_png([[[2048, 100, 0]] * 2] * 2),
        encoded(gray([[0, 4095]] * 2, np.uint16)),
        deep_png([[[4095, 0, 2048, 65535]] * 2] * 2),  # opacity says nothing of the depth
        encoded(_layered("RGB", *[(1, 2, 3)] * 4)),
    ]
    pixels, *_ = decode(list("abcd"), pictures.__getitem__, "RGB", 2)
    assert pixels[:, :, 0, 1].tolist() == [[128, 6, 0], [255, 255, 255], [255, 0, 128], [1, 2, 3]]


def test_a_deep_colored_picture_may_be_interlaced() -> None:
    assert pixels_of(deep_png([[[129, 65535, 386]]], interlaced=True), "RGB", 1) == [[[1]], [[255]], [[2]]]


def test_float_pictures_are_scaled_alike_whatever_each_holds() -> None:
    small, large = (encoded(gray([values] * 2, np.float32), "TIFF") for values in ([0.5, 1], [0, 200]))
    alone, *_ = decode(["small"], [small].__getitem__, "L", 2)
    both, *_ = decode(["small", "large"], [small, large].__getitem__, "L", 2)
    assert (alone[0, 0, 0].tolist(), both[:, 0, 0].tolist()) == ([128, 255], [[0, 1], [0, 200]])


def test_a_cmyk_jpeg_gives_its_colors() -> None:
    pixels = np.array(pixels_of(encoded(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), "JPEG", quality=100), "RGB", 16))
    assert np.abs(pixels - np.array([0, 255, 255])[:, None, None]).max() <= 3


def test_a_gray_picture_read_as_gray_or_as_color_gives_one_array_of_the_wanted_channels() -> None:
    data = encoded(noise(8))
    assert np.array(pixels_of(data, "L", 8)).shape == (1, 8, 8)
    assert np.array(pixels_of(data, "RGB", 8)).shape == (3, 8, 8)


# Orientation and size.

# What EXIF's orientation says of the stored rows and columns: 6 has the picture's right side in its first row.
STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.T,
    6: lambda upright: upright.T[::-1],
    7: lambda upright: upright.T[::-1, ::-1],
    8: lambda upright: upright.T[:, ::-1],
}


@pytest.mark.parametrize("orientation", STORED)
def test_a_deep_colored_picture_is_turned_as_its_exif_says(orientation: int) -> None:
    upright = np.arange(4).reshape(2, 2)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = STORED[orientation](upright)
    data = deep_png(
        np.dstack((257 * stored, 0 * stored, 65535 * (stored > 0))),
        (b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")),
    )
    assert pixels_of(data, "RGB", 2) == [upright.tolist(), [[0, 0], [0, 0]], (255 * (upright > 0)).tolist()]


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", STORED)
def test_a_picture_is_turned_as_its_exif_says(orientation: int, form: str) -> None:
    quadrants = np.kron(np.array([[10, 90], [170, 250]], dtype=np.uint8), np.ones((16, 16), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100} if form == "JPEG" else {}
    data = encoded(gray(np.ascontiguousarray(STORED[orientation](quadrants))), form, exif=exif, **options)
    pixels = np.array(pixels_of(data, "L", 32)[0])
    assert np.abs(pixels - quadrants).max() <= 2


@pytest.mark.parametrize("wide", [True, False])
def test_a_long_picture_of_the_wanted_side_is_cropped_in_the_middle(wide: bool) -> None:
    ramp = np.tile(np.arange(20, dtype=np.uint8) * 10, (8, 1))
    pixels = np.array(pixels_of(encoded(gray(ramp if wide else ramp.T.copy())), "L", 8)[0])
    assert np.array_equal(pixels if wide else pixels.T, ramp[:, 6:14])


@pytest.mark.parametrize("wide", [True, False])
def test_a_larger_picture_is_scaled_by_its_shorter_side_and_cropped_in_the_middle(wide: bool) -> None:
    ramp = np.tile(np.arange(100, dtype=np.uint8) * 2, (16, 1))
    pixels = np.array(pixels_of(encoded(gray(ramp if wide else ramp.T.copy())), "L", 8)[0])
    # 16 of 100 columns from 42 on, two a pixel: the first pixel is the mean of columns 42 and 43.
    expected = 85 + 4 * np.arange(8)
    assert np.abs((pixels if wide else pixels.T) - expected).max() <= 1


@pytest.mark.parametrize(
    ("width", "height", "left", "top"),
    [(28, 28, 2, 2), (29, 28, 1, 2), (24, 32, 4, 0), (32, 25, 0, 3), (32, 32, 0, 0)],
)
def test_a_picture_a_little_smaller_is_padded_with_black(width: int, height: int, left: int, top: int) -> None:
    picture = np.random.default_rng(1).integers(1, 256, (height, width), dtype=np.uint8)
    expected = np.zeros((32, 32), dtype=np.uint8)
    expected[top : top + height, left : left + width] = picture
    assert np.array_equal(pixels_of(encoded(gray(picture)), "L", 32)[0], expected)


@pytest.mark.parametrize("size", [(23, 23), (23, 32), (31, 33), (1, 1), (1, 500), (100, 3)])
@pytest.mark.parametrize("color", ["L", "RGB"])
def test_other_pictures_fill_the_whole_square(size: tuple[int, int], color: Color) -> None:
    pixels = np.array(pixels_of(encoded(Image.new("RGB", size, (77, 77, 77))), color, 32))
    assert pixels.shape[1:] == (32, 32)
    assert np.unique(pixels).tolist() == [77]


# Files that cannot be used.


def _truncated() -> bytes:
    data = encoded(noise())
    return data[: len(data) // 2]


def _unknown_pixel_format() -> bytes:
    data = bytearray(encoded(noise(), "DDS"))
    data[80:84] = bytes(4)
    return bytes(data)


UNUSABLE: dict[str, tuple[Made, str]] = {
    "truncated.png": (_truncated, "truncated"),
    "truncated.jpg": (lambda: encoded(noise(64), "JPEG")[:-1000], "truncated"),
    "text.png": (lambda: b"no picture at all", "not an image that Pillow knows"),
    "empty.png": (lambda: b"", "not an image that Pillow knows"),
    "nan.tiff": (lambda: encoded(gray([[0, np.nan]], np.float32), "TIFF"), "not finite"),
    "infinite.tiff": (lambda: encoded(gray([[0, np.inf]], np.float32), "TIFF"), "not finite"),
    "unknown.dds": (_unknown_pixel_format, "pixel format"),
    "loader.h5": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(100), "loader"),
}
GOOD = encoded(Image.new("L", (2, 2), 50))


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_unusable_file_is_skipped_by_name_and_reason(name: str) -> None:
    make, reason = UNUSABLE[name]
    data = make()
    pixels, kept, skipped = decode(["a", name, "b"], [GOOD, data, GOOD].__getitem__, "L", 2)
    assert (kept, pixels.tolist()) == ([0, 2], [[[[50, 50], [50, 50]]]] * 2)
    assert [one.name for one in skipped] == [name]
    assert reason in skipped[0].reason


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow cannot write AVIF")
def test_an_avif_without_its_item_table_is_skipped() -> None:
    data = encoded(noise(), "AVIF").replace(b"iloc", b"free")
    _, kept, [skipped] = decode(["good", "bad.avif"], [GOOD, data].__getitem__, "L", 2)
    assert (kept, skipped.name) == ([0], "bad.avif")
    assert is_gray(lambda index: data, 0) is None


def test_a_file_that_is_gone_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "here.png").write_bytes(GOOD)
    paths = [tmp_path / "gone.png", tmp_path / "here.png"]
    _, kept, [skipped] = decode(["gone", "here"], file_reader(paths), "L", 2)
    assert (kept, skipped.name) == ([1], "gone")
    assert "No such file" in skipped.reason
    assert is_gray(file_reader(paths), 0) is None


@pytest.mark.usefixtures("small_limit")
@pytest.mark.parametrize("side", [11, 20], ids=["over the limit", "over twice the limit"])
def test_a_picture_of_too_many_pixels_is_refused_undecoded(side: int) -> None:
    data = encoded(Image.new("1", (side, side)))
    pixels, kept, [skipped] = decode(["bomb"], lambda index: data, "L", 2)
    assert (len(pixels), kept, skipped.name) == (0, [], "bomb")
    assert f"{side * side} pixels" in skipped.reason
    assert "decompression bomb" in skipped.reason


def test_a_small_file_of_200_million_pixels_is_refused() -> None:
    data = encoded(Image.new("1", (20_000, 10_000)), compress_level=1)
    assert len(data) < 2**20
    _, kept, [skipped] = decode(["bomb.png"], lambda index: data, "L", 2)
    assert kept == []
    assert skipped.reason.startswith("Image size (200000000 pixels) exceeds limit")


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads that take turns as often as they can, so that a race shows."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.long
@pytest.mark.usefixtures("small_limit", "hasty_threads")
def test_decoding_in_threads_refuses_every_bomb_and_leaves_the_warning_filters_alone() -> None:
    small, large = encoded(Image.new("RGB", (2, 2))), encoded(Image.new("RGB", (11, 11)))
    names = [str(index) for index in range(1000)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(15):
            before = list(warnings.filters)
            _, kept, skipped = decode(names, lambda index: small if index % 10 else large, "RGB", 2)
            assert (len(kept), [int(one.name) for one in skipped]) == (900, list(range(0, 1000, 10)))
            assert warnings.filters == before


def test_decoding_gray_pictures_warns_of_nothing() -> None:
    torch.set_warn_always(True)  # else torch says a thing once a process, in whichever test comes first
    try:
        assert pixels_of(GOOD, "L", 2) == [[[50, 50], [50, 50]]]
    finally:
        torch.set_warn_always(False)


def test_pictures_keep_the_order_of_their_names_in_any_number() -> None:
    count = 1030  # more than are decoded at a time
    bad = {0, 512, 1023, 1024, 1029}
    files = [
        b"bad" if index in bad else encoded(Image.new("RGB", (1, 1), (index % 251,) * 3)) for index in range(count)
    ]
    reported: list[tuple[str, int, int]] = []
    pixels, kept, skipped = decode(
        [f"{index}.png" for index in range(count)],
        files.__getitem__,
        "RGB",
        1,
        lambda *told: reported.append(told),
    )
    assert kept == [index for index in range(count) if index not in bad]
    assert pixels[:, 1, 0, 0].tolist() == [index % 251 for index in kept]
    assert skipped == [Skipped(name=f"{index}.png", reason="not an image that Pillow knows") for index in sorted(bad)]
    assert reported == [("images", done, 1030) for done in (*range(64, 1025, 64), 1030)]


# Memory.


def test_pixels_go_to_a_nameless_mapped_file_where_memory_is_short(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    shape = (3, 2, 50, 100)
    monkeypatch.setattr(loading, "available_memory", lambda: 2 * 30_000)
    in_memory = allocate(shape)
    monkeypatch.setattr(loading, "available_memory", lambda: 2 * 30_000 - 2)
    mapped = allocate(shape)
    assert [in_memory.is_shared(), mapped.is_shared()] == [False, True]
    for tensor in (in_memory, mapped):
        assert (tuple(tensor.shape), tensor.dtype) == (shape, torch.uint8)
        tensor.fill_(7)
        assert int(tensor.sum()) == 7 * 30_000
    assert list(tmp_path.iterdir()) == []
    if sys.platform == "linux":
        maps = Path("/proc/self/maps").read_text().splitlines()
        [line] = [line for line in maps if f"{tmp_path}/snsearch-pixels-" in line]
        assert line.split()[1] == "rw-s"  # what is written goes to the file, not to memory of the process
        del mapped, tensor
        assert str(tmp_path) not in Path("/proc/self/maps").read_text()


def test_pictures_in_a_mapped_file_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    files = [encoded(noise(side)) for side in (20, 24, 30, 40)]
    files.insert(2, b"bad")
    names = list("abcde")
    expected, *_ = decode(names, files.__getitem__, "RGB", 24)
    monkeypatch.setattr(loading, "available_memory", lambda: 0)
    pixels, kept, [skipped] = decode(names, files.__getitem__, "RGB", 24)
    assert (kept, skipped.name) == ([0, 1, 3, 4], "c")
    assert torch.equal(pixels, expected)


def test_free_memory_is_a_number_of_bytes() -> None:
    assert 2**20 < available_memory() < 2**50
