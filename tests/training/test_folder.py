"""Image folders: layouts of splits and labels, and everything in them that is no image to read."""

from __future__ import annotations

import io
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from snsearch import files
from snsearch.errors import DataError
from snsearch.training import sources
from snsearch.training.description import Description
from snsearch.training.found import Options
from snsearch.training.sources import describe_data, load_data
from snsearch.training.splits import parse_splits
from tests.training.test_images import deep_png

_random = np.random.default_rng(0)


def picture(size: tuple[int, int] = (8, 8), form: str = "PNG") -> bytes:
    """An image that no other is the same as."""
    file = io.BytesIO()
    Image.fromarray(_random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(file, form)
    return file.getvalue()


def fill(root: Path, *folders: str, count: int = 4, size: tuple[int, int] = (8, 8)) -> Path:
    """Puts images into folders below the root."""
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            (root / folder / f"{number}.png").write_bytes(picture(size))
    return root


def described(root: Path, *splits: str, **options: Any) -> Description:
    """The description, which is checked to be that of the data set in memory."""
    given = Options(splits=parse_splits(splits), **options)
    description = describe_data(str(root), options=given)
    if description.refused:
        with pytest.raises(DataError, match=re.escape(description.refused)):
            load_data(str(root), options=given)
        return description
    dataset = load_data(str(root), options=given)
    assert dataset.description == description
    assert dataset.validation is not None
    counts = [len(dataset.train), len(dataset.validation), len(dataset.test)]
    assert counts == [description.splits[role] for role in ("train", "validation", "test")]
    assert dataset.side == description.sizes.side
    return description


# Splits.


@pytest.mark.parametrize(
    ("folders", "splits", "origins"),
    [
        (("Train/a", "Train/b", "Test/a", "Test/b"), (6, 2, 8), ("Train/", None, "Test/")),
        (("training/a", "training/b", "testing/a", "testing/b"), (6, 2, 8), ("training/", None, "testing/")),
        (("train/a", "train/b", "testing/a", "testing/b"), (6, 2, 8), ("train/", None, "testing/")),
        (("train/a", "train/b", "eval/a", "eval/b"), (6, 2, 8), ("train/", None, "eval/")),
        (("train/a", "train/b", "val/a", "test/b"), (8, 4, 4), ("train/", "val/", "test/")),
        (("a", "b"), (4, 2, 2), ("", None, None)),
        (("train/a", "train/b"), (4, 2, 2), ("train/", None, None)),
        (("pets/a", "pets/b"), (4, 2, 2), ("", None, None)),
        (("set/train/a", "set/train/b", "set/TEST/a", "set/TEST/b"), (6, 2, 8), ("train/", None, "TEST/")),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) and isinstance(value[0], str) else "",
)
def test_folders_are_split_by_their_names_and_every_usable_image_is_counted(
    tmp_path: Path, folders: tuple[str, ...], splits: tuple[int, ...], origins: tuple[str | None, ...]
) -> None:
    description = described(fill(tmp_path / "data", *folders))
    assert tuple(description.splits.values()) == splits
    assert sum(splits) == 4 * len(folders)
    assert [one.name for one in description.classes] == ["a", "b"]
    assert sum(one.images for one in description.classes) == sum(splits)
    for role, origin in zip(("train", "validation", "test"), origins, strict=True):
        words = description.origins[role]  # type: ignore[index]  # a role
        assert words == f"folder {origin or 'data/'}" if origin is not None else words.startswith("a tenth of every")


@pytest.mark.parametrize(
    ("folders", "named"),
    [
        (("val/a", "val/b", "test/a", "test/b"), ("'test'", "'val'")),
        (("train/a", "train/b", "val"), ("val/",)),
        (("train/a", "train/b", "extra/a"), ("train/", "extra/")),
        (("train", "test"), ("test/ and train/",)),
        (("cat", "dog", "test"), ("test/", "cat/ and dog/")),
        (("train/a", "train/b", "val/a", "valid/a"), ("'val'", "'valid'")),
    ],
    ids=lambda value: " ".join(value),
)
def test_ambiguous_folders_are_refused_by_name(
    tmp_path: Path, folders: tuple[str, ...], named: tuple[str, ...]
) -> None:
    description = described(fill(tmp_path / "data", *folders))
    assert all(name in description.refused for name in named), description.refused
    assert description.remarks[0].startswith("refused: ")
    assert sum(description.splits.values()) == 0


def test_split_chooses_folders_whatever_their_names(tmp_path: Path) -> None:
    root = fill(tmp_path / "data", "fold1/a", "fold1/b", "fold2/a", "fold2/b", "val")
    description = described(root, "train=fold1", "test=fold2")
    assert tuple(description.splits.values()) == (6, 2, 8)
    assert description.skipped_kinds == {"folder that --split leaves out": 4}
    assert described(fill(tmp_path / "data", "train/a", "train/b"), "train").splits["train"] == 4


def test_a_class_may_be_called_train_with_a_remark(tmp_path: Path) -> None:
    description = described(fill(tmp_path, "car", "train"))
    assert [one.name for one in description.classes] == ["car", "train"]
    assert "class names that look like splits: train" in description.remarks


def test_classes_that_look_like_sizes_get_a_remark(tmp_path: Path) -> None:
    assert (
        "class names that look like image sizes: 32x32, 64x64" in described(fill(tmp_path, "32x32", "64x64")).remarks
    )


def test_the_same_image_in_two_splits_gets_a_remark(tmp_path: Path) -> None:
    fill(tmp_path, "train/a", "train/b", "val/a", "val/b", "test/a", "test/b")
    (tmp_path / "test" / "a" / "0.png").write_bytes((tmp_path / "train" / "a" / "0.png").read_bytes())
    (tmp_path / "val" / "b" / "0.png").write_bytes((tmp_path / "val" / "a" / "0.png").read_bytes())
    description = described(tmp_path)
    assert description.remarks == (
        "1 image is the same in train and test: the error on test images comes out too low",
        "1 image is the same in two classes",
    )
    assert [(one.first, one.second, one.where) for one in description.same] == [
        ("train/a/0.png", "test/a/0.png", "train and test"),
        ("val/a/0.png", "val/b/0.png", "two classes"),
    ]


def test_one_class_much_larger_gets_a_remark(tmp_path: Path) -> None:
    fill(tmp_path, "cat", count=28)
    fill(tmp_path, "dog", count=2)
    assert any(
        "class 'cat' has 28 images, class 'dog' 2: look at the balanced error" in r
        for r in described(tmp_path).remarks
    )


# Labels.


def test_labels_come_from_a_csv_beside_the_images(tmp_path: Path) -> None:
    fill(tmp_path, ".", "images", count=6)
    rows = [f"{number}.png,{'ab'[number % 2]}" for number in range(6)]
    for number in range(6):
        (tmp_path / f"{number}.png").unlink()
    (tmp_path / "labels.csv").write_text("\n".join(["image,label", *rows, "gone.png,a", "x,"]))
    description = described(tmp_path)
    assert {one.name: one.images for one in description.classes} == {"a": 3, "b": 3}
    assert description.skipped == ()
    assert description.remarks == ("labels.csv: 2 rows name no image: gone.png, x",)


def test_a_csv_may_name_the_splits_and_images_without_a_row_are_skipped(tmp_path: Path) -> None:
    fill(tmp_path, ".", count=12)
    rows = [f"{number},{'ab'[number % 2]},{'train' if number < 8 else 'Testing'}" for number in range(10)]
    (tmp_path / "list.csv").write_text("\n".join(["id,class,split", *rows, "gone,a,train"]))
    description = described(tmp_path)
    assert tuple(description.splits.values()) == (6, 2, 2)
    assert description.skipped_kinds == {"no label in list.csv": 2}
    assert [remark for remark in description.remarks if "no image" in remark] == [
        "list.csv: 1 row names no image: gone"
    ]


@pytest.mark.parametrize("place", ["{}/labels.csv", "{}.csv"])
def test_each_split_may_have_its_own_csv(tmp_path: Path, place: str) -> None:
    fill(tmp_path, "train", "test")
    for split in ("train", "test"):
        text = "\n".join(["file_name,label", *(f"{number}.png,{'ab'[number % 2]}" for number in range(4))])
        (tmp_path / place.format(split)).write_text(text)
    description = described(tmp_path)
    assert tuple(description.splits.values()) == (2, 2, 4)
    assert description.skipped == ()


def test_folders_of_classes_come_before_a_csv_unless_its_column_is_named(tmp_path: Path) -> None:
    fill(tmp_path, "a", "b")
    rows = [f"{folder}/{number}.png,{number % 2}" for folder in "ab" for number in range(4)]
    (tmp_path / "labels.csv").write_text("\n".join(["image,parity", *rows]))
    plain = described(tmp_path)
    assert [one.name for one in plain.classes] == ["a", "b"]
    assert "labels.csv is not read, because the folders give the classes" in plain.remarks
    assert plain.skipped_kinds == {".csv file": 1}
    assert [one.name for one in described(tmp_path, label_column="parity").classes] == ["0", "1"]


# What is no data.


def test_paths_with_a_hidden_part_are_skipped_at_any_depth(tmp_path: Path) -> None:
    fill(tmp_path, "cat", "dog", "cat/.ipynb_checkpoints", "dog/deep/.cache/er", ".git/objects")
    description = described(tmp_path)
    assert sum(description.splits.values()) == 8
    assert description.skipped_kinds == {"hidden": 3}


def test_files_that_are_not_read_are_counted_and_named_by_kind(tmp_path: Path) -> None:
    fill(tmp_path, "cat", "dog")
    for name in ("cat/a.heic", "cat/b.HEIC", "dog/notes.txt", "dog/README", "dog/archive.zip", "stray.parquet"):
        (tmp_path / name).write_bytes(b"something")
    (tmp_path / "dog" / "broken.png").write_bytes(b"no image")
    description = described(tmp_path)
    assert description.skipped_kinds == {
        ".heic file": 2,
        "not an image that Pillow knows": 1,
        ".txt file": 1,
        "file without a suffix": 1,
        ".zip file": 1,
        ".parquet file": 1,
    }
    assert sum(description.splits.values()) == 8


def test_what_is_no_regular_file_is_skipped_by_name_and_never_opened(tmp_path: Path, monkeypatch: Any) -> None:
    fill(tmp_path, "cat", "dog")
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    (tmp_path / "cat" / "zero.png").symlink_to("/dev/zero")
    monkeypatch.chdir(tmp_path / "dog")  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.png")
        description = described(tmp_path)
    assert description.skipped_kinds == {"pipe": 1, "device": 1, "socket": 1}
    assert {one.name.rpartition("/")[2] for one in description.skipped} == {"pipe.png", "zero.png", "socket.png"}


def test_a_pipe_that_takes_a_files_place_after_the_scan_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe: not a regular file"):
        files.read_limited(tmp_path / "pipe")


def test_files_beyond_the_size_limit_are_skipped_unread(tmp_path: Path) -> None:
    fill(tmp_path, "cat", "dog")
    with (tmp_path / "cat" / "huge.png").open("wb") as file:
        file.truncate(2**40)
    assert described(tmp_path).skipped_kinds == {"file larger than 256 MiB": 1}
    with pytest.raises(ValueError, match="larger than"):
        files.read_limited(Path("/dev/null").parent.parent / "proc" / "self" / "status", limit=10)


def test_links_are_followed_and_those_that_leave_the_folder_are_reported(tmp_path: Path) -> None:
    root = fill(tmp_path / "data", "cat")
    fill(tmp_path, "store")
    (root / "dog").symlink_to(tmp_path / "store")
    (root / "cat" / "link.png").symlink_to("0.png")
    description = described(root)
    assert {one.name: one.images for one in description.classes} == {"cat": 5, "dog": 4}
    [outside] = [remark for remark in description.remarks if "link" in remark]
    assert outside == f"1 link leads out of the folder, and is followed: dog -> {tmp_path / 'store'}"


@pytest.mark.parametrize("target", [".", "..", "/", "../..", "../dog"])
def test_links_in_a_circle_end(tmp_path: Path, target: str) -> None:
    root = fill(tmp_path / "data", "cat", "dog")
    (root / "cat" / "round").symlink_to(target)
    (root / "dog" / "round").symlink_to("../cat")
    description = described(root)
    assert description.skipped_kinds.get("link in a circle", 0) + description.skipped_kinds.get(
        "link to a folder that is read already", 0
    )
    (root / "gone.png").symlink_to("nowhere")
    assert described(root).skipped_kinds["broken link"] == 1


def test_a_folder_name_that_is_not_utf_8_is_shown_with_escapes(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    root = fill(tmp_path / name, "cat", os.fsdecode(b"d\xf6g"))
    description = described(root)
    assert description.name == "caf\\udce9"
    assert [one.name for one in description.classes] == ["cat", "d\\udcf6g"]


# Sizes.


@pytest.mark.parametrize(
    ("size", "deployed", "side"),
    [
        ((96, 80), 224, 64),
        ((96, 80), 48, 48),
        ((96, 80), 32, 32),
        ((640, 480), 224, 64),
        ((50, 60), 224, 48),
        ((28, 28), 224, 32),
        ((8, 8), None, 32),
    ],
)
def test_the_training_resolution_comes_from_the_images_and_the_deployed_one(
    tmp_path: Path, size: tuple[int, int], deployed: int | None, side: int
) -> None:
    root = fill(tmp_path, "a", "b", size=size)
    assert describe_data(str(root), deployed=deployed).sizes.side == side
    assert describe_data(str(root), side=40, deployed=deployed).sizes.side == 40


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        (
            [(96, 80)],
            "images are 96x80, brought to 3x64x64; shrunk; cropped in the middle (17% of the longer side is cut off)",
        ),
        ([(64, 64)], "images are 64x64, used as they are"),
        ([(28, 28)], "images are 28x28, brought to 3x32x32; padded with black"),
        ([(8, 8)], "images are 8x8, brought to 3x32x32; enlarged"),
    ],
)
def test_the_summary_says_what_becomes_of_sizes(tmp_path: Path, sizes: list[tuple[int, int]], words: str) -> None:
    for size in sizes:
        fill(tmp_path, "a", "b", size=size)
    assert described(tmp_path).sizes.describe() == words


def test_gray_images_among_colored_ones_and_deep_ones_are_said(tmp_path: Path) -> None:
    fill(tmp_path, "a", "b")
    (tmp_path / "a" / "deep.png").write_bytes(deep_png(np.full((8, 8, 1), 4000)))
    (tmp_path / "b" / "deep.png").write_bytes(deep_png(np.full((8, 8, 3), 3000)))
    words = described(tmp_path).sizes.describe()
    assert "1 of 10 are gray, and made three channels" in words
    assert "values up to 4,095 are scaled to 255" in words


# Memory.


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("can't allocate memory: you tried"), OSError(28, "No space")]
)
def test_data_that_does_not_fit_says_what_to_change(tmp_path: Path, monkeypatch: Any, error: Exception) -> None:
    from snsearch.training import loading

    def short(shape: tuple[int, ...]) -> Any:
        raise error

    monkeypatch.setattr(loading, "allocate", short)
    with pytest.raises(DataError, match=r"8 images of 3x32x32 take 0\.0 GiB.*--proxy-resolution"):
        load_data(str(fill(tmp_path, "a", "b")))


_WITH_LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
from snsearch.errors import DataError
from snsearch.training import load_data
load_data(sys.argv[1], side=8)  # all libraries are loaded now
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 2**26, resource.RLIM_INFINITY))
try:
    load_data(sys.argv[1], side=2048)
except DataError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="no limit of memory that can be set")
def test_a_limit_of_memory_is_told_in_words(tmp_path: Path) -> None:
    fill(tmp_path, "a", "b")
    words = [sys.executable, "-c", _WITH_LITTLE_MEMORY, str(tmp_path)]
    child = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert (child.returncode, child.stderr) == (0, "")
    assert "memory" in child.stdout
    assert "give fewer pixels a side (--proxy-resolution), fewer images, or more memory" in child.stdout


def test_postscript_under_another_name_is_not_run(tmp_path: Path) -> None:
    fill(tmp_path, "a", "b")
    (tmp_path / "a" / "x.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"
    )
    assert described(tmp_path).skipped_kinds == {"not an image that Pillow knows": 1}


# Names.


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("images/catz", "data 'images/catz': no such folder or file; did you mean 'images/cats'?"),
        ("images/none", "data 'images/none': no such folder or file; expected"),
        ("imagez", "data 'imagez': no such folder or file; did you mean 'images'?"),
        ("a/b/c", "data 'a/b/c': no such folder or file"),
        ("images.zip", "data 'images.zip': a file that is no data set (unpack archives)"),
    ],
)
def test_a_name_whose_first_part_is_a_folder_is_a_path(
    tmp_path: Path, monkeypatch: Any, spec: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    fill(tmp_path, "images/cats")
    (tmp_path / "images.zip").write_bytes(b"")
    with pytest.raises(DataError, match=re.escape(message)):
        load_data(spec)


@pytest.mark.parametrize(
    ("spec", "otherwise"), [("owner/name", True), ("hf:owner/name", False), ("hf://owner/name", False)]
)
def test_the_hub_is_asked_with_a_time_limit_and_both_readings_are_named(
    monkeypatch: Any, spec: str, otherwise: bool
) -> None:
    datasets = pytest.importorskip("datasets")
    import threading
    import time

    import huggingface_hub

    from snsearch.training import tables

    released = threading.Event()
    asked: list[str] = []

    class Deaf:
        def dataset_info(self, name: str, timeout: float) -> None:
            asked.append(name)
            released.wait(30)

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "HfApi", Deaf)
    monkeypatch.setattr(tables, "ASK_SECONDS", 0.2)
    started = time.monotonic()
    with pytest.raises(DataError, match="the hub did not answer within") as error:
        load_data(spec)
    released.set()
    assert time.monotonic() - started < 10
    assert asked == ["owner/name"]
    assert ("There is no folder 'owner/name' here either" in str(error.value)) is otherwise


def test_a_description_is_made_of_what_a_source_found(tmp_path: Path) -> None:
    assert sources.find_data(str(fill(tmp_path / "pets", "a", "b"))).name == "pets"
