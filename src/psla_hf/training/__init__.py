"""Recipes, and the loop that follows them: exact resume, averages and ensembles on the way."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
