"""The names that `--sampler` takes; `storage/samplers.py` makes what they name."""

from typing import Literal

Sampler = Literal["surrogate", "tpe", "nsga2", "gp", "random", "quasi-random"]
