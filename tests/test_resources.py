"""Where the bundled files are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from snsearch import files as resources
from snsearch.errors import SnsearchError
from snsearch.files import Kind, bundled_folder, bundled_names


@pytest.mark.parametrize(
    ("kind", "some"),
    [
        ("spaces", {"mobilenet-v1", "resnet", "resnext", "shufflenet-v1", "vgg-like", "xception-like"}),
        ("recipes", {"modern", "paper"}),
        ("profiles", {"snapdragon-810", "snapdragon-820"}),
        ("cpus", {"cortex-a53", "cortex-a72", "cortex-a76"}),
        ("budgets", {"paper-13", "paper-38", "paper-140", "paper-292", "paper-524", "mobile-600"}),
    ],
)
def test_bundled_files_are_named_without_suffix_and_sorted(kind: Kind, some: set[str]) -> None:
    names = bundled_names(kind)
    assert some <= set(names)
    assert list(names) == sorted(names)
    assert all((bundled_folder(kind) / f"{name}.toml").is_file() for name in names)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation of the package in an empty folder, without bundled files."""
    package = tmp_path / "snsearch"
    package.mkdir()
    monkeypatch.setattr(resources, "__file__", str(package / "resources.py"))
    return package


def test_an_installation_without_the_files_says_so(elsewhere: Path) -> None:
    (elsewhere / "spaces").mkdir()  # a folder without a file in it is not enough
    with pytest.raises(SnsearchError, match="spaces/ are missing from this installation"):
        bundled_folder("spaces")


def test_files_inside_the_package_come_before_those_of_a_checkout(elsewhere: Path) -> None:
    for folder, name in ((elsewhere.parent / "budgets", "outside"), (elsewhere / "budgets", "inside")):
        folder.mkdir()
        (folder / f"{name}.toml").touch()
    assert bundled_names("budgets") == ("inside",)
    (elsewhere / "budgets" / "inside.toml").unlink()
    assert bundled_names("budgets") == ("outside",)
