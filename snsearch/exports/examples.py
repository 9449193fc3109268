"""How to use an exported network: the pixels it takes, and an example in Python and, for ncnn, C++."""

from __future__ import annotations

from snsearch.exports.formats import STEM, Format
from snsearch.exports.subject import Subject

_MODES = {1: "L", 3: "RGB"}  # Pillow's, by channels
RESIZING = (
    "turn the image upright by its EXIF tag, scale it with bilinear filtering by its shorter side and crop it in the "
    "middle; training pads with black instead an image whose sides are 75 to 100 % of the input's"
)

_PYTHON = """\
import sys
import numpy as np
{imports}
from PIL import Image, ImageOps

image = ImageOps.exif_transpose(Image.open(sys.argv[1])).convert("{mode}")
image = ImageOps.fit(image, ({width}, {height}), Image.Resampling.BILINEAR)
pixels = np.asarray(image, np.float32).reshape({height}, {width}, {channels})
x = np.ascontiguousarray(((pixels - {mean}) / {std}){turned}[None], np.float32)
{run}
"""
_IMPORTS = {
    "onnx": "import onnxruntime",
    "ncnn": "import ncnn",
    "torch": "import torch\nfrom model import load",
    "pt2": "import torch",
    "litert": "from ai_edge_litert.interpreter import Interpreter",
    "executorch": "import torch\nfrom executorch.runtime import Runtime",
}
_RUN = {
    "onnx": (
        f'session = onnxruntime.InferenceSession("{STEM}.onnx")\n'
        'print(session.run(None, {{"{given}": x}})[0].argmax())'
    ),
    "ncnn": (
        f'net = ncnn.Net()\nnet.load_param("{STEM}.param"), net.load_model("{STEM}.bin")\n'
        'run = net.create_extractor()\nrun.input("{given}", ncnn.Mat(x[0]).clone())\n'
        'print(np.array(run.extract("{made}")[1]).argmax())'
    ),
    "torch": "with torch.no_grad():\n    print(load()(torch.from_numpy(x)).argmax().item())",
    "pt2": (
        f'network = torch.export.load("{STEM}.pt2").module()\nprint(network(torch.from_numpy(x)).argmax().item())'
    ),
    "litert": (
        f'network = Interpreter("{STEM}.tflite").get_signature_runner()\n'
        'print(network({given}=x)["{made}"].argmax())'
    ),
    "executorch": (
        f'network = Runtime.get().load_program("{STEM}.pte").load_method("forward")\n'
        "print(network.execute([torch.from_numpy(x)])[0].argmax().item())"
    ),
}

_CPP = """\
#include <algorithm>
#include "net.h"

// The class of {height} rows of {width} {what}, scaled and cropped to that size.
int classify(const ncnn::Net& net, const unsigned char* pixels)
{{
    ncnn::Mat image = ncnn::Mat::from_pixels(pixels, ncnn::Mat::{pixel}, {width}, {height});
    const float mean[] = {{{mean}}};
    const float scale[] = {{{scale}}};  // 1 / std
    image.substract_mean_normalize(mean, scale);
    ncnn::Extractor run = net.create_extractor();
    run.input("{given}", image);
    ncnn::Mat logits;
    run.extract("{made}", logits);
    const float* first = logits;
    return std::max_element(first, first + logits.w) - first;
}}

int load(ncnn::Net& net)  // 0: loaded
{{
    return net.load_param("{stem}.param") || net.load_model("{stem}.bin");
}}
"""


def python_example(subject: Subject, format: Format) -> str:
    """A script that prints the class of an image file; empty unless images have 1 or 3 channels."""
    channels = subject.arch.input_channels
    if channels not in _MODES:
        return ""
    given, made = format.inputs(subject)
    height, width = subject.arch.resolution
    return _PYTHON.format(
        imports=_IMPORTS[format.name],
        mode=_MODES[channels],
        height=height,
        width=width,
        channels=channels,
        mean=list(subject.mean),
        std=list(subject.std),
        turned=".transpose(2, 0, 1)" if format.layout == "NCHW" else "",
        run=_RUN[format.name].format(given=given, made=made),
    )


def cpp_example(subject: Subject, format: Format) -> str:
    """C++ that finds the class of pixels with ncnn; empty for other formats and numbers of channels but 1 and 3."""
    channels = subject.arch.input_channels
    if format.name != "ncnn" or channels not in _MODES:
        return ""
    given, made = format.inputs(subject)
    height, width = subject.arch.resolution
    return _CPP.format(
        height=height,
        width=width,
        what="gray bytes" if channels == 1 else "RGB bytes, three a pixel",
        pixel="PIXEL_GRAY" if channels == 1 else "PIXEL_RGB",
        mean=", ".join(f"{value!r}f" for value in subject.mean),
        scale=", ".join(f"{1 / value!r}f" for value in subject.std),
        given=given,
        made=made,
        stem=STEM,
    )
