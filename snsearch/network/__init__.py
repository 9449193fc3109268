"""What a network is and what it costs: architectures, graphs, counts, torch modules.

Other sub-packages import only the names of `__init__.pyi`; each is loaded when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
