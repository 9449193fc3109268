"""`snsearch search --device`: the second objective for a device, and measuring what was found on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from snsearch.cli.shared.console import print_rich, printable
from snsearch.device import Device, device_of, named_profile, profile_path
from snsearch.errors import DeviceError, StudyError
from snsearch.latency import DEFAULT_PROFILE
from snsearch.study import COUNTED, Objective, counted_objective, latency_objective

if TYPE_CHECKING:
    from snsearch.cli.counting import Counting
    from snsearch.cli.measuring import Session
    from snsearch.study import StudyRecord


def target_of(text: str, url: str, name: str) -> Device:
    """The device to measure on, once it has answered.

    Raises DeviceError where it cannot be used, before anything is trained. A study that has begun goes on all the
    same: the device is needed at its end only.
    """
    from snsearch.device import open_board, runners_of

    device = device_of(text)
    if device.is_counted:
        from snsearch.cli.counting import missing_to_count

        if missing := missing_to_count(device.own_runner):
            click.echo(
                f"{device.url}: {' and '.join(missing)} missing, so that nothing will be counted at the end "
                f"(snsearch device check {device.url} says how to get it); the search goes by a model of the counts",
                err=True,
            )
        return device
    try:
        with open_board(device, runners_of(device)):
            pass
    except DeviceError as error:
        if _stored(url, name) is None:
            raise
        click.echo(f"{printable(str(error))}\nthe search goes on, and tries {device.name} again at its end", err=True)
    return device


def _objective_of(text: str) -> Objective:
    """The objective of that name: "counted", or the latency that a profile, a device's or a file's too, predicts."""
    return counted_objective() if text == COUNTED else latency_objective(named_profile(text))


def objective_for(profile_text: str | None, device: Device | None, url: str, name: str) -> Objective:
    """The second objective: of the profile that is named, else of the device's own, else of the default one.

    A study that exists keeps the objective that it was made with where that is one of these: a profile that was made
    since would make it another study. A counted device's is the model of its counts, so that no candidate waits for
    qemu. Raises SpecError, and DeviceError where a counted device has no model.
    """
    if profile_text is not None or device is None:
        return _objective_of(profile_text or DEFAULT_PROFILE)
    if device.is_counted:
        return _objective_of(device.url)
    own = profile_path(device.name)
    choices = [_objective_of(str(own))] if own.is_file() else []
    choices.append(_objective_of(DEFAULT_PROFILE))
    stored = _stored(url, name)
    chosen = next(
        (one for one in choices if stored is not None and one.name == stored.settings.cost_name), choices[0]
    )
    if chosen is choices[-1]:
        assert chosen.profile is not None
        lacks = "the study was made without its profile" if own.is_file() else "it has no latency profile of its own"
        click.echo(
            f"{device.name}: {lacks}, so that latencies are predicted for {chosen.profile.device}; "
            f"snsearch device profile {device.name} makes one, which a new study uses",
            err=True,
        )
    return chosen


def _stored(url: str, name: str) -> StudyRecord | None:
    """The study as far as it goes; None where it was not begun."""
    from snsearch.study import read_study

    try:
        record = read_study(url, name)
    except StudyError:
        return None
    return record if record.trials else None


def measure_found(
    device: Device, url: str, folder: Path, storage: str | None, *, interrupted: bool
) -> Session | Counting | None:
    """Measures or counts the front and the finalists of a search; None where nothing was to be measured.

    A device that fails costs no study: the session carries its fault, and it is said how to measure later.
    """
    from snsearch.cli.measuring import Asked, outcome_table, study_session

    where = str(folder) if storage is None else f"{folder.name} --storage URL"
    later = f"snsearch measure {where} --device {device.name if device.identity else device.url}"
    if interrupted:
        click.echo(f"not measured yet; {later} measures what is there", err=True)
        return None
    if device.is_counted:
        return _count_found(device, url, folder.name, later)
    try:
        found = study_session(url, folder.name, Asked(device=device))
    except StudyError:  # nothing was trained, which the search itself says
        return None
    if found.outcomes:
        print_rich(outcome_table(found.outcomes))
    if found.fault is not None:
        click.echo(f"not all candidates are measured; the page is written without. Later: {later}", err=True)
    return found


def _count_found(device: Device, url: str, name: str, later: str) -> Counting | None:
    """Counts the front and the finalists; a machine that cannot count has its study all the same."""
    from snsearch.cli.counting import count_study
    from snsearch.cli.measuring import Asked

    try:
        found = count_study(url, name, Asked(device=device))
    except StudyError:  # nothing was trained, which the search itself says
        return None
    if found.fault is not None:
        click.echo(f"not all candidates are counted: {printable(str(found.fault))}\nLater: {later}", err=True)
        return None
    return found
