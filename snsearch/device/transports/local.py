"""This host as a device: files are copied, commands are subprocesses."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from snsearch.device.programs import RunOutput, run_here
from snsearch.device.transports.transport import Transport
from snsearch.errors import DeviceError
from snsearch.files import home_folder


@dataclass(kw_only=True, slots=True)
class LocalTransport(Transport):
    """This host, with a work folder."""

    URL: ClassVar[str] = "local"

    url: str = URL
    folder: str | Path = field(default_factory=lambda: home_folder() / "work")

    def __post_init__(self) -> None:
        if self.url != self.URL:
            raise DeviceError(f"device {self.url!r}: expected {self.URL}")

    def _shell(self, script: str, timeout_s: float, doing: str) -> RunOutput:
        return run_here(["sh", "-c", script], timeout_s=timeout_s, doing=doing, missing="a device needs a shell")

    def _copy(self, source: Path, there: str, doing: str) -> None:
        try:
            shutil.copyfile(source, there)
        except OSError as error:
            raise DeviceError(
                f"{doing}: {error.strerror or error}; check that its disk has room, or set SNSEARCH_HOME to another "
                "folder"
            ) from None
