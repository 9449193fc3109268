"""The processes of one training, as torchrun starts them: their number, and what they agree on."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from snsearch.errors import StudyError


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranks:
    """This process among those of a training; the first one writes files and talks."""

    rank: int = 0
    count: int = 1
    device: torch.device
    group: Any = None  # of the same processes, for counts on the CPU

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def total(self, counts: npt.NDArray[Any]) -> None:
        """Puts the sum over all processes in the place of these counts."""
        if self.count > 1:
            torch.distributed.all_reduce(torch.from_numpy(counts), group=self.group)

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        if self.count == 1:
            return flag
        counts = np.array([flag], dtype=np.int64)
        self.total(counts)
        return bool(counts[0])

    def spread(self, tensors: Iterable[Tensor]) -> None:
        """Puts the first process's values in these tensors of every process."""
        if self.count > 1:
            for tensor in tensors:
                torch.distributed.broadcast(tensor, 0)

    def wait(self) -> None:
        """Waits for every process."""
        self.any(False)


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """The processes that torchrun started, else this one alone.

    Raises StudyError where they cannot reach each other, or have fewer accelerators than processes.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 or "RANK" not in os.environ:
        yield Ranks(device=device)
        return
    if device.type == "mps":
        raise StudyError("several processes cannot share an Apple GPU; give --device cpu")
    if device.type == "cuda":
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            raise StudyError(f"process {local} has no GPU: there are {torch.cuda.device_count()}; start fewer")
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    try:
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        group = torch.distributed.new_group(backend="gloo")
    except (RuntimeError, ValueError) as error:
        raise StudyError(f"the processes cannot reach each other: {str(error).splitlines()[0]}") from None
    try:
        yield Ranks(rank=int(os.environ["RANK"]), count=count, device=device, group=group)
    finally:
        torch.distributed.destroy_process_group()
