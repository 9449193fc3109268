"""The names that `--to` takes; `formats.py` makes what they name. Loads no torch."""

from typing import Literal

FormatName = Literal["onnx", "ncnn", "torch", "pt2", "litert", "executorch"]
