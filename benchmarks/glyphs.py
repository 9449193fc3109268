"""Renders a data set of letters: many classes, from the fonts of Debian packages, as four IDX files (MNIST's format).

Fashion-MNIST's ten classes are learned almost alike by all networks of a small budget. Here networks are asked for
108 classes, many of which differ by an accent only, in 45 faces, turned, sheared, scaled, shifted, faint and noisy:
the differences between networks outgrow those between seeds.

    apt-get install fonts-dejavu-core fonts-dejavu-extra fonts-freefont-ttf fonts-liberation2
    python benchmarks/glyphs.py FOLDER
    snsearch search --budget 8 --data FOLDER
"""

from __future__ import annotations

import argparse
import gzip
import struct
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

FONTS = Path("/usr/share/fonts/truetype")
FAMILIES = ("dejavu", "freefont", "liberation2")
NOT_LETTERS = ("DejaVuMathTeXGyre",)
SIDE = 32
DRAWN = 96  # pixels a side before the distortion

# Latin letters and digits that no other resembles at any size, accents, and a dozen Greek letters.
CHARACTERS = (
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghijlmnqrt23456789ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæèéêëìíîïñðþΓΔΘΛΞΠΣΦΨΩαβ"
)


def faces() -> list[Path]:
    """The font files, in an order that is the same on every machine."""
    found = sorted(path for family in FAMILIES for path in (FONTS / family).glob("*.ttf"))
    if not found:
        raise SystemExit(f"no fonts of {', '.join(FAMILIES)} in {FONTS}; see the head of this file for the packages")
    return [path for path in found if path.stem not in NOT_LETTERS]


def draw(font: ImageFont.FreeTypeFont, character: str) -> Image.Image | None:
    """The character in white on black, centered; None where the font does not hold it."""
    missing = font.getmask("\uffff")
    mask = font.getmask(character)
    if not mask.getbbox() or (mask.size == missing.size and bytes(mask) == bytes(missing)):
        return None
    image = Image.new("L", (DRAWN, DRAWN))
    left, top, right, bottom = font.getbbox(character)
    at = ((DRAWN - right - left) / 2, (DRAWN - bottom - top) / 2)
    ImageDraw.Draw(image).text(at, character, fill=255, font=font)
    return image


def distort(image: Image.Image, random: np.random.Generator) -> np.ndarray:
    """A turned, sheared, scaled and shifted view of SIDE pixels, of some faintness, with noise."""
    angle, shear = np.deg2rad(random.uniform(-15, 15)), random.uniform(-0.25, 0.25)
    scale = DRAWN / SIDE * random.uniform(0.75, 1.25)
    stretch = random.uniform(0.85, 1.18)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = scale * turn @ np.array([[stretch, shear], [0.0, 1 / stretch]])
    middle = np.array([SIDE, SIDE]) / 2 + random.uniform(-3, 3, 2)
    offset = np.array([DRAWN, DRAWN]) / 2 - matrix @ middle
    data = (*matrix[0], offset[0], *matrix[1], offset[1])
    view = image.transform((SIDE, SIDE), Image.Transform.AFFINE, data, Image.Resampling.BICUBIC)
    ink = np.asarray(view, dtype=np.float64) / 255
    pixels = random.uniform(0.6, 1.0) * ink + random.normal(0, 0.1, (SIDE, SIDE))
    return (pixels * 255).round().clip(0, 255).astype(np.uint8)


def write_idx(path: Path, values: np.ndarray) -> None:
    """An IDX file of bytes."""
    head = bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(gzip.compress(head + values.tobytes(), mtime=0))


def render(folder: Path, train: int, test: int, seed: int, count: int) -> None:
    """Writes `train` and `test` images in all, the same number of every class as nearly as it goes."""
    drawings: dict[str, list[Image.Image]] = {}
    for path in faces():
        font = ImageFont.truetype(path, 62)
        for character in CHARACTERS[:count]:
            if image := draw(font, character):
                drawings.setdefault(character, []).append(image)
    classes = [character for character in CHARACTERS if character in drawings]
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for name, images_of in (("train", train), ("t10k", test)):
        labels = random.permutation(np.arange(images_of) % len(classes)).astype(np.uint8)
        images = np.empty((images_of, SIDE, SIDE), dtype=np.uint8)
        for row, label in enumerate(labels):
            choices = drawings[classes[label]]
            images[row] = distort(choices[random.integers(len(choices))], random)
        write_idx(folder / f"{name}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"{name}-labels-idx1-ubyte.gz", labels)
    print(f"{len(classes)} classes, {train:,} training and {test:,} test images in {folder}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=40_000)
    parser.add_argument("--test", type=int, default=10_000)
    parser.add_argument("--classes", type=int, default=len(CHARACTERS), help="the first so many")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    render(arguments.folder, arguments.train, arguments.test, arguments.seed, arguments.classes)
