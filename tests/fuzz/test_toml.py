"""TOML files that are changed a little: decoded, or refused with an error that names the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from snsearch.device.counting.cpus import load_cpu
from snsearch.device.registry import read_device
from snsearch.errors import DeviceError, SnsearchError, SpecError
from snsearch.files import HOME_VARIABLE, Kind, bundled_folder
from snsearch.finals.recipe import load_recipe
from snsearch.latency import read_profile
from snsearch.solver.budget import read_budget
from snsearch.solver.spec import read_space
from tests.fuzz.mutations import mutated_toml, read_or_refused

OLD = Path(__file__).parent.parent / "fixtures" / "v0"


def _shipped(kind: Kind) -> list[str]:
    return [path.read_text(encoding="utf-8") for path in sorted(bundled_folder(kind).glob("*.toml"))]


def _check(read: Callable[[], object], refusal: type[SnsearchError], name: str) -> None:
    found, words = read_or_refused(read, refusal)
    assert (found is None) == (name in words)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("toml")


def _written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


@example(text=f"schema = 1\n{'9' * 5000} = 1\n")
@given(text=mutated_toml(_shipped("spaces")))
def test_a_space_is_read_or_refused_by_name(folder: Path, text: str) -> None:
    _check(lambda: read_space(_written(folder, text)), SpecError, '"mine.toml"')


@given(text=mutated_toml(_shipped("budgets")))
def test_a_budget_is_read_or_refused_by_name(folder: Path, text: str) -> None:
    _check(lambda: read_budget(_written(folder, text)), SpecError, '"mine.toml"')


@given(text=mutated_toml(_shipped("recipes")))
def test_a_recipe_is_read_or_refused_by_name(folder: Path, text: str) -> None:
    _check(lambda: load_recipe(str(_written(folder, text))), SpecError, '"mine.toml"')


@given(text=mutated_toml(_shipped("profiles")))
def test_a_profile_is_read_or_refused_by_name(folder: Path, text: str) -> None:
    _check(lambda: read_profile(_written(folder, text)), SpecError, '"mine.toml"')


@given(text=mutated_toml(_shipped("cpus")))
def test_a_core_is_read_or_refused_by_name(folder: Path, text: str) -> None:
    path = _written(folder, text)
    _check(lambda: load_cpu(str(path)), SpecError, '"mine.toml"')


@example(text='schema = "' + "x" * 5000 + '"\n')
@example(text='schema = 1\nurl = "onnxruntime"\n')
@given(text=mutated_toml([(OLD / "pi.toml").read_text(encoding="utf-8")]))
def test_a_device_is_read_or_refused_by_name(folder: Path, text: str) -> None:
    (folder / "devices").mkdir(exist_ok=True)
    _written(folder / "devices", text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(HOME_VARIABLE, str(folder))
        _check(lambda: read_device("mine"), DeviceError, "mine.toml'")


@given(data=st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_by_name(folder: Path, data: bytes) -> None:
    path = folder / "mine.toml"
    path.write_bytes(data)
    for read in (read_space, read_budget, read_profile):
        with pytest.raises(SpecError, match=r'"mine\.toml"'):
            read(path)
