"""The latency profiles of the user's own devices, found by the devices' names."""

from __future__ import annotations

from snsearch.device.counting.counter import profile_name
from snsearch.device.registry import device_names, device_of, is_url, profile_path
from snsearch.errors import DeviceError
from snsearch.files import bundled_names
from snsearch.latency import Profile, load_profile, read_profile


def profile_of_device(text: str) -> Profile:
    """The latency profile of a device, by name or URL; counted devices have bundled ones.

    Raises DeviceError if there is no such device, or it has no profile yet.
    """
    device = device_of(text)
    if device.is_counted:
        return load_profile(profile_name(device.url))
    path = profile_path(device.name)
    if not path.is_file():
        raise DeviceError(f"{text} has no latency profile yet; make one: snsearch device profile {text}")
    return read_profile(path)


def named_profile(text: str) -> Profile:
    """The profile of that name: bundled, else a device's, else that of a file. Raises SpecError, DeviceError."""
    is_device = text in device_names() or is_url(text)
    return profile_of_device(text) if is_device and text not in bundled_names("profiles") else load_profile(text)
