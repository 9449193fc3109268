"""Full trainings: killed and gone on bit for bit, interrupted, refused, and what they write."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import snsearch
from benchmarks.training_kills import KEY, killed, moment_of, outcome, trained
from snsearch.errors import DataError, SpecError, StudyError
from snsearch.finals.folder import CHECKPOINT, LOG, RESULT, WEIGHTS
from snsearch.finals.loop import FinalTraining
from snsearch.finals.running import Trained
from snsearch.study.observer import Observer
from snsearch.training.weights_file import read_weights, write_weights
from tests.training.test_feeds import jpeg

SMALL: dict[str, Any] = {"data": "digits", "batch": 128, "threads": 1, "device": "cpu"}


class Heard(Observer):
    """Keeps what is said, and asks to stop at a step."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def said(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    trained(folder)
    return folder


@pytest.mark.long
# Within a step, while a checkpoint is written, and between the weights and the result.
@pytest.mark.parametrize("seed", [1, 5, 0])
def test_a_killed_training_goes_on_bit_for_bit(seed: int, whole: Path, tmp_path: Path) -> None:
    assert killed(seed, tmp_path) == -signal.SIGKILL
    assert not (tmp_path / RESULT).exists()
    assert (tmp_path / CHECKPOINT).exists()
    trained(tmp_path)
    assert outcome(tmp_path) == outcome(whole)


def test_the_kills_strike_at_different_moments() -> None:
    assert len({moment_of(seed)[0] for seed in (1, 5, 0)}) == 3


def test_an_interrupted_training_goes_on_bit_for_bit(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, steps = FinalTraining._train, 0

    def interrupted(self: FinalTraining, *batch: torch.Tensor) -> torch.Tensor:
        nonlocal steps
        steps += 1
        if steps == 11:  # the last step of the first epoch, which is not measured yet
            signal.raise_signal(signal.SIGINT)
        return train(self, *batch)

    monkeypatch.setattr(FinalTraining, "_train", interrupted)
    with pytest.raises(KeyboardInterrupt, match="the same command goes on"):
        trained(tmp_path)
    assert steps == 11
    trained(tmp_path)
    assert steps == 22
    assert outcome(tmp_path) == outcome(whole)


def test_a_finished_training_is_not_repeated(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FinalTraining, "_train", None)
    before = outcome(whole)
    trained(whole)
    assert outcome(whole) == before
    assert sorted(path.name for path in whole.iterdir()) == [".lock", LOG, RESULT, WEIGHTS]


def test_another_training_in_the_same_folder_is_refused_unless_forced(whole: Path, tmp_path: Path) -> None:
    made = snsearch.train(KEY, tmp_path, epochs=1, **SMALL)
    with pytest.raises(StudyError, match=r"holds another training .*seed: 0, now 1.*--force"):
        snsearch.train(KEY, tmp_path, epochs=1, seed=1, **SMALL)
    with pytest.raises(StudyError, match=r"holds another training \(recipe epochs: 1, now 2\)"):
        snsearch.train(KEY, tmp_path, epochs=2, **SMALL)
    again = snsearch.train(KEY, tmp_path, epochs=1, seed=1, force=True, **SMALL)
    assert again.result.plan.seed == 1
    assert made.result.plan.seed == 0


def test_the_weights_file_says_what_it_is_and_can_be_exported(whole: Path, tmp_path: Path) -> None:
    _, training = read_weights(whole / WEIGHTS)
    assert training is not None
    result = json.loads((whole / RESULT).read_text())
    assert training.key == KEY
    assert training.classes == tuple("0123456789")
    assert training.test_error == result["test"]["error"]
    assert training.recipe.startswith("modern: AdamW, cosine decay")
    assert training.command[:3] == ("snsearch", "train", KEY)
    made = snsearch.export(whole / WEIGHTS, "pt2", tmp_path / "exported", data="digits")
    assert made.accuracy is not None
    assert made.accuracy.exported == pytest.approx(1 - training.test_error)


def test_the_choice_is_made_by_validation_images_and_the_test_images_are_looked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from snsearch.finals import loop, running

    seen: list[int] = []

    def counted(run: Any, feed: Any, classes: int, ranks: Any) -> Any:
        seen.append(len(feed.labels))
        return loop_tallied(run, feed, classes, ranks)

    loop_tallied = loop.tallied
    monkeypatch.setattr(loop, "tallied", counted)
    monkeypatch.setattr(running, "tallied", counted)
    made = snsearch.train(KEY, tmp_path, epochs=3, **SMALL)
    assert seen == [160, 160, 160, 179]
    rows = (tmp_path / LOG).read_text().splitlines()[1:]
    errors = [float(row.split(",")[4]) for row in rows]
    assert made.result.validation_error == min(errors)
    assert errors[made.result.epoch - 1] == min(errors)


def test_training_starts_from_weights_and_leaves_frozen_parts_alone(whole: Path, tmp_path: Path) -> None:
    heard = Heard()
    made = snsearch.train(
        KEY, tmp_path, epochs=1, init_from=whole / WEIGHTS, freeze=["stem", "stage2"], observer=heard, **SMALL
    )
    before, after = read_weights(whole / WEIGHTS)[0], read_weights(made.weights)[0]
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert {name for name in before if name.startswith(("stem", "stage2"))} <= same
    assert "head.classifier.linear.weight" not in same
    assert any("their classifier too" in line for line in heard.lines)


def test_the_classifier_is_new_where_the_classes_are_others(whole: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    from snsearch.finals.starting import started
    from snsearch.network import Architecture

    arch = Architecture.from_key(KEY)
    state, _ = read_weights(whole / WEIGHTS)
    begun = started(replace(arch, classes=7), 0, tuple("abcdefg"), whole / WEIGHTS)
    assert "a new classifier" in begun.remark
    assert torch.equal(begun.network.state_dict()["stem.conv.conv.weight"], state["stem.conv.conv.weight"])
    renamed = started(arch, 0, tuple("abcdefghij"), whole / WEIGHTS)
    assert "a new classifier" in renamed.remark
    with pytest.raises(SpecError, match="of another network"):
        started(replace(arch, stem_channels=12), 0, tuple("0123456789"), whole / WEIGHTS)


def test_a_batch_in_parts_without_batch_norm_is_the_whole_batch(tmp_path: Path, whole: Path) -> None:
    """With frozen statistics the gradients of parts add up to those of the batch."""
    parts = ["stem", "stage2", "stage3"]
    common = SMALL | {"epochs": 1, "init_from": whole / WEIGHTS, "freeze": parts, "recipe": _plain(tmp_path)}
    states = []
    for accumulate in (1, 4):
        made = snsearch.train(KEY, tmp_path / str(accumulate), accumulate=accumulate, **common)
        states.append(read_weights(made.weights)[0]["head.classifier.linear.weight"])
    torch.testing.assert_close(states[0], states[1])


def _plain(folder: Path) -> str:
    path = folder / "plain.toml"
    path.write_text(
        'schema = 1\nname = "plain"\n[optimizer]\nkind = "sgd"\nlearning_rate = 0.1\nbatch_size = 128\n'
        '[schedule]\nkind = "linear"\nepochs = 1\n[augmentation]\n[loss]\n[weights]\n'
    )
    return str(path)


def test_a_teacher_is_learnt_from(tmp_path: Path, whole: Path) -> None:
    common = SMALL | {"epochs": 1, "recipe": "modern"}
    alone = snsearch.train(KEY, tmp_path / "alone", **common)
    taught = snsearch.train(KEY, tmp_path / "taught", teacher=whole / WEIGHTS, **common)
    assert taught.result.plan.teacher
    names = [read_weights(made.weights)[0]["stem.conv.conv.weight"] for made in (alone, taught)]
    assert not torch.equal(*names)
    bare = tmp_path / "bare.safetensors"
    write_weights(bare, read_weights(whole / WEIGHTS)[0])
    with pytest.raises(SpecError, match="does not say which network"):
        snsearch.train(KEY, tmp_path / "no", teacher=bare, **common)


def test_low_precision_and_mixup_train_too(tmp_path: Path) -> None:
    recipe = Path(_plain(tmp_path))
    recipe.write_text(recipe.read_text().replace("[augmentation]\n", "[augmentation]\nmixup = 0.2\n"))
    made = snsearch.train(KEY, tmp_path / "out", epochs=1, precision="bfloat16", recipe=str(recipe), **SMALL)
    assert made.result.plan.precision == "bfloat16"
    assert made.result.test.loss < 3


def test_a_study_gives_its_best_candidate_and_says_how_it_was_searched(tmp_path: Path) -> None:
    from snsearch.api.full_training import _network
    from snsearch.pages.page import report_data

    study = snsearch.load_study("reports/sample")
    _, remarks, data = _network("reports/sample", "reports/sample", None)
    best = report_data(study).view.balanced
    assert int(remarks[0].split("#")[1].split()[0]) == best.number
    assert data == "fashion-mnist"
    assert "by its own recipe (" in remarks[1]
    trial, _, _ = _network("reports/sample#3", "reports/sample#3", None)
    assert trial == study.trials[3].architecture


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"batch": 5000}, SpecError, "more than the 1458 training images"),
        ({"freeze": ["steem"]}, SpecError, "no such part; it has stem, stage2"),
        ({"recipe": "papper"}, SpecError, 'did you mean "paper"'),
        ({"accumulate": 3}, SpecError, "cannot be divided"),
        ({"data": "nowhere-at-all"}, DataError, "no such folder"),
        ({"data": None}, SpecError, "no data is named"),
        ({"init_from": "none.safetensors"}, SpecError, "No such file"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    options: dict[str, Any], kind: type[Exception], words: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=words):
        snsearch.train(KEY, tmp_path, epochs=1, **{**SMALL, **options})


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"freeze": ["steem"]}, SpecError, "no such part; it has stem, stage2"),
        ({"init_from": "none.safetensors"}, SpecError, "No such file"),
        ({"teacher": "none.safetensors"}, SpecError, "No such file"),
        ({"out": "/dev/null/x"}, StudyError, "'/dev/null/x' cannot be written: a part of its path is a file"),
        ({"out": "/dev/null"}, StudyError, "'/dev/null' cannot be written: a part of its path is a file"),
        ({"out": "x" * 300}, StudyError, "cannot be written: File name too long"),
    ],
)
def test_what_the_data_does_not_change_is_refused_before_it_is_read(
    options: dict[str, Any], kind: type[Exception], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object, **__: object) -> None:
        pytest.fail("the data is read")

    monkeypatch.setattr("snsearch.training.open_feeds", read)
    folder = tmp_path / "new"
    with pytest.raises(kind, match=words):
        snsearch.train(KEY, **{"out": folder, "epochs": 1, **SMALL, **options})
    assert not folder.exists()


def test_a_new_folder_goes_again_where_nothing_was_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise SpecError("no training")

    monkeypatch.setattr("snsearch.finals.running.FinalTraining", fails)
    (tmp_path / "old").mkdir()
    for name in ("new", "old"):
        with pytest.raises(SpecError, match="no training"):
            snsearch.train(KEY, tmp_path / name, epochs=1, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_the_first_lines_say_what_is_trained(tmp_path: Path) -> None:
    heard = Heard()
    made: Trained = snsearch.train(KEY, tmp_path, epochs=1, observer=heard, **SMALL)
    text = "\n".join(heard.lines)
    for words in (KEY, "validation: 160 images", "recipe paper: SGD", "11 in all", "learning rate 0.0625", "on cpu"):
        assert words in text
    assert "test images: top-1 error" in "\n".join(made.lines)


def test_what_a_user_might_not_expect_is_said_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (1e4, 0.0, 0.0))
    heard = Heard()
    key = "shufflenet.g2.b4.shuffle_stem8s2p_16x2s2-32x2s2_3x64x64_c10"
    snsearch.train(key, tmp_path, epochs=1, resolution=8, observer=heard, **{**SMALL, "threads": 2})
    smaller = "shufflenet.g2.b4.shuffle_stem8s1_16x2s2-32x2s2_1x8x8_c10"
    assert f"  trained as {smaller}: its stem reduces less, for 8 pixels" in heard.lines
    assert "--threads 1 may be faster" in "\n".join(heard.lines)


def test_events_are_written_for_tensorboard(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    snsearch.train(KEY, tmp_path, epochs=2, tensorboard=True, **SMALL)
    read = events.EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    rows = (tmp_path / LOG).read_text().splitlines()[1:]
    losses = [float(row.split(",")[3]) for row in rows]
    assert [event.value for event in read.Scalars("train_loss")] == pytest.approx(losses)
    assert [event.step for event in read.Scalars("validation_error")] == [11, 22]


@pytest.mark.long
def test_the_command_ends_with_130_and_the_same_command_goes_on(tmp_path: Path) -> None:
    """As a user runs it: Ctrl-C, and again."""
    command = [sys.executable, "-m", "snsearch", "train", KEY, "--data", "digits", "--out", str(tmp_path)]
    command += ["--epochs", "3000", "--batch", "128", "--threads", "1", "--device", "cpu"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any(line.startswith("epoch 2/") for line in process.stderr)
        process.send_signal(signal.SIGINT)
        left = process.stderr.read()
        assert process.wait(120) == 130
    assert "the same command goes on from here" in left
    step = torch.load(tmp_path / CHECKPOINT, weights_only=True)["step"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any(line.startswith(f"going on behind step {step:,} of 33,000") for line in process.stderr)
        process.kill()


def test_unequal_classes_are_weighed_and_said(tmp_path: Path) -> None:
    for number in range(72):
        path = tmp_path / "pets" / ("cat" if number < 12 else "dog") / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(number))
    heard = Heard()
    options = SMALL | {"data": str(tmp_path / "pets"), "batch": 16}
    made = snsearch.train(KEY, tmp_path / "out", epochs=2, resolution=16, observer=heard, **options)
    small, large = sorted(made.result.plan.class_weights)
    assert large / small == pytest.approx((made.result.plan.train_images / 10 - 1) ** 0.5)
    assert "losses weigh" in "\n".join(heard.lines)
    streamed = snsearch.train(KEY, tmp_path / "streamed", epochs=2, resolution=16, stream=True, **options)
    first, second = (read_weights(one.weights)[0]["stem.conv.conv.weight"] for one in (made, streamed))
    torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-4)  # normalised by the same images
