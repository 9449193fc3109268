"""The user's devices: one TOML file a device, and beside it a folder for what was measured on it.

`$SNSEARCH_HOME/devices/NAME.toml` says how a device is reached and what it said of itself when it was added;
`$SNSEARCH_HOME/devices/NAME/` holds its measurements and its latency profile.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from snsearch.codec import Field, Text, decode, number, suggestion, text
from snsearch.device.transports.adb import AdbTransport, serial_of
from snsearch.device.transports.local import LocalTransport
from snsearch.device.transports.ssh import SshAddress, SshTransport
from snsearch.device.transports.transport import Transport
from snsearch.engine import ENGINES, NCNN
from snsearch.errors import DeviceError, SpecError
from snsearch.files import home_folder, write_whole
from snsearch.toml_files import read_toml, toml_of

DEFAULT_ENGINE = NCNN.name
LOCAL = "local"  # this host, by URL and by name
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
EXPECTED_URL = "expected local, ssh://[user@]host[:port], adb://SERIAL or counted://NAME"


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """A device: its name, how it is reached, and what it said of itself when it was added."""

    name: Annotated[str, Field(key="")]  # its file's
    url: Annotated[str, text(EXPECTED_URL)]
    core: Annotated[int | None, number("the number of a core, from 0", 0, 4095)] = None  # None: the fastest one
    engine: Annotated[str, Field(expected=" or ".join(ENGINES), check=ENGINES.__contains__)] = DEFAULT_ENGINE
    ssh_options: tuple[Text, ...] = ()
    runner: Text = ""  # file of a runner of the user's own; "": the one that was built for the device's machine
    identity: Text = ""  # of the hardware, as its probe gave it; "" where it was never asked
    description: Text = ""  # such as "Raspberry Pi 4, aarch64"

    @property
    def is_counted(self) -> bool:
        """Whether it is no device but a counter of instructions and cache misses."""
        return self.url.startswith("counted://")

    @property
    def own_runner(self) -> Path | None:
        """The user's own runner; None where the device has none."""
        return Path(self.runner) if self.runner else None


def devices_folder() -> Path:
    """The folder of the devices' files."""
    return home_folder() / "devices"


def device_folder(name: str) -> Path:
    """The folder of what was measured on a device."""
    return devices_folder() / (name if name == LOCAL else checked_device_name(name))


def profile_path(name: str) -> Path:
    """Where a device's own latency profile is, once it was made."""
    return device_folder(name) / "profile.toml"


def checked_device_name(name: str) -> str:
    """The name, where it can be a file's. Raises DeviceError."""
    if not _NAME.fullmatch(name) or name == LOCAL:
        raise DeviceError(
            f"device name {name!r}: expected up to 64 letters, digits, dots, dashes and underscores, beginning with "
            "a letter or digit, and not local, which is this host"
        )
    return name


def checked_url(url: str) -> str:
    """The URL, where it is one that snsearch knows. Raises DeviceError."""
    if url == LOCAL or re.fullmatch(r"counted://[A-Za-z0-9][A-Za-z0-9._-]*", url):
        return url
    if url.startswith("ssh://"):
        SshAddress.parse(url)
    elif url.startswith("adb://"):
        serial_of(url)
    else:
        raise DeviceError(f"device {url!r}: {EXPECTED_URL}")
    return url


def is_url(text: str) -> bool:
    """Whether a text is meant as a device's URL, and not as its name."""
    return text == LOCAL or "://" in text


def device_of(text: str) -> Device:
    """The device that the user names: one that was added, or a URL. Raises DeviceError.

    A URL means the device that was added with it for the default engine; another engine's is asked for by its name.
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
    # One that was not added keeps its measurements under a name made from its URL.
    digest = hashlib.sha256(url.encode()).hexdigest()[:8]
    words = re.sub(r"[^A-Za-z0-9]+", "-", url.partition("://")[2]).strip("-")[:40]
    return Device(name=f"{words or 'device'}-{digest}", url=url)


def device_names() -> tuple[str, ...]:
    """The names of all devices that were added."""
    return tuple(sorted(path.stem for path in devices_folder().glob("*.toml")))


def read_device(name: str) -> Device:
    """The device of that name. Raises DeviceError where there is none, or its file cannot be read."""
    path = devices_folder() / f"{checked_device_name(name)}.toml"
    if not path.is_file():
        known = device_names()
        near = suggestion(name, known) if known else "; none was added yet"
        raise DeviceError(f"no device is named {name!r}{near} (snsearch device add {name} URL)")
    try:
        device = decode(Device, *read_toml(path, "device"), toml=True, name=name)
    except SpecError as error:
        raise DeviceError(f"{error} (in {str(path.parent)!r})") from None
    checked_url(device.url)
    return device


def write_device(device: Device, *, replace: bool = False) -> Path:
    """Keeps a device in a file, and returns its path. Raises DeviceError where the name is taken."""
    path = devices_folder() / f"{checked_device_name(device.name)}.toml"
    checked_url(device.url)
    if path.exists() and not replace:
        raise DeviceError(f"there is a device {device.name!r} already, {read_device(device.name).url}; see --force")
    try:
        write_whole(path, toml_of(device))
    except OSError as error:
        raise DeviceError(f"{str(path)!r} cannot be written: {error.strerror or error}") from None
    return path


def forget_device(name: str) -> None:
    """Removes a device's entry; what was measured on it stays. Raises DeviceError where there is none."""
    read_device(name)
    (devices_folder() / f"{name}.toml").unlink()


def connect(device: Device) -> Transport:
    """The way to a device; nothing is sent yet. Raises DeviceError for one that is none."""
    if device.url == LOCAL:
        return LocalTransport(folder=home_folder() / "work")
    if device.url.startswith("ssh://"):
        return SshTransport(url=device.url, options=device.ssh_options)
    if device.url.startswith("adb://"):
        return AdbTransport(url=device.url)
    raise DeviceError(f"{device.url} is no device that runs commands; expected local, ssh://… or adb://…")
