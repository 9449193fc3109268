"""This host as a device: files are copied, commands are subprocesses."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from snsearch.device.transports.transport import RunOutput, checked_name, run_here
from snsearch.errors import DeviceError


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalTransport:
    """This host, with a work folder."""

    folder: Path

    @property
    def url(self) -> str:
        return "local"

    def push(self, source: Path, name: str, *, executable: bool = False) -> None:
        target = self._folder() / checked_name(name)
        try:
            # A new file each time: one that is being executed cannot be written to.
            target.unlink(missing_ok=True)
            shutil.copyfile(source, target)
            target.chmod(0o755 if executable else 0o644)
        except OSError as error:
            raise _cannot("write", target, error) from None

    def run(self, words: Sequence[str], *, timeout_s: float) -> RunOutput:
        # A name with a slash is looked up in the work folder, as the remote shells do.
        return run_here(
            words,
            timeout_s=timeout_s,
            doing=f"running {Path(words[0]).name} on this host",
            missing="push it before it is run",
            cwd=self._folder(),
        )

    def pull(self, name: str, target: Path) -> None:
        source = self._folder() / checked_name(name)
        try:
            shutil.copyfile(source, target)
        except OSError as error:
            raise _cannot("copy", source, error) from None

    def close(self) -> None:
        """Nothing is kept open."""

    def _folder(self) -> Path:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _cannot("make", self.folder, error) from None
        return self.folder


def _cannot(verb: str, path: Path, error: OSError) -> DeviceError:
    return DeviceError(
        f"local: cannot {verb} {str(path)!r}: {error.strerror or error}; see that its disk has room, or name another "
        "folder in SNSEARCH_HOME"
    )
