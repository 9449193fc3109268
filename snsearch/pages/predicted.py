"""Latencies that other profiles predict for a study's candidates: more axes of the front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from snsearch.device import named_profile, profile_names
from snsearch.errors import SnsearchError
from snsearch.latency import Profile, predicted_by
from snsearch.network import AnyNetwork
from snsearch.pages.candidate_rows import CandidateRow


def other_profiles(own: Profile | None) -> tuple[Profile, ...]:
    """All profiles of this machine but the study's own; a file that cannot be used is left out."""
    found = []
    for name in profile_names():
        try:
            found.append(named_profile(name))
        except SnsearchError:
            continue
    return tuple(profile for profile in dict.fromkeys(found) if profile != own)


def axis_name(at: int) -> str:
    """The name of the axis of a profile, by its place among the others."""
    return f"predicted_{at}"


def predicted_figures(rows: Sequence[CandidateRow], profiles: Sequence[Profile]) -> dict[str, Any]:
    """For each axis the rows' milliseconds, and what the page's script needs to say how sure they are.

    Four digits, in a list per profile: 2,000 candidates and eleven profiles take 0.15 MB of a page.
    """
    by_row = [predictions(row.architecture, profiles) for row in rows]
    return {
        axis_name(at): {
            "ms": [ms[at] for ms in by_row],
            "factor": profile.interval_factor,
            "judged": profile.judged_predictions,
        }
        for at, profile in enumerate(profiles)
    }


def predictions(network: AnyNetwork, profiles: Sequence[Profile]) -> list[float | None]:
    """The network's milliseconds by each profile in four digits; None where a profile refuses it."""
    return [None if ms is None else float(f"{ms:.4g}") for ms in predicted_by(profiles, network)]
