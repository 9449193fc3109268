"""The script of docs/from-search-to-phone.md, with a smaller budget and fewer images of Fashion-MNIST."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FASHION = Path("/usr/share/datasets/fashion-mnist")
PAGE = Path(__file__).parent.parent / "docs" / "from-search-to-phone.md"
HEADS = {"images": 16, "labels": 8}  # bytes before the values
# Options that come last win.
WRAPPER = """#!/bin/sh
case $1 in
  search) set -- "$@" --budget 3 --resolution 96 --effort quick --full-images 256 --threads 1 ;;
  train) set -- "$@" --epochs 4 --batch 64 --threads 1 ;;
esac
exec {python} -m snsearch "$@" --data fashion-mnist:{data}
"""


def cut(folder: Path) -> None:
    """Writes the first images of Fashion-MNIST."""
    folder.mkdir()
    for prefix, count in (("train", 2000), ("t10k", 1000)):
        for kind, size in (("images", 28 * 28), ("labels", 1)):
            name = f"{prefix}-{kind}-idx{3 if kind == 'images' else 1}-ubyte.gz"
            content = gzip.decompress((FASHION / name).read_bytes())
            head = content[:4] + count.to_bytes(4, "big") + content[8 : HEADS[kind]]
            values = content[HEADS[kind] : HEADS[kind] + count * size]
            (folder / name).write_bytes(gzip.compress(head + values))


@pytest.mark.long
@pytest.mark.skipif(not FASHION.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_the_script_goes_from_a_search_to_folders_for_a_phone(tmp_path: Path) -> None:
    cut(tmp_path / "data")
    wrapper = tmp_path / "bin" / "snsearch"
    wrapper.parent.mkdir()
    wrapper.write_text(WRAPPER.format(python=sys.executable, data=tmp_path / "data"), encoding="utf-8")
    wrapper.chmod(0o755)
    [script] = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    environment = {**os.environ, "PATH": f"{wrapper.parent}:{os.environ['PATH']}"}
    ran = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=3600, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    ship = tmp_path / "ship"
    found = {name: json.loads((ship / f"{name}.json").read_text()) for name in ("torch", "onnx", "ncnn", "int8")}
    assert {one["images"] for one in found.values()} == {1000}
    assert found["torch"]["error"] < 0.5
    for name in ("onnx", "ncnn"):
        assert abs(found[name]["error"] - found["torch"]["error"]) <= 0.001
    trained = json.loads((ship / "trained" / "result.json").read_text())
    assert trained["test"]["error"] == found["torch"]["error"]
    assert found["int8"]["error"] < 0.6
    assert {file.name for file in (ship / "ncnn").iterdir()} == {"model.param", "model.bin", "card.json", "card.md"}
    assert "```cpp" in (ship / "ncnn" / "card.md").read_text("utf-8")
    assert (ship / "onnx" / "model.int8.onnx").is_file()
