"""From a folder, a table or shards to clips in one schema. Knows no models and decodes nothing."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
