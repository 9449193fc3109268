"""The error of a bound that no network of a design meets, and of several designs in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from snsearch.errors import InfeasibleBudgetError

# The options of the command line that raise a bound, by its key; other keys are options themselves.
_OPTIONS = {"mflops": "--mflops or --budget", "peak_activation": "--peak-memory", "model_size": "--model-size"}
# What else makes a design's smallest network cost less, by the bound: resolution changes no weights, depth no peak.
_WEIGHTS = "or take fewer classes, groups or units"
_REMEDIES = {
    "params": _WEIGHTS,
    "model_size": _WEIGHTS,
    "peak_activation": "lower the resolution, or take fewer groups",
}
_REMEDY = "lower the resolution, or take fewer groups or units"


class UnmetBoundError(InfeasibleBudgetError):
    """The smallest network of a design needs more of a bound than its limit.

    Args:
        limit: of the bound, in words.
        space: its name.
        groups: of the design, in words: "3 groups".
        at: resolution and classes, in words.
        smallest: the network, in words.
        needs: of the bound, in words.
        key: of the bound.
    """

    def __init__(self, *, limit: str, space: str, groups: str, at: str, smallest: str, needs: str, key: str) -> None:
        advice = f"raise {key} ({_OPTIONS.get(key, f'--{key}')}), {_REMEDIES.get(key, _REMEDY)}"
        self.shared = f"{limit} cannot be met by {space}", at, advice
        self.own = f"{needs} with {groups}"
        super().__init__(
            f"{limit} cannot be met by {space} with {groups} at {at}: the smallest network, {smallest}, needs "
            f"{needs}; {advice}"
        )


def reasons_of(errors: Sequence[InfeasibleBudgetError]) -> list[str]:
    """Why no network was found, in a sentence for each error, or for all that fail by the same bound."""
    alike: dict[object, list[InfeasibleBudgetError]] = {}
    for error in errors:
        alike.setdefault(error.shared if isinstance(error, UnmetBoundError) else str(error), []).append(error)
    reasons = []
    for several in alike.values():
        unmet = [error for error in several if isinstance(error, UnmetBoundError)]
        if len(unmet) < 2:
            reasons.append(str(several[0]))
            continue
        what, at, advice = unmet[0].shared
        needs = ", ".join(dict.fromkeys(error.own for error in unmet))
        reasons.append(f"{what} at {at}: the smallest networks need {needs}; {advice}")
    return reasons
