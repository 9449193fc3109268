"""Evaluations: figures that can be checked by hand, and the same ones from weights and exported files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, precision_score

import snsearch
from benchmarks.training_kills import KEY
from snsearch.codec import encode
from snsearch.errors import DataError, SpecError
from snsearch.finals.scores import Tally
from snsearch.intervals import wilson_95
from snsearch.training.weights_file import read_weights, write_weights


def test_wilson_agrees_with_published_figures() -> None:
    # Newcombe (1998), Table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for hits, count, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)):
        assert wilson_95(hits, count) == pytest.approx((low, high), abs=5e-5)
    assert wilson_95(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)
    assert wilson_95(0, 0) == (0.0, 1.0)


def test_figures_agree_with_scikit_learn_and_torch() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(300, 7)).astype(np.float32)
    labels = rng.integers(0, 7, 300)
    tally = Tally(7)
    for start in range(0, 300, 64):
        tally.add(logits[start : start + 64], labels[start : start + 64])
    found, guesses = tally.evaluation("abcdefg"), logits.argmax(1)
    assert found.error == pytest.approx((guesses != labels).mean())
    assert found.balanced_error == pytest.approx(1 - balanced_accuracy_score(labels, guesses))
    assert np.array(found.confusion).tolist() == confusion_matrix(labels, guesses).tolist()
    precision = precision_score(labels, guesses, average=None)
    assert [one.precision for one in found.per_class] == pytest.approx(precision.tolist())
    loss = torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels))
    assert found.loss == pytest.approx(float(loss), rel=1e-6)
    top5 = np.argsort(-logits, 1)[:, :5]
    assert found.top5_error == pytest.approx(1 - (top5 == labels[:, None]).any(1).mean())
    assert found.error_interval[0] < found.error < found.error_interval[1]
    assert found.balanced_interval[0] < found.balanced_error < found.balanced_interval[1]


def test_broken_images_and_missing_classes_do_not_count() -> None:
    tally = Tally(3)
    tally.add(np.eye(3, dtype=np.float32), np.array([0, 0, -100]))
    found = tally.evaluation("abc")
    assert (found.images, found.unreadable, found.error) == (2, 1, 0.5)
    assert found.top5_error is None
    assert [one.recall for one in found.per_class] == [0.5, None, None]
    assert found.balanced_error == 0.5
    assert "1 image cannot be decoded" in "\n".join(found.lines)
    assert "a taken for b (1)" in found.lines[-1]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> snsearch.Trained:
    """A network after four epochs."""
    folder = tmp_path_factory.mktemp("trained")
    return snsearch.train(KEY, folder, data="digits", recipe="modern", epochs=4, batch=64, threads=1, device="cpu")


@pytest.mark.parametrize("format", ["onnx", "ncnn", "torch", "pt2"])
def test_an_export_is_as_good_as_its_weights(format: str, made: snsearch.Trained, tmp_path: Path) -> None:
    snsearch.export(made.weights, format, tmp_path, data="digits", images=4)
    found = snsearch.evaluate(tmp_path, "digits", device="cpu", threads=1)
    assert found.confusion == made.result.test.confusion
    assert found.loss == pytest.approx(made.result.test.loss, rel=1e-4)


def test_the_program_of_an_export_is_not_run(made: snsearch.Trained, tmp_path: Path) -> None:
    snsearch.export(made.weights, "torch", tmp_path)
    (tmp_path / "model.py").write_text("raise SystemExit('run')")
    assert snsearch.evaluate(tmp_path / "model.py", "digits", device="cpu") == made.result.test


def test_int8_is_tested_by_its_file(made: snsearch.Trained, tmp_path: Path) -> None:
    snsearch.export(made.weights, "onnx", tmp_path, data="digits", int8=True)
    found = snsearch.evaluate(tmp_path / "model.int8.onnx", "digits", device="cpu")
    assert found.loss != pytest.approx(made.result.test.loss, rel=1e-6)
    assert found.images == 179


def test_the_command_prints_the_figures(made: snsearch.Trained, run: Callable[..., Any]) -> None:
    ended = run("evaluate", str(made.weights), "--data", "digits", "--format", "json", "--on", "validation")
    assert ended.code == 0
    document = json.loads(ended.out)
    assert document["error"] == made.result.validation_error
    assert len(document["confusion"]) == 10


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (lambda folder, made: folder / "none", SpecError, "no file, folder, study or network is named"),
        (lambda folder, made: "alexnett", SpecError, 'did you mean "alexnet"'),
        (lambda folder, made: "alexnet", SpecError, "without weights"),
        (lambda folder, made: "reports/sample#3", SpecError, "of a study"),
        (lambda folder, made: _bare(folder, made), SpecError, "do not say which network"),
        (lambda folder, made: _odd_card(folder), SpecError, "has no format.name"),
        (lambda folder, made: _broken(folder, made), SpecError, "cannot be opened"),
    ],
    ids=["missing", "misspelt", "weightless", "study", "bare", "card", "broken"],
)
def test_what_is_no_network_is_refused(
    change: Callable[[Path, snsearch.Trained], Path | str],
    kind: type[Exception],
    words: str,
    made: snsearch.Trained,
    tmp_path: Path,
) -> None:
    with pytest.raises(kind, match=words):
        snsearch.evaluate(change(tmp_path, made), "digits", device="cpu")


def _bare(folder: Path, made: snsearch.Trained) -> Path:
    write_weights(folder / "bare.safetensors", read_weights(made.weights)[0])
    return folder / "bare.safetensors"


def _odd_card(folder: Path) -> Path:
    (folder / "card.json").write_text("{}")
    return folder


def _broken(folder: Path, made: snsearch.Trained) -> Path:
    snsearch.export(made.weights, "onnx", folder / "exported")
    (folder / "exported" / "model.onnx").write_bytes(b"no model")
    return folder / "exported"


def test_other_classes_are_refused(made: snsearch.Trained, tmp_path: Path) -> None:
    state, training = read_weights(made.weights)
    assert training is not None
    from dataclasses import replace

    other = tmp_path / "other.safetensors"
    write_weights(other, state, replace(training, classes=tuple("abcdefghij")))
    with pytest.raises(DataError, match="other classes"):
        snsearch.evaluate(other, "digits", device="cpu")


def test_an_evaluation_is_written_and_read(made: snsearch.Trained) -> None:
    from snsearch.codec import decode
    from snsearch.finals.scores import Evaluation

    test = made.result.test
    assert decode(Evaluation, json.loads(json.dumps(encode(test))), "an evaluation") == test
