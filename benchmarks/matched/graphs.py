"""Trainings on a CUDA GPU, several at once in one process: each step is one CUDA graph on a stream of its own.

A step of a small network is hundreds of kernels of a few microseconds each, which leave most of a GPU idle and keep
a core busy with launching them. As a graph it costs one launch, and the graphs of other trainings run beside it. All
that changes from step to step stands in tables on the device: images, windows, learning rate, weight of the average.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from pathlib import Path

import torch
from torch import nn

from benchmarks.matched import trainer
from benchmarks.matched.package import Architecture, Dataset, Recipe, TrainingDiverged, parameter_groups

_IN_A_TURN = 13  # steps that are queued before the next training has its turn
_WARM = 3  # steps before the capture, which are undone


class GraphTraining(trainer.BenchmarkTraining):
    """A training by graphs, in float32. Elsewhere than on CUDA it takes the same steps without graphs.

    It cannot be saved on its way: it lasts seconds.
    """

    def __init__(
        self, arch: Architecture, dataset: Dataset, recipe: Recipe, *, seed: int, device: torch.device
    ) -> None:
        super().__init__(arch, dataset, recipe, seed=seed, device=device)
        self._half = None
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        at = torch.arange(self._steps)
        factor = self._schedule.lr_lambdas[0]
        rates = [recipe.learning_rate * factor(step) for step in at.tolist()]
        before = int(self._steps * recipe.warmup)  # steps that no average takes in
        g = recipe.averaging
        shares = [0.0 if step < before else (1 + g) / (step - before + 1 + g) for step in at.tolist()]
        self._tables = [
            table.to(device)
            for table in (
                *map(torch.stack, zip(*(self._batches.place() for _ in at), strict=True)),
                torch.tensor(rates),
                torch.tensor(shares),
            )
        ]
        self._at = torch.zeros(1, dtype=torch.int64, device=device)
        self._rate = torch.zeros((), device=device)
        self._losses = torch.zeros(self._steps, device=device)
        cuda = device.type == "cuda"
        self._optimizer = torch.optim.AdamW(
            parameter_groups(self._network, recipe.weight_decay),
            lr=self._rate,
            betas=(0.9, 0.99),
            fused=True,
            capturable=cuda,
        )
        kept = self._network if self._average is None else self._average.module
        pairs = zip(
            chain(kept.parameters(), kept.buffers()),
            chain(self._network.parameters(), self._network.buffers()),
            strict=True,
        )
        floating = [(mean.detach(), new.detach()) for mean, new in pairs if mean.is_floating_point()]
        self._means, self._news = [mean for mean, _ in floating], [new for _, new in floating]

    def advancing(self) -> Iterator[None]:
        """Trains to the end and measures every point of the curve; stops after each turn."""
        with self._on_stream():
            graph = self._captured() if self._stream is not None else None
        while not self.finished:
            mark = self._next_mark()
            self._network.train()
            for number in range(self._step, mark):
                cpu_started = time.process_time()
                with self._on_stream():
                    if graph is None:
                        self._take_step()
                    else:
                        graph.replay()
                self._cpu_seconds += time.process_time() - cpu_started
                if (number + 1 - self._step) % _IN_A_TURN == 0:
                    yield
            with self._on_stream():
                cpu_started = time.process_time() - self._cpu_seconds
                loss = float(self._losses[self._step : mark].mean())
                if not loss < float("inf"):
                    raise TrainingDiverged(f"the training loss became {loss} after {self._images(mark):,} images")
                self._step = mark
                self._measure(loss, cpu_started, whole=True)
            yield

    def correct(self) -> trainer.Bits:
        """Whether the network, as it is now, gets each test image right."""
        with self._on_stream():
            return super().correct()

    def save(self, path: Path) -> None:
        """Does nothing."""

    def load(self, path: Path) -> bool:
        """Nothing is saved."""
        return False

    def _on_stream(self) -> AbstractContextManager[object]:
        return nullcontext() if self._stream is None else torch.cuda.stream(self._stream)

    def _take_step(self) -> None:
        *place, rate, share = (table.index_select(0, self._at)[0] for table in self._tables)
        x_NCHW, labels = self._batches.gather(*place)
        self._rate.copy_(rate)
        loss = nn.functional.cross_entropy(self._network(x_NCHW), labels)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        if self._average is not None:
            steps = torch._foreach_sub(self._news, self._means)
            torch._foreach_mul_(steps, share)
            torch._foreach_add_(self._means, steps)
        self._losses.index_copy_(0, self._at, loss.detach()[None])
        self._at += 1

    def _captured(self) -> torch.cuda.CUDAGraph:
        torch.cuda.current_stream().wait_stream(torch.cuda.default_stream())
        changing = [*self._network.parameters(), *self._network.buffers(), *self._means, self._at]
        begun = [one.detach().clone() for one in changing]
        for _ in range(_WARM):
            self._take_step()
        with torch.no_grad():
            for now, then in zip(changing, begun, strict=True):
                now.copy_(then)
            for moments in self._optimizer.state.values():
                for one in moments.values():
                    one.zero_()
        self._optimizer.zero_grad(set_to_none=True)
        torch.cuda.current_stream().synchronize()
        graph = torch.cuda.CUDAGraph()
        graph.capture_begin(capture_error_mode="thread_local")
        self._take_step()
        graph.capture_end()
        return graph
