"""Splits: every synonym in every case, what is ambiguous, and stratified parts."""

from __future__ import annotations

import re
from typing import Any

import pytest

from snsearch.training.found import Role, Unusable
from snsearch.training.splits import assign_roles, divide, looks_like_size, parse_splits, role_of

SYNONYMS: dict[Role, tuple[str, ...]] = {
    "train": ("train", "training", "trn", "training_set", "train-data", "Train Images"),
    "validation": ("val", "valid", "validation", "validate", "dev", "eval", "evaluation", "val_set"),
    "test": ("test", "testing", "tst", "test_set", "test.data"),
}


@pytest.mark.parametrize(("role", "name"), [(role, name) for role, names in SYNONYMS.items() for name in names])
@pytest.mark.parametrize("case", [str.lower, str.upper, str.title, lambda text: f" {text} "])
def test_a_synonym_says_its_role_in_any_case(role: Role, name: str, case: Any) -> None:
    assert role_of(case(name)) == role


@pytest.mark.parametrize("name", ["", "cat", "trains", "contest", "validity", "test1", "evaluate me", "developer"])
def test_other_names_say_no_role(name: str) -> None:
    assert role_of(name) is None


@pytest.mark.parametrize(
    ("name", "is_size"),
    [("224x224", True), ("64px", True), ("96 × 80", True), ("32X32px", True), ("10", False), ("x", False)],
)
def test_a_size_is_told_from_a_number(name: str, is_size: bool) -> None:
    assert looks_like_size(name) is is_size


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("train", "val", "test"), {"train": "train", "validation": "val", "test": "test"}),
        (("Train", "Test"), {"train": "Train", "test": "Test"}),
        (("training", "testing"), {"train": "training", "test": "testing"}),
        (("train", "testing"), {"train": "train", "test": "testing"}),
        (("train", "val"), {"train": "train", "test": "val"}),
        (("train", "eval"), {"train": "train", "test": "eval"}),
        (("TRAINING", "Dev"), {"train": "TRAINING", "test": "Dev"}),
        (("train",), {"train": "train"}),
        (("test",), {"train": "test"}),
        (("",), {"train": ""}),
        (("train", "test", "extra"), {"train": "train", "test": "test"}),
    ],
)
def test_splits_get_their_roles(names: tuple[str, ...], expected: dict[Role, str]) -> None:
    roles = assign_roles(names)
    assert roles.names == expected
    assert set(roles.unused) == set(names) - set(expected.values())
    assert bool(roles.remarks) is (names == ("test",))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("val", "test"), "no split is named as the training split: 'val', 'test'"),
        (("a", "b"), "no split is named as the training split: 'a', 'b'"),
        (("train", "val", "valid"), "splits 'val' and 'valid' could both be the validation split"),
        (("Train", "train", "test"), "splits 'Train' and 'train' could both be the train split"),
    ],
)
def test_ambiguous_splits_are_refused_by_name(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(Unusable, match=re.escape(message)):
        assign_roles(names)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ((), ()),
        (("fold1",), (("train", "fold1"),)),
        (("train", "validation"), (("train", "train"), ("validation", "validation"))),
        (("train=a,test=b",), (("train", "a"), ("test", "b"))),
        (("train=a, test=b,val",), (("train", "a"), ("test", "b"), ("validation", "val"))),
        (("train,test",), (("train", "train"), ("test", "test"))),
        (("cats, dogs",), (("train", "cats, dogs"),)),
        (("train=a,b,test=c,d=e",), (("train", "a,b"), ("test", "c,d=e"))),
        (("train=a,test=b", "test=c,val"), (("train", "a,test=b"), ("test", "c,val"))),
        (("training=a", "val=b", "test=c"), (("train", "a"), ("validation", "b"), ("test", "c"))),
    ],
)
def test_split_texts_are_read(texts: tuple[str, ...], expected: Any) -> None:
    assert parse_splits(texts) == expected


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("part=a",), "split 'part=a': expected NAME"),
        (("train=",), "split 'train=': expected NAME"),
        (("",), "split '': expected NAME"),
        (("", "test=a"), "split '': expected NAME"),
        (("train=a", "train=b"), "'a' is the train split already"),
        (("test=a",), "no training split is named"),
    ],
)
def test_wrong_split_texts_are_refused(texts: tuple[str, ...], message: str) -> None:
    with pytest.raises(Unusable, match=re.escape(message)):
        parse_splits(texts)


def test_chosen_splits_are_taken_whatever_their_names() -> None:
    roles = assign_roles(("a", "B", "test"), {"train": "b", "test": "a"})
    assert (roles.names, roles.unused) == ({"train": "B", "test": "a"}, ("test",))
    with pytest.raises(Unusable, match="there is no split 'c'; there are: a, B, test"):
        assign_roles(("a", "B", "test"), {"train": "c"})
    with pytest.raises(Unusable, match="twice"):
        assign_roles(("a", "b"), {"train": "a", "test": "a"})


@pytest.mark.parametrize("has_validation", [True, False])
@pytest.mark.parametrize("has_test", [True, False])
def test_missing_splits_are_a_tenth_of_every_class(has_validation: bool, has_test: bool) -> None:
    labels = [index % 2 for index in range(200)]
    division = divide(labels, has_validation=has_validation, has_test=has_test)
    held = [] if division.test is None else division.test.tolist()
    assert sum(labels[index] for index in held) * 2 == len(held) == (0 if has_test else 20)
    assert sorted([*division.train.tolist(), *held]) == list(range(200))
    carved = [] if division.validation is None else division.train[division.validation].tolist()
    assert sum(labels[index] for index in carved) * 2 == len(carved)
    assert len(carved) == (0 if has_validation else 20 if has_test else 18)
