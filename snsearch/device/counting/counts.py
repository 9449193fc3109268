"""The counts of one repeat of a program."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """What one repeat executes, and its accesses to and misses in the caches of a core."""

    instructions: int
    loads: int
    stores: int
    l1d_accesses: int  # in lines: one load or store may span two
    l1d_misses: int
    l1i_accesses: int
    l1i_misses: int
    l2_accesses: int  # misses of either first level
    l2_misses: int

    @property
    def l1_misses(self) -> int:
        """Misses in both first levels, which access the second level."""
        return self.l1d_misses + self.l1i_misses

    def to_json(self) -> dict[str, int]:
        """The counts by name."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: object) -> Counts | None:
        """The counts of a JSON object; None for any other value."""
        if not isinstance(values, dict) or set(values) != {field.name for field in fields(cls)}:
            return None
        if any(type(value) is not int or value < 0 for value in values.values()):
            return None
        return cls(**values)
