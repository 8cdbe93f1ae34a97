"""Classes, labels as arrays, and the ontology. Knows no audio and no models."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
