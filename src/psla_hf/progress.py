"""Progress bars, shown on a terminal only. Knows nothing of what progresses."""

import os
from collections.abc import Iterable
from typing import Any

from tqdm.auto import tqdm

__all__ = ["progress"]


def progress(iterable: Iterable | None = None, desc: str = "", *, quiet: bool = False, **options: Any) -> tqdm:
    """A progress bar of tqdm, with its options; hidden where nobody watches a terminal, or if it is to be quiet."""
    hidden = quiet or bool(os.environ.get("TQDM_DISABLE"))  # which tqdm itself heeds only where nothing is passed
    return tqdm(iterable, desc, disable=True if hidden else None, **options)
