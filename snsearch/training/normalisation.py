"""Normalisations that a user names: what is subtracted from pixels, and what they are divided by."""

from __future__ import annotations

import math

from snsearch.errors import SpecError

Normalisation = tuple[tuple[float, ...], tuple[float, ...]]  # mean and std per channel, of pixels from 0 to 255

IMAGENET: Normalisation = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))  # as torchvision's weights want it


def normalisation_of(text: str, channels: int) -> Normalisation:
    """What "imagenet" or "MEAN/STD" means for images of that many channels; one number is for all of them.

    Raises SpecError.
    """
    expected = f'--normalise {text!r}: expected "imagenet", or MEAN/STD of pixels from 0 to 255, such as "128/64"'
    if text == "imagenet":
        found = IMAGENET
    else:
        try:
            found = tuple(tuple(map(float, part.split(","))) for part in text.split("/"))  # type: ignore[assignment]
        except ValueError:
            raise SpecError(expected) from None
    if len(found) != 2 or not all(math.isfinite(one) for part in found for one in part) or min(found[1]) <= 0:
        raise SpecError(expected)
    mean, std = (part * channels if len(part) == 1 else part for part in found)
    if (len(mean), len(std)) != (channels, channels):
        raise SpecError(
            f"--normalise {text!r} is for {len(mean)}-channel images; the network takes {channels}-channel ones"
        )
    return mean, std
