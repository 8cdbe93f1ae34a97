"""Progress bars, shown on a terminal only. Knows nothing of what progresses."""

from collections.abc import Iterable
from typing import Any

from tqdm.auto import tqdm

__all__ = ["progress"]


def progress(iterable: Iterable | None = None, desc: str = "", *, quiet: bool = False, **options: Any) -> tqdm:
    """A progress bar of tqdm, with its options; hidden where nobody watches a terminal, or if it is to be quiet."""
    return tqdm(iterable, desc, disable=True if quiet else None, **options)
