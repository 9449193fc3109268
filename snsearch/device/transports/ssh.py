"""A Linux board over ssh, by the system's OpenSSH client with its config, keys and known hosts.

All commands share one connection (ControlMaster). If the user's configuration has a ControlPath of its own, that
connection is used and left open.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from snsearch.device.programs import RunOutput, last_line, run_here
from snsearch.device.transports.transport import CONNECT_SECONDS, PUSH_SECONDS, Transport, shown_url
from snsearch.errors import DeviceError

FOLDER = ".cache/snsearch-device"  # relative to the home folder, where ssh and sftp both start
OPTIONS_VARIABLE = "SNSEARCH_SSH_OPTIONS"  # such as "-F my_config"
_MISSING = "install OpenSSH's client (Debian: apt-get install openssh-client)"
_SOCKET_PATH = 103 - 17  # longest path of a socket (macOS; Linux takes 107), less what ssh appends to make it
_SHORT = "/tmp"  # nosec B108  # mkdtemp makes a private folder in it
_LOST = 255  # exit code of ssh itself; also that of a killed remote process
_URL = re.compile(
    r"ssh://(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9._-]*)@)?"
    r"(?:(?P<host>[A-Za-z0-9_][A-Za-z0-9._-]*)|\[(?P<address>[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?)\])"
    r"(?::(?P<port>[0-9]{1,5}))?/?"
)


@dataclass(kw_only=True, slots=True)
class SshTransport(Transport):
    """A board that OpenSSH reaches."""

    URL: ClassVar[str] = "ssh://[user@]host[:port]"
    ADVICE: ClassVar = (
        ("Permission denied (", "set up a login by key (ssh-copy-id): nobody can type a password here"),
        ("Host key verification failed", "connect by hand once (ssh) and confirm the host's key"),
        ("REMOTE HOST IDENTIFICATION HAS CHANGED", "connect by hand (ssh) to see what changed"),
        ("Could not resolve hostname", "check the name"),
        ("Connection refused", "check that the board runs an ssh server at that port"),
        ("No space left", "free space on the board"),
    )

    folder: str | Path = FOLDER
    _host: str = field(init=False)
    _login: list[str] = field(init=False)  # options for what the URL says; ssh's configuration has the rest
    _sockets: Path | None = field(init=False, default=None)  # folder of the shared connection
    _shared: list[str] | None = field(init=False, default=None)  # options of the shared connection
    _sharing_once: threading.Lock = field(init=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        found = _URL.fullmatch(self.url)
        if not found or (found["port"] and not 1 <= int(found["port"]) <= 65535):
            raise DeviceError(f"{shown_url(self.url)!r}: expected {self.URL}, without a password or a path")
        self._host = found["host"] or found["address"]
        given = (("User", found["user"]), ("Port", found["port"]))
        self._login = [word for name, value in given if value for word in ("-o", f"{name}={value}")]

    def close(self) -> None:
        """Ends the shared connection, unless it is the user's own."""
        if self._sockets is None:
            return
        self._call(["ssh", "-O", "exit"], CONNECT_SECONDS, f"closing the connection to {self.url}")
        shutil.rmtree(self._sockets, ignore_errors=True)
        self._sockets = self._shared = None

    def _shell(self, script: str, timeout_s: float, doing: str) -> RunOutput:
        # Name sh: the login shell may be of another kind.
        return self._call(["ssh", "-T"], timeout_s, doing, f"sh -c {shlex.quote(script)}")

    def _copy(self, source: Path, there: str, doing: str) -> None:
        command = f"put {_sftp_word(source)} {there}\nbye\n"
        ended = self._call(["sftp", "-b", "-"], PUSH_SECONDS, doing, stdin=command)
        if ended.exit_code:
            raise self._fault(doing, ended)

    def _call(
        self, program: Sequence[str], timeout_s: float, doing: str, *command: str, stdin: str = ""
    ) -> RunOutput:
        name, *own = program
        arguments = [name, *self._options(), *own, "--", self._host, *command]
        return run_here(arguments, timeout_s=timeout_s, doing=doing, missing=_MISSING, stdin=stdin)

    def _lost(self, ended: RunOutput) -> str:
        if ended.exit_code == _LOST:
            return (
                f"the link dropped, or the board cannot be reached: {last_line(ended.stderr)}; try "
                f"`ssh {self._host}`, then give the same command again"
            )
        return Transport._lost(self, ended)

    def _options(self) -> list[str]:
        """The options of every call, those of the shared connection included."""
        given = [*self.options, *shlex.split(os.environ.get(OPTIONS_VARIABLE, "")), *self._login]
        fixed = ["BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3"]
        options = [*given, *(word for option in fixed for word in ("-o", option))]
        with self._sharing_once:
            if self._shared is None:
                self._shared = self._sharing(options)
        return [*options, *self._shared]

    def _sharing(self, options: Sequence[str]) -> list[str]:
        shown = run_here(
            ["ssh", *options, "-G", "--", self._host],
            timeout_s=CONNECT_SECONDS,
            doing=f"reading ssh's configuration for {self.url}",
            missing=_MISSING,
        )
        if shown.exit_code:
            raise DeviceError(f"{self.url}: ssh cannot read its configuration: {last_line(shown.stderr)}")
        paths = [line.split(None, 1)[1] for line in shown.stdout.splitlines() if line.startswith("controlpath ")]
        if paths and paths[0] != "none":
            return []
        self._sockets = _socket_folder()
        sharing = ["ControlMaster=auto", f"ControlPath={self._sockets}/s", "ControlPersist=60"]
        return [word for option in sharing for word in ("-o", option)]


def _socket_folder() -> Path:
    """A new folder for a socket, in /tmp if the usual place for temporary files is too deep for a socket's path."""
    folder = tempfile.mkdtemp(prefix="snsearch-")
    if len(os.fsencode(folder)) + len("/s") > _SOCKET_PATH:
        Path(folder).rmdir()
        folder = tempfile.mkdtemp(prefix="snsearch-", dir=_SHORT)
    return Path(folder)


def _sftp_word(path: Path) -> str:
    """A local path as a word of an sftp batch file. Raises DeviceError for a path with a line break."""
    text = str(path.absolute())
    if "\n" in text:
        raise DeviceError(f"{text!r}: sftp cannot take a path with a line break; rename the folder")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
