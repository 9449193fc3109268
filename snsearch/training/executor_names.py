"""Where a search's trainings run, as `--executor` and `--resources` say it; loads neither an engine nor torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from snsearch.codec import suggestion
from snsearch.errors import SpecError, StudyError, check_installed
from snsearch.prose import shortened
from snsearch.units import Range, parse_bytes, parse_number

Engine = Literal["local", "ray", "slurm"]
ENGINES: dict[Engine, str | None] = {"local": None, "ray": "ray", "slurm": "submitit"}  # the package of each

_RAY = re.compile(r"ray://(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):(?P<port>[0-9]{1,5})/?")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_AMOUNTS = Range("a number up to 1,000,000", 0, 10**6)
_CORES = Range("a number of cores such as 2 or 0.5 (0.01 to 1,000,000)", 0.01, 10**6)


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """What one training takes of a cluster.

    Args:
        cpu: cores; torch has a thread for each whole one.
        gpu: GPUs, or a share of one.
        memory: bytes.
        others: further ones by the engine's own names: resources of Ray, options of sbatch.
    """

    cpu: float = 1.0
    gpu: float = 0.0
    memory: int | None = None
    others: tuple[tuple[str, str], ...] = ()

    @property
    def threads(self) -> int:
        """Torch's threads of a training."""
        return max(1, int(self.cpu))


@dataclass(frozen=True, kw_only=True, slots=True)
class Elsewhere:
    """An engine that runs the trainings."""

    engine: Engine
    address: str | None  # of Ray, for a program that is not in the cluster
    resources: Resources


def parse_executor(text: str) -> tuple[Engine, str | None]:
    """The engine that a text such as "slurm" or "ray://host:10001" names, and the address. Raises SpecError."""
    if text in ENGINES:
        return text, None
    if _RAY.fullmatch(text):
        return "ray", text.rstrip("/")
    # What is no word may hold a secret: it is not shown.
    if text.startswith("ray:"):
        raise SpecError(
            "the address of a Ray cluster is expected as ray://HOST:PORT, with no user, password or token in it; "
            "a token goes into RAY_AUTH_TOKEN"
        )
    given = f"executor {text!r}" if _WORD.fullmatch(text) else "executor"
    raise SpecError(f"{given}{suggestion(text, [*ENGINES, 'ray://HOST:PORT'])}")


def parse_resources(text: str) -> Resources:
    """The resources that a text such as "cpu=2,gpu=0.25" names. Raises SpecError."""
    found: dict[str, str] = {}
    for part in text.split(","):
        name, _, value = (word.strip() for word in part.partition("="))
        if not value or not _WORD.fullmatch(name) or name in found:
            raise SpecError(f"resources {shortened(text)}: expected each once, such as cpu=2,gpu=0.25")
        found[name] = value
    memory = found.pop("memory", None)
    return Resources(
        cpu=parse_number(found.pop("cpu", "1"), _CORES),
        gpu=parse_number(found.pop("gpu", "0"), _AMOUNTS),
        memory=None if memory is None else parse_bytes(memory),
        others=tuple(found.items()),
    )


def elsewhere(executor: str, resources: str | None) -> Elsewhere | None:
    """What runs the trainings; None: this machine.

    Raises SpecError for what cannot be read, and StudyError where the engine is not installed.
    """
    engine, address = parse_executor(executor)
    if engine == "local":
        if resources is not None:
            raise SpecError(
                "resources are for an executor such as ray or slurm; on this machine, give workers and threads"
            )
        return None
    asked = Resources() if resources is None else parse_resources(resources)
    for name, value in asked.others if engine == "ray" else ():
        parse_number(value, _AMOUNTS._replace(expected=f"an amount of the resource {name}"))
    if engine == "slurm" and not (asked.cpu.is_integer() and asked.gpu.is_integer()):
        raise SpecError(f"cpu={asked.cpu:g},gpu={asked.gpu:g}: SLURM gives whole CPUs and GPUs only")
    package = ENGINES[engine]
    if package is not None:
        check_installed(package, engine, f"--executor {engine}", StudyError)
    return Elsewhere(engine=engine, address=address, resources=asked)
