"""Where trainings run: the device, and the share of the host that each worker takes."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from snsearch.training.proxy import pick_device


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """Where trainings run."""

    device: torch.device
    workers: int
    threads: int  # of each worker


def machine_of(device: str, workers: int | None, threads: int | None, *, tasks: int) -> Machine:
    """The machine for this number of trainings; sets torch's threads.

    Args:
        device: "auto", "cpu", "cuda" or "mps".
        workers: None: one per core on a CPU, else one.
        threads: of each worker; None: its share of the cores.
        tasks: trainings to be done.

    Raises:
        StudyError: the device cannot be used.
    """
    chosen = pick_device(device)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if workers is None:
        workers = min(cores, tasks) if chosen.type == "cpu" else 1
    threads = threads or max(1, cores // workers)
    torch.set_num_threads(threads)
    return Machine(device=chosen, workers=workers, threads=threads)
