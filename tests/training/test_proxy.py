"""Proxy training: sane scores, the same for the same seed, and nothing lost between epochs."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from snsearch.codec import decode, encode
from snsearch.errors import StudyError
from snsearch.network.arch import Architecture
from snsearch.network.torch_model import build_model
from snsearch.solver.budget import mflops_budget
from snsearch.solver.design import Design
from snsearch.solver.solving import scaled, solve
from snsearch.solver.spec import load_space
from snsearch.training.builtin import DEBIAN_FASHION
from snsearch.training.data import Batches, Dataset, Images
from snsearch.training.evaluation import Evaluation, evaluate
from snsearch.training.machine import pick_device
from snsearch.training.proxy import ProxyTraining, TrainingDiverged, train_proxy
from snsearch.training.recipe import ProxyResult, Recipe, default_recipe, full_recipe, text_of
from snsearch.training.sources import load_data
from snsearch.training.weights_file import read_weights
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
    return result.error, result.loss, curve, result.seed, result.train_images, result.test_images, result.finished


def test_the_same_seed_gives_the_same_scores_and_another_seed_others(digits: Dataset, small: Architecture) -> None:
    first, again, other = (train_proxy(small, digits, RECIPE, seed=seed, device=CPU) for seed in (0, 0, 1))
    assert _scores(first) == _scores(again)
    assert _scores(first)[2] != _scores(other)[2]


@pytest.mark.long
def test_digits_are_learned(digits: Dataset, small: Architecture) -> None:
    recipe = replace(RECIPE, images=1618, epochs=4, batch_size=32)
    result = train_proxy(small, digits, recipe, seed=0, device=CPU)
    assert result.error < 0.15
    assert [point.images_seen for point in result.curve] == [800 * (i + 1) for i in range(8)]
    assert result.curve[-1].test_images == result.test_images == 179
    assert result.curve[-1].train_loss < result.curve[0].train_loss


@pytest.mark.long
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
    _epoch(begun)
    begun.save(tmp_path / "state.pt")
    resumed = ProxyTraining(small, digits, recipe, seed=5, device=CPU)
    assert resumed.load(tmp_path / "state.pt")
    assert resumed.share == pytest.approx(1 / 3)
    while not resumed.finished:
        resumed.advance()
    assert _scores(resumed.result()) == _scores(whole)


def test_train_proxy_takes_up_a_checkpoint_and_leaves_the_whole_training_in_it(
    digits: Dataset, small: Architecture, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, epochs=2)
    path = tmp_path / "state.pt"
    begun = ProxyTraining(small, digits, recipe, seed=0, device=CPU)
    _epoch(begun)
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
    monkeypatch.setattr(
        "snsearch.training.proxy.evaluate",
        lambda *_: Evaluation(correct=torch.ones(1), error=0.9, loss=float("nan"), balanced_error=0.9),
    )
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
    assert training.share == 0


def test_a_checkpoint_of_another_seed_or_recipe_is_not_taken(
    digits: Dataset, small: Architecture, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, epochs=2)
    begun = ProxyTraining(small, digits, recipe, seed=0, device=CPU)
    _epoch(begun)
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
        _epoch(training)


def test_fewer_images_than_a_batch_make_one_smaller_batch(digits: Dataset, small: Architecture) -> None:
    result = train_proxy(small, digits, replace(RECIPE, images=20), seed=0, device=CPU)
    assert result.train_images == 20
    assert result.curve[-1].images_seen == 20


def test_a_result_round_trips_through_json(digits: Dataset, small: Architecture) -> None:
    import json

    result = train_proxy(small, digits, RECIPE, seed=0, device=CPU)
    assert decode(ProxyResult, json.loads(json.dumps(encode(result))), "it") == result


@pytest.mark.parametrize("name", ["quantum", "cuda:77", "mps:9"])
def test_a_device_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(StudyError, match=name):
        pick_device(name)


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 0},
        {"learning_rate": 0.0},
        {"warmup": 1.0},
        {"images": 0},
        {"averaging": -1.0},
        {"recalibration": -1},
        {"recalibration": 1},
    ],
)
def test_a_recipe_out_of_range_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(StudyError, match="out of range"):
        Recipe(**change)  # type: ignore[arg-type]


@pytest.mark.parametrize("device", ["cpu", *accelerators()])
def test_training_runs_on_every_device_of_this_machine(digits: Dataset, small: Architecture, device: str) -> None:
    result = train_proxy(small, digits, RECIPE, seed=0, device=torch.device(device))
    assert result.device.startswith(device)
    assert result.loss < 5


def test_a_training_may_end_at_a_point_of_its_curve_and_go_on_from_there(
    digits: Dataset, small: Architecture, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, epochs=2)
    whole = train_proxy(small, digits, recipe, seed=0, device=CPU)
    path = tmp_path / "state.pt"
    part = train_proxy(small, digits, recipe, seed=0, device=CPU, checkpoint=path, until=0.25)
    assert (part.finished, part.share, part.images_seen) == (False, 0.25, 128)
    assert (part.error, part.loss) == (whole.curve[0].test_error, whole.curve[0].test_loss)
    assert decode(ProxyResult, encode(part), "it") == part
    further = train_proxy(small, digits, recipe, seed=0, device=CPU, checkpoint=path, until=0.6)
    assert further.share == 0.75, "the first point behind it"
    resumed = train_proxy(small, digits, recipe, seed=0, device=CPU, checkpoint=path)
    assert _scores(resumed) == _scores(whole)
    assert resumed.finished


def test_every_image_is_scored_where_a_training_ends_and_a_part_on_the_way(
    digits: Dataset, small: Architecture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ProxyTraining, "monitor_images", 50)
    recipe = replace(RECIPE, curve_points=4)
    whole = train_proxy(small, digits, recipe, seed=0, device=CPU)
    assert [point.test_images for point in whole.curve] == [50, 50, 50, 179]
    path = tmp_path / "state.pt"
    train_proxy(small, digits, recipe, seed=0, device=CPU, checkpoint=path, until=0.5)
    again = train_proxy(small, digits, recipe, seed=0, device=CPU, checkpoint=path, until=0.25)
    assert [point.test_images for point in again.curve] == [50, 179], "it is further already"


def test_right_answers_are_kept_one_bit_an_image(digits: Dataset, small: Architecture) -> None:
    result = train_proxy(small, digits, RECIPE, seed=0, device=CPU)
    bits = result.bits
    assert bits is not None
    assert bits.shape == (179,)
    assert 1 - bits.mean() == pytest.approx(result.error)
    for damaged in ("no base 85 ~", result.correct[:8], text_of(bits[:20])):
        with pytest.raises(StudyError, match="right answers are damaged: expected 179"):
            replace(result, correct=damaged).bits  # noqa: B018
    assert replace(result, correct="").bits is None


def test_a_network_is_scored_on_validation_images_or_on_test_images(small: Architecture) -> None:
    apart = load_data("digits", scored_on_test=False)
    assert apart.validation is not None
    chosen = train_proxy(small, apart, RECIPE, seed=0, device=CPU)
    judged = train_proxy(small, apart, RECIPE, seed=0, device=CPU, score_on="test")
    assert (chosen.scored_on, chosen.test_images) == ("validation", len(apart.validation))
    assert (judged.scored_on, judged.test_images) == ("test", 179)
    assert [p.train_loss for p in chosen.curve] == [p.train_loss for p in judged.curve], "the training is the same"


def test_the_weights_that_were_scored_are_kept_where_asked(
    digits: Dataset, small: Architecture, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "it.safetensors"
    result = train_proxy(small, digits, RECIPE, seed=3, device=CPU, score_on="test", weights=path)
    state, training = read_weights(path)
    assert training is not None
    assert (training.seed, training.test_error, training.test_images) == (3, result.error, 179)
    network = build_model(Architecture.from_key(training.key))
    network.load_state_dict(state)
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (training.mean, training.std))
    with torch.inference_mode():
        answers = network.eval()((digits.test.pixels.float() - mean) / std).argmax(1)
    assert float((answers != digits.test.labels).float().mean()) == pytest.approx(result.error, abs=0.006)


@pytest.mark.parametrize(("train_images", "images"), [(54_000, 30_000), (1_458, 30_000), (200, 30_000), (5, 1)])
def test_a_full_recipe_has_as_many_images_as_there_are_and_six_points_or_one_an_epoch(
    train_images: int, images: int
) -> None:
    recipe = full_recipe(train_images, images)
    assert recipe.images == min(train_images, images)
    assert recipe.images * recipe.epochs <= 1.5 * images
    assert recipe.epochs * recipe.curve_points >= 6
    assert (recipe.augmentation == "none") == (recipe.epochs == 1)


def test_cpu_seconds_rise_along_the_curve_and_across_a_checkpoint(
    digits: Dataset, small: Architecture, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, epochs=2)
    begun = ProxyTraining(small, digits, recipe, seed=0, device=CPU)
    _epoch(begun)
    begun.save(tmp_path / "state.pt")
    seconds = [
        point.cpu_seconds
        for point in train_proxy(small, digits, recipe, seed=0, device=CPU, checkpoint=tmp_path / "state.pt").curve
    ]
    assert seconds[0] > 0
    assert all(before < after for before, after in pairwise(seconds))
    assert seconds[:2] == [point.cpu_seconds for point in begun.result().curve]


AVERAGING = replace(
    RECIPE, images=192, batch_size=32, epochs=2, curve_points=1, warmup=0.25, averaging=3.0, recalibration=0
)


def _epoch(training: ProxyTraining) -> None:
    """Trains to the end of an epoch."""
    epoch = int(training.share * training.recipe.epochs + 1e-9) + 1
    while training.share < epoch / training.recipe.epochs - 1e-9:
        training.advance()


def _weights(training: ProxyTraining) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in training._network.parameters()]


def test_averaged_weights_are_the_polynomial_mean_of_those_behind_the_warm_up(
    digits: Dataset, small: Architecture
) -> None:
    training = ProxyTraining(small, digits, AVERAGING, seed=0, device=CPU)
    steps: list[list[Tensor]] = []
    training._optimizer.register_step_post_hook(lambda *details: steps.append(_weights(training)))
    while not training.finished:
        _epoch(training)
    assert len(steps) == 12
    behind = steps[3:]  # a quarter of the steps warms up
    # Weights t = 0, 1, ... enter with (1 + g) / (t + 1 + g), and what is there shrinks by the rest.
    shares = [4 / (t + 4) for t in range(len(behind))]
    assert training._average is not None
    for index, averaged in enumerate(training._average.module.parameters()):
        mean = torch.zeros_like(averaged)
        left = 1.0
        for weights, share in reversed(list(zip(behind, shares, strict=True))):
            mean += left * share * weights[index]
            left *= 1 - share
        assert left == pytest.approx(0)
        assert torch.allclose(averaged, mean, atol=1e-5)
    result = training.result()
    found = evaluate(training._average.module, training._test, training._batches)
    assert (result.error, result.loss) == (found.error, pytest.approx(found.loss))
    assert found.loss != pytest.approx(evaluate(training._network, training._test, training._batches).loss)


def test_half_precision_is_the_multiplications_alone_and_is_told(
    digits: Dataset, small: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = train_proxy(small, digits, RECIPE, seed=0, device=CPU)
    assert full.device == "cpu"
    monkeypatch.setattr("snsearch.training.proxy.half_precision_of", lambda device: torch.bfloat16)
    training = ProxyTraining(small, digits, RECIPE, seed=0, device=CPU)
    seen: set[torch.dtype] = set()
    first = next(module for module in training._network.modules() if isinstance(module, torch.nn.Conv2d))
    first.register_forward_hook(lambda module, given, made: seen.add(made.dtype) if module.training else None)
    while not training.finished:
        _epoch(training)
    assert seen == {torch.bfloat16}
    assert {value.dtype for value in training._network.parameters()} == {torch.float32}
    half = training.result()
    assert half.device == "cpu, bfloat16"
    assert half.loss != full.loss
    assert half.loss == pytest.approx(full.loss, rel=0.2)


@pytest.mark.long
def test_averaging_leaves_the_trained_weights_as_they_would_be(digits: Dataset, small: Architecture) -> None:
    networks = []
    for recipe in (AVERAGING, replace(AVERAGING, averaging=0.0), replace(AVERAGING, recalibration=100)):
        training = ProxyTraining(small, digits, recipe, seed=0, device=CPU)
        while not training.finished:
            _epoch(training)
        networks.append(training._network.state_dict())
    for other in networks[1:]:
        assert all(torch.equal(networks[0][name], other[name]) for name in networks[0])


@pytest.mark.parametrize("averaging", [0.0, 3.0])
def test_recalibration_changes_statistics_for_the_evaluation_only(
    digits: Dataset, small: Architecture, averaging: float
) -> None:
    recipe = replace(AVERAGING, epochs=1, averaging=averaging, recalibration=100)
    training = ProxyTraining(small, digits, recipe, seed=0, device=CPU)
    _epoch(training)
    before = {name: value.clone() for name, value in training._network.state_dict().items()}
    scored = training._scored_network()
    after = training._network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert training._network.training
    found = dict(scored.named_buffers())
    mean = next(name for name in found if name.endswith("running_mean"))
    # The first batch norm sees the normalised images through the first convolution, 100 of them.
    pixels = training._batches.normalise(training._train.pixels[:100])
    convolution = next(module for module in scored.modules() if isinstance(module, torch.nn.Conv2d))
    expected = convolution(pixels).mean((0, 2, 3))
    assert torch.allclose(found[mean], expected, atol=1e-4)
    assert not torch.allclose(after[mean], expected, atol=1e-4)


def test_a_saved_training_with_averages_goes_on_as_if_never_stopped(
    digits: Dataset, small: Architecture, tmp_path: Path
) -> None:
    recipe = replace(AVERAGING, recalibration=64, schedule="constant")
    whole = train_proxy(small, digits, recipe, seed=5, device=CPU)
    begun = ProxyTraining(small, digits, recipe, seed=5, device=CPU)
    _epoch(begun)
    begun.save(tmp_path / "state.pt")
    resumed = train_proxy(small, digits, recipe, seed=5, device=CPU, checkpoint=tmp_path / "state.pt")
    assert _scores(resumed) == _scores(whole)


def test_a_constant_schedule_keeps_its_rate_behind_the_warm_up_and_cosine_ends_at_zero(
    digits: Dataset, small: Architecture
) -> None:
    rates: dict[str, list[float]] = {}
    for schedule in ("constant", "cosine"):
        recipe = replace(RECIPE, batch_size=32, warmup=0.25, schedule=schedule)
        training = ProxyTraining(small, digits, recipe, seed=0, device=CPU)
        rates[schedule] = []
        for _ in range(8):
            rates[schedule].append(training._optimizer.param_groups[0]["lr"] / recipe.learning_rate)
            training._optimizer.step()
            training._schedule.step()
        rates[schedule].append(training._optimizer.param_groups[0]["lr"] / recipe.learning_rate)
    assert rates["constant"] == pytest.approx([0.5, *[1] * 8])
    assert rates["cosine"][:2] == pytest.approx([0.5, 1])
    assert rates["cosine"][5] == pytest.approx(0.5)
    assert rates["cosine"][8] == pytest.approx(0)


@pytest.mark.parametrize("images", [1, 25, 1618, 60_000])
def test_the_default_recipe_takes_no_more_images_than_there_are_and_more_passes_over_few(images: int) -> None:
    recipe = default_recipe(images)
    assert 1 <= recipe.images <= images
    assert recipe.images * recipe.epochs >= 0.5 * min(default_recipe(10**6).images, 20 * images)


@pytest.mark.parametrize("images", [2, 3, 100, 257, 1000])
def test_recalibration_takes_as_many_images_as_it_says_in_batches_of_one_size(
    digits: Dataset, small: Architecture, images: int
) -> None:
    training = ProxyTraining(small, digits, replace(RECIPE, images=600, recalibration=images), seed=0, device=CPU)
    sizes: list[int] = []
    first = next(module for module in training._network.modules() if isinstance(module, torch.nn.Conv2d))
    training._average = None
    first.register_forward_pre_hook(lambda module, given: sizes.append(len(given[0])))
    training._scored_network()
    assert sum(sizes) == min(images, 600)
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= 256


def test_the_balanced_error_is_the_mean_over_the_classes() -> None:
    class Zero(torch.nn.Module):
        """Always answers class 0."""

        def forward(self, x_NCHW: Tensor) -> Tensor:
            return torch.tensor([5.0, 0.0, 0.0]).expand(len(x_NCHW), 3)

    labels = torch.tensor([0] * 9 + [2])  # class 1 has no image
    images = Images(pixels=torch.zeros(10, 1, 8, 8, dtype=torch.uint8), labels=labels)
    found = evaluate(Zero(), images, Batches(images, "none", batch_size=4, seed=0), batch_size=4)
    assert (found.error, found.balanced_error) == (0.1, 0.5)


def test_recipes_of_earlier_versions_are_read_unless_they_use_an_option_that_is_gone() -> None:
    kept = asdict(RECIPE) | {"low_resolution": 0.0, "label_smoothing": 0.0}
    assert decode(Recipe, kept, "it", error=StudyError) == RECIPE
    with pytest.raises(StudyError, match="the recipe uses low_resolution, which this version does not have"):
        decode(Recipe, kept | {"low_resolution": 0.5}, "it", error=StudyError)
