"""Labels: withheld ones, what is no class label, and tables beside images."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from snsearch.training.found import Unusable
from snsearch.training.labels import class_labels, read_label_table, rows_of_images


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["cat", "", None], ["cat", None, None]),
        ([0, 1, -1, None], ["0", "1", None, None]),
        ([-1, -1], [None, None]),
        ([-1, 1, -1], ["-1", "1", "-1"]),  # the two classes of many binary data sets
        ([0.0, 2.0, float("nan")], ["0", "2", None]),  # a column of integers in which some are missing
        ([True, False], ["True", "False"]),
    ],
)
def test_values_become_class_names(values: list[Any], expected: list[str | None]) -> None:
    assert class_labels(values, "column 'label'") == expected


def test_numbered_classes_get_their_names() -> None:
    assert class_labels([1, 0, -1], "column 'label'", ["cat", "dog"].__getitem__) == ["dog", "cat", None]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ([0, 1], "lists such as [0, 1]"),
        (0.5, "fractions such as 0.5"),
        (float("inf"), "fractions such as inf"),
        ({"a": 1}, "records such as {'a': 1}"),
        (b"cat", "bytes such as b'cat'"),
    ],
)
def test_what_is_no_class_label_is_refused_by_what_was_found(value: Any, found: str) -> None:
    with pytest.raises(Unusable, match=re.escape(f"column 'y' holds {found}")):
        class_labels([1, value], "column 'y'")


def table(folder: Path, text: str, name: str = "labels.csv", **columns: Any) -> Any:
    """The table of a file with that text."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_label_table(path, columns.get("image"), columns.get("label"))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_is_read_whatever_parts_its_columns(tmp_path: Path, delimiter: str) -> None:
    read = table(tmp_path, "\ufeffid,Image,LABEL\n1,a.png,cat\n\n2,b.png,\n".replace(",", delimiter))
    assert (read.images, read.labels, read.splits) == (("a.png", "b.png"), ("cat", None), None)


def test_columns_may_be_named_and_a_split_column_is_kept(tmp_path: Path) -> None:
    read = table(tmp_path, "a,b,split\nx.png,cat,train\n", image="a", label="B")
    assert (read.images, read.labels, read.splits) == (("x.png",), ("cat",), ("train",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "labels.csv: holds no rows"),
        ("a,b\n1,2\n", "labels.csv: no image column among a, b; name it by --image-column"),
        ("image,b\n1,2\n", "labels.csv: no label column among image, b; name it by --label-column"),
        ("image,label\n1.png,0.5\n2.png,1.5\n", "labels.csv: column 'label' holds fractions such as 0.5"),
        ('image,label\n1.png,"[0, 1]"\n', "labels.csv: column 'label' holds lists such as [0, 1]"),
        ("image,label\n1.png\n", "labels.csv: row 2 has fewer columns than the header"),
        ('image,label\n"1.png\n', "labels.csv: not a table of comma-separated values"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(Unusable, match=re.escape(message)):
        table(tmp_path, text)


def test_a_table_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Unusable, match=re.escape("labels.csv: cannot be read: ")):
        read_label_table(tmp_path / "labels.csv", None, None)


def test_numbers_with_leading_zeros_are_names(tmp_path: Path) -> None:
    assert table(tmp_path, "image,label\n1.png,007\n2.png,7\n").labels == ("007", "7")


def test_rows_name_images_by_path_file_name_or_stem(tmp_path: Path) -> None:
    images = [PurePosixPath(name) for name in ("a/1.png", "b/1.png", "c/2.png", "3.jpg")]
    read = table(tmp_path, "image,label\na/1.png,x\n2.png,y\n3,z\n1.png,w\n./b/1.png,v\ngone.png,u\n")
    found = rows_of_images(read, images)
    assert {str(images[index]): read.labels[row] for index, row in found.items()} == {
        "a/1.png": "x",
        "b/1.png": "v",
        "c/2.png": "y",
        "3.jpg": "z",
    }


def test_an_image_with_two_labels_is_refused(tmp_path: Path) -> None:
    read = table(tmp_path, "image,label\n1.png,x\n1.png,y\n")
    with pytest.raises(Unusable, match=r"labels\.csv: 1\.png has two labels"):
        rows_of_images(read, [PurePosixPath("1.png")])
