"""What a search weighs against the error, and the device that it measures on at its end. Loads no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snsearch.api.device_calls import counting_needs
from snsearch.api.places import Place
from snsearch.device import Device, named_profile, profile_path
from snsearch.errors import DeviceError, SpecError, StudyError
from snsearch.latency import DEFAULT_PROFILE
from snsearch.study import COUNTED, LATENCY, Objective, Observer, objective_named

if TYPE_CHECKING:
    from snsearch.study import StudyRecord


def check_target(device: Device, place: Place, observer: Observer) -> None:
    """Asks the device to measure on at the end for an answer, or the machine for what counting needs.

    Raises DeviceError if it cannot be used, before anything is trained. A study that has begun
    continues: the device is needed at its end only.
    """
    if device.is_counted:
        if missing := [name for name, found, _ in counting_needs(device.own_runner) if found is None]:
            observer.said(
                f"{device.url}: {' and '.join(missing)} missing, so that nothing will be counted at the end "
                f"(snsearch device check {device.url} says how to get it); the search goes by a model of the counts"
            )
        return
    from snsearch.device import open_board, runners_of

    try:
        with open_board(device, runners_of(device)):
            pass
    except DeviceError as error:
        if _stored(place) is None:
            raise
        observer.said(str(error))
        observer.said(f"the search goes on, and tries {device.name} again at its end")


def objective_of(
    name: str, profile: str | None, device: Device | None, place: Place, observer: Observer
) -> Objective:
    """The second objective of that name; a latency is predicted by the profile, the device's own, or the default one.

    An existing study keeps the profile that it was made with if it is one of these: a newer profile would make it
    another study. A counted device's is the model of its counts, so that no candidate waits for qemu.
    Raises SpecError, and DeviceError if a counted device has no model.
    """
    if profile == COUNTED and name == LATENCY:  # as if --objective counted
        return objective_named(COUNTED)
    if name != LATENCY:
        if profile is not None:
            raise SpecError(
                f"profile {profile!r} predicts latencies, and the objective is {name}; give one of the two"
            )
        return objective_named(name)
    if profile is not None or device is None or device.is_counted:
        return _latency(profile or (device.url if device is not None else DEFAULT_PROFILE))
    own = profile_path(device.name)
    choices = [_latency(str(own))] if own.is_file() else []
    choices.append(_latency(DEFAULT_PROFILE))
    stored = _stored(place)
    chosen = next(
        (one for one in choices if stored is not None and one.name == stored.settings.cost_name), choices[0]
    )
    if chosen is choices[-1]:
        assert chosen.profile is not None
        lacks = "the study was made without its profile" if own.is_file() else "it has no latency profile of its own"
        observer.said(
            f"{device.name}: {lacks}, so that latencies are predicted for {chosen.profile.device}; "
            f"snsearch device profile {device.name} makes one, which a new study uses"
        )
    return chosen


def _latency(profile: str) -> Objective:
    return objective_named(LATENCY, named_profile(profile))


def _stored(place: Place) -> StudyRecord | None:
    """The study so far; None if it was not begun."""
    from snsearch.study import read_study

    try:
        record = read_study(place.url, place.name)
    except StudyError:
        return None
    return record if record.trials else None
