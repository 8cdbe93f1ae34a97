"""From clips to batches: which clip next, decoded, mixed, collated. Knows no models."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
