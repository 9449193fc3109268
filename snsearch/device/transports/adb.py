"""An Android phone over adb, Android's own client. Files go where every phone's shell may write and execute.

The client's environment variables apply, such as ANDROID_ADB_SERVER_PORT and ADB_VENDOR_KEYS.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from snsearch.device.programs import RunOutput, last_line, run_here
from snsearch.device.transports.transport import PUSH_SECONDS, Transport, shown_url
from snsearch.errors import DeviceError

FOLDER = "/data/local/tmp/snsearch"
_MISSING = "install Android's platform tools (Debian: apt-get install adb)"
_SERIAL = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9._:\[\]-]*")
_SERVER_SECONDS = 30.0  # the first call starts adb's server
_LISTEN = "check that adbd listens there (by cable first: `adb tcpip 5555`)"


@dataclass(kw_only=True, slots=True)
class AdbTransport(Transport):
    """A phone that adb reaches by cable, or by network if its serial is HOST:PORT."""

    URL: ClassVar[str] = "adb://SERIAL"
    ADVICE: ClassVar = (
        ("unauthorized", "unlock the phone and allow this computer to debug it"),
        ("offline", "unplug the cable and plug it in again, or run `adb reconnect`"),
        ("not found", "`adb devices` lists the serials; enable USB debugging in the developer options"),
        ("No space left", "free space on the phone"),
        ("Connection refused", _LISTEN),
        ("cannot connect", _LISTEN),
        ("failed to connect", _LISTEN),
        (
            "no permissions",
            "add a udev rule for the phone (Debian: apt-get install android-sdk-platform-tools-common)",
        ),
        ("cannot bind", "another adb server uses the port; set ANDROID_ADB_SERVER_PORT"),
    )

    folder: str | Path = FOLDER
    _serial: str = field(init=False)
    _connected: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._serial = self.url.removeprefix("adb://").removesuffix("/")
        if not self.url.startswith("adb://") or not _SERIAL.fullmatch(self._serial):
            raise DeviceError(
                f"{shown_url(self.url)!r}: expected adb://SERIAL with a serial that `adb devices` lists, or adb://HOST:PORT"
            )

    def _shell(self, script: str, timeout_s: float, doing: str) -> RunOutput:
        self._connect()
        return self._call(["-s", self._serial, "shell", script], timeout_s, doing)

    def _copy(self, source: Path, there: str, doing: str) -> None:
        self._connect()
        ended = self._call(["-s", self._serial, "push", str(source.absolute()), there], PUSH_SECONDS, doing)
        if ended.exit_code:
            raise self._fault(doing, ended)

    def _connect(self) -> None:
        """Connects a serial that is HOST:PORT: once, and again after a fault."""
        if self._connected or ":" not in self._serial:
            return
        doing = f"connecting to {self.url}"
        ended = self._call(["connect", self._serial], _SERVER_SECONDS, doing)
        if "already connected" in ended.stdout:
            state = self._call(["-s", self._serial, "get-state"], _SERVER_SECONDS, doing)
            if state.stdout.strip() != "device":
                # The server still holds a dropped link, and makes no other one until it is told to let go.
                self._call(["disconnect", self._serial], _SERVER_SECONDS, doing)
                ended = self._call(["connect", self._serial], _SERVER_SECONDS, doing)
        # `adb connect` ends with 0 even if it could not connect.
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
        return Transport._fault(self, doing, ended)

    def _lost(self, ended: RunOutput) -> str:
        said = last_line(ended.stderr, last_line(ended.stdout, ""))
        return (
            f"the link dropped before it was done{f': {said}' if said else ''}; check that `adb devices` lists "
            f"{self._serial} as device, then give the same command again"
        )
