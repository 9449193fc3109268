"""snsearch device profile: the profile that was fitted, and its errors."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from snsearch.cli.latency import errors_line
from snsearch.cli.shared.console import print_json, print_text, say
from snsearch.codec import encode

if TYPE_CHECKING:
    from snsearch.device import OwnProfile

WORST = 3  # networks that are named


def print_profile(made: OwnProfile, name: str, form: str) -> None:
    """Prints a device's profile with what it errs by."""
    if form == "toml":
        sys.stdout.write(made.profile.to_toml())
    elif form == "json":
        print_json({"schema": 1, "profile": encode(made.profile), "left_out": list(made.left_out)})
    else:
        _print(made)
        say(f"next: snsearch latency --device {name}; to share it: snsearch profiles {name} --format toml")


def _print(made: OwnProfile) -> None:
    profile, kept = made.profile, made.calibration.networks
    errors = [predicted / ms - 1 for predicted, ms in zip(kept.predicted_ms, kept.measured_ms, strict=True)]
    near = sum(abs(error) <= 0.1 for error in errors)
    print_text(f"{profile.device}, {profile.core}, {profile.library}, {profile.threads} thread, {profile.precision}")
    print_text(f"form: {profile.form}")
    print_text(errors_line(profile))
    print_text(f"within 10 %: {near} of {len(errors)}; 95 % interval: x/÷ {profile.interval_factor:.2f}")
    for index in sorted(range(len(errors)), key=lambda index: -abs(errors[index]))[:WORST]:
        print_text(f"{errors[index]:+.0%}  {kept.measured_ms[index]:.3g} ms  {kept.names[index]}", indent=2)
    print_text(profile.note)
    for reason in made.left_out:
        print_text(f"left out: {reason}")
