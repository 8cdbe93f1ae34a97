"""One module per data set: what it is, how it lies on a disk, what its shards are called; and a line of it here."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

from .source import EscSubset, Source

__all__ = ["SOURCES", "EscSubset", "Source", "source_at"]

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


def source_at(place: object) -> str:
    """The key of the data set whose folder this is, by what lies in it; for everything else `own`."""
    if isinstance(place, str | Path) and Path(place).is_dir():
        for key, source in SOURCES.items():
            if any((Path(place) / mark).exists() for mark in source.marks):
                return key
    return "own"
