"""Augmented images: crops, mirrors, color jitter and random operations of a batch, on its device.

What is drawn depends on the generator alone, not on the device.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from snsearch.finals.recipe import FinalRecipe

_Floats = npt.NDArray[np.float64]
# The operations that a recipe draws from; of each the strength 1.
_ROTATE, _SHEAR_X, _SHEAR_Y, _SHIFT_X, _SHIFT_Y = range(5)
_BRIGHTNESS, _CONTRAST, _SATURATION, _POSTERIZE, _SOLARIZE = range(5, 10)
_LARGEST = {_ROTATE: math.radians(30), _SHEAR_X: 0.3, _SHEAR_Y: 0.3, _SHIFT_X: 0.6, _SHIFT_Y: 0.6}
_GRAY = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)


def augmented(pixels_NCHW: Tensor, recipe: FinalRecipe, *, mirror: bool, rng: np.random.Generator) -> Tensor:
    """Float32 images from 0 to 255 of uint8 ones.

    Args:
        pixels_NCHW: is not changed.
        recipe: says what is done.
        mirror: whether half of the images are mirrored.
        rng: draws everything.
    """
    count = len(pixels_NCHW)
    places = _crops(count, recipe.least_area, mirror, rng)
    factors = 1 + recipe.jitter * rng.uniform(-1, 1, (3, count))
    levels = np.ones(count)  # between two values of a posterized image
    solarized = np.zeros(count, dtype=bool)
    for _ in range(recipe.operations):
        chosen = rng.integers(0, _SOLARIZE + 1, count)
        sign = rng.choice([-1.0, 1.0], count) * recipe.strength
        places = places @ _moves(chosen, sign)
        for row, operation in enumerate((_BRIGHTNESS, _CONTRAST, _SATURATION)):
            factors[row] *= np.where(chosen == operation, 1 + 0.9 * sign, 1)
        levels = np.where(chosen == _POSTERIZE, 2 ** round(4 * recipe.strength), levels)
        solarized |= chosen == _SOLARIZE
    x_NCHW = pixels_NCHW.float()
    if not np.array_equal(places, np.broadcast_to(np.eye(3), places.shape)):
        theta = torch.from_numpy(places[:, :2].astype(np.float32)).to(x_NCHW.device)
        grid = functional.affine_grid(theta, list(x_NCHW.shape), align_corners=False)
        x_NCHW = functional.grid_sample(x_NCHW, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    x_NCHW = _recolored(x_NCHW, factors)
    if (levels != 1).any():
        step = _per_image(levels, x_NCHW)
        x_NCHW = torch.where(step == 1, x_NCHW, (x_NCHW / step).floor() * step)
    if solarized.any():
        bright = (x_NCHW >= 255 * (1 - recipe.strength)) & _per_image(solarized, x_NCHW).bool()
        x_NCHW = torch.where(bright, 255 - x_NCHW, x_NCHW)
    return x_NCHW


def _crops(count: int, least_area: float, mirror: bool, rng: np.random.Generator) -> _Floats:
    """(N, 3, 3) from places in the output to those in the image, from -1 to 1: a part of it, perhaps mirrored."""
    area = rng.uniform(least_area, 1, count)
    ratio = np.exp(rng.uniform(-1, 1, count) * math.log(4 / 3)) if least_area < 1 else np.ones(count)
    width, height = np.minimum(1, np.sqrt(area * ratio)), np.minimum(1, np.sqrt(area / ratio))
    left, top = rng.uniform(-1, 1, (2, count))
    flipped = rng.random(count) < (0.5 if mirror else 0.0)
    places = np.zeros((count, 3, 3))
    places[:, 0, 0] = np.where(flipped, -width, width)
    places[:, 1, 1] = height
    places[:, 0, 2], places[:, 1, 2] = left * (1 - width), top * (1 - height)
    places[:, 2, 2] = 1
    return places


def _moves(chosen: npt.NDArray[np.int64], sign: _Floats) -> _Floats:
    """(N, 3, 3): the images' rotations, shears and shifts; unchanged where another operation was chosen."""
    moves = np.tile(np.eye(3), (len(chosen), 1, 1))
    by = {operation: np.where(chosen == operation, sign * most, 0) for operation, most in _LARGEST.items()}
    moves[:, 0, 0] = moves[:, 1, 1] = np.cos(by[_ROTATE])
    moves[:, 0, 1] = by[_SHEAR_X] - np.sin(by[_ROTATE])
    moves[:, 1, 0] = by[_SHEAR_Y] + np.sin(by[_ROTATE])
    moves[:, 0, 2], moves[:, 1, 2] = by[_SHIFT_X], by[_SHIFT_Y]
    return moves


def _recolored(x_NCHW: Tensor, factors: _Floats) -> Tensor:
    """The images with brightness, contrast and saturation times their factors, a row each."""
    if (factors == 1).all():
        return x_NCHW
    brightness, contrast, saturation = (_per_image(row, x_NCHW) for row in factors)
    x_NCHW = x_NCHW * brightness
    mean = x_NCHW.mean(dim=(1, 2, 3), keepdim=True)
    x_NCHW = mean + (x_NCHW - mean) * contrast
    if x_NCHW.shape[1] == 3:
        shares = torch.tensor(_GRAY, device=x_NCHW.device).view(1, 3, 1, 1)
        gray = (x_NCHW * shares).sum(dim=1, keepdim=True)
        x_NCHW = gray + (x_NCHW - gray) * saturation
    return x_NCHW.clamp(0, 255)


def _per_image(values: npt.NDArray[np.generic], like: Tensor) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(like.device).view(-1, 1, 1, 1)
