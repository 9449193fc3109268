"""Transports over any link, with stand-ins for ssh and adb that fail as those do."""

from __future__ import annotations

import os
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snsearch.device.deploy import check_machine, deploy, machine_of
from snsearch.device.programs import RunOutput
from snsearch.device.registry import (
    Device,
    connect,
    device_folder,
    device_names,
    device_of,
    forget_device,
    read_device,
    write_device,
)
from snsearch.device.transports.adb import AdbTransport
from snsearch.device.transports.local import LocalTransport
from snsearch.device.transports.ssh import SshTransport
from snsearch.device.transports.transport import Transport
from snsearch.errors import DeviceError
from tests.emulated_host import content_of

WORDS = ["a b", "$HOME", "`id`", "'quoted'", '"', "*", "\\", "ä", ""]

# A phone in a folder of this host: the last argument of `adb … shell` is a script, as adb gives it to the phone's sh.
ADB = """
mode="$(cat "$PHONE/mode")"
[ "$mode" = unauthorized ] && { echo "error: device unauthorized." >&2; exit 1; }
if [ "$1" = connect ]; then
  [ "$mode" = refuses ] && { echo "failed to connect to '$2': Connection refused"; exit 0; }
  echo "connected to $2"; exit 0
fi
shift 2
verb="$1"; shift
case "$verb" in
  shell)
    [ "$mode" = drops ] && exit 0
    [ "$mode" = old ] && { sh -c "$1" 2>&1 | sed 's/$/\\r/'; exit 0; }
    [ "$mode" = halves ] && { sh -c "$1" | head -c 20; exit 0; }
    exec sh -c "$1" ;;
  push) [ "$mode" = full ] && { head -c 10 "$1" > "$2"; echo "error: No space left on device" >&2; exit 1; }
    [ "$mode" = truncates ] && { head -c 10 "$1" > "$2"; exit 0; }
    cp "$1" "$2" ;;
esac
"""
# A board likewise: ssh's last argument is the command; sftp reads its batch from stdin.
SSH = """
mode="$(cat "$PHONE/mode")"
for last in "$@"; do [ "$last" = -G ] && { echo "controlpath none"; exit 0; }; [ "$last" = -O ] && exit 0; done
cd "$PHONE"
[ "$mode" = drops ] && { echo "client_loop: send disconnect: Broken pipe" >&2; exit 255; }
[ "$mode" = unauthorized ] && { echo "root@board: Permission denied (publickey)." >&2; exit 255; }
sh -c "$last"
"""
SFTP = """
mode="$(cat "$PHONE/mode")"
while IFS= read -r line; do
  eval "set -- $line"; verb="$1"; first="$2"; second="$3"
  cd "$PHONE"
  case "$verb" in
    put) [ "$mode" = full ] && { head -c 10 "$first" > "$second"; echo "write remote: Failure" >&2; exit 1; }
      [ "$mode" = truncates ] && { head -c 10 "$first" > "$second"; continue; }
      cp "$first" "$second" || exit 1 ;;
  esac
done
"""


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stand-ins for ssh, sftp and adb use as the device; `mode` says how they fail."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in (("adb", ADB), ("ssh", SSH), ("sftp", SFTP)):
        (programs / name).write_text(f"#!/bin/sh\n{text}")
        (programs / name).chmod(0o755)
    folder = tmp_path / "phone"
    folder.mkdir()
    (folder / "mode").write_text("sound")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("PHONE", str(folder))
    return folder


def _local(folder: Path) -> Transport:
    return LocalTransport(folder=folder / "work folder")


def _ssh(folder: Path) -> Transport:
    return SshTransport(url="ssh://board", folder="work")


def _adb(folder: Path) -> Transport:
    return AdbTransport(url="adb://0123456789", folder=str(folder / "work"))


MAKERS = {"local": _local, "ssh": _ssh, "adb": _adb}


@pytest.fixture(params=MAKERS)
def transport(request: pytest.FixtureRequest, phone: Path) -> Transport:
    return MAKERS[request.param](phone)


def _file(folder: Path, content: bytes = b"some content that is longer than ten bytes") -> Path:
    path = folder / "a file"
    path.write_bytes(content)
    return path


def test_words_reach_a_command_as_they_are(transport: Transport) -> None:
    script = "import sys; print(ascii(sys.argv[1:]), end='')"
    output = transport.run([sys.executable, "-c", script, *WORDS], timeout_s=30)
    assert output.stdout == ascii(WORDS)
    assert output.exit_code == 0


def test_exit_codes_and_both_streams_come_back(transport: Transport) -> None:
    output = transport.run(["sh", "-c", "echo out; echo err >&2; exit 7"], timeout_s=30)
    assert (output.stdout, output.stderr, output.exit_code) == ("out\n", "err\n", 7)


def test_a_file_is_pushed_byte_by_byte(transport: Transport, tmp_path: Path) -> None:
    content = bytes(range(256)) * 100
    transport.push(_file(tmp_path, content), "model.bin")
    assert content_of(transport, "model.bin") == content


def test_an_executable_runs_from_the_work_folder_and_is_pushed_again(transport: Transport, tmp_path: Path) -> None:
    for text in ("first", "second"):
        transport.push(_file(tmp_path, f"#!/bin/sh\necho {text} $1".encode()), "runner", executable=True)
        assert transport.run(["./runner", "a b"], timeout_s=30).stdout == f"{text} a b\n"


def test_a_name_that_is_a_path_is_refused(transport: Transport, tmp_path: Path) -> None:
    for name in ("../model", "a b", "-model", ""):
        with pytest.raises(ValueError, match="no plain file name"):
            transport.push(_file(tmp_path), name)


def test_a_command_that_does_not_end_is_given_up_in_time(transport: Transport) -> None:
    started = time.monotonic()
    with pytest.raises(DeviceError, match=r"no end within 0\.5 s"):
        transport.run(["sleep", "30"], timeout_s=0.5)
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("make", [_ssh, _adb])
def test_a_dropped_link_is_no_empty_output(make: Callable[[Path], Transport], phone: Path) -> None:
    (phone / "mode").write_text("drops")
    with pytest.raises(DeviceError, match="the link dropped"):
        make(phone).run(["true"], timeout_s=30)


def test_output_that_breaks_off_is_a_dropped_link(phone: Path) -> None:
    (phone / "mode").write_text("halves")
    with pytest.raises(DeviceError, match="the link dropped"):
        _adb(phone).run(["echo", "x" * 100], timeout_s=30)


def test_an_old_adb_shell_that_loses_exit_codes_is_understood(phone: Path) -> None:
    (phone / "mode").write_text("old")
    output = _adb(phone).run(["sh", "-c", "echo out; exit 7"], timeout_s=30)
    assert (output.stdout, output.exit_code) == ("out\n", 7)


@pytest.mark.parametrize("make", [_ssh, _adb])
def test_a_device_that_lets_nobody_in_says_what_to_do(make: Callable[[Path], Transport], phone: Path) -> None:
    (phone / "mode").write_text("unauthorized")
    with pytest.raises(DeviceError, match=r"allow this computer|login by key"):
        make(phone).run(["true"], timeout_s=30)


def test_a_phone_by_network_that_refuses_is_named(phone: Path) -> None:
    (phone / "mode").write_text("refuses")
    with pytest.raises(DeviceError, match=r"192\.0\.2\.1:5555.*tcpip"):
        AdbTransport(url="adb://192.0.2.1:5555").run(["true"], timeout_s=30)


def test_a_missing_program_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match="apt-get install adb"):
        AdbTransport(url="adb://1").run(["true"], timeout_s=30)
    with pytest.raises(DeviceError, match="openssh-client"):
        SshTransport(url="ssh://board").run(["true"], timeout_s=30)


class _Printing(LocalTransport):
    """A device whose shell prints this text, MARK being the mark of the script that it got."""

    printed = ""

    def _shell(self, script: str, timeout_s: float, doing: str) -> RunOutput:
        mark = script.split()[-2]
        return RunOutput(stdout=self.printed.replace("MARK", mark), stderr="", exit_code=0)


@pytest.mark.parametrize("printed", ["snsearch-end-0000 0\n", "\nMARK 3", "\nMARK \n", "MARK 3\n", ""])
def test_a_command_cannot_write_the_mark_that_ends_it(printed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Printing, "printed", "\nMARK 3\n")
    assert _Printing().run(["true"], timeout_s=1).exit_code == 3
    monkeypatch.setattr(_Printing, "printed", printed)  # the last character may be missing
    with pytest.raises(DeviceError, match="before it was done"):
        _Printing().run(["true"], timeout_s=1)


def test_a_file_is_deployed_once(transport: Transport, tmp_path: Path) -> None:
    source = _file(tmp_path)
    deploy(transport, source, "model.bin")
    pushed: list[str] = []

    class Counting:
        """The transport, with its pushes counted."""

        url, run, close = transport.url, transport.run, transport.close

        def push(self, source: Path, name: str, *, executable: bool = False) -> None:
            pushed.append(name)
            transport.push(source, name, executable=executable)

    deploy(Counting(), source, "model.bin")
    assert not pushed
    source.write_bytes(b"other content")
    deploy(Counting(), source, "model.bin")
    assert pushed == ["model.bin"]


@pytest.mark.parametrize("make", [_ssh, _adb])
@pytest.mark.parametrize("mode", ["full", "truncates"])
def test_a_file_that_does_not_arrive_whole_is_an_error_and_removed(
    make: Callable[[Path], Transport], mode: str, phone: Path, tmp_path: Path
) -> None:
    (phone / "mode").write_text(mode)
    with pytest.raises(DeviceError, match=r"did not arrive as it was sent|No space|Failure"):
        deploy(make(phone), _file(tmp_path), "model.bin")
    assert not list((phone / "work").iterdir())


def _elf(path: Path, machine: int) -> Path:
    path.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 2, machine) + bytes(44))
    return path


def test_a_binary_of_another_machine_is_refused_before_it_is_pushed(tmp_path: Path) -> None:
    runner = _elf(tmp_path / "runner", 62)
    with pytest.raises(DeviceError, match=r"x86_64.*ssh://board is aarch64"):
        check_machine(runner, "aarch64", "ssh://board")
    check_machine(runner, "x86_64", "local")
    check_machine(_elf(tmp_path / "arm", 40), "aarch64", "ssh://board")
    check_machine(_file(tmp_path), "aarch64", "ssh://board")  # a Python script runs on every machine


def test_a_machine_is_what_its_kernel_says(transport: Transport) -> None:
    assert machine_of(transport) == os.uname().machine


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("ssh://board", ("board", None, None)),
        ("ssh://pi@Board.local:2222", ("Board.local", "pi", 2222)),
        ("ssh://pi@[::1]:22", ("::1", "pi", 22)),
    ],
)
def test_ssh_addresses_keep_what_they_say(url: str, address: tuple[str, str | None, int | None]) -> None:
    host, user, port = address
    login = [*(["-o", f"User={user}"] if user else []), *(["-o", f"Port={port}"] if port else [])]
    parsed = SshTransport(url=url)
    assert (parsed._host, parsed._login) == (host, login)


@pytest.mark.parametrize(
    "url", ["ssh://", "ssh://-oProxyCommand=x", "ssh://a:b@c", "ssh://h:99999", "ssh://h/path", "ssh://h;x"]
)
def test_ssh_addresses_that_could_mean_something_else_are_refused(url: str) -> None:
    with pytest.raises(DeviceError, match=r"expected ssh://\[user@\]host"):
        SshTransport(url=url)


@pytest.mark.parametrize(
    "given",
    ["ssh://pi:s3cr3t@board", "ssh://pi:s3cr/3t@x@b", "adb://a:s3cr3t@b", "telnet://a:s3cr3t@b", "a:s3cr3t@b"],
)
def test_a_password_in_a_devices_address_is_in_no_message(run: Callable[..., Any], given: str) -> None:
    for outcome in (run("device", "add", "board", given), run("measure", "shufflenet", "--device", given)):
        assert outcome.code not in (0, 1)
        assert "s3cr" not in outcome.out + outcome.err


def test_a_device_is_added_listed_and_forgotten(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SNSEARCH_HOME", str(tmp_path))
    device = Device(
        name="pi-4",
        url="ssh://pi@board:22",
        core=3,
        ssh_options=("-F", 'a "quoted" file'),
        runner="/a/runner",
        identity="BCM2711",
        description="Raspberry Pi 4, aarch64",
    )
    write_device(device)
    assert device_names() == ("pi-4",)
    assert device_of("pi-4") == device
    assert device_of("ssh://pi@board:22") == device, "a URL that was added is that device"
    with pytest.raises(DeviceError, match="already"):
        write_device(device)
    device_folder("pi-4").mkdir()
    forget_device("pi-4")
    assert not device_names()
    assert device_folder("pi-4").is_dir(), "measurements are kept"
    with pytest.raises(DeviceError, match="no device is named 'pi-4'"):
        read_device("pi-4")


def test_a_device_may_be_added_once_for_each_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SNSEARCH_HOME", str(tmp_path))
    other = Device(name="a-pi", url="ssh://pi", engine="onnxruntime")
    write_device(other)
    assert read_device("a-pi") == other
    assert device_of("ssh://pi").engine == "ncnn", "a URL alone means the default engine"
    write_device(Device(name="pi", url="ssh://pi"))
    assert device_of("ssh://pi").name == "pi"
    path = tmp_path / "devices" / "a-pi.toml"
    path.write_text(path.read_text().replace("onnxruntime", "tflite"))
    with pytest.raises(DeviceError, match=r"engine is 'tflite'; expected ncnn or onnxruntime"):
        read_device("a-pi")


def test_an_unknown_device_suggests_a_known_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SNSEARCH_HOME", str(tmp_path))
    write_device(Device(name="pixel", url="adb://1"))
    with pytest.raises(DeviceError, match="did you mean"):
        device_of("pixle")


@pytest.mark.parametrize("text", ["http://board", "ssh://", "adb://", "adb://-s", "counted://", "../x", ""])
def test_an_invalid_device_is_refused(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SNSEARCH_HOME", str(tmp_path))
    with pytest.raises(DeviceError):
        device_of(text)


def test_a_url_that_was_not_added_has_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SNSEARCH_HOME", str(tmp_path))
    one, other = device_of("ssh://a@board"), device_of("ssh://b@board")
    assert one.name != other.name
    assert one == device_of("ssh://a@board")
    assert device_folder(one.name).parent == tmp_path / "devices"


@pytest.mark.parametrize("url", ["local", "ssh://board", "adb://1"])
def test_every_device_that_runs_commands_has_its_transport(url: str) -> None:
    assert connect(Device(name="x", url=url)).url == url


def test_a_file_with_an_unknown_key_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SNSEARCH_HOME", str(tmp_path))
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "x.toml").write_text('schema = 1\nurl = "local"\nuser = "pi"\n')
    with pytest.raises(DeviceError, match='unknown key "user"'):
        read_device("x")
