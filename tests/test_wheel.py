"""The built wheel, used from outside the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(CHECKOUT)],
        check=True,
        capture_output=True,
        timeout=300,
    )
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds nothing but the installed wheel."""
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), str(wheel)],
        check=True,
        capture_output=True,
        timeout=300,
    )
    return folder


def _run(installed: Path, tmp_path: Path, *arguments: str) -> str:
    """What python prints with the installed wheel before everything else on its path."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


def test_the_wheel_carries_spaces_budgets_profiles_templates_and_types(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for kind in ("spaces", "budgets"):
        bundled = {f"snsearch/{kind}/{path.name}" for path in (CHECKOUT / kind).glob("*.toml")}
        assert bundled <= set(names)
    profiles = {
        f"snsearch/latency/profiles/{path.name}"
        for path in (CHECKOUT / "snsearch" / "latency" / "profiles").glob("*.toml")
    }
    assert len(profiles) > 1
    assert profiles <= set(names)
    cpus = {
        f"snsearch/device/counting/cores/{path.name}"
        for path in (CHECKOUT / "snsearch" / "device" / "counting" / "cores").glob("*.toml")
    }
    assert len(cpus) > 1
    assert cpus <= set(names)
    assert "snsearch/device/counting/plugin.c" in names
    assert {f"snsearch/pages/templates/page.{kind}" for kind in ("html.j2", "css", "js")} <= set(names)
    assert {f"snsearch/engine/{name}" for name in ("runner.cpp", "CMakeLists.txt", "python_runner.py")} <= set(names)
    assert "snsearch/py.typed" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "reports/", "benchmarks/", "spaces/"))]


def test_the_wheel_solves_from_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    origin = _run(installed, tmp_path, "-c", "import snsearch; print(snsearch.__file__)")
    assert Path(origin.strip()).is_relative_to(installed)
    printed = _run(installed, tmp_path, "-m", "snsearch", "solve", "--budget", "paper-140", "--format", "json")
    assert [s["stage_channels"][0] for s in json.loads(printed)["solutions"]] == [144, 200, 240, 272, 384]


def test_the_wheel_predicts_from_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    printed = _run(installed, tmp_path, "-m", "snsearch", "latency", "--groups", "3", "--format", "json")
    [found] = json.loads(printed)
    assert found["latency_ms"] > 0


def test_the_wheel_s_own_files_are_found_before_a_checkout_s(installed: Path, tmp_path: Path) -> None:
    code = "from snsearch.files import bundled_folder as f; print(f('spaces')); print(f('budgets'))"
    folders = [Path(line) for line in _run(installed, tmp_path, "-c", code).splitlines()]
    assert all(folder.is_relative_to(installed) for folder in folders)


def test_the_wheel_finds_its_template(installed: Path, tmp_path: Path) -> None:
    code = (
        "from jinja2 import Environment, PackageLoader\n"
        "print(PackageLoader('snsearch.pages').get_source(Environment(autoescape=True), 'page.html.j2')[1])"
    )
    assert Path(_run(installed, tmp_path, "-c", code).strip()).is_relative_to(installed)
