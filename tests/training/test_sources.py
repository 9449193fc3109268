"""Every source of images: folders, parquet files, IDX files, digits, the Hub, and what their faults say."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from snsearch.errors import DataError
from snsearch.training import builtin
from snsearch.training.builtin import DEBIAN_FASHION, FASHION_CLASSES, is_idx_folder
from snsearch.training.data import Dataset, Images
from snsearch.training.found import Options, Skipped, Step
from snsearch.training.sources import describe_data, load_data


def picture(value: int, *, color: bool = False, form: str = "PNG") -> bytes:
    """The file of a 4x4 image of one brightness."""
    file = io.BytesIO()
    Image.new("RGB" if color else "L", (4, 4), (value,) * 3 if color else value).save(file, form)
    return file.getvalue()


def put(path: Path, data: bytes) -> None:
    """Writes a file in a folder that may not exist yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def values(images: Images) -> list[int]:
    """Each image's brightness."""
    return images.pixels[:, 0, 0, 0].tolist()


def labelled(dataset: Dataset, images: Images) -> list[tuple[str, int]]:
    """Each image's class name and brightness, in order."""
    return [
        (dataset.classes[label], value) for label, value in zip(images.labels.tolist(), values(images), strict=True)
    ]


def everything(dataset: Dataset) -> list[tuple[str, int]]:
    """Each image's class name and brightness, split by split."""
    assert dataset.validation is not None
    return [item for split in (dataset.train, dataset.validation, dataset.test) for item in labelled(dataset, split)]


def brightness(dataset: Dataset) -> list[int]:
    """Each image's brightness, split by split."""
    return [value for _, value in everything(dataset)]


# Image folders.


def test_class_folders_come_in_natural_order_with_their_images_labels(tmp_path: Path) -> None:
    wanted = [
        ("2", 20),
        ("2", 21),
        ("2", 22),
        ("10", 100),
        ("10", 101),
        ("10", 102),
        ("b", 200),
        ("b", 201),
        ("b", 202),
    ]
    for name, value in wanted:
        put(tmp_path / "pets" / name / f"{value}.png", picture(value))
    dataset = load_data(str(tmp_path / "pets"), side=4)
    assert (dataset.name, dataset.classes) == ("pets", ("2", "10", "b"))
    # Files are read folder by folder, and of every class one image each is held out for validation and test.
    assert [len(dataset.train), len(dataset.scored), len(dataset.test)] == [3, 3, 3]
    assert sorted(everything(dataset), key=wanted.index) == wanted


@pytest.mark.parametrize("held", ["val", "valid", "validation", "test", "Testing", "DEV", "eval"])
def test_of_two_splits_the_second_is_the_test_split_whatever_its_name(tmp_path: Path, held: str) -> None:
    for name, value in (("cat", 1), ("cat", 2), ("dog", 3)):
        put(tmp_path / "train" / name / f"{value}.png", picture(value))
    for name, value in (("dog", 4), ("cat", 5)):
        put(tmp_path / held / name / f"{value}.png", picture(value))
    dataset = load_data(str(tmp_path), side=4)
    assert labelled(dataset, dataset.test) == [("cat", 5), ("dog", 4)]
    assert sorted(everything(dataset)[:3]) == [("cat", 1), ("cat", 2), ("dog", 3)]
    assert [len(dataset.train), len(dataset.scored)] == [2, 1]


@pytest.mark.parametrize("empty", [True, False])
def test_three_splits_are_used_as_three_unless_one_is_empty(tmp_path: Path, empty: bool) -> None:
    for part, value in (("train", 1), ("test", 2)) if empty else (("train", 1), ("test", 2), ("val", 3)):
        for name in ("cat", "dog"):
            put(tmp_path / part / name / "one.png", picture(value))
    (tmp_path / "val" / "cat").mkdir(parents=True, exist_ok=True)
    dataset = load_data(str(tmp_path), side=4)
    assert (values(dataset.test), values(dataset.scored)) == ([2, 2], [2, 2] if empty else [3, 3])


@pytest.mark.parametrize("inner", [".", "train"])
def test_without_a_test_split_a_tenth_of_every_class_is_held_out(tmp_path: Path, inner: str) -> None:
    classes = {"few": range(2), "some": range(2, 32), "more": range(32, 92), "one": range(92, 93)}
    for name, members in classes.items():
        for value in members:
            put(tmp_path / inner / name / f"{value:03}.png", picture(value))
    one, two = (load_data(str(tmp_path), side=4) for _ in range(2))
    assert sorted(brightness(one)) == list(range(93))
    assert one.fingerprint() == two.fingerprint()
    test = labelled(one, one.test)
    assert {name: sum(label == name for label, _ in test) for name in classes} == {
        "few": 1,
        "some": 3,
        "more": 6,
        "one": 0,
    }
    assert all(value in classes[name] for name, value in everything(one))
    counts = {name: sum(label == name for label, _ in labelled(one, one.scored)) for name in classes}
    assert counts == {"few": 0, "some": 3, "more": 5, "one": 0}  # a tenth of what the test split leaves


def test_hidden_loose_and_foreign_files_are_left_out_and_nested_ones_are_found(tmp_path: Path) -> None:
    for path, form in (("a/1.png", "PNG"), ("a/deep/er/2.PNG", "PNG"), ("b/3.Jpeg", "JPEG"), ("b/4.bmp", "BMP")):
        put(tmp_path / path, picture(200, form=form))
    for path in ("a/.hidden.png", ".cache/5.png", "loose.png", "a/notes.txt", "b/labels.csv"):
        put(tmp_path / path, picture(0))
    dataset = load_data(str(tmp_path), side=4)
    assert dataset.classes == ("a", "b")
    assert brightness(dataset) == [200] * 4
    assert {one.name.partition("/")[2]: one.reason for one in dataset.skipped} == {
        ".cache": "hidden",
        "a/.hidden.png": "hidden",
        "a/notes.txt": ".txt file",
        "b/labels.csv": ".csv file",
        "loose.png": "image in no class folder",
    }


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    for name in ("car", "train"):
        for value in (10, 20, 30):
            put(tmp_path / name / f"{value}.png", picture(value))
    assert load_data(str(tmp_path), side=4).classes == ("car", "train")


def test_unreadable_images_are_listed_and_the_others_keep_their_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    root = tmp_path / "pets"
    for part in ("train", "val"):
        for name, value in (("cat", 10), ("cat", 30), ("dog", 20), ("dog", 40)):
            put(root / part / name / f"{value}.png", picture(value))
    put(root / "train" / "cat" / "20.png", b"a letter")
    put(root / "train" / "dog" / "10.png", picture(1)[:50])
    put(root / "val" / "cat" / "00.png", b"")
    bomb = io.BytesIO()
    Image.new("1", (100, 100)).save(bomb, "PNG")
    put(root / "val" / "dog" / "50.png", bomb.getvalue())
    dataset = load_data(str(root), side=4)
    assert [one.name for one in dataset.skipped] == [
        "train/cat/20.png",
        "train/dog/10.png",
        "val/cat/00.png",
        "val/dog/50.png",
    ]
    assert all(one.reason for one in dataset.skipped)
    expected = [("cat", 10), ("cat", 30), ("dog", 20), ("dog", 40)]
    assert labelled(dataset, dataset.test) == expected
    assert sorted(everything(dataset)) == sorted(expected * 2)


def test_a_skipped_image_of_a_folder_without_splits_is_named_from_the_folder_on(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        put(tmp_path / "pets" / name / "1.png", picture(1))
        put(tmp_path / "pets" / name / "2.png", picture(2))
    put(tmp_path / "pets" / "cat" / "3.png", b"")
    assert load_data(str(tmp_path / "pets")).skipped == (
        Skipped(name="pets/cat/3.png", reason="not an image that Pillow knows"),
    )


@pytest.mark.parametrize("colored", [None, "train/a/2.png", "val/b/1.png"])
def test_images_have_one_channel_unless_one_of_them_has_color(tmp_path: Path, colored: str | None) -> None:
    for path in ("train/a/1.png", "train/a/2.png", "train/b/1.png", "val/a/1.png", "val/b/1.png"):
        put(tmp_path / path, picture(7, color=path == colored))
    dataset = load_data(str(tmp_path))
    assert (dataset.channels, dataset.test.pixels.shape[1]) == ((3, 3) if colored else (1, 1))


@pytest.mark.parametrize(("asked", "side"), [(None, 32), (5, 5), (64, 64)])
def test_images_are_brought_to_the_side_that_is_asked_for(tmp_path: Path, asked: int | None, side: int) -> None:
    for name in ("a", "b"):
        for number in range(2):
            put(tmp_path / name / f"{number}.png", picture(9))
    dataset = load_data(str(tmp_path), side=asked)
    assert (dataset.side, tuple(dataset.test.pixels.shape)) == (side, (2, 1, side, side))


def test_progress_counts_the_images_of_both_splits(tmp_path: Path) -> None:
    for part, count in (("train", 50), ("val", 30)):
        for name in ("a", "b"):
            for number in range(count):
                put(tmp_path / part / name / f"{number}.png", picture(9))
    steps: tuple[Step, ...] = ("headers", "images")
    reported: list[tuple[Step, int, int]] = []
    load_data(str(tmp_path), progress=lambda *told: reported.append(told))
    assert reported == [(step, done, 160) for step in steps for done in (64, 128, 160)]
    reported.clear()
    describe_data(str(tmp_path), progress=lambda *told: reported.append(told))
    assert reported == [(step, done, 160) for step in steps for done in (64, 128, 160)]


def _one_class(root: Path) -> None:
    put(root / "cat" / "1.png", picture(1))
    put(root / "cat" / "2.png", picture(1))


def _strange_test_classes(root: Path) -> None:
    for path in ("train/cat/1.png", "train/dog/1.png", "val/cat/1.png", "val/emu/1.png", "val/ape/1.png"):
        put(root / path, picture(1))


def _nothing_readable(root: Path) -> None:
    for path in ("train/cat/1.png", "train/dog/1.png"):
        put(root / path, b"")


def _nothing_readable_in_test(root: Path) -> None:
    for path in ("train/cat/1.png", "train/dog/1.png"):
        put(root / path, picture(1))
    put(root / "test/cat/9.png", b"")


def _one_image_a_class(root: Path) -> None:
    for path in ("cat/1.png", "dog/1.png"):
        put(root / path, picture(1))


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (lambda root: None, "folder 'pets' holds no images; expected train/CLASS/IMAGE"),
        (lambda root: (root / "train" / "cat").mkdir(parents=True), "folder 'pets' holds no images"),
        (
            lambda root: put(root / "1.png", picture(1)),
            "pets: 1 image in no class folder and no labels.csv; expected",
        ),
        (_one_class, "pets: 1 class in the training images (cat); at least two"),
        (_strange_test_classes, "pets: the test images have classes that no training image has: ape, emu"),
        (_nothing_readable, "pets: no training image could be read (2 skipped); the first: train/cat/1.png: not an"),
        (_nothing_readable_in_test, "pets: no test image could be read (1 skipped); the first: test/cat/9.png"),
        (
            _one_image_a_class,
            "pets: too few images to divide: test images are a part of every class, and no class has",
        ),
    ],
    ids=[
        "empty",
        "empty train",
        "loose image",
        "one class",
        "strange classes",
        "unreadable",
        "unreadable test",
        "one image a class",
    ],
)
def test_a_folder_that_cannot_be_used_says_why(tmp_path: Path, fill: Callable[[Path], Any], message: str) -> None:
    root = tmp_path / "pets"
    root.mkdir()
    fill(root)
    with pytest.raises(DataError, match=re.escape(message)):
        load_data(str(root))


# What --data understands.


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nothing-here", "data 'nothing-here': no such folder or file; expected fashion-mnist, digits"),
        ("digts", "data 'digts': no such folder or file; did you mean \"digits\"?"),
        ("./nothing", "data './nothing': no such folder or file"),
        ("/nowhere/at/all", "data '/nowhere/at/all': no such folder or file"),
        ("~/nowhere-at-all", "data '~/nowhere-at-all': no such folder or file"),
        ("archive.zip", "data 'archive.zip': no such folder or file"),
        ("folder:/nowhere", "folder '/nowhere' does not exist"),
        ("nowhere.parquet", "parquet file 'nowhere.parquet' does not exist"),
        ("parquet:/nowhere.parquet", "parquet file '/nowhere.parquet' does not exist"),
        ("fashion-mnist:/nowhere", "'/nowhere' does not hold the four IDX files"),
    ],
)
def test_data_that_is_not_there_is_named(spec: str, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        load_data(spec)


@pytest.mark.parametrize(
    ("spec", "options", "given"),
    [
        ("digits", Options(splits=(("train", "x"),)), "--split train=x"),
        ("fashion-mnist", Options(image_column="x", label_column="y"), "--image-column x --label-column y"),
    ],
)
def test_built_in_data_has_fixed_splits_and_no_columns(spec: str, options: Options, given: str) -> None:
    with pytest.raises(DataError, match=f"data '{spec}': {given} cannot be used"):
        load_data(spec, options=options)


@pytest.mark.parametrize("spec", ["{0}/pets", "folder:{0}/pets", "~/pets"])
def test_a_folder_may_be_named_by_path_by_kind_or_from_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in ("pets/a/1.png", "pets/a/2.png", "pets/b/1.png", "pets/b/2.png"):
        put(tmp_path / path, picture(1))
    assert load_data(spec.format(tmp_path)).classes == ("a", "b")


def test_a_missing_datasets_package_is_named_with_its_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "some.parquet", b"")
    monkeypatch.setitem(sys.modules, "datasets", None)
    for spec in (str(tmp_path / "some.parquet"), "owner/name"):
        with pytest.raises(DataError, match=re.escape('pip install "snsearch[hub]"')):
            load_data(spec)


_OFFLINE = """
import json
from pathlib import Path
from snsearch.training import builtin, sources
from snsearch.errors import DataError

builtin.DEBIAN_FASHION = Path("nowhere")
messages = []
for spec in ("owner/name", "hf:owner/name:part", "hf:", "fashion-mnist"):
    try:
        sources.load_data(spec)
    except DataError as error:
        messages.append(str(error))
print(json.dumps(messages))
"""


def test_without_a_network_a_hub_name_says_that_it_cannot_be_loaded(tmp_path: Path) -> None:
    # The library reads HF_HUB_OFFLINE when it is imported, so this needs a process of its own.
    environment = {key: value for key, value in os.environ.items() if key != "SNSEARCH_DATA"}
    finished = subprocess.run(
        [sys.executable, "-c", _OFFLINE],
        env=environment | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    plain, configured, nameless, fashion = json.loads(finished.stdout)
    assert plain.startswith("the Hugging Face data set 'owner/name' could not be loaded: ")
    assert configured.startswith("the Hugging Face data set 'owner/name:part' could not be loaded: ")
    assert nameless == "hf: expected a data set's name, such as hf:zalando-datasets/fashion_mnist"
    assert "dataset-fashion-mnist" in fashion
    assert "$SNSEARCH_DATA/fashion-mnist" in fashion
    assert "'zalando-datasets/fashion_mnist' could not be loaded" in fashion


# Parquet.

Rows = Sequence[tuple[bytes | None, Any]]
Write = Callable[[Path, Rows], None]


@pytest.fixture
def hub_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The datasets library, kept off the network and out of the user's cache."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets
    import huggingface_hub

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()
    return datasets


@pytest.fixture
def write(hub_library: Any) -> Write:
    """Writes a parquet file of images and labels 0 "cat", 1 "dog" as the datasets library does."""

    def call(path: Path, rows: Rows) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        features = hub_library.Features(
            {"image": hub_library.Image(), "label": hub_library.ClassLabel(names=["cat", "dog"])}
        )
        columns = {
            "image": [None if data is None else {"bytes": data, "path": None} for data, _ in rows],
            "label": [label for _, label in rows],
        }
        hub_library.Dataset.from_dict(columns, features=features).to_parquet(path)

    return call


def test_a_parquet_file_gives_its_images_and_class_names_and_skips_what_it_cannot_read(
    tmp_path: Path, write: Write
) -> None:
    rows: list[tuple[bytes | None, Any]] = [(picture(number), number % 2) for number in range(20)]
    rows[3] = b"no picture", 1
    rows[6] = None, 0
    write(tmp_path / "pets.parquet", rows)
    dataset = load_data(str(tmp_path / "pets.parquet"), side=4)
    assert (dataset.name, dataset.classes, dataset.channels, dataset.side) == ("pets", ("cat", "dog"), 1, 4)
    assert dataset.skipped == (
        Skipped(name="row 3", reason="not an image that Pillow knows"),
        Skipped(name="row 6", reason="no image in this row"),
    )
    both = sorted(everything(dataset), key=lambda item: item[1])
    assert both == [(("cat", "dog")[number % 2], number) for number in range(20) if number not in (3, 6)]
    assert len(dataset.test) == 2


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (["train-00000-of-00002", "train-00001-of-00002"], "test-00000-of-00001"),
        (["data/train-0", "data/train-1"], "data/validation-0"),
        (["train/0", "train/1"], "test/0"),
        (["train-0", "other"], "val"),
        (["training/train/a", "training/train/b"], "training/train/test-0"),
        (["train_0", "train_1"], "test_0"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_folder_of_parquet_files_is_split_by_their_names(
    tmp_path: Path, write: Write, train: list[str], test: str
) -> None:
    root = tmp_path / "pets"
    for number, name in enumerate(train):
        write(root / f"{name}.parquet", [(picture(number * 2, color=True), 0), (picture(number * 2 + 1), 1)])
    write(root / f"{test}.parquet", [(picture(100), 1), (picture(101), 0)])
    dataset = load_data(str(root), side=4)
    found = [sorted(everything(dataset)[:4]), sorted(labelled(dataset, dataset.test))]
    assert found == [[("cat", 0), ("cat", 2), ("dog", 1), ("dog", 3)], [("cat", 101), ("dog", 100)]]
    assert dataset.channels == 3


def test_a_file_that_is_a_test_split_alone_is_divided(tmp_path: Path, write: Write) -> None:
    write(tmp_path / "test.parquet", [(picture(number), number % 2) for number in range(8)])
    dataset = load_data(f"parquet:{tmp_path / 'test.parquet'}", side=4)
    assert (len(dataset.train), len(dataset.scored), len(dataset.test)) == (4, 2, 2)
    assert sorted(brightness(dataset)) == list(range(8))


def _plain(path: Path, columns: dict[str, list[Any]]) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table(columns), path)


@pytest.mark.usefixtures("hub_library")
@pytest.mark.parametrize(
    ("labels", "classes"), [([10, 2, 10, 2], ("2", "10")), (["sun", "ice", "sun", "ice"], ("ice", "sun"))]
)
@pytest.mark.parametrize(("image", "label"), [("image", "label"), ("img", "fine_label")])
def test_columns_without_types_are_found_by_name(
    tmp_path: Path, labels: list[Any], classes: tuple[str, ...], image: str, label: str
) -> None:
    _plain(tmp_path / "a.parquet", {"id": [1, 2, 3, 4], image: [picture(n) for n in range(4)], label: labels})
    dataset = load_data(str(tmp_path / "a.parquet"), side=4)
    assert dataset.classes == classes
    both = sorted(everything(dataset), key=lambda item: item[1])
    assert both == [(str(name), number) for number, name in enumerate(labels)]


@pytest.mark.usefixtures("hub_library")
def test_a_parquet_file_without_images_lists_its_columns(tmp_path: Path) -> None:
    _plain(tmp_path / "table.parquet", {"height": [1, 2], "label": [0, 1]})
    with pytest.raises(DataError, match="table: no image and label column among height, label"):
        load_data(str(tmp_path / "table.parquet"))


@pytest.mark.usefixtures("hub_library")
def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match="bad: the parquet files could not be read: "):
        load_data(str(tmp_path / "bad.parquet"))


@pytest.mark.parametrize("validation", [True, False])
@pytest.mark.parametrize("missing", [-1, None])
def test_a_split_whose_labels_are_withheld_is_set_aside(
    tmp_path: Path, write: Write, missing: Any, validation: bool
) -> None:
    # -1 stands for a hidden label in the test splits of many data sets on the Hub.
    write(tmp_path / "train.parquet", [(picture(number), number % 2) for number in range(8)])
    write(tmp_path / "test.parquet", [(picture(number), missing) for number in range(3)])
    if validation:
        write(tmp_path / "validation.parquet", [(picture(100 + number), number % 2) for number in range(2)])
    dataset = load_data(str(tmp_path), side=4)
    assert dataset.description is not None
    assert dataset.description.skipped_kinds == {"label withheld": 3}
    assert "split test is not used: none of its 3 images has a label" in dataset.description.remarks
    assert sorted(brightness(dataset)) == [*range(8), *([100, 101] if validation else [])]
    if validation:
        assert values(dataset.test) == [100, 101]


def test_single_images_without_a_label_are_skipped(tmp_path: Path, write: Write) -> None:
    write(tmp_path / "train.parquet", [(picture(number), -1 if number == 5 else number % 2) for number in range(9)])
    dataset = load_data(str(tmp_path), side=4)
    assert dataset.skipped == (Skipped(name="row 5", reason="label withheld"),)
    assert sorted(brightness(dataset)) == [0, 1, 2, 3, 4, 6, 7, 8]


# IDX files.

Array = npt.NDArray[np.uint8]


def idx(array: Array) -> bytes:
    """The bytes of an IDX file, not compressed."""
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def put_idx(folder: Path, count: int = 3, *, side: int = 28, first_label: int = 0, brightness: int = 9) -> None:
    """The four files of an MNIST-like data set: `count` training images and two of test."""
    for split, number in (("train", count), ("t10k", 2)):
        pixels = np.full((number, side, side), brightness, dtype=np.uint8)
        labels = (np.arange(number) % 3 + first_label).astype(np.uint8)
        put(folder / f"{split}-images-idx3-ubyte.gz", gzip.compress(idx(pixels)))
        put(folder / f"{split}-labels-idx1-ubyte.gz", gzip.compress(idx(labels)))


def test_fashion_mnist_is_read_from_a_named_folder_at_32_pixels(tmp_path: Path) -> None:
    put_idx(tmp_path, brightness=200)
    dataset = load_data(f"fashion-mnist:{tmp_path}")
    assert (dataset.name, dataset.classes, dataset.augmentation) == ("fashion-mnist", FASHION_CLASSES, "crop+flip")
    assert (len(dataset.train), len(dataset.test)) == (3, 2)
    assert (dataset.train.labels.tolist(), dataset.test.labels.tolist()) == ([0, 1, 2], [0, 1])
    frame = torch.zeros(3, 1, 32, 32, dtype=torch.uint8)
    frame[:, :, 2:30, 2:30] = 200
    assert torch.equal(dataset.train.pixels, frame)


@pytest.mark.parametrize(("side", "asked"), [(28, 28), (28, 16), (28, 64), (8, 10)])
def test_idx_images_are_brought_to_the_side_that_is_asked_for(tmp_path: Path, side: int, asked: int) -> None:
    put_idx(tmp_path, side=side)
    dataset = load_data(f"fashion-mnist:{tmp_path}", side=asked)
    assert tuple(dataset.test.pixels.shape) == (2, 1, asked, asked)
    assert dataset.train.pixels.max() == 9


def test_any_folder_of_idx_files_is_a_data_set_of_numbered_classes(tmp_path: Path) -> None:
    put_idx(tmp_path / "mnist", count=6)
    dataset = load_data(str(tmp_path / "mnist"))
    assert (dataset.name, dataset.classes, dataset.augmentation) == ("mnist", ("0", "1", "2"), "crop")
    assert (dataset.side, dataset.channels) == (32, 1)


def test_idx_images_that_are_not_square_are_brought_to_a_square(tmp_path: Path) -> None:
    put_idx(tmp_path)
    for split, number in (("train", 3), ("t10k", 2)):
        pixels = np.full((number, 20, 28), 50, dtype=np.uint8)
        put(tmp_path / f"{split}-images-idx3-ubyte.gz", gzip.compress(idx(pixels)))
    dataset = load_data(f"fashion-mnist:{tmp_path}")
    assert tuple(dataset.train.pixels.shape) == (3, 1, 32, 32)


@pytest.mark.parametrize(("debian", "local", "found"), [(True, True, 11), (True, False, 11), (False, True, 22)])
def test_debians_package_comes_before_snsearch_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, debian: bool, local: bool, found: int
) -> None:
    put_idx(tmp_path / "named", brightness=33)
    monkeypatch.delenv("SNSEARCH_DATA", raising=False)
    monkeypatch.setattr(builtin, "DEBIAN_FASHION", tmp_path / "debian")
    if debian:
        put_idx(tmp_path / "debian", brightness=11)
    if local:
        put_idx(tmp_path / "local" / "fashion-mnist", brightness=22)
        monkeypatch.setenv("SNSEARCH_DATA", str(tmp_path / "local"))
    assert load_data("fashion-mnist").train.pixels.max() == found
    assert load_data(f"fashion-mnist:{tmp_path / 'named'}").train.pixels.max() == 33


_PIXELS = idx(np.zeros((3, 28, 28), dtype=np.uint8))


def _flipped(data: bytes) -> bytes:
    """A gzip file whose first compressed block is of a kind that does not exist."""
    return data[:10] + b"\xff" + data[11:]


_NOT_IDX = "{}: not an IDX file of bytes with 3 dimensions"


@pytest.mark.parametrize(
    ("part", "data", "message"),
    [
        pytest.param("images-idx3", gzip.compress(b"\0\0\x08\x01" + _PIXELS[4:]), _NOT_IDX, id="dimensions"),
        pytest.param("images-idx3", gzip.compress(b"\0\0\x0d\x03" + _PIXELS[4:]), _NOT_IDX, id="type"),
        pytest.param("images-idx3", gzip.compress(_PIXELS[:9]), _NOT_IDX, id="cut header"),
        pytest.param("images-idx3", gzip.compress(b""), _NOT_IDX, id="no bytes"),
        pytest.param(
            "images-idx3",
            gzip.compress(_PIXELS[:-1]),
            "{}: holds 2351 values where its header says (3, 28, 28)",
            id="short",
        ),
        pytest.param(
            "images-idx3",
            gzip.compress(_PIXELS + b"\0"),
            "{}: holds more than 2352 values where its header says (3, 28, 28)",
            id="long",
        ),
        pytest.param("images-idx3", b"not compressed", "{}: cannot be read: ", id="no gzip"),
        pytest.param("images-idx3", gzip.compress(_PIXELS)[:-12], "{}: cannot be read: ", id="cut gzip"),
        pytest.param("images-idx3", _flipped(gzip.compress(_PIXELS)), "{}: cannot be read: ", id="corrupt gzip"),
        pytest.param(
            "labels-idx1",
            gzip.compress(idx(np.array([0, 1], dtype=np.uint8))),
            "fashion-mnist, train: 3 images but 2 labels",
            id="too few labels",
        ),
        pytest.param(
            "labels-idx1",
            gzip.compress(idx(np.array([0, 1, 10], dtype=np.uint8))),
            "fashion-mnist: labels outside 0 to 9",
            id="strange label",
        ),
        pytest.param(
            "labels-idx1",
            gzip.compress(_PIXELS),
            "{}: not an IDX file of bytes with 1 dimensions",
            id="images for labels",
        ),
    ],
)
def test_a_corrupt_idx_file_says_what_is_wrong(tmp_path: Path, part: str, data: bytes, message: str) -> None:
    put_idx(tmp_path)
    name = f"train-{part}-ubyte.gz"
    put(tmp_path / name, data)
    with pytest.raises(DataError, match=re.escape(message.format(name))):
        load_data(f"fashion-mnist:{tmp_path}")


def test_idx_files_without_images_are_a_data_error(tmp_path: Path) -> None:
    put_idx(tmp_path, count=0)
    with pytest.raises(DataError, match="train"):
        load_data(f"fashion-mnist:{tmp_path}")


def test_a_folder_without_all_four_idx_files_is_none(tmp_path: Path) -> None:
    put_idx(tmp_path)
    assert is_idx_folder(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    assert not is_idx_folder(tmp_path)
    with pytest.raises(DataError, match="does not hold the four IDX files"):
        load_data(f"fashion-mnist:{tmp_path}")


# The data sets that need no download.

needs_debian = pytest.mark.skipif(
    not is_idx_folder(DEBIAN_FASHION), reason="Debian's package dataset-fashion-mnist is not installed"
)


@needs_debian
def test_debians_fashion_mnist_is_whole() -> None:
    dataset = load_data("fashion-mnist")
    assert (len(dataset.train), len(dataset.test), dataset.channels, dataset.side) == (60_000, 10_000, 1, 32)
    assert dataset.train.labels.bincount().tolist() == [6000] * 10
    assert dataset.test.labels.bincount().tolist() == [1000] * 10
    raw = gzip.decompress((DEBIAN_FASHION / "t10k-images-idx3-ubyte.gz").read_bytes())
    first = torch.frombuffer(bytearray(raw[16 : 16 + 784]), dtype=torch.uint8).view(28, 28)
    assert torch.equal(dataset.test.pixels[0, 0, 2:30, 2:30], first)
    assert int(dataset.test.pixels[:100].sum()) == sum(raw[16 : 16 + 78_400])
    assert dataset.classes[dataset.test.labels[0]] == "Ankle boot"


def test_digits_are_1797_images_of_8_pixels_a_side() -> None:
    from sklearn.datasets import load_digits

    dataset = load_data("digits")
    assert (dataset.classes, dataset.channels, dataset.side) == (tuple("0123456789"), 1, 8)
    assert len(dataset.train) + len(dataset.test) == 1797
    counts = (dataset.train.labels.bincount() + dataset.test.labels.bincount()).tolist()
    assert counts == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert dataset.test.labels.bincount().tolist() == [round(count / 10) for count in counts]
    # The two splits together are the source's images, each once, with 0 to 16 spread over 0 to 255.
    bunch = load_digits()
    wanted = sorted(
        (int(label), tuple(int(v * 255 / 16 + 0.5) for v in image.ravel()))
        for label, image in zip(bunch.target, bunch.images, strict=True)
    )
    found = sorted(
        (label, tuple(pixels))
        for split in (dataset.train, dataset.test)
        for label, pixels in zip(split.labels.tolist(), split.pixels.flatten(1).tolist(), strict=True)
    )
    assert [label for label, _ in found] == [label for label, _ in wanted]
    assert np.abs(np.array([p for _, p in found]) - np.array([p for _, p in wanted])).max() <= 1


def test_digits_are_split_alike_every_time_and_scaled_when_asked() -> None:
    small, again, large = load_data("digits"), load_data("digits"), load_data("digits", side=32)
    assert small.fingerprint() == again.fingerprint() != large.fingerprint()
    assert tuple(large.train.pixels.shape) == (len(small.train), 1, 32, 32)
    assert torch.equal(large.test.labels, small.test.labels)
    means = large.test.pixels.float().mean(dim=(1, 2, 3)) - small.test.pixels.float().mean(dim=(1, 2, 3))
    assert means.abs().max() < 12


# Columns and splits of tables.


@pytest.mark.usefixtures("hub_library")
@pytest.mark.parametrize(
    ("labels", "found"),
    [([[0, 1], [1]], "lists such as [0, 1]"), ([0.5, 1.5], "fractions such as 0.5")],
)
def test_a_label_column_of_lists_or_fractions_is_refused(tmp_path: Path, labels: list[Any], found: str) -> None:
    _plain(tmp_path / "a.parquet", {"image": [picture(1), picture(2)], "label": labels})
    with pytest.raises(DataError, match=re.escape(f"a: column 'label' holds {found}, which are no class labels")):
        load_data(str(tmp_path / "a.parquet"))


def test_a_column_called_label_wins_and_columns_may_be_named(tmp_path: Path, hub_library: Any) -> None:
    kinds = hub_library.ClassLabel(names=["wild", "tame"])
    features = hub_library.Features(
        {
            "kind": kinds,
            "photo": hub_library.Image(),
            "label": hub_library.Value("string"),
            "n": hub_library.Value("int64"),
        }
    )
    columns = {
        "kind": [0, 0, 0, 1, 1, 1],
        "photo": [{"bytes": picture(number), "path": None} for number in range(6)],
        "label": ["cat", "dog"] * 3,
        "n": [1, 2, 3] * 2,
    }
    hub_library.Dataset.from_dict(columns, features=features).to_parquet(tmp_path / "a.parquet")
    path = str(tmp_path / "a.parquet")
    assert load_data(path, side=4).classes == ("cat", "dog")
    assert load_data(path, side=4, options=Options(label_column="kind")).classes == ("tame", "wild")
    assert load_data(path, side=4, options=Options(label_column="n", image_column="photo")).classes == ("1", "2", "3")
    with pytest.raises(DataError, match="no column 'x' among kind, photo, label, n"):
        load_data(path, options=Options(label_column="x"))
    with pytest.raises(DataError, match="column 'n' holds no images"):
        load_data(path, options=Options(image_column="n"))


@pytest.mark.parametrize("splits", [True, False])
def test_save_to_disk_folders_are_read(tmp_path: Path, hub_library: Any, splits: bool) -> None:
    features = hub_library.Features(
        {"image": hub_library.Image(), "label": hub_library.ClassLabel(names=["cat", "dog"])}
    )

    def rows(values: Sequence[int]) -> Any:
        cells = [{"bytes": picture(value), "path": None} for value in values]
        return hub_library.Dataset.from_dict({"image": cells, "label": [v % 2 for v in values]}, features=features)

    saved = hub_library.DatasetDict(train=rows(range(8)), validation=rows([8, 9])) if splits else rows(range(10))
    saved.save_to_disk(tmp_path / "pets")
    dataset = load_data(str(tmp_path / "pets"), side=4)
    assert (dataset.name, dataset.source, dataset.classes) == ("pets", "save_to_disk folder pets", ("cat", "dog"))
    assert sorted(brightness(dataset)) == list(range(10))
    assert not splits or values(dataset.test) == [8, 9]


def test_splits_of_a_table_may_be_chosen_and_the_others_are_named(tmp_path: Path, write: Write) -> None:
    for number, name in enumerate(("train", "test", "fold")):
        write(tmp_path / f"{name}-0.parquet", [(picture(10 * number + at), at % 2) for at in range(4)])
    chosen = Options(splits=(("train", "fold"), ("test", "train")))
    dataset = load_data(str(tmp_path), side=4, options=chosen)
    assert values(dataset.test) == [0, 1, 2, 3]
    assert sorted(brightness(dataset)) == [0, 1, 2, 3, 20, 21, 22, 23]
    assert dataset.description is not None
    assert any("not used: split test (4 images)" in remark for remark in dataset.description.remarks)


def test_paths_in_a_table_stay_inside_its_folder(tmp_path: Path, hub_library: Any) -> None:
    root = tmp_path / "pets"
    put(tmp_path / "secret.png", picture(99))
    for number in range(4):
        put(root / "images" / f"{number}.png", picture(number))
    os.mkfifo(root / "images" / "pipe.png")
    names = [
        *(f"images/{number}.png" for number in range(4)),
        "../secret.png",
        str(tmp_path / "secret.png"),
        "images/pipe.png",
    ]
    _plain(root / "a.parquet", {"image": names, "label": ["a", "b", "a", "b", "a", "b", "a"]})
    dataset = load_data(str(root / "a.parquet"), side=4)
    assert sorted(brightness(dataset)) == [0, 1, 2, 3]
    assert {one.name: one.kind for one in dataset.skipped} == {
        "row 4": "path outside the data set's folder",
        "row 5": "path outside the data set's folder",
        "row 6": "pipe",
    }


def test_no_more_of_an_idx_file_is_decompressed_than_its_header_says(tmp_path: Path) -> None:
    put_idx(tmp_path)
    bomb = gzip.compress(idx(np.zeros((3, 28, 28), dtype=np.uint8)) + bytes(2**24), 9)
    put(tmp_path / "train-images-idx3-ubyte.gz", bomb)
    with pytest.raises(DataError, match="holds more than 2352 values"):
        load_data(f"fashion-mnist:{tmp_path}")
    put(tmp_path / "train-images-idx3-ubyte.gz", gzip.compress(bytes((0, 0, 8, 3)) + b"\xff" * 12))
    with pytest.raises(DataError, match="which is more than 8 GiB"):
        load_data(f"fashion-mnist:{tmp_path}")
