"""The user's devices: one TOML file per device, and beside it a folder of its measurements.

`$SNSEARCH_HOME/devices/NAME.toml` holds a device's URL, settings and the identity it had when it was added;
`$SNSEARCH_HOME/devices/NAME/` holds its measurements and its latency profile.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from snsearch.codec import Field, Text, decode, number, suggestion, text
from snsearch.device.counting.counter import SCHEME, profile_name
from snsearch.device.transports import TRANSPORTS
from snsearch.device.transports.transport import Transport, shown_url
from snsearch.engine import ENGINES, NCNN
from snsearch.errors import DeviceError, SpecError
from snsearch.files import bundled_names, faults_as, home_folder, write_whole
from snsearch.latency import Profile, load_profile, read_profile
from snsearch.toml_files import read_toml, toml_of

DEFAULT_ENGINE = NCNN.name
LOCAL = "local"  # this host: its URL and its name
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
EXPECTED_URL = f"expected {', '.join(one.URL for one in TRANSPORTS.values())} or {SCHEME}NAME"


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """A device: its name, URL and settings, and the identity it had when it was added."""

    name: Annotated[str, Field(key="")]  # its file's
    url: Annotated[str, text(EXPECTED_URL)]
    # The core to pin to; None: the fastest one.
    core: Annotated[int | None, number("the number of a core, from 0", 0, 4095)] = None
    # Runs the models.
    engine: Annotated[str, Field(expected=" or ".join(ENGINES), check=ENGINES.__contains__)] = DEFAULT_ENGINE
    ssh_options: tuple[Text, ...] = ()
    runner: Text = ""  # file of the user's own runner; "": the one built for the device's machine
    identity: Text = ""  # of the hardware, from its probe; "" if it was never probed
    description: Text = ""  # such as "Raspberry Pi 4, aarch64"

    @property
    def is_counted(self) -> bool:
        """Whether it counts instructions and cache misses under qemu instead of running on hardware."""
        return self.url.startswith(SCHEME)

    @property
    def own_runner(self) -> Path | None:
        """The user's own runner; None if the device has none."""
        return Path(self.runner) if self.runner else None


def devices_folder() -> Path:
    """The folder of the devices' files."""
    return home_folder() / "devices"


def device_folder(name: str) -> Path:
    """The folder of a device's measurements."""
    return devices_folder() / (name if name == LOCAL else checked_device_name(name))


def profile_path(name: str) -> Path:
    """The file of a device's own latency profile, whether it exists or not."""
    return device_folder(name) / "profile.toml"


def checked_device_name(name: str) -> str:
    """The name if it can name a file. Raises DeviceError."""
    if not _NAME.fullmatch(name) or name == LOCAL:
        raise DeviceError(
            f"device name {shown_url(name)!r}: expected up to 64 letters, digits, dots, dashes and underscores, "
            "starting with a letter or digit, and not local, which is this host"
        )
    return name


def checked_url(url: str) -> str:
    """The URL if it is that of a device. Raises DeviceError."""
    if not re.fullmatch(rf"{SCHEME}[A-Za-z0-9][A-Za-z0-9._-]*", url):
        connect(Device(name="", url=url))
    return url


def connect(device: Device) -> Transport:
    """The transport to a device; nothing is sent yet.

    Raises DeviceError for a malformed URL, or a device that runs no commands.
    """
    known = TRANSPORTS.get(device.url.partition("://")[0])
    if known is None:
        raise DeviceError(f"device {shown_url(device.url)!r}: {EXPECTED_URL}")
    return known(url=device.url, options=device.ssh_options)


def is_url(text: str) -> bool:
    """Whether a text is a device's URL rather than its name."""
    return text == LOCAL or "://" in text


def device_of(text: str) -> Device:
    """The device of a name or URL. Raises DeviceError.

    A URL means the device that was added with it for the default engine. A device of another engine is found by name
    only.
    """
    if not is_url(text):
        return read_device(text)
    url = checked_url(text)
    for name in device_names():
        device = read_device(name)
        if device.url == url and device.engine == DEFAULT_ENGINE:
            return device
    if url == LOCAL:
        return Device(name=LOCAL, url=url)
    # Keep measurements of a device that was not added under a name made from its URL.
    digest = hashlib.sha256(url.encode()).hexdigest()[:8]
    words = re.sub(r"[^A-Za-z0-9]+", "-", url.partition("://")[2]).strip("-")[:40]
    return Device(name=f"{words or 'device'}-{digest}", url=url)


def device_names() -> tuple[str, ...]:
    """The names of all added devices."""
    return tuple(sorted(path.stem for path in devices_folder().glob("*.toml")))


def read_device(name: str) -> Device:
    """The device of that name. Raises DeviceError if there is none, or its file cannot be read."""
    path = devices_folder() / f"{checked_device_name(name)}.toml"
    if not path.is_file():
        known = device_names()
        near = suggestion(name, known) if known else "; none was added yet"
        raise DeviceError(f"no device is named {name!r}{near} (snsearch device add {name} URL)")
    try:
        device = decode(Device, *read_toml(path, "device"), toml=True, name=name)
        checked_url(device.url)
    except (SpecError, DeviceError) as error:
        raise DeviceError(f"{error} (in {str(path)!r})") from None
    return device


def write_device(device: Device, *, replace: bool = False) -> Path:
    """Writes a device's file and returns its path. Raises DeviceError if the name is taken."""
    path = devices_folder() / f"{checked_device_name(device.name)}.toml"
    checked_url(device.url)
    if path.exists() and not replace:
        raise DeviceError(
            f"device {device.name!r} exists already, {read_device(device.name).url}; choose another name, or --force"
        )
    with faults_as(DeviceError, f"{str(path)!r} cannot be written"):
        write_whole(path, toml_of(device))
    return path


def forget_device(name: str) -> None:
    """Removes a device's file; its measurements stay. Raises DeviceError if there is no such device."""
    read_device(name)
    (devices_folder() / f"{name}.toml").unlink()


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


def profile_names() -> tuple[str, ...]:
    """The names of all profiles at hand: those that are bundled, then those of devices."""
    return *bundled_names("profiles"), *(name for name in device_names() if profile_path(name).is_file())


def named_profile(text: str) -> Profile:
    """The profile of that name: bundled, else a device's, else that of a file. Raises SpecError, DeviceError."""
    is_device = text in device_names() or is_url(text)
    return profile_of_device(text) if is_device and text not in bundled_names("profiles") else load_profile(text)
