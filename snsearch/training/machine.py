"""Where trainings run: the device, its precision, and the share of the host that each worker takes."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from snsearch.errors import StudyError


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """Where trainings run."""

    device: torch.device
    workers: int
    threads: int  # of each worker


def pick_device(name: str = "auto") -> torch.device:
    """The named torch device; "auto" takes cuda, then mps, then cpu. Raises StudyError where it is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0] if str(error) else "it is not available"
        raise StudyError(f"device {name!r} cannot be used: {reason}") from None
    return device


def device_name(device: torch.device) -> str:
    """What a result says of where it was trained."""
    return f"{device.type} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type


def half_precision_of(device: torch.device) -> torch.dtype | None:
    """The type of multiplications where the device is faster in it: bfloat16 on GPUs that have it; weights, sums and
    evaluations stay float32. None elsewhere: on the CPUs that were tried bfloat16 has 0.7 times the speed.
    """
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return None


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
