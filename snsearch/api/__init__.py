"""The public API, as `import snsearch` offers it: one function for each command.

Each name of `__init__.pyi` is loaded when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
