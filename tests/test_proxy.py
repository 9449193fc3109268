"""Proxy training: sane scores, the same for the same seed, and nothing lost between epochs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from snsearch.arch import Architecture
from snsearch.data import Dataset
from snsearch.errors import StudyError
from snsearch.lattice import Design
from snsearch.proxy import ProxyResult, ProxyTraining, Recipe, TrainingDiverged, pick_device, train_proxy
from snsearch.solver import scaled, solve
from snsearch.sources import DEBIAN_FASHION, load_data
from snsearch.spec import load_space, mflops_budget
from tests.studies import RECIPE, accelerators, small_budget

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data("digits")


@pytest.fixture(scope="module")
def small(digits: Dataset) -> Architecture:
    return solve(load_space("shufflenet-v1"), small_budget(digits), Design(groups=3)).architecture


def _scores(result: ProxyResult) -> tuple[object, ...]:
    curve = tuple(replace(point, cpu_seconds=0.0) for point in result.curve)
    return result.error, result.loss, curve, result.seed, result.train_images, result.test_images


def test_the_same_seed_gives_the_same_scores_and_another_seed_others(digits: Dataset, small: Architecture) -> None:
    first, again, other = (train_proxy(small, digits, RECIPE, seed=seed, device=CPU) for seed in (0, 0, 1))
    assert _scores(first) == _scores(again)
    assert first.curve != other.curve


def test_digits_are_learned(digits: Dataset, small: Architecture) -> None:
    recipe = replace(RECIPE, images=1618, epochs=4, batch_size=32)
    result = train_proxy(small, digits, recipe, seed=0, device=CPU)
    assert result.error < 0.15
    assert [point.images_seen for point in result.curve] == [800 * (i + 1) for i in range(8)]
    assert result.curve[-1].test_images == result.test_images == 179
    assert result.curve[-1].train_loss < result.curve[0].train_loss


@pytest.mark.skipif(not DEBIAN_FASHION.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_half_scale_shufflenet_gets_below_15_percent_error_in_one_pass_over_20000_fashion_images() -> None:
    arch = scaled(load_space("shufflenet-v1"), Design(groups=3, scale=0.5), mflops_budget(1)).architecture
    result = train_proxy(
        arch, load_data("fashion-mnist"), Recipe(images=20_000, test_images=10_000), seed=0, device=CPU
    )
    assert result.train_images == 20_000
    assert result.test_images == 10_000
    assert result.error < 0.15


@pytest.mark.parametrize(
    ("space", "groups"),
    [
        ("vgg-like", 1),
        ("resnet", 1),
        ("resnext", 16),
        ("xception-like", 1),
        ("mobilenet-v1", 1),
        ("shufflenet-v1", 8),
    ],
)
def test_every_space_trains_to_finite_scores(digits: Dataset, space: str, groups: int) -> None:
    arch = solve(load_space(space), small_budget(digits), Design(groups=groups, se=True)).architecture
    result = train_proxy(arch, digits, RECIPE, seed=0, device=CPU)
    assert 0 <= result.error < 0.95
    assert result.loss < 5


def test_a_training_saved_between_epochs_goes_on_as_if_never_stopped(
    digits: Dataset, small: Architecture, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, epochs=3, augmentation="crop+flip")
    whole = train_proxy(small, digits, recipe, seed=5, device=CPU)
    begun = ProxyTraining(small, digits, recipe, seed=5, device=CPU)
    begun.run_epoch()
    begun.save(tmp_path / "state.pt")
    resumed = ProxyTraining(small, digits, recipe, seed=5, device=CPU)
    assert resumed.load(tmp_path / "state.pt")
    assert resumed.epochs_done == 1
    while not resumed.finished:
        resumed.run_epoch()
    assert _scores(resumed.result()) == _scores(whole)


def test_train_proxy_takes_up_a_checkpoint_and_leaves_the_whole_training_in_it(
    digits: Dataset, small: Architecture, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, epochs=2)
    path = tmp_path / "state.pt"
    begun = ProxyTraining(small, digits, recipe, seed=0, device=CPU)
    begun.run_epoch()
    begun.save(path)
    seen: list[int] = []
    result = train_proxy(
        small,
        digits,
        replace(recipe, batch_size=64),
        seed=0,
        device=CPU,
        checkpoint=path,
        on_batch=lambda images, in_all, loss: seen.append(images),
    )
    assert len(result.curve) == 4
    again = train_proxy(
        small, digits, recipe, seed=0, device=CPU, checkpoint=path, on_batch=lambda *_: pytest.fail("trained again")
    )
    assert _scores(again) == _scores(result), "who was killed before the result was kept loses nothing"
    assert not seen or min(seen) > recipe.images, "the first epoch was not trained again"


def test_a_part_of_a_test_set_in_the_order_of_its_classes_holds_every_class(
    digits: Dataset, small: Architecture
) -> None:
    order = digits.test.labels.argsort(stable=True)
    sorted_digits = replace(digits, test=digits.test.take(order))
    training = ProxyTraining(small, sorted_digits, replace(RECIPE, test_images=60), seed=0, device=CPU)
    assert set(training._test.labels.tolist()) == set(range(10))


def test_the_images_seen_are_those_that_were_in_batches(digits: Dataset, small: Architecture) -> None:
    result = train_proxy(small, digits, replace(RECIPE, images=100, batch_size=64), seed=0, device=CPU)
    assert result.curve[-1].images_seen == 64


def test_whoever_listens_hears_of_every_epoch_however_few_batches_it_has(
    digits: Dataset, small: Architecture
) -> None:
    seen: list[int] = []
    recipe = replace(RECIPE, images=64, batch_size=32, epochs=3)
    train_proxy(small, digits, recipe, seed=0, device=CPU, on_batch=lambda images, in_all, loss: seen.append(images))
    assert seen == [64, 128, 192]


def test_a_test_loss_that_is_not_finite_is_a_divergence(
    digits: Dataset, small: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snsearch.proxy.evaluate", lambda *_: (0.9, float("nan")))
    with pytest.raises(TrainingDiverged, match="the test loss became nan"):
        train_proxy(small, digits, RECIPE, seed=0, device=CPU)


def test_a_state_is_saved_even_where_its_folder_went_and_a_failure_is_the_systems(
    digits: Dataset, small: Architecture, tmp_path: Path
) -> None:
    training = ProxyTraining(small, digits, RECIPE, seed=0, device=CPU)
    training.save(tmp_path / "new" / "state.pt")
    assert training.load(tmp_path / "new" / "state.pt")
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(StudyError, match="cannot be saved"):
        training.save(tmp_path / "file" / "state.pt")


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 half a file"])
def test_a_broken_checkpoint_begins_the_training_anew(
    digits: Dataset, small: Architecture, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "state.pt"
    path.write_bytes(content)
    training = ProxyTraining(small, digits, RECIPE, seed=0, device=CPU)
    assert not training.load(path)
    assert training.epochs_done == 0


def test_a_checkpoint_of_another_seed_or_recipe_is_not_taken(
    digits: Dataset, small: Architecture, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, epochs=2)
    begun = ProxyTraining(small, digits, recipe, seed=0, device=CPU)
    begun.run_epoch()
    begun.save(tmp_path / "state.pt")
    for other in (
        ProxyTraining(small, digits, recipe, seed=1, device=CPU),
        ProxyTraining(small, digits, replace(recipe, learning_rate=0.001), seed=0, device=CPU),
        ProxyTraining(replace(small, classes=99, groups=1), digits, recipe, seed=0, device=CPU),
    ):
        assert not other.load(tmp_path / "state.pt")


class _Payload:
    """Would create a file if a checkpoint were unpickled without care."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


def test_a_checkpoint_that_carries_code_is_refused_and_the_code_does_not_run(
    digits: Dataset, small: Architecture, tmp_path: Path
) -> None:
    torch.save({"identity": _Payload(tmp_path / "pwned")}, tmp_path / "state.pt")
    training = ProxyTraining(small, digits, RECIPE, seed=0, device=CPU)
    assert not training.load(tmp_path / "state.pt")
    assert not (tmp_path / "pwned").exists()


def test_a_diverging_training_raises_with_the_images_seen(digits: Dataset, small: Architecture) -> None:
    training = ProxyTraining(small, digits, RECIPE, seed=0, device=CPU)
    with torch.no_grad():
        next(training._network.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingDiverged, match="nan after 128 images"):
        training.run_epoch()


def test_fewer_images_than_a_batch_make_one_smaller_batch(digits: Dataset, small: Architecture) -> None:
    result = train_proxy(small, digits, replace(RECIPE, images=20), seed=0, device=CPU)
    assert result.train_images == 20
    assert result.curve[-1].images_seen == 20


def test_a_result_round_trips_through_json(digits: Dataset, small: Architecture) -> None:
    import json

    result = train_proxy(small, digits, RECIPE, seed=0, device=CPU)
    assert ProxyResult.from_json(json.loads(json.dumps(result.to_json()))) == result


@pytest.mark.parametrize("name", ["quantum", "cuda:77", "mps:9"])
def test_a_device_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(StudyError, match=name):
        pick_device(name)


@pytest.mark.parametrize("change", [{"epochs": 0}, {"learning_rate": 0.0}, {"warmup": 1.0}, {"images": 0}])
def test_a_recipe_out_of_range_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(StudyError, match="out of range"):
        Recipe(**change)  # type: ignore[arg-type]


@pytest.mark.parametrize("device", ["cpu", *accelerators()])
def test_training_runs_on_every_device_of_this_machine(digits: Dataset, small: Architecture, device: str) -> None:
    result = train_proxy(small, digits, RECIPE, seed=0, device=torch.device(device))
    assert result.device.startswith(device)
    assert result.loss < 5
