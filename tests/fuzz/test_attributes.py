"""Studies from strangers, in which any attribute may be anything: a StudyError that says where, or whole records.

A whole study's page can be made.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, get_args

import optuna
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState

from snsearch.codec import encode
from snsearch.errors import StudyError
from snsearch.lab.reference import read_set
from snsearch.pages.page import render, report_data
from snsearch.study.lengths import Attempt, Lengths
from snsearch.study.records import Attachment, StudyRecord
from snsearch.study.storage.attributes import (
    attached,
    holder_of,
    lengths_in,
    noise_in,
    records_of,
    runs_of,
    settings_in,
)
from snsearch.training.recipe import Recipe
from tests.fuzz.mutations import json_values, mutated, mutated_text, read_or_refused
from tests.studies import Setup, made_up_counts, made_up_result

pytestmark = pytest.mark.long

LENGTHS = Lengths(recipe=Recipe(), short=0.25, chance=0.9, tried=(Attempt(images=5000, error=0.3),))
# How a refusal begins.
WHERE = ("trial ", "the study's ")
SET = (Path(__file__).parent.parent / "fixtures" / "v0" / "reference" / "set.json").read_text(encoding="utf-8")


@cache
def _document() -> Any:
    """The attributes of a study and of its two trials, as a search writes them."""
    setup = Setup(Path())
    solutions = setup.candidates().solutions
    trials = [
        {
            "architecture": encode(solution.architecture),
            "costs": encode(solution.costs),
            "cost": 7.5 + number,
            "deviation": solution.deviation,
            "binding": solution.binding,
            "notes": list(solution.notes),
            "proxy": encode(made_up_result((0.5, 0.25 - number / 100))),
            "published": True,
        }
        for number, solution in enumerate(list(solutions.values())[:2])
    ]
    study = {
        "settings": encode(setup.settings()),
        "runs": [{"snsearch": "0.1.0", "command": "snsearch search", "started": "2026-01-01T00:00:00+00:00"}],
        "repeat:0:1": encode(made_up_result((0.5, 0.2), seed=1)),
        "lost repeat:1:1": "MemoryError: no room",
        "holder": {"host": "0123456789ab", "pid": 7, "since": "2026-01-01 10:00"},
        "noise": 0.01,
        "lengths": encode(LENGTHS),
        "counted:x": encode(made_up_counts(solutions and next(iter(solutions.values())).architecture.key)),
    }
    return {"study": study, "trials": trials}


def _stored(document: Any) -> optuna.Study:
    """An Optuna study with those attributes; those of a stranger's database are JSON objects at least."""
    study = optuna.create_study(directions=["minimize", "minimize"])
    for key, value in _object(document.get("study")).items():
        study.set_user_attr(key, value)
    for attributes in document["trials"] if isinstance(document.get("trials"), list) else ():
        parameters: dict[str, Any] = {"groups": 3, "depth": "paper", "se": False}
        study._storage.create_new_trial(
            study._study_id,
            optuna.trial.FrozenTrial(
                number=0,
                trial_id=0,
                state=TrialState.COMPLETE,
                value=None,
                values=[0.5, 7.5],
                datetime_start=datetime.now(UTC),
                datetime_complete=datetime.now(UTC),
                params=parameters,
                distributions={name: CategoricalDistribution((value,)) for name, value in parameters.items()},
                user_attrs=_object(attributes),
                system_attrs={},
                intermediate_values={},
            ),
        )
    return study


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _read(study: optuna.Study) -> StudyRecord | None:
    """What read_study makes of an open study; who searches on it is read as well."""
    settings = settings_in(study)
    holder_of(study)
    read = records_of(study)
    kept = {kind: attached(study, kind) for kind in get_args(Attachment)}
    runs = runs_of(study)
    if settings is None:
        return None
    return StudyRecord(name="digits", settings=settings, provenance=runs, trials=read, attachments=kept,
        lengths=lengths_in(study), noise=noise_in(study),
    )  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def test_the_attributes_of_a_search_are_read_and_shown() -> None:
    document = _document()
    record = _read(_stored(document))
    assert record is not None
    assert len(record.candidates) == 2
    assert "0.25" in render(report_data(record))


@example(document={"study": {"settings": {"schema": 2, "x" * 5000: 1}}})
@given(document=mutated([_document()], times=2))
def test_changed_attributes_are_read_and_shown_or_refused(document: Any) -> None:
    if not isinstance(document, dict):
        return
    record, words = read_or_refused(lambda: _read(_stored(document)), StudyError)
    assert not words or words.startswith(WHERE)
    if record is not None:
        read_or_refused(lambda: render(report_data(record)), StudyError)


@given(key=st.sampled_from(sorted(_document()["study"])) | st.text(max_size=20), value=json_values)
def test_any_attribute_of_a_study_is_read_or_refused(key: str, value: Any) -> None:
    document = {**_document(), "study": {**_document()["study"], key: value}}
    _, words = read_or_refused(lambda: _read(_stored(document)), StudyError)
    assert not words or words.startswith(WHERE)


@given(text=mutated_text([SET], ["{", "null", "NaN", "-1", "9" * 5000, "[" * 3000, "é", '"recipes": {}']))
def test_a_changed_reference_set_is_read_or_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    folder = tmp_path_factory.mktemp("set")
    (folder / "set.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    found, words = read_or_refused(lambda: read_set(folder), StudyError)
    assert (found is None) == ("set.json" in words)
