"""Counts -> milliseconds, by weights that were fitted on a device's published figures, with their interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from snsearch.counting.counts import Counts
from snsearch.toml_reader import Table, as_integer, as_number, as_text


@dataclass(frozen=True, kw_only=True, slots=True)
class Weighing:
    """Milliseconds a million instructions and misses, and how far networks that were kept out were missed."""

    device: str
    source: str
    instructions: float
    l1_misses: float
    l2_misses: float
    networks: int
    mape: float
    interval_factor: float  # by which a figure is multiplied and divided for its 95 % interval

    @property
    def provenance(self) -> str:
        """The label of its milliseconds."""
        return (
            f"predicted from counted cost, {self.device}, ±{self.mape * 100:.0f} % (mean error of {self.networks} "
            f"published figures, each kept out; {self.source})"
        )

    def milliseconds(self, counts: Counts) -> tuple[float, float, float]:
        """The milliseconds that the counts are worth, and the ends of their 95 % interval."""
        ms = (
            self.instructions * counts.instructions
            + self.l1_misses * counts.l1_misses
            + self.l2_misses * counts.l2_misses
        ) / 1e6
        return ms, ms / self.interval_factor, ms * self.interval_factor

    def to_toml(self) -> str:
        """The table of a core's file."""
        lines = ["[milliseconds]  # a million of each", f'device = "{self.device}"', f'source = "{self.source}"']
        for name in ("instructions", "l1_misses", "l2_misses", "mape", "interval_factor"):
            text = f"{getattr(self, name):.6g}"
            lines.append(f"{name} = {text if '.' in text or 'e' in text else f'{text}.0'}")
        return "\n".join([*lines, f"networks = {self.networks}"]) + "\n"


def _weight(value: Any) -> float:
    return 0.0 if value == 0 and not isinstance(value, bool) else as_number(value)


def _factor(value: Any) -> float:
    if as_number(value) < 1:
        raise TypeError
    return as_number(value)


def read_weighing(table: Table) -> Weighing:
    """The weighing of a core's file. Raises SpecError."""
    weight = "milliseconds a million, at least 0"
    found = Weighing(
        device=table.get("device", as_text, "the device whose figures were fitted on"),
        source=table.get("source", as_text, "where those figures come from"),
        instructions=table.get("instructions", _weight, weight),
        l1_misses=table.get("l1_misses", _weight, weight),
        l2_misses=table.get("l2_misses", _weight, weight),
        networks=table.get("networks", as_integer, "how many figures were fitted on"),
        mape=table.get("mape", _weight, "a mean absolute relative error, such as 0.1"),
        interval_factor=table.get("interval_factor", _factor, "a number of at least 1"),
    )
    table.done()
    return found
