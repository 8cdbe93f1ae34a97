"""Where data lie, opened: a folder or table, shards, or data sets of `datasets`; their parts are loaded on demand."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import pyarrow.parquet as pq
from datasets import Dataset, DatasetDict, Features, concatenate_datasets, load_from_disk
from typing_extensions import override

from psla_hf.data.sources import Source
from psla_hf.files import digest, read_json, reading
from psla_hf.labels.vocabulary import Vocabulary

from .foreign import clips_of_dataset, vocabulary_of_datasets
from .listing import Listing, load_listing, read_vocabulary
from .made_splits import Division, MadeSplits, with_splits
from .schema import Clips, IndexedClips, tagging_features
from .shards.cached import cached_clips
from .shards.parquet import ShardedClips, ShardIndex, iterate_parquet, names_that_occur
from .shards.remote import REMOTE, files_version
from .shards.shard_files import MANIFEST, Shards, all_shards, find_shards, holds_shards, shards_by_split
from .shards.tars import iterate_tar
from .splits import ONE_SPLIT
from .summary import LoadOptions, LoadSummary

__all__ = ["LoadedParts", "OpenedDatasets", "OpenedFolder", "OpenedShards", "Parts", "Place", "open_data"]


Place: TypeAlias = Shards | Dataset | DatasetDict

Parts: TypeAlias = Mapping[str, Sequence[str]]  # the splits of each part

LoadedParts: TypeAlias = dict[str, tuple[Clips, LoadSummary]]


class OpenedData(ABC):
    """A data set, wherever it lies."""

    @property
    @abstractmethod
    def splits(self) -> Sequence[str]:
        """Those that there are; none where that is not known."""

    @property
    @abstractmethod
    def subset(self) -> str | None:
        """The part of the data set that it is, where that has a name of its own."""

    @abstractmethod
    def count(self, split: str) -> int | None:
        """Clips that a split lists; none where that takes reading them."""

    @abstractmethod
    def load(self, parts: Parts, options: LoadOptions, notes: Sequence[str] = ()) -> LoadedParts:
        """The clips of some splits, by the part that they make, and what was found, with further notes."""


@dataclass(frozen=True)
class OpenedFolder(OpenedData):
    """A data set's folder or table."""

    source: Source
    place: Place
    settings: Mapping[str, Any]
    division: Division | None = None

    @cached_property
    @override
    def splits(self) -> Sequence[str]:
        return self.source.splits or self.listing.splits

    @cached_property
    def divided(self) -> tuple[Listing, MadeSplits | None]:
        """What is listed, with splits, and how these were made if they were."""
        listing = self.source.list_folder(self.place, **self.settings)
        return (listing, None) if self.division is None else with_splits(listing, *self.division)

    @property
    def listing(self) -> Listing:
        """What is listed, with splits."""
        return self.divided[0]

    @property
    @override
    def subset(self) -> str | None:
        return None if self.source.splits else self.listing.subset

    @override
    def count(self, split: str) -> int:
        return self.listing.clips["split"].to_pylist().count(split)

    @override
    def load(self, parts: Parts, options: LoadOptions, notes: Sequence[str] = ()) -> LoadedParts:
        loaded: Mapping[str, tuple[Clips, LoadSummary]]
        if self.source.splits:  # each has a list of its own
            loaded = {part: self._joined(splits, options) for part, splits in parts.items()}
        else:
            unknown = sorted({split for splits in parts.values() for split in splits}.difference(self.splits))
            if unknown:
                raise ValueError(f"Expected splits of {self.place}, {', '.join(self.splits)}, got {unknown}.")
            loaded = load_listing(self.listing, options, parts)
        return _reported(loaded, options, notes)

    def _joined(self, splits: Sequence[str], options: LoadOptions) -> tuple[Clips, LoadSummary]:
        listings = [self.source.list_folder(self.place, split=split, **self.settings) for split in splits]
        return _join([pair for listing in listings for pair in load_listing(listing, options).values()])


class ShardReader(NamedTuple):
    """What yields the clips of some shards.

    Attributes:
        read: The function.
        how: Its arguments.
        features: Of the clips.
        version: Changes with the files or the classes.
        shards: Index of parquet files; none of tars.
    """

    read: Callable[..., Iterator[dict[str, Any]]]
    how: dict[str, Any]
    features: Features
    version: str
    shards: ShardIndex | None


@dataclass(frozen=True)
class OpenedShards(OpenedData):
    """A data set's parquet files or tars."""

    source: Source
    place: Place
    given: Vocabulary | None
    split: str | None = None

    @cached_property
    @override
    def splits(self) -> Sequence[str]:
        """Those of the data set, or the one that is asked for, or those that the shards' names say."""
        if self.source.splits or self.split:
            return self.source.splits or [self.split or ONE_SPLIT]
        found = shards_by_split(self.place, self.source.shard_names, self.shards)
        if None in found:
            self.files(ONE_SPLIT)  # refuses them beside those of a split
        known = [split for split in self.source.shard_names if split in found]
        return [*known, *(split for split in found if split and split not in known)] or [ONE_SPLIT]

    @cached_property
    def vocabulary(self) -> Vocabulary | None:
        """The classes that were given; of own data else the names that occur in any split, unless the shards say."""
        if self.given is not None or self.source.splits or self.source.num_folds:
            return self.given
        return names_that_occur([file for file in self.shards if file.endswith(".parquet")])

    @cached_property
    def subset(self) -> str | None:
        """What `psla prepare` recorded of it beside the shards, or above their folder."""
        place = str(self.place) if isinstance(self.place, str | Path) and not str(self.place).startswith(REMOTE) else ""
        manifests = [folder / MANIFEST for folder in (Path(place), Path(place).parent)] if place else []
        found = next((path for path in manifests if path.is_file()), None)
        return read_json(found).get("subset") if found else None

    @cached_property
    def shards(self) -> list[str]:
        """Those of all splits."""
        return all_shards(self.place)

    def files(self, split: str) -> list[str]:
        """The shards of a split."""
        return find_shards(self.place, None if split == ONE_SPLIT else split, self.source.shard_names, self.shards)

    @override
    def count(self, split: str) -> None:
        """Shards are opened where they are needed only."""

    def is_parquet(self, splits: Sequence[str]) -> bool:
        """Whether all shards of some splits are parquet files."""
        return all(file.endswith(".parquet") for split in splits for file in self.files(split))

    @override
    def load(self, parts: Parts, options: LoadOptions, notes: Sequence[str] = ()) -> LoadedParts:
        make = self._streamed if options.streaming else self._joined
        return _reported({part: make(splits) for part, splits in parts.items()}, options, notes)

    def _streamed(self, splits: Sequence[str]) -> tuple[Clips, LoadSummary]:
        """Parquet files are read as they are needed, tars into a copy as always."""
        files = {split: self.files(split) for split in splits}
        every = [file for of_split in files.values() for file in of_split]
        if not every[0].endswith(".parquet"):
            return self._joined(splits)
        clips = ShardedClips.of(ShardIndex.open(every, self.vocabulary))
        return clips, self.summary(clips, clips.index.count(files), f"{len(every)} shards, streamed")

    def _joined(self, splits: Sequence[str]) -> tuple[Clips, LoadSummary]:
        """By index: `datasets` writes a copy to its cache, which is memory-mapped."""
        pairs = []
        for split in splits:
            files = self.files(split)
            read, how, features, version, _ = self.reader(files, split)
            clips = IndexedClips(cached_clips(read, how, features, digest(repr((version, split)))))
            pairs.append((clips, self.summary(clips, {split: len(clips)}, f"{len(files)} shards")))
        return _join(pairs)

    def reader(self, files: Sequence[str], split: str) -> "ShardReader":
        """What yields the clips of files in the schema."""
        how = {"files": list(files), "vocabulary": self.vocabulary, "split": split}
        if files[0].endswith(".parquet"):
            index = ShardIndex.open(files, self.vocabulary)
            how["vocabulary"] = index.vocabulary
            return ShardReader(iterate_parquet, how, index.features, index.version, index)
        if self.vocabulary is None:
            raise ValueError(f"Tars such as {files[0]} do not say what their classes are. Pass the vocabulary.")
        version = digest(files_version(files), self.vocabulary.fingerprint)
        return ShardReader(iterate_tar, how, tagging_features(self.vocabulary), version, None)

    def summary(self, clips: Clips, splits: Mapping[str, int], how: str) -> LoadSummary:
        """What shards hold, by split."""
        name = " ".join(part for part in (self.source.name, ", ".join(splits)) if part != ONE_SPLIT)
        notes = () if clips.hours is not None else ("The shards do not say how long their clips are.",)
        return LoadSummary.of(
            clips, f"{name} ({how})", splits, hours=clips.hours, notes=(*notes, *_notes_on_columns(clips))
        )


@dataclass(frozen=True)
class OpenedDatasets(OpenedData):
    """A data set that `datasets` has read, by split."""

    source: Source
    datasets: Mapping[str, Dataset]
    given: Vocabulary | None
    subset: str | None = None

    @cached_property
    @override
    def splits(self) -> Sequence[str]:
        return list(self.datasets)

    @override
    def count(self, split: str) -> int:
        return len(self.datasets[split])

    @override
    def load(self, parts: Parts, options: LoadOptions, notes: Sequence[str] = ()) -> LoadedParts:
        unknown = sorted({split for splits in parts.values() for split in splits}.difference(self.datasets))
        if unknown:
            raise ValueError(f"Expected splits of the data set, {', '.join(self.datasets)}, got {unknown}.")
        vocabulary = self.given or vocabulary_of_datasets(self.datasets)
        loaded = {}
        for part, splits in parts.items():
            clips = [clips_of_dataset(self.datasets[split], split, vocabulary) for split in splits]
            name = f"{self.source.name} {', '.join(splits)} (a data set of datasets)"
            summaries = [
                LoadSummary.of(own, name, {split: len(own)}, hours=own.hours, notes=_notes_on_columns(own))
                for own, split in zip(clips, splits, strict=True)
            ]
            loaded[part] = _join(list(zip(clips, summaries, strict=True)))
        return _reported(loaded, options, notes)


def open_data(
    source: Source, place: Place, settings: Mapping[str, Any]
) -> OpenedFolder | OpenedShards | OpenedDatasets:
    """A vocabulary and a split are all the settings that shards and data sets have."""
    vocabulary, split = settings.get("vocabulary"), settings.get("split")
    data = _dataset_at(place)
    shards = place if data is None and holds_shards(place) and not (source.key == "own" and _is_table(place)) else None
    if settings.keys() - {"vocabulary", "split"} or (data is None and shards is None):
        return OpenedFolder(source, place, settings)
    classes = None if vocabulary is None else read_vocabulary(vocabulary, [])
    if data is None:
        return OpenedShards(source, shards, classes, split)
    datasets = dict(data) if isinstance(data, DatasetDict) else {split or ONE_SPLIT: data}
    if split is not None and split not in datasets:
        raise ValueError(f"Expected a split of the data set, {', '.join(datasets)}, got {split!r}.")
    return OpenedDatasets(source, datasets if split is None else {split: datasets[split]}, classes)


def _dataset_at(place: Place) -> Dataset | DatasetDict | None:
    """A data set of `datasets`, or what one was saved to; none where it is something else."""
    if isinstance(place, Dataset | DatasetDict):
        return place
    saved = ("dataset_dict.json", "state.json")
    if isinstance(place, str | Path) and any((Path(place) / name).is_file() for name in saved):
        with reading(place, "a data set that save_to_disk has written"):
            return load_from_disk(str(place))
    return None


def _is_table(place: Shards) -> bool:
    """Whether this is a parquet file of clips whose audio lies elsewhere."""
    if not isinstance(place, str | Path) or not str(place).endswith(".parquet") or not Path(place).is_file():
        return False
    with reading(place, "clips as parquet"):
        return "audio" not in pq.read_schema(place).names


def _notes_on_columns(clips: Clips) -> tuple[str, ...]:
    """Where columns of others make segments or groups of clips, sentences: they may have meant something else."""
    groups = ("Clips of one group stay together where training clips are parted.",) if "group" in clips.features else ()
    if "start" not in clips.features:
        return groups
    blank = {name: clips.column(name).count(None) for name in ("start", "end")}
    return (
        "Clips are the parts of their audio from start to end.",
        *(
            f"{count} of {len(clips)} clips have no {name}: they {name} with their audio."
            for name, count in blank.items()
            if 0 < count < len(clips)
        ),
        *groups,
    )


def _join(pairs: Sequence[tuple[Clips, LoadSummary]]) -> tuple[Clips, LoadSummary]:
    if len(pairs) == 1:
        return pairs[0]
    clips = concatenate_datasets([clips.dataset() for clips, _ in pairs])
    return IndexedClips(clips), LoadSummary.joined([summary for _, summary in pairs])


def _reported(
    loaded: Mapping[str, tuple[Clips, LoadSummary]], options: LoadOptions, notes: Sequence[str]
) -> LoadedParts:
    noted = {
        part: (clips, replace(summary, notes=(*summary.notes, *notes))) for part, (clips, summary) in loaded.items()
    }
    if not options.quiet:
        for _, summary in noted.values():
            print(summary)
    return noted
