"""The web page: taggers to try in a browser, and the Hugging Face Space of such a page."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
