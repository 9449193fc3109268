"""Feeds: streamed images are those in memory, in any order; shards and broken images."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from snsearch.errors import DataError
from snsearch.training.feeds import BROKEN, Feed, StreamedFeed, open_feeds
from snsearch.training.found import Options
from snsearch.training.sources import describe_data


def jpeg(number: int, side: int = 40) -> bytes:
    """A JPEG that differs by its number."""
    values = np.random.default_rng(number).integers(0, 256, (side // 8, side // 8, 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).resize((side, side)).save(file, "JPEG")
    return file.getvalue()


def image_folder(folder: Path) -> Path:
    """Two classes of 20 and 30 images in a folder."""
    for number in range(50):
        path = folder / ("cat" if number < 20 else "dog") / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(number))
    return folder


def shard(path: Path, numbers: range, *, label: str = "cls") -> None:
    """A tar file of images with their labels: whether the number is odd."""
    with tarfile.open(path, "w") as file:
        for number in numbers:
            value = str(number % 2) if label == "cls" else json.dumps({"label": "odd" if number % 2 else "even"})
            for name, data in ((f"{number:04}.jpg", jpeg(number)), (f"{number:04}.{label}", value.encode())):
                about = tarfile.TarInfo(name)
                about.size = len(data)
                file.addfile(about, io.BytesIO(data))


def drawn(feed: Feed, order: list[list[int]]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(feed.batches(order))


@pytest.mark.parametrize("workers", [0, 2])
def test_streamed_images_are_those_in_memory(workers: int, tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "pets")
    memory = open_feeds(str(folder), 32, stream=False)
    streamed = open_feeds(str(folder), 32, stream=True, workers=workers)
    assert (memory.streamed, streamed.streamed) == (False, True)
    assert memory.classes == streamed.classes
    assert memory.mean == pytest.approx(streamed.mean)
    assert memory.std == pytest.approx(streamed.std)
    rng, before = np.random.default_rng(0), torch.get_rng_state()
    for one, other in ((memory.train, streamed.train), (memory.validation, streamed.validation),
                       (memory.test, streamed.test)):  # fmt: skip
        assert one is not None
        assert other is not None
        assert torch.equal(one.labels, other.labels)
        order = [part.tolist() for part in np.array_split(rng.permutation(len(one.labels)), 3)]
        for (pixels, labels), (pixels_too, labels_too) in zip(drawn(one, order), drawn(other, order), strict=True):
            assert torch.equal(pixels, pixels_too)
            assert torch.equal(labels, labels_too)
    assert torch.equal(torch.get_rng_state(), before)


def test_shards_are_split_by_their_names_and_read_in_any_order(tmp_path: Path) -> None:
    shard(tmp_path / "pets-train-0000.tar", range(30))
    shard(tmp_path / "pets-train-0001.tar", range(30, 60), label="json")
    (tmp_path / "pets-train-0001.tar").unlink()
    shard(tmp_path / "pets-val-0000.tar", range(60, 64), label="json")
    with pytest.raises(DataError, match="classes that no training image has: even, odd"):
        open_feeds(str(tmp_path), 32)
    shard(tmp_path / "pets-val-0000.tar", range(60, 70))
    shard(tmp_path / "pets-test-0000.tar", range(70, 90))
    feeds = open_feeds(str(tmp_path), 32, stream=True, workers=1)
    assert feeds.classes == ("0", "1")
    assert isinstance(feeds.train, StreamedFeed)
    assert feeds.validation is not None
    assert [len(one.labels) for one in (feeds.train, feeds.validation, feeds.test)] == [30, 10, 20]
    [(pixels, labels)] = drawn(feeds.train, [[29, 0, 7]])
    assert labels.tolist() == [1, 0, 1]
    assert pixels.shape == (3, 3, 32, 32)
    described = describe_data(str(tmp_path), options=Options(splits=(("train", "test"), ("test", "val"))))
    assert described.splits["train"] == 18


def test_a_cut_off_or_foreign_shard_is_refused(tmp_path: Path) -> None:
    shard(tmp_path / "train-0000.tar", range(10))
    whole = (tmp_path / "train-0000.tar").read_bytes()
    (tmp_path / "train-0000.tar").write_bytes(b"no tar file" * 100)
    with pytest.raises(DataError, match="train-0000"):
        open_feeds(str(tmp_path), 32)
    (tmp_path / "train-0000.tar").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"train-0000\.tar (is cut off|cannot be read)"):
        open_feeds(str(tmp_path), 32)


def test_an_image_that_breaks_later_is_black_and_does_not_count(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "pets")
    feeds = open_feeds(str(folder), 32, stream=True, workers=0)
    for path in folder.glob("*/*.jpg"):
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])  # the header stays
    [(pixels, labels)] = drawn(feeds.train, [[0, 1]])
    assert labels.tolist() == [BROKEN, BROKEN]
    assert not pixels.any()
    assert feeds.train.labels.min() == 0


def test_data_for_half_of_the_memory_is_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from snsearch.training import feeds

    folder = image_folder(tmp_path / "pets")
    monkeypatch.setattr(feeds, "available_memory", lambda: 2 * 50 * 3 * 32 * 32)
    assert not open_feeds(str(folder), 32).streamed
    assert open_feeds(str(folder), 33).streamed
