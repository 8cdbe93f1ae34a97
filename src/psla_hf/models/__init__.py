"""The four files that a saved model carries, and their weights. Defines nothing that those files need."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
