"""The options of commands that train: on what, and how much at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from snsearch.cli.shared.options import Whole

F = TypeVar("F", bound=Callable[..., Any])


def machine_options(command: F) -> F:
    """--workers, --threads, --proxy-device."""
    for option in (
        click.option(
            "--proxy-device",
            default="auto",
            show_default=True,
            metavar="DEVICE",
            help="Device of proxy training: auto, cpu, cuda, mps.",
        ),
        click.option("--threads", type=Whole(1), help="CPU threads of a worker  [default: its share of the cores]"),
        click.option("--workers", type=Whole(1, 10_000), help="Candidates trained at once  [default: one per core]"),
    ):
        command = option(command)
    return command
