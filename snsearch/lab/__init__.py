"""Evidence about the method itself: the paper's claims, and how well cheap scores rank.

Other sub-packages import only the names of `__init__.pyi`; each is loaded when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
