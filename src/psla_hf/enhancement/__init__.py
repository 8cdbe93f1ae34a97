"""The L of PSLA: labels that annotators missed, found by a teacher and an ontology."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
