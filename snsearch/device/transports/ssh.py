"""A Linux board over ssh: the system's OpenSSH client, so that ~/.ssh/config, keys, agents and known_hosts hold.

One connection is made and shared by all commands (ControlMaster); where the user's configuration has a ControlPath of
its own, that one is used and left open.
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

FOLDER = ".cache/snsearch-device"  # in the home folder, where ssh and sftp both begin
OPTIONS_VARIABLE = "SNSEARCH_SSH_OPTIONS"  # such as "-F my_config"
_MISSING = "install OpenSSH's client (Debian: apt-get install openssh-client)"
_LOST = 255  # of ssh itself; also of a remote process that was killed
_URL = re.compile(
    r"ssh://(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9._-]*)@)?"
    r"(?:(?P<host>[A-Za-z0-9_][A-Za-z0-9._-]*)|\[(?P<address>[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?)\])"
    r"(?::(?P<port>[0-9]{1,5}))?/?"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SshAddress:
    """Whom to connect to; what is None is the configuration's."""

    host: str
    user: str | None
    port: int | None

    @classmethod
    def parse(cls, url: str) -> SshAddress:
        """The address of ssh://[user@]host[:port]. Raises DeviceError."""
        found = _URL.fullmatch(url)
        if not found or (found["port"] and not 1 <= int(found["port"]) <= 65535):
            raise DeviceError(f"{url!r}: expected ssh://[user@]host[:port], without a password or a path")
        return cls(
            host=found["host"] or found["address"],
            user=found["user"],
            port=int(found["port"]) if found["port"] else None,
        )

    def options(self) -> list[str]:
        """User and port as options that ssh and sftp share."""
        return [
            *(() if self.user is None else ("-o", f"User={self.user}")),
            *(() if self.port is None else ("-o", f"Port={self.port}")),
        ]


@dataclass(kw_only=True, slots=True)
class SshTransport:
    """A board that OpenSSH reaches."""

    url: str
    options: tuple[str, ...] = ()  # further options of ssh and sftp, before our own
    folder: str = FOLDER
    _address: SshAddress = field(init=False)
    _sockets: Path | None = field(init=False, default=None)  # folder of the shared connection
    _shared: list[str] | None = field(init=False, default=None)  # options of the shared connection
    _sharing_once: threading.Lock = field(init=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._address = SshAddress.parse(self.url)

    def push(self, source: Path, name: str, *, executable: bool = False) -> None:
        target = f"{self.folder}/{checked_name(name)}"
        # Under another name first: a file that is being executed cannot be written to.
        self.run(["rm", "-f", name, f"{name}.partial"], timeout_s=CONNECT_SECONDS)
        commands = [
            f"put {_sftp_word(source)} {target}.partial",
            f"chmod {'755' if executable else '644'} {target}.partial",
            f"rename {target}.partial {target}",
        ]
        self._sftp(commands, f"pushing {name} to {self.url}")

    def pull(self, name: str, target: Path) -> None:
        command = f"get {self.folder}/{checked_name(name)} {_sftp_word(target)}"
        self._sftp([command], f"pulling {name} from {self.url}")

    def run(self, words: Sequence[str], *, timeout_s: float) -> RunOutput:
        script = RemoteScript.of(words, self.folder)
        doing = f"running {words[0]} on {self.url}"
        # sh by name, since the login shell may be of another kind.
        arguments = ["ssh", *self._options(), "-T", "--", self._address.host, f"sh -c {shlex.quote(script.text)}"]
        ended = run_here(arguments, timeout_s=timeout_s, doing=doing, missing=_MISSING)
        output = script.output(ended.stdout, ended.stderr)
        if output is None:
            raise self._fault(doing, ended)
        return output

    def close(self) -> None:
        """Ends the shared connection, unless it is the user's own."""
        if self._sockets is None:
            return
        run_here(
            ["ssh", *self._options(), "-O", "exit", "--", self._address.host],
            timeout_s=CONNECT_SECONDS,
            doing=f"closing the connection to {self.url}",
            missing=_MISSING,
        )
        shutil.rmtree(self._sockets, ignore_errors=True)
        self._sockets = self._shared = None

    def _sftp(self, commands: Sequence[str], doing: str) -> None:
        arguments = ["sftp", *self._options(), "-b", "-", "--", self._address.host]
        ended = run_here(
            arguments, timeout_s=PUSH_SECONDS, doing=doing, missing=_MISSING, stdin="\n".join([*commands, "bye\n"])
        )
        if ended.exit_code:
            raise self._fault(doing, ended)

    def _fault(self, doing: str, ended: RunOutput) -> DeviceError:
        """What to say of a command that was not seen to end well."""
        said = last_line(ended.stderr)
        for sign, advice in _ADVICE:
            if sign in ended.stderr:
                return DeviceError(f"{doing}: {said}; {advice}")
        if ended.exit_code == _LOST:
            return DeviceError(
                f"{doing}: the link dropped, or the board cannot be reached: {said}; try `ssh {self._address.host}`, "
                "then give the same command again"
            )
        return DeviceError(f"{doing}: ended with {ended.exit_code} before it was done: {said}")

    def _options(self) -> list[str]:
        """The options of every call, with a shared connection."""
        given = [*self.options, *shlex.split(os.environ.get(OPTIONS_VARIABLE, "")), *self._address.options()]
        fixed = ["BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3"]
        options = [*given, *(word for option in fixed for word in ("-o", option))]
        with self._sharing_once:
            if self._shared is None:
                self._shared = self._sharing(options)
        return [*options, *self._shared]

    def _sharing(self, options: Sequence[str]) -> list[str]:
        shown = run_here(
            ["ssh", *options, "-G", "--", self._address.host],
            timeout_s=CONNECT_SECONDS,
            doing=f"reading ssh's configuration for {self.url}",
            missing=_MISSING,
        )
        if shown.exit_code:
            raise DeviceError(f"{self.url}: ssh cannot read its configuration: {last_line(shown.stderr)}")
        paths = [line.split(None, 1)[1] for line in shown.stdout.splitlines() if line.startswith("controlpath ")]
        if paths and paths[0] != "none":
            return []
        self._sockets = Path(tempfile.mkdtemp(prefix="snsearch-"))  # a socket's path must be short
        sharing = ["ControlMaster=auto", f"ControlPath={self._sockets}/s", "ControlPersist=60"]
        return [word for option in sharing for word in ("-o", option)]


_ADVICE = (
    ("Permission denied (", "set up a login by key (ssh-copy-id): no password can be asked for"),
    ("Host key verification failed", "connect by hand once (ssh) to look at the host's key"),
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", "connect by hand (ssh) to see what changed"),
    ("Could not resolve hostname", "see that the name is right"),
    ("Connection refused", "see that the board runs an ssh server at that port"),
    ("No space left", "make room on the board"),
)


def _sftp_word(path: Path) -> str:
    """A local path as a word of an sftp batch file. Raises DeviceError for what that cannot hold."""
    text = str(path.absolute())
    if "\n" in text:
        raise DeviceError(f"{text!r}: sftp cannot take a path with a line break; rename the folder")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
