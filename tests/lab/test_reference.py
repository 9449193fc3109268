"""Reference sets on disk: read back as written, extended by what fits only, and never half read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from snsearch.codec import decode, encode
from snsearch.errors import SnsearchError, StudyError
from snsearch.lab import folders
from snsearch.lab.folders import set_folder, shipped_sets
from snsearch.lab.reference import (
    REFERENCE,
    ReferenceSet,
    curves_of,
    extended,
    log_of,
    members_of,
    read_scores,
    read_set,
    write_scores,
    write_set,
)
from snsearch.lab.scores import ScoreResult
from snsearch.solver.budget import load_budget
from snsearch.solver.candidates import digest_of, matched_set
from snsearch.solver.design import Design, label_of
from snsearch.solver.spec import load_space
from snsearch.training.recipe import Recipe
from tests.studies import candidates_at, made_up_result


def made_up_set(count: int = 6, recipes: dict[str, Recipe] | None = None, **changes: Any) -> ReferenceSet:
    """A set of candidates of 40 MFLOPs."""
    candidates = candidates_at("40")
    made = ReferenceSet(
        name="made-up",
        space="shufflenet-v1",
        space_digest=digest_of(load_space("shufflenet-v1")),
        budget=load_budget("40"),
        tight=False,
        data="digits",
        data_fingerprint="0123456789abcdef",
        data_description="ten digits",
        train_images=5000,
        members=members_of(candidates, matched_set(candidates, count)),
        recipes=recipes or {REFERENCE: Recipe(epochs=8), "default": Recipe()},
        seeds=(0, 1),
        runs=({"host": "a"},),
    )
    return replace(made, **changes)


def test_members_hold_their_solutions_figures() -> None:
    candidates = candidates_at("40")
    designs = matched_set(candidates, 3)
    for design, member in zip(designs, members_of(candidates, designs), strict=True):
        solution = candidates.solutions[design]
        assert (member.label, member.design, member.architecture) == (label_of(design), design, solution.architecture)
        assert (member.macs, member.params) == (solution.costs.macs, solution.costs.params)


def test_a_set_round_trips_through_its_file(tmp_path: Path) -> None:
    made = made_up_set(remark="größer", tuned_on=True)
    write_set(made, tmp_path / "new" / "set")
    assert read_set(tmp_path / "new" / "set") == made
    assert [path.name for path in (tmp_path / "new" / "set").iterdir()] == ["set.json"]
    document = json.loads((tmp_path / "new" / "set" / "set.json").read_text(encoding="utf-8"))
    assert document["members"][0]["key"] == made.members[0].architecture.key


def test_trainings_come_seed_by_seed() -> None:
    made = made_up_set()
    tasks = made.trainings(REFERENCE, (4, 7))
    assert [task.seed for task in tasks] == [4] * 6 + [7] * 6
    assert [task.label for task in tasks[:6]] == [member.label for member in made.members]
    assert len({task.identity for task in tasks}) == 12
    assert all(task.recipe == made.recipes[REFERENCE] and task.recipe_name == REFERENCE for task in tasks)


def test_another_schema_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set.json").write_text(json.dumps(encode(made_up_set()) | {"schema": 99}), encoding="utf-8")
    with pytest.raises(StudyError, match="schema is 99"):
        read_set(tmp_path)


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.99])
def test_a_torn_set_is_no_set(tmp_path: Path, part: float) -> None:
    text = json.dumps(encode(made_up_set()))
    (tmp_path / "set.json").write_text(text[: int(part * len(text))], encoding="utf-8")
    with pytest.raises(StudyError, match="is no reference set"):
        read_set(tmp_path)


@pytest.mark.parametrize("content", [b"[]", b'"text"', b"null", b"\xff\xfe\x00", b"17"])
def test_a_foreign_file_is_no_set(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "set.json").write_bytes(content)
    with pytest.raises(StudyError, match=r"set\.json' is (no reference set|.*; expected an object)"):
        read_set(tmp_path)


@pytest.mark.parametrize("key", ["members", "recipes", "budget", "seeds", "train_images"])
def test_a_set_that_lacks_something_or_has_it_in_another_kind_is_refused(tmp_path: Path, key: str) -> None:
    values = encode(made_up_set())
    for wrong in (
        {k: v for k, v in values.items() if k != key},
        values | ({} if key == "train_images" else {key: 5}),
    ):
        if wrong == values:
            continue
        (tmp_path / "set.json").write_text(json.dumps(wrong), encoding="utf-8")
        with pytest.raises(SnsearchError):
            read_set(tmp_path)


def test_a_missing_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="cannot be read"):
        read_set(tmp_path)


def test_a_set_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(StudyError, match="cannot be written"):
        write_set(made_up_set(), tmp_path / "file")
    with pytest.raises(StudyError, match="cannot be written"):
        write_set(made_up_set(), tmp_path / "file" / "set")


def test_sets_are_found_by_folder_and_by_shipped_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "SHIPPED", tmp_path / "shipped")
    assert shipped_sets() == ()
    with pytest.raises(StudyError, match=r"no reference set 'one'.*or one of these: none"):
        set_folder("one")
    for name in ("two", "one"):
        write_set(made_up_set(), tmp_path / "shipped" / name)
    write_set(made_up_set(), tmp_path / "own")
    assert shipped_sets() == ("one", "two")
    assert set_folder("one") == tmp_path / "shipped" / "one"
    assert set_folder(str(tmp_path / "own")) == tmp_path / "own"
    with pytest.raises(StudyError, match=r"no reference set 'three'.*or one of these: one, two"):
        set_folder("three")


def test_an_extended_set_holds_both_runs_recipes_and_seeds() -> None:
    stored = made_up_set(remark="first")
    wanted = made_up_set(
        recipes={REFERENCE: Recipe(epochs=8), "short": Recipe(images=100)}, seeds=(2, 1), runs=({"host": "b"},)
    )
    found = extended(stored, wanted)
    assert found == replace(
        stored,
        recipes=stored.recipes | wanted.recipes,
        seeds=(0, 1, 2),
        runs=({"host": "a"}, {"host": "b"}),
    )
    assert extended(stored, replace(wanted, remark="second")).remark == "second"
    assert extended(stored, stored) == replace(stored, runs=stored.runs * 2)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda s: replace(s, space="resnet"), "space"),
        (lambda s: replace(s, space_digest="0"), "space_digest"),
        (lambda s: replace(s, budget=load_budget("41")), "budget"),
        (lambda s: replace(s, tight=True), "tight"),
        (lambda s: replace(s, data_fingerprint="0"), "data_fingerprint"),
        (lambda s: replace(s, members=s.members[:-1]), "members"),
        (lambda s: replace(s, members=s.members[::-1]), "members"),
        (lambda s: replace(s, recipes=s.recipes | {"default": Recipe(epochs=2)}), "recipe 'default'"),
        (lambda s: replace(s, recipes=s.recipes | {REFERENCE: Recipe(epochs=9)}), "recipe 'reference'"),
    ],
)
def test_a_set_of_another_kind_is_refused_by_name(change: Callable[[ReferenceSet], ReferenceSet], name: str) -> None:
    stored = made_up_set()
    said = rf"the set 'made-up' was made with other settings \({name}[ :].*\); name another folder"
    with pytest.raises(StudyError, match=said):
        extended(stored, change(stored))


def test_everything_that_differs_is_named_at_once() -> None:
    stored = made_up_set()
    with pytest.raises(StudyError, match=r"\(space: .*; tight: .*; recipe 'default' .*\);"):
        extended(stored, replace(stored, space="resnet", tight=True, recipes={"default": Recipe(epochs=2)}))


def test_curves_are_those_of_the_sets_log(tmp_path: Path) -> None:
    assert curves_of(tmp_path) == {}
    made = made_up_set()
    with log_of(tmp_path) as log:
        log.append(made.trainings("default", (100,))[0].identity, made_up_result((0.4, 0.2)))
    [(identity, curve)] = curves_of(tmp_path).items()
    assert identity == (made.members[0].label, "default", 100)
    assert [point.test_error for point in curve] == [0.4, 0.2]


def test_scores_round_trip_through_their_file(tmp_path: Path) -> None:
    assert read_scores(tmp_path) == ()
    given = [
        ("g1 a, b", ScoreResult(name="synflow", value=-1.25, cpu_seconds=0.5, seed=100)),
        ("g2", ScoreResult(name="zico", value=1e12, cpu_seconds=0.25, seed=101)),
    ]
    write_scores(tmp_path, given, ("1", "2"))
    assert read_scores(tmp_path) == tuple(given)
    assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]


@pytest.mark.parametrize(
    "content",
    [
        b"x,y\n1,2\n",
        b"candidate,score,seed,value,cpu_seconds,snsearch,torch\na,b,one,2,3,4,5\n",
        b"candidate,score,seed,value,cpu_seconds,snsearch,torch\na,b,1,2\n",
        b"\xff\xfe\n\xff\n",
    ],
)
def test_a_foreign_file_holds_no_scores(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "scores.csv").write_bytes(content)
    with pytest.raises(StudyError, match="holds no scores"):
        read_scores(tmp_path)


def test_scores_that_cannot_be_written_or_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "none").touch()
    with pytest.raises(StudyError, match="cannot be written"):
        write_scores(tmp_path / "none", [], ("1", "2"))
    (tmp_path / "scores.csv").mkdir()
    with pytest.raises(StudyError, match="cannot be read"):
        read_scores(tmp_path)


def test_a_members_design_may_leave_choices_open() -> None:
    made = made_up_set()
    [first, *rest] = made.members
    open_one = replace(first, design=Design(groups=3))
    changed = replace(made, members=(open_one, *rest))
    assert decode(ReferenceSet, json.loads(json.dumps(encode(changed))), "it", error=StudyError) == changed
