"""Command lines of any options and values: a documented exit code, and no fault of snsearch."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import click
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from snsearch.cli import cli, main
from snsearch.files import HOME_VARIABLE
from tests.fuzz.mutations import ODD_TEXTS

pytestmark = pytest.mark.long

CHECKOUT = Path(__file__).parent.parent.parent
KEY = "shufflenet.g3.b4.shuffle_stem24s2p_240x4s2-480x8s2-960x4s2_3x224x224_c1000"
CODES = {
    int(code)
    for code in re.findall(r"^\| (\d+) \|", (CHECKOUT / "docs" / "exit-codes.md").read_text("utf-8"), re.MULTILINE)
}
# Commands without training and devices; --check of count runs torch, and --watch of report waits for a study.
NAMES = ("solve", "count", "latency", "spaces", "budgets", "profiles", "data", "report", "calibrate", "completion")
LEFT_OUT = {"--check", "--help", "--watch"}
COMMANDS = {name: cli.get_command(click.Context(cli), name) for name in NAMES}  # their modules loaded at once
# Values that make sense for some option or argument; each is tried for all of them. "/" begins none: nothing is
# written outside the folder.
GOOD = (
    *(
        "1",
        "3",
        "8",
        "1,2,3",
        "1-3-8",
        "0.5",
        "0.25,1",
        "0-1-1",
        "4-8-4",
        "1,2.2,3.7",
        "40",
        "13",
        "96",
        "64x96",
        "10",
    ),
    *(
        "100k",
        "1.9M",
        "320KiB",
        "2.4MiB",
        "shufflenet-v1",
        "shufflenet-free",
        "resnet",
        "mobilenet-v1",
        "all",
        "deep",
    ),
    *("paper-140", "stm32f746", "paper", "snapdragon-820", "ncnn-raspberry-pi-4", "digits", "images", "sample", KEY),
    *(
        "space.toml",
        "budget.toml",
        "profile.toml",
        "figures.csv",
        "study.json",
        "study.db",
        "text.db",
        "bash",
        "x.html",
    ),
    *(
        "train=images",
        "label",
        "sqlite:///study.db",
        "sqlite:///text.db",
        "sqlite://",
        "-",
        "folder.toml",
        "pipe",
        ".",
    ),
)
BAD = ("-1", "0", "nan", "inf", "1e308", "1e-320", "9" * 400, "1e7", "1,,2", ",", "1-", "=", "x=", "²", "NAME", "..")
values = st.sampled_from(GOOD) | st.sampled_from(BAD) | st.sampled_from(ODD_TEXTS) | st.text(max_size=12)
values = values.filter(lambda text: "\0" not in text and "/" not in text.removeprefix("sqlite://"))


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A command with some of its options and arguments."""
    name = draw(st.sampled_from(NAMES))
    command = COMMANDS[name]
    assert command is not None
    words: list[str] = []
    options = [one for one in command.params if isinstance(one, click.Option) and not LEFT_OUT & {*one.opts}]
    for option in draw(st.lists(st.sampled_from(options), max_size=4)) if options else ():
        words.append(draw(st.sampled_from(option.opts)))
        if not option.is_flag:
            words.append(draw(st.sampled_from(option.type.choices) if _has_choices(option) else values))
    arguments = [draw(values) for _ in range(draw(st.integers(0, 2)))]
    return [name, *words, *arguments]


def _has_choices(option: click.Option) -> bool:
    return isinstance(option.type, click.Choice)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small inputs of every kind that the commands read."""
    folder = tmp_path_factory.mktemp("commands")
    for kind in ("cat", "dog"):
        (folder / "images" / kind).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (9, 9), (number, 0, 0)).save(folder / "images" / kind / f"{number}.png")
    shutil.copytree(CHECKOUT / "reports" / "sample", folder / "sample")
    shutil.copy(folder / "sample" / "study.db", folder / "study.db")
    shutil.copy(CHECKOUT / "spaces" / "resnet.toml", folder / "space.toml")
    shutil.copy(CHECKOUT / "budgets" / "paper-13.toml", folder / "budget.toml")
    shutil.copy(CHECKOUT / "tests" / "fixtures" / "v0" / "own_profile.toml", folder / "profile.toml")
    shutil.copy(CHECKOUT / "tests" / "fixtures" / "v0" / "solve.json", folder / "study.json")
    (folder / "figures.csv").write_text(f"key,latency_ms\n{KEY},38\n", encoding="utf-8")
    (folder / "text.db").write_text("not a database", encoding="utf-8")
    (folder / "folder.toml").mkdir()
    return folder


def _ended(words: Sequence[str], folder: Path) -> tuple[object, str, str]:
    """How a command line ends in that folder: the exit code, stdout and stderr."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace") for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.chdir(folder)
        patch.setenv(HOME_VARIABLE, str(folder / "home"))
        patch.setattr(sys, "argv", ["snsearch", *words])
        patch.setattr(sys, "stdin", mock.Mock())
        with pytest.raises(SystemExit) as ended:
            main()
    for stream in (out, err):
        stream.flush()
    return ended.value.code, *(stream.buffer.getvalue().decode() for stream in (out, err))  # type: ignore[attr-defined]


@example(words=["report", "--html", "", "sample"])
@given(words=command_lines())
@settings(max_examples=300)
def test_a_command_line_ends_with_a_documented_code(folder: Path, words: list[str]) -> None:
    code, out, err = _ended(words, folder)
    assert code in CODES
    assert "fault of snsearch" not in err
    assert "Traceback" not in out + err
    assert bool(err) or code == 0
    assert len(err) < 5000 + 4 * sum(map(len, words))  # click quotes what it refuses, escaped
    assert len(out) < 1_000_000
