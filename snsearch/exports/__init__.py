"""Networks as files for a phone: written in a format, checked against torch, with a model card."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
