"""One full training, a step at a time, that can be saved after any step and goes on bit for bit.

What is random is drawn from the seed and the number of the step or epoch: no generator's state outlives a step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from snsearch.codec import Share, decode, encode
from snsearch.finals.augmentation import augmented
from snsearch.finals.plan import FinalPlan
from snsearch.finals.ranks import Ranks
from snsearch.finals.scores import Tally
from snsearch.finals.starting import Start, Teacher, freeze
from snsearch.training import Feed, Feeds, TrainingDiverged, parameter_groups

Run = Callable[[Tensor], npt.NDArray[np.float32]]  # uint8 pixels (N, C, H, W) -> logits (N, classes)
_Tensors = tuple[Tensor, ...] | list[Tensor]
_ORDER, _IMAGES = range(2)  # what is drawn from a seed
_TYPES = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
_EVALUATED_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochRow:
    """An epoch in the log."""

    epoch: int  # from 1
    step: int
    learning_rate: float  # of its last step
    train_loss: float  # mean over the epoch, of augmented images
    validation_error: Share | None  # None: there are no validation images
    validation_balanced_error: Share | None
    validation_loss: float | None


def tallied(run: Run, feed: Feed, classes: int, ranks: Ranks) -> Tally:
    """The counts of what a network says of a split, each image of it once."""
    tally = Tally(classes)
    own = np.arange(ranks.rank, len(feed.labels), ranks.count)
    order = [own[start : start + _EVALUATED_AT_ONCE] for start in range(0, len(own), _EVALUATED_AT_ONCE)]
    for pixels, labels in feed.batches(order):
        tally.add(run(pixels), labels.numpy())
    ranks.total(tally.confusion)
    ranks.total(tally.others)
    return tally


class Normaliser:
    """Pixels from 0 to 255 -> what a network takes, channels_last."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device) -> None:
        self.device = device
        self._mean, self._std = (torch.tensor(values, device=device).view(1, -1, 1, 1) for values in (mean, std))

    def __call__(self, x_NCHW: Tensor) -> Tensor:
        """The normalised images."""
        return ((x_NCHW.float() - self._mean) / self._std).contiguous(memory_format=torch.channels_last)


def run_of(network: nn.Module, normalise: Normaliser) -> Run:
    """A network's logits in float32; it is put into evaluation mode."""
    network.eval()

    def run(pixels_NCHW: Tensor) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            logits: Tensor = network(normalise(pixels_NCHW.to(normalise.device)))
            return logits.float().cpu().numpy()

    return run


class FinalTraining:
    """The state of a training: weights, optimizer, averages, the best epoch so far, and the log."""

    def __init__(self, plan: FinalPlan, feeds: Feeds, start: Start, ranks: Ranks, teacher: Teacher | None) -> None:
        self.plan, self.feeds, self.ranks = plan, feeds, ranks
        self.step = 0
        self.rows: list[EpochRow] = []
        self.best_epoch = 0
        self.best_state: dict[str, Tensor] = {}
        self._best: tuple[float, float] = (math.inf, math.inf)
        device = ranks.device
        self._normalise = Normaliser(feeds.mean, feeds.std, device)
        self._network = start.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._frozen = freeze(self._network, plan.frozen)
        self._optimizer = _optimizer_of(self._network, plan)
        self._average: AveragedModel | None = None
        if plan.recipe.average:
            self._average = AveragedModel(self._network, multi_avg_fn=self._move_averages, use_buffers=True)
        self._type = _TYPES[plan.precision]
        self._scaler = torch.amp.GradScaler(device.type, enabled=plan.precision == "float16")
        self._module: nn.Module = self._network
        if ranks.count > 1:
            devices = [device.index] if device.type == "cuda" else None
            self._module = nn.parallel.DistributedDataParallel(self._network, device_ids=devices)
        weights = torch.tensor(plan.class_weights, device=device) if plan.class_weights else None
        self._criterion = nn.CrossEntropyLoss(weights, label_smoothing=plan.recipe.label_smoothing)
        self._teacher = None if teacher is None else teacher.network.to(device)
        self._for_teacher = None if teacher is None else Normaliser(teacher.mean, teacher.std, device)
        self._loss = torch.zeros((), device=device)  # summed over this epoch's steps

    @property
    def finished(self) -> bool:
        """Whether the last epoch is done and measured."""
        return len(self.rows) == self.plan.epochs

    def advance(self, after_step: Callable[[float | None], bool]) -> None:
        """Trains to the end of the epoch, and measures it on the validation images.

        `after_step` hears the loss of every tenth step, and returns whether to go on: if not, the epoch stays
        unfinished. Raises TrainingDiverged where the loss leaves the finite numbers.
        """
        self._module.train()
        for module in self._frozen:
            module.eval()
        order = self._order(len(self.rows))
        done = self.step - len(self.rows) * self.plan.steps_per_epoch
        for pixels, labels in self.feeds.train.batches(order[done:]):
            loss = self._train(pixels, labels)
            self._loss += loss
            self.step += 1
            told = self.step % 10 == 0 or self.step == self.plan.steps
            if not after_step(float(loss) if told else None):
                return
        self._measure()

    def _order(self, epoch: int) -> list[npt.NDArray[np.int64]]:
        """The images of every step of an epoch that are this process's."""
        shuffled = np.random.default_rng((self.plan.seed, _ORDER, epoch)).permutation(self.plan.train_images)
        whole = shuffled[: self.plan.steps_per_epoch * self.plan.batch_size].reshape(-1, self.plan.batch_size)
        return [batch[self.ranks.rank :: self.ranks.count] for batch in whole]

    def _train(self, pixels: Tensor, labels: Tensor) -> Tensor:
        """One step; returns its loss."""
        plan, device = self.plan, self.ranks.device
        rng = np.random.default_rng((plan.seed, _IMAGES, self.step, self.ranks.rank))
        for group in self._optimizer.param_groups:
            group["lr"] = plan.rate(self.step)
        total = torch.zeros((), device=device)
        parts = list(zip(pixels.chunk(plan.accumulate), labels.chunk(plan.accumulate), strict=True))
        for number, (part, answers) in enumerate(parts, start=1):
            mirror = "flip" in self.feeds.augmentation
            images = augmented(part.to(device, non_blocking=True), plan.recipe, mirror=mirror, rng=rng)
            last = number == len(parts)
            with nullcontext() if last or self.ranks.count == 1 else self._unsynchronised():
                loss = self._loss_of(images, answers.to(device), rng) / len(parts)
                self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad(set_to_none=True)
        if self._average is not None:
            self._average.update_parameters(self._network)
        return total

    def _unsynchronised(self) -> Any:
        return self._module.no_sync()  # type: ignore[operator]  # of DistributedDataParallel

    def _loss_of(self, images: Tensor, labels: Tensor, rng: np.random.Generator) -> Tensor:
        recipe = self.plan.recipe
        others, share = None, 1.0
        if recipe.mixup:
            share = float(rng.beta(recipe.mixup, recipe.mixup))
            others = torch.from_numpy(rng.permutation(len(labels))).to(labels.device)
            images = share * images + (1 - share) * images[others]
        with torch.autocast(labels.device.type, self._type, enabled=self._type is not None):
            logits = self._module(self._normalise(images))
        logits = logits.float()
        loss: Tensor = self._criterion(logits, labels)
        if others is not None:
            loss = share * loss + (1 - share) * self._criterion(logits, labels[others])
        if self._teacher is not None and self._for_teacher is not None:
            with torch.no_grad(), torch.autocast(labels.device.type, self._type, enabled=self._type is not None):
                answers = self._teacher(self._for_teacher(images))
            heat = recipe.temperature
            softened = functional.log_softmax(logits / heat, 1), functional.log_softmax(answers.float() / heat, 1)
            # Times the square, so that its gradients do not shrink with the temperature (arXiv:1503.02531).
            taught = heat**2 * functional.kl_div(*softened, reduction="batchmean", log_target=True)
            loss = recipe.teacher_weight * taught + (1 - recipe.teacher_weight) * loss
        return loss

    def _move_averages(self, means: _Tensors, news: _Tensors, count: Tensor | int) -> None:
        if not means[0].is_floating_point():  # counters of batch norm
            torch._foreach_copy_(means, news)
            return
        # The first steps are averaged over less, as their weights are soon out of date.
        decay = 1 - 1 / max(1.0, self.plan.recipe.average * self.plan.steps)
        torch._foreach_lerp_(means, news, 1 - min(decay, (1 + float(count)) / (10 + float(count))))

    @property
    def _scored(self) -> nn.Module:
        return self._network if self._average is None else self._average.module

    def _measure(self) -> None:
        """Ends the epoch: a row for the log, and its weights if they are the best."""
        plan = self.plan
        # Batch norm's statistics are each process's own.
        self.ranks.spread([*self._network.buffers(), *(self._average.buffers() if self._average else ())])
        loss = np.array([float(self._loss)])
        self.ranks.total(loss)
        train_loss = float(loss[0]) / (plan.steps_per_epoch * self.ranks.count)
        if not math.isfinite(train_loss):
            raise TrainingDiverged(
                f"the training loss became {train_loss} in epoch {len(self.rows) + 1}; give a lower --learning-rate"
            )
        found = None
        if self.feeds.validation is not None:
            run = run_of(self._scored, self._normalise)
            tally = tallied(run, self.feeds.validation, len(plan.classes), self.ranks)
            found = tally.evaluation(plan.classes)
        value = (0.0, 0.0)
        if found is not None:
            value = (found.balanced_error if plan.class_weights else found.error, found.loss)
        row = EpochRow(
            epoch=len(self.rows) + 1,
            step=self.step,
            learning_rate=plan.rate(self.step - 1),
            train_loss=train_loss,
            validation_error=None if found is None else found.error,
            validation_balanced_error=None if found is None else found.balanced_error,
            validation_loss=None if found is None else found.loss,
        )
        self.rows.append(row)
        self._loss.zero_()
        if value <= self._best:  # without validation images: the last
            self._best, self.best_epoch = value, row.epoch
            self.best_state = {
                name: value.detach().cpu().clone() for name, value in self._scored.state_dict().items()
            }

    def state(self) -> dict[str, Any]:
        """Everything that is needed to go on from this step."""
        return {
            "plan": encode(self.plan),
            "step": self.step,
            "rows": [encode(row) for row in self.rows],
            "loss": self._loss,
            "network": self._network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
            "average": None if self._average is None else self._average.module.state_dict(),
            "averaged": None if self._average is None else self._average.n_averaged,
            "best": {"epoch": self.best_epoch, "value": list(self._best), "state": self.best_state},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from a state of a training with the same plan."""
        self.step = state["step"]
        self.rows = list(decode(tuple[EpochRow, ...], state["rows"], "the log of a checkpoint"))
        self._loss.copy_(state["loss"])
        self._network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])
        if self._average is not None:
            self._average.module.load_state_dict(state["average"])
            self._average.n_averaged.copy_(state["averaged"])
        self.best_epoch, self.best_state = state["best"]["epoch"], dict(state["best"]["state"])
        self._best = (state["best"]["value"][0], state["best"]["value"][1])


def _optimizer_of(network: nn.Module, plan: FinalPlan) -> torch.optim.Optimizer:
    recipe = plan.recipe
    groups = parameter_groups(network, recipe.weight_decay)
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=plan.learning_rate, betas=(recipe.momentum, 0.999))
    return torch.optim.SGD(groups, lr=plan.learning_rate, momentum=recipe.momentum, nesterov=recipe.nesterov)
