"""An Android phone over adb: the real client, and the folder that every phone's shell may write to and execute from.

The client's own variables hold, such as ANDROID_ADB_SERVER_PORT and ADB_VENDOR_KEYS.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from snsearch.device.transports.transport import (
    CONNECT_SECONDS,
    PUSH_SECONDS,
    RemoteScript,
    RunOutput,
    checked_name,
    last_line,
    run_here,
)
from snsearch.errors import DeviceError

FOLDER = "/data/local/tmp/snsearch"
_MISSING = "install Android's platform tools (Debian: apt-get install adb)"
_SERIAL = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9._:\[\]-]*")
_SERVER_SECONDS = 30.0  # the first call starts adb's server


def serial_of(url: str) -> str:
    """The serial of adb://SERIAL. Raises DeviceError."""
    serial = url.removeprefix("adb://").removesuffix("/")
    if not url.startswith("adb://") or not _SERIAL.fullmatch(serial):
        raise DeviceError(f"{url!r}: expected adb://SERIAL, as `adb devices` lists it, or adb://HOST:PORT")
    return serial


@dataclass(kw_only=True, slots=True)
class AdbTransport:
    """A phone that adb reaches, by cable or (where its serial is host:port) by network."""

    url: str
    folder: str = FOLDER
    _serial: str = field(init=False)
    _connected: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._serial = serial_of(self.url)

    def push(self, source: Path, name: str, *, executable: bool = False) -> None:
        doing = f"pushing {name} to {self.url}"
        checked_name(name)
        partial = f"{name}.partial"
        # Under another name first: a file that is being executed cannot be written to.
        self.run(["rm", "-f", name, partial], timeout_s=CONNECT_SECONDS)
        self._adb(["push", str(source.absolute()), f"{self.folder}/{partial}"], PUSH_SECONDS, doing)
        for words in (["chmod", "755" if executable else "644", partial], ["mv", partial, name]):
            ended = self.run(words, timeout_s=CONNECT_SECONDS)
            if ended.exit_code:
                raise DeviceError(f"{doing}: {words[0]} failed: {last_line(ended.stderr + ended.stdout)}")

    def pull(self, name: str, target: Path) -> None:
        doing = f"pulling {name} from {self.url}"
        self._adb(["pull", f"{self.folder}/{checked_name(name)}", str(target.absolute())], PUSH_SECONDS, doing)

    def run(self, words: Sequence[str], *, timeout_s: float) -> RunOutput:
        script = RemoteScript.of(words, self.folder)
        doing = f"running {words[0]} on {self.url}"
        self._connect()
        ended = self._call(["-s", self._serial, "shell", script.text], timeout_s, doing)
        output = script.output(ended.stdout, ended.stderr)
        if output is None:
            raise self._fault(doing, ended)
        return output

    def close(self) -> None:
        """Nothing is kept open: adb's server is the user's."""

    def _adb(self, words: Sequence[str], timeout_s: float, doing: str) -> None:
        self._connect()
        ended = self._call(["-s", self._serial, *words], timeout_s, doing)
        if ended.exit_code:
            raise self._fault(doing, ended)

    def _connect(self) -> None:
        """Connects by network where the serial says so; once, and again after a fault."""
        if self._connected or ":" not in self._serial:
            return
        doing = f"connecting to {self.url}"
        ended = self._call(["connect", self._serial], _SERVER_SECONDS, doing)
        if "already connected" in ended.stdout:
            state = self._call(["-s", self._serial, "get-state"], _SERVER_SECONDS, doing)
            if state.stdout.strip() != "device":
                # The server still holds a link that has dropped, and makes no other before it lets go.
                self._call(["disconnect", self._serial], _SERVER_SECONDS, doing)
                ended = self._call(["connect", self._serial], _SERVER_SECONDS, doing)
        # `adb connect` ends with 0 also where it could not connect.
        if "connected to" not in ended.stdout or "cannot" in ended.stdout or "failed" in ended.stdout:
            raise self._fault(doing, ended)
        self._connected = True

    def _call(self, words: Sequence[str], timeout_s: float, doing: str) -> RunOutput:
        try:
            return run_here(["adb", *words], timeout_s=timeout_s, doing=doing, missing=_MISSING)
        except DeviceError:
            self._connected = False
            raise

    def _fault(self, doing: str, ended: RunOutput) -> DeviceError:
        self._connected = False
        text = f"{ended.stdout}\n{ended.stderr}"
        said = last_line(ended.stderr, last_line(ended.stdout, ""))
        for sign, advice in _ADVICE:
            if sign in text:
                return DeviceError(f"{doing}: {said}; {advice}")
        return DeviceError(
            f"{doing}: the link dropped before it was done{f': {said}' if said else ''}; see that "
            f"`adb devices` lists {self._serial} as device, then give the same command again"
        )


_ADVICE = (
    ("unauthorized", "unlock the phone and allow this computer to debug it"),
    ("offline", "take the cable out and in again, or `adb reconnect`"),
    ("not found", "`adb devices` lists the serials; switch USB debugging on in the developer options"),
    ("No space left", "make room on the phone"),
    ("Connection refused", "see that adbd listens there (`adb tcpip 5555` by cable first)"),
    ("cannot connect", "see that adbd listens there (`adb tcpip 5555` by cable first)"),
    ("failed to connect", "see that adbd listens there (`adb tcpip 5555` by cable first)"),
    ("no permissions", "add a udev rule for the phone (Debian: apt-get install android-sdk-platform-tools-common)"),
    ("cannot bind", "another adb server uses the port; set ANDROID_ADB_SERVER_PORT"),
)
