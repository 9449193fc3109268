"""This host as a device: files are copied, commands are subprocesses."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from snsearch.device.programs import RunOutput, run_here
from snsearch.device.transports.transport import checked_name
from snsearch.errors import DeviceError
from snsearch.files import home_folder


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalTransport:
    """This host, with a work folder."""

    URL: ClassVar[str] = "local"

    url: str = URL
    options: tuple[str, ...] = ()  # there are none
    folder: Path = field(default_factory=lambda: home_folder() / "work")

    def __post_init__(self) -> None:
        if self.url != self.URL:
            raise DeviceError(f"device {self.url!r}: expected {self.URL}")

    def push(self, source: Path, name: str, *, executable: bool = False) -> None:
        target = self._folder() / checked_name(name)
        try:
            # Write a new file: one that is being executed cannot be written to.
            target.unlink(missing_ok=True)
            shutil.copyfile(source, target)
            target.chmod(0o755 if executable else 0o644)
        except OSError as error:
            raise _cannot("write", target, error) from None

    def run(self, words: Sequence[str], *, timeout_s: float) -> RunOutput:
        # Look up a name with a slash in the work folder, as remote shells do.
        return run_here(
            words,
            timeout_s=timeout_s,
            doing=f"running {Path(words[0]).name} on this host",
            missing="push it first",
            cwd=self._folder(),
        )

    def pull(self, name: str, target: Path) -> None:
        source = self._folder() / checked_name(name)
        try:
            shutil.copyfile(source, target)
        except OSError as error:
            raise _cannot("copy", source, error) from None

    def close(self) -> None:
        """Nothing to close."""

    def _folder(self) -> Path:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _cannot("make", self.folder, error) from None
        return self.folder


def _cannot(verb: str, path: Path, error: OSError) -> DeviceError:
    return DeviceError(
        f"local: cannot {verb} {str(path)!r}: {error.strerror or error}; check that its disk has room, or set "
        "SNSEARCH_HOME to another folder"
    )
