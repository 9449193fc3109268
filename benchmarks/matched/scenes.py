"""Renders a data set of scenes in colour: a textured shape over another texture, with smaller shapes around it.

A class is the form of the largest shape together with the texture that fills it: 6 forms x 4 textures. Colours,
sizes, angles, positions, the background and the small shapes tell nothing. Only numpy is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.matched.folders import Pixels, write_split

SIDE = 32
FINE = 3  # samples a pixel and axis
FORMS = ("disc", "square", "triangle", "star", "cross", "ring")
TEXTURES = ("plain", "stripes", "checks", "dots")

Plane = npt.NDArray[np.float64]  # (SIDE * FINE, SIDE * FINE)
_AXIS = (np.arange(SIDE * FINE) + 0.5) / FINE  # pixels


def turned(middle: Plane, angle: float, size: float) -> tuple[Plane, Plane]:
    """Coordinates around a middle, turned, in units of a size in pixels."""
    x, y = (_AXIS - middle[0])[None, :] / size, (_AXIS - middle[1])[:, None] / size
    return np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x


def polygon(x: Plane, y: Plane, corners: int) -> Plane:
    """The distance from the middle of the regular polygon, 1 at its sides."""
    angles = 2 * np.pi * np.arange(corners) / corners
    sides = np.stack([np.cos(angle) * x + np.sin(angle) * y for angle in angles])
    nearest: Plane = sides.max(axis=0)
    return nearest


def inside(form: str, x: Plane, y: Plane) -> npt.NDArray[np.bool_]:
    """Where a form of about unit radius covers."""
    r = np.hypot(x, y)
    covers: dict[str, npt.NDArray[np.bool_]] = {
        "disc": r < 0.95,
        "square": np.maximum(abs(x), abs(y)) < 0.82,
        "triangle": polygon(x, y, 3) < 0.6,
        "star": r < 0.78 + 0.32 * np.cos(5 * np.arctan2(y, x)),
        "cross": (np.minimum(abs(x), abs(y)) < 0.32) & (np.maximum(abs(x), abs(y)) < 0.95),
        "ring": (r < 1.0) & (r > 0.5),
    }
    return covers[form]


def pattern(texture: str, random: np.random.Generator, middle: Plane) -> Plane:
    """Values of 0 and 1 (in between where the texture is plain) over the whole picture."""
    period = random.uniform(4.5, 7.0)
    x, y = turned(middle + random.uniform(-1, 1, 2), random.uniform(0, 2 * np.pi), period / (2 * np.pi))
    values: Plane
    if texture == "plain":
        values = np.zeros((len(_AXIS), len(_AXIS)))
    elif texture == "stripes":
        values = (np.sin(x) + 0 * y > 0).astype(np.float64)
    elif texture == "checks":
        values = (np.sin(x) * np.sin(y) > 0).astype(np.float64)
    else:
        assert texture == "dots"
        values = (np.cos(x) + np.cos(y) > 0.6).astype(np.float64)
    return values


def colours(random: np.random.Generator, nearest: float, farthest: float) -> npt.NDArray[np.float64]:
    """Two colours (2, 3) that lie so far apart."""
    while True:
        pair: npt.NDArray[np.float64] = random.uniform(20, 235, (2, 3))
        if nearest < np.linalg.norm(pair[0] - pair[1]) < farthest:
            return pair


def painted(
    texture: str, random: np.random.Generator, middle: Plane, *, nearest: float, farthest: float
) -> npt.NDArray[np.float64]:
    """A texture in two colours that lie so far apart, as (H, W, 3)."""
    first, second = colours(random, nearest, farthest)
    colour: npt.NDArray[np.float64] = first + pattern(texture, random, middle)[..., None] * (second - first)
    return colour


def scene(form: str, texture: str, random: np.random.Generator) -> Pixels:
    """One picture of the class."""
    middle = SIDE / 2 + random.uniform(-3, 3, 2)
    picture = painted(str(random.choice(TEXTURES)), random, random.uniform(0, SIDE, 2), nearest=0, farthest=40)
    for _ in range(random.integers(0, 3)):
        x, y = turned(random.uniform(0, SIDE, 2), random.uniform(0, 2 * np.pi), random.uniform(2.5, 4.5))
        picture[inside(str(random.choice(FORMS)), x, y)] = random.uniform(0, 255, 3)
    x, y = turned(middle, random.uniform(0, 2 * np.pi), random.uniform(10.5, 14.0))
    fill = painted(texture, random, middle, nearest=120, farthest=400)
    covered = inside(form, x, y)
    picture[covered] = fill[covered]
    small = picture.reshape(SIDE, FINE, SIDE, FINE, 3).mean(axis=(1, 3))
    light = random.uniform(0.7, 1.15)
    noisy = small * light + random.normal(0, random.uniform(2, 6), small.shape)
    drawn: Pixels = noisy.round().clip(0, 255).astype(np.uint8)
    return drawn


def render(folder: Path, *, train: int = 20_000, test: int = 4_000, seed: int = 0) -> None:
    """Writes the training and the test images, the same number of every class as nearly as it goes."""
    random = np.random.default_rng(seed)
    classes = [(form, texture) for form in FORMS for texture in TEXTURES]

    def scenes(count: int) -> Iterator[tuple[str, Pixels]]:
        for number in range(count):
            form, texture = classes[number % len(classes)]
            yield f"{form}-{texture}", scene(form, texture, random)

    write_split(folder, "train", scenes(train))
    write_split(folder, "test", scenes(test))
