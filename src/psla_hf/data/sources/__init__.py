"""One module per data set: what it is, how it lies on a disk, what its shards are called; and a line of it here."""

from collections.abc import Iterator, Mapping
from importlib import import_module

from .source import EscSubset, Source

__all__ = ["SOURCES", "EscSubset", "Source"]

# By key, where the description is.
PLACES = {
    "audioset_balanced": "audioset.AUDIOSET_BALANCED",
    "audioset_full": "audioset.AUDIOSET_FULL",
    "fsd50k": "fsd50k.FSD50K",
    "esc": "esc.ESC",
    "urbansound8k": "urbansound8k.URBANSOUND8K",
    "own": "own.OWN",
}


class _Sources(Mapping[str, Source]):
    """The descriptions by key; one is imported when it is asked for, so that commands know the keys at once."""

    def __getitem__(self, key: str) -> Source:
        module, _, name = PLACES[key].partition(".")
        return getattr(import_module(f".{module}", __name__), name)

    def __iter__(self) -> Iterator[str]:
        return iter(PLACES)

    def __len__(self) -> int:
        return len(PLACES)


SOURCES: Mapping[str, Source] = _Sources()
