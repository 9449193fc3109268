"""The 95 % point: how many standard deviations half of a two-sided 95 % interval is."""

from __future__ import annotations

Z95 = 1.959964  # of a normal distribution


def student_95(degrees: float) -> float:
    """Student's t of that many degrees of freedom, where the deviation itself is estimated."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.975))
