"""snsearch: networks that fit a compute budget, with evidence.

The functions are loaded when they are first used, so that `import snsearch` is quick and loads no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = "0.1.0"
