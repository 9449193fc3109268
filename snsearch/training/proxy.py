"""One seeded training that scores a candidate, a point of its learning curve at a time."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, update_bn

from snsearch import __version__
from snsearch.codec import decode, encode
from snsearch.errors import SnsearchError, StudyError
from snsearch.files import faults_as, whole_file
from snsearch.network import Architecture, build_model
from snsearch.training.data import Batches, Dataset
from snsearch.training.evaluation import evaluate
from snsearch.training.machine import device_name, half_precision_of
from snsearch.training.recipe import CurvePoint, Part, ProxyResult, Recipe, text_of
from snsearch.training.weights_file import Training, write_weights

_Tensors = tuple[Tensor, ...] | list[Tensor]
OnBatch = Callable[[int, int, float], None]  # images seen, images of the whole training, running loss

_ROUNDING = 1e-9  # of shares
_SUBSET_SEED = 0  # every candidate of a study trains on the same images


class TrainingDiverged(SnsearchError):
    """The loss left the finite numbers."""


class ProxyTraining:
    """One training, a point of its curve at a time, that can be saved between points and continued elsewhere."""

    monitor_images = 2000  # images of the curve's points on the way

    def __init__(
        self,
        arch: Architecture,
        dataset: Dataset,
        recipe: Recipe,
        *,
        seed: int,
        device: torch.device,
        score_on: Part = "validation",
    ) -> None:
        at_proxy = dataset.network(arch)
        self.key = at_proxy.key
        self.recipe = recipe
        self.seed = seed
        self.device = device
        self._half = half_precision_of(device)
        network = build_model(at_proxy, seed, zero_start=recipe.zero_start).to(device)
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
        chosen = torch.randperm(len(dataset.train), generator=torch.Generator().manual_seed(_SUBSET_SEED))
        self._train = dataset.train.take(chosen[: recipe.images]).to(device)
        # Test sets are often in the order of their classes: whatever is measured on a part takes a mixed one.
        scored = dataset.test if score_on == "test" else dataset.scored
        self._score_on: Part = "test" if scored is dataset.test else "validation"
        mixed = torch.randperm(len(scored), generator=torch.Generator().manual_seed(_SUBSET_SEED))
        self._test = scored.take(mixed[: recipe.test_images]).to(device)
        self._batches = Batches(
            self._train, recipe.augmentation or dataset.augmentation, batch_size=recipe.batch_size, seed=seed
        )
        self._steps = recipe.epochs * len(self._batches)
        self._optimizer = torch.optim.AdamW(
            parameter_groups(self._network, recipe.weight_decay),
            lr=recipe.learning_rate,
            betas=(0.9, 0.99),
            fused=device.type in ("cpu", "cuda", "mps"),
        )
        warm = max(1, round(recipe.warmup * self._steps))
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer,
            lambda step: (
                (step + 1) / warm
                if step < warm
                else 1.0
                if recipe.schedule == "constant"
                else 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self._steps - warm)))
            ),
        )
        self._average: AveragedModel | None = None
        if recipe.averaging:
            self._average = AveragedModel(self._network, multi_avg_fn=self._move_averages, use_buffers=True)
        self._step = 0
        self._seconds = 0.0
        self._cpu_seconds = 0.0
        self._curve: list[CurvePoint] = []
        self._classes, self._data = dataset.classes, dataset.describe()
        self._balanced_error: float | None = None  # at the last point of the curve
        self._correct = ""  # at the last point, where all images were measured there

    @property
    def share(self) -> float:
        """How much of the whole training is done, from 0 to 1."""
        return self._step / self._steps

    @property
    def finished(self) -> bool:
        """Whether the recipe's last epoch is done."""
        return self._step >= self._steps

    def advance(self, on_batch: OnBatch | None = None, *, until: float = 1.0) -> None:
        """Trains to the next point of the curve; where `until` is reached there, all images are scored.

        Raises TrainingDiverged where the loss leaves the finite numbers.
        """
        started = time.perf_counter() - self._seconds
        cpu_started = time.process_time() - self._cpu_seconds
        mark = self._next_mark()
        losses: list[Tensor] = []
        self._network.train()
        for number in range(self._step + 1, mark + 1):
            x_NCHW, labels = self._batches.draw()
            with torch.autocast(self.device.type, self._half, enabled=self._half is not None):
                loss = nn.functional.cross_entropy(self._network(x_NCHW), labels)
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
            self._optimizer.zero_grad(set_to_none=True)
            self._schedule.step()
            self._step = number
            if self._average is not None and self._step > self._steps * self.recipe.warmup:
                self._average.update_parameters(self._network)
            losses.append(loss.detach())
            if number % len(self._batches) % 8 == 0 and on_batch is not None:
                on_batch(self._images(number), self._images(self._steps), float(loss.detach()))
        train_loss = float(torch.stack(losses).mean())
        if not math.isfinite(train_loss):
            raise TrainingDiverged(f"the training loss became {train_loss} after {self._images(mark):,} images")
        self._measure(train_loss, cpu_started, whole=self.share >= until - _ROUNDING)
        self._seconds = time.perf_counter() - started

    def _next_mark(self) -> int:
        """The step of the curve's next point."""
        count, points = len(self._batches), self.recipe.curve_points
        epoch, inside = divmod(self._step, count)
        marks = {max(1, round(count * (point + 1) / points)) for point in range(points)}
        return epoch * count + min(mark for mark in marks if mark > inside)

    def _images(self, steps: int) -> int:
        return steps * min(self.recipe.batch_size, len(self._train))

    def score(self) -> None:
        """Scores all images at the last point, where only a part of them was measured."""
        if not self._correct:
            cpu_started = time.process_time() - self._cpu_seconds
            self._measure(self._curve.pop().train_loss, cpu_started, whole=True)

    def _measure(self, train_loss: float, cpu_started: float, *, whole: bool) -> None:
        count = len(self._test) if whole else min(self.monitor_images, len(self._test))
        found = evaluate(self._scored_network(), self._test.take(torch.arange(count)), self._batches)
        images_seen = self._images(self._step)
        if not math.isfinite(found.loss):
            raise TrainingDiverged(f"the test loss became {found.loss} after {images_seen:,} images")
        self._balanced_error = found.balanced_error
        self._correct = text_of(found.correct.cpu().numpy()) if whole else ""
        self._cpu_seconds = time.process_time() - cpu_started
        self._curve.append(
            CurvePoint(
                images_seen=images_seen,
                train_loss=train_loss,
                test_error=found.error,
                test_loss=found.loss,
                test_images=count,
                cpu_seconds=self._cpu_seconds,
            )
        )

    def _move_averages(self, means: _Tensors, news: _Tensors, count: Tensor | int) -> None:
        # Polynomial decay (Shamir and Zhang 2013, arXiv:1212.1824): weights t enter with (1 + g) / (t + 1 + g).
        if not means[0].is_floating_point():  # counters of batch norm
            torch._foreach_copy_(means, news)
            return
        g = self.recipe.averaging
        steps = torch._foreach_sub(news, means)
        torch._foreach_mul_(steps, (1 + g) / (float(count) + 1 + g))  # one wait for the device, not one a tensor
        torch._foreach_add_(means, steps)

    def _scored_network(self) -> nn.Module:
        """The network to evaluate: with averaged weights, and fresh statistics, where the recipe says so."""
        network: nn.Module = self._network if self._average is None else self._average.module
        if self.recipe.recalibration:
            # Batches of one size: each counts as much, and none is too small to have statistics.
            images = self._train.pixels[: self.recipe.recalibration]
            pixels = images.tensor_split(math.ceil(len(images) / 256))
            if self._average is None:
                network = copy.deepcopy(network)
            update_bn(
                (self._batches.normalise(p.contiguous(memory_format=torch.channels_last)) for p in pixels), network
            )
        return network

    def result(self) -> ProxyResult:
        """The score at the last point of the curve."""
        last = self._curve[-1]
        return ProxyResult(
            error=last.test_error,
            loss=last.test_loss,
            test_images=last.test_images,
            train_images=len(self._train),
            curve=tuple(self._curve),
            seconds=self._seconds,
            seed=self.seed,
            device=device_name(self.device) + (f", {self._half}".replace("torch.", "") if self._half else ""),
            threads=torch.get_num_threads(),
            torch_version=str(torch.__version__),
            finished=self.finished,
            balanced_error=self._balanced_error,
            share=self.share,
            scored_on=self._score_on,
            correct=self._correct,
        )

    def save(self, path: Path) -> None:
        """Writes everything needed to continue; an existing file is replaced in one step.

        Raises StudyError where it cannot be written.
        """
        state = {
            "identity": self._identity(),
            "network": self._network.state_dict(),
            "average": None if self._average is None else self._average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": {key: value for key, value in self._schedule.state_dict().items() if key != "lr_lambdas"},
            "batches": self._batches.state,
            "step": self._step,
            "seconds": self._seconds,
            "cpu_seconds": self._cpu_seconds,
            "curve": [encode(point) for point in self._curve],
            "balanced_error": self._balanced_error,
            "correct": self._correct,
        }
        try:
            with whole_file(path) as partial:
                torch.save(state, partial)
        except (OSError, RuntimeError) as error:  # torch's writer raises the latter on a full disk
            raise StudyError(
                f"a training's state cannot be saved as {str(path)!r}: {error}".splitlines()[0]
            ) from None

    def save_weights(self, path: Path) -> None:
        """Writes the weights that are scored, as a weights file. Raises StudyError where it cannot be written."""
        mean, std = self._batches.statistics
        training = Training(
            key=self.key,
            classes=self._classes,
            mean=mean,
            std=std,
            data=self._data,
            recipe=self.recipe.describe(),
            seed=self.seed,
            test_error=self._curve[-1].test_error if self._score_on == "test" else None,
            test_images=self._curve[-1].test_images if self._score_on == "test" else None,
            versions={"snsearch": __version__, "torch": str(torch.__version__)},
        )
        with faults_as(StudyError, f"the weights {str(path)!r} cannot be written"):
            write_weights(path, self._scored_network().state_dict(), training)

    def load(self, path: Path) -> bool:
        """Continues from a saved state; False, with nothing changed, where it is missing or of another training."""
        if not path.is_file():
            return False
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
        except Exception:  # a half-written or foreign file: training starts again
            return False
        if not isinstance(state, dict) or state.get("identity") != self._identity():
            return False
        self._network.load_state_dict(state["network"])
        if self._average is not None:
            self._average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict({**state["schedule"], "lr_lambdas": [None] * len(self._schedule.base_lrs)})
        self._batches.state = state["batches"]
        self._step = state["step"]
        self._seconds = state["seconds"]
        self._cpu_seconds = state["cpu_seconds"]
        self._curve = list(decode(tuple[CurvePoint, ...], state["curve"], "the curve of a saved training"))
        self._balanced_error = state["balanced_error"]
        self._correct = state["correct"]
        return True

    def _identity(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "recipe": encode(self.recipe),
            "seed": self.seed,
            "scored": [self._score_on, len(self._test)],
            "images": len(self._train),
            # Enough to tell other data by, without hashing all of it for every candidate.
            "labels": int(self._train.labels.sum()),
            "pixels": int(self._train.pixels[:1024].sum()),
        }


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The parameters that are trained: weights decay; biases and batch norm do not."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    weights = [parameter for parameter in trained if parameter.ndim > 1]
    others = [parameter for parameter in trained if parameter.ndim <= 1]
    return [{"params": weights, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def train_proxy(
    arch: Architecture,
    dataset: Dataset,
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device,
    checkpoint: Path | None = None,
    on_batch: OnBatch | None = None,
    until: float = 1.0,
    score_on: Part = "validation",
    weights: Path | None = None,
) -> ProxyResult:
    """The score of an architecture after the recipe's epochs, or at the first point of its curve behind `until`.

    With a checkpoint path the training continues from what is saved there and saves at every point, except the only
    one; who keeps the result removes the file then. With a path of weights, those that were scored are kept there.
    Raises TrainingDiverged.

    Args:
        until: share of the whole training, from 0 to 1.
        score_on: "validation" takes the images that the data set is to be chosen by.
    """
    training = ProxyTraining(arch, dataset, recipe, seed=seed, device=device, score_on=score_on)
    if checkpoint is not None and training.load(checkpoint) and training.share >= until - _ROUNDING:
        training.score()
    while training.share < until - _ROUNDING:
        training.advance(on_batch, until=until)
        if checkpoint is not None and recipe.epochs * recipe.curve_points > 1:
            training.save(checkpoint)
    if weights is not None:
        training.save_weights(weights)
    return training.result()
