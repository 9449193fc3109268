"""Counts -> milliseconds with their interval, by weights fitted on a device's published figures."""

from __future__ import annotations

from dataclasses import dataclass

from snsearch.device.counting.counts import Counts
from snsearch.toml_reader import Table, as_amount, as_factor, as_integer, as_text, toml_value


@dataclass(frozen=True, kw_only=True, slots=True)
class Weighing:
    """Milliseconds per million instructions and misses, and the errors on held-out networks."""

    device: str
    source: str
    instructions: float
    l1_misses: float
    l2_misses: float
    networks: int
    mape: float
    interval_factor: float  # divides and multiplies a figure: the ends of its 95 % interval

    @property
    def provenance(self) -> str:
        """The label of its milliseconds."""
        return (
            f"predicted from counted cost, {self.device}, ±{self.mape * 100:.0f} % (mean error of {self.networks} "
            f"published figures, each held out; {self.source})"
        )

    def milliseconds(self, counts: Counts) -> tuple[float, float, float]:
        """The predicted milliseconds and the ends of their 95 % interval."""
        ms = (
            self.instructions * counts.instructions
            + self.l1_misses * counts.l1_misses
            + self.l2_misses * counts.l2_misses
        ) / 1e6
        return ms, ms / self.interval_factor, ms * self.interval_factor

    def to_toml(self) -> str:
        """The table of a core's file."""
        names = ("device", "source", "instructions", "l1_misses", "l2_misses", "mape", "interval_factor", "networks")
        lines = [f"{name} = {toml_value(getattr(self, name))}" for name in names]
        return "\n".join(["[milliseconds]  # a million of each", *lines]) + "\n"


def read_weighing(table: Table) -> Weighing:
    """The weighing of a core's file. Raises SpecError."""
    weight = "milliseconds per million, at least 0"
    found = Weighing(
        device=table.get("device", as_text, "the device whose figures were fitted on"),
        source=table.get("source", as_text, "where those figures come from"),
        instructions=table.get("instructions", as_amount, weight),
        l1_misses=table.get("l1_misses", as_amount, weight),
        l2_misses=table.get("l2_misses", as_amount, weight),
        networks=table.get("networks", as_integer, "how many figures were fitted on"),
        mape=table.get("mape", as_amount, "a mean absolute relative error, such as 0.1"),
        interval_factor=table.get("interval_factor", as_factor, "a number of at least 1"),
    )
    table.done()
    return found
