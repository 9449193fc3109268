"""Samples: some images of a data set, with the splits and pixels of the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from snsearch.training.sample import load_sample
from snsearch.training.sources import load_data


def images(folder: Path, count: int) -> None:
    """A folder of that many gray images per class, each of its own shade."""
    for number, label in enumerate("ab"):
        (folder / label).mkdir(parents=True)
        for index in range(count):
            shade = number * 100 + index
            Image.fromarray(np.full((16, 16), shade, np.uint8)).save(folder / label / f"{index}.png")


@pytest.mark.parametrize("split", [True, False])
def test_a_sample_has_images_of_the_same_splits(split: bool, tmp_path: Path) -> None:
    if split:
        images(tmp_path / "train", 30)
        images(tmp_path / "test", 20)
    else:
        images(tmp_path, 40)
    (tmp_path / ("train/a" if split else "a") / "broken.png").write_text("no image")
    whole = load_data(str(tmp_path), side=16)
    every = load_sample(str(tmp_path), 16, train=1000, test=1000)
    assert torch.equal(every.test.pixels, whole.test.pixels)
    assert torch.equal(every.test.labels, whole.test.labels)
    some = load_sample(str(tmp_path), 16, train=7, test=3)
    assert (len(some.train), len(some.test)) == (7, 3)
    shades, drawn = ({*one.train.pixels[:, 0, 0, 0].tolist()} for one in (whole, some))
    assert drawn <= shades
    assert some.description is not None
    assert whole.description is not None
    assert [one.test for one in some.description.classes] == [one.test for one in whole.description.classes]


def test_a_sample_of_arrays_is_that_of_the_whole() -> None:
    whole, every = load_data("digits", side=8), load_sample("digits", 8, train=10_000, test=10_000)
    assert torch.equal(every.test.pixels, whole.test.pixels)
    assert torch.equal(every.train.labels, whole.train.labels)
    assert every.classes == whole.classes
