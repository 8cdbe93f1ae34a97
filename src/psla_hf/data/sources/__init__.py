"""One module per data set: what it is, how it lies on a disk, what its shards are called; and a line of it here."""

from collections.abc import Mapping

from .audioset import AUDIOSET_BALANCED, AUDIOSET_FULL
from .esc import ESC
from .fsd50k import FSD50K
from .own import OWN
from .source import Source
from .urbansound8k import URBANSOUND8K

__all__ = ["SOURCES", "Source"]


SOURCES: Mapping[str, Source] = {
    source.key: source
    for source in (
        AUDIOSET_BALANCED,
        AUDIOSET_FULL,
        FSD50K,
        ESC,
        URBANSOUND8K,
        OWN,
    )
}
