"""Loaders of tagging data in one schema: any `Source` from a folder, a table or shards. Knows no models, no recipes.

All data have the features of `schema.tagging_features`, audio undecoded, classes in the vocabulary's order. What was
found is printed unless one asks for `quiet`; `load` and `load_splits` return it too.

Data may also be shards, parquet files or WebDataset tars: a folder of them, an address such as
`hf://datasets/owner/name@revision/folder`, one file, or a list. And they may be a `Dataset` or a `DatasetDict` of
`datasets` with audio and labels, or the folder that one was saved to.

All raise `FileNotFoundError` where a folder, a list or all of its clips are missing, and `ValueError` where a list is
not in its format, an argument is out of range, or none of the clips is readable.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict, concatenate_datasets, load_from_disk
from typing_extensions import Unpack

from psla_hf.data.sources import SOURCES, EscSubset, Source
from psla_hf.files import digest, read_json, reading
from psla_hf.labels.vocabulary import Vocabulary

from .foreign import clips_of_dataset, vocabulary_of_datasets
from .listing import Listing, load_listing, read_vocabulary
from .made_splits import Division, MadeSplits, with_splits
from .remote import REMOTE, files_version
from .schema import Clips, IndexedClips, tagging_features
from .shard_files import MANIFEST, Shards, all_shards, find_shards, holds_shards, shards_by_split
from .shards import ShardedClips, ShardIndex, iterate_parquet, names_that_occur
from .splits import ONE_SPLIT
from .summary import LoadArguments, Loaded, LoadOptions, LoadSummary
from .tars import iterate_tar

__all__ = [
    "load",
    "load_audioset",
    "load_esc",
    "load_fsd50k",
    "load_splits",
    "load_tagging_dataset",
]


Place: TypeAlias = Shards | Dataset | DatasetDict

Parts: TypeAlias = Mapping[str, Sequence[str]]  # the splits of each part

AnyDataset: TypeAlias = Dataset | IterableDataset

DEFAULTS = LoadOptions()


def load(
    dataset: str,
    place: Place,
    options: LoadOptions = DEFAULTS,
    *,
    parts: Collection[str] | None = None,
    fold: int = 1,
    split_seed: int | None = None,
    folds: int | None = None,
    **settings: Any,
) -> Loaded:
    """Load the parts of a data set that a run needs: `train`, `test` and, where there is one, `validation`.

    Args:
        dataset: A key of `sources.SOURCES`.
        place: The folder, table or shards.
        options: How. Streamed, the clips to train on are `ShardedClips` of parquet shards; the others are loaded.
        parts: Only these.
        fold: The fold to hold out and test on, for data with folds.
        split_seed: Of the splits that are made for own data that have none, see `made_splits.with_splits`.
        folds: Make so many folds of own data instead.
        **settings: Those of the data set, such as `vocabulary` or `subset`; none as if left out.

    Raises:
        FileNotFoundError: Data are missing.
        ValueError: There is no such data set or part, a setting would have no effect, or there are no shards to stream.
    """
    source = _source(dataset)
    may_fold = source.key == "own" and bool(folds or settings.get("fold_column"))
    given = source.check(1 if may_fold else fold, settings)
    data = _open(source, place, given)
    if isinstance(data, _Folder) and source.key == "own":
        data = replace(data, division=Division(split_seed, folds))
    elif split_seed is not None or folds is not None:
        raise ValueError(
            f"split_seed and folds would have no effect on {source.title} in {place}, which are divided as they are. "
            "Leave them out."
        )
    if may_fold:
        source = replace(source, num_folds=len(data.splits))
    if options.streaming and not isinstance(data, _Shards):
        raise ValueError(
            f"Streaming is for what does not fit: expected parquet shards in {place}, as psla_hf.data.prepare.prepare "
            f"makes them. Load {dataset} by index."
        )
    splits = source.parts(fold, data.splits, place)
    absent = [part for part in parts or () if part not in splits]
    if absent:
        raise ValueError(f"Expected parts of {source.title}, {', '.join(splits)}, got {absent}.")
    if options.streaming and isinstance(data, _Shards) and not data.is_parquet(splits["train"]):
        raise ValueError(f"Expected parquet shards to stream, tars in {place} have no index. Load them by index.")
    loaded: LoadedParts = {}
    for streaming in (True, False):
        chosen = {
            part: splits[part] for part in parts or splits if (options.streaming and part == "train") == streaming
        }
        if chosen:
            loaded |= data.load(chosen, _complete(options, source, streaming))
    ordered = {part: loaded[part] for part in parts or splits}
    made = data.divided[1] if isinstance(data, _Folder) and data.division is not None else None
    return replace(_loaded(source, ordered, fold if source.num_folds else None, data.subset), made=made)


def load_splits(
    dataset: str,
    place: Place,
    options: LoadOptions = DEFAULTS,
    *,
    splits: Collection[str] | None = None,
    **settings: Any,
) -> Loaded:
    """Load splits of a data set, each as a part, for example to prepare them.

    Args:
        dataset: A key of `sources.SOURCES`.
        place: The folder, table or shards.
        options: How. Streamed, what is in parquet shards becomes `ShardedClips`: no copy is made of it.
        splits: Only these; by default all, those of shards without known names as `all`.
        **settings: Those of the data set, such as `vocabulary` or `subset`; none as if left out.
    """
    source = _source(dataset)
    given = source.check(1, settings)
    data = _open(source, place, given)
    chosen = {split: [split] for split in splits or data.splits or [ONE_SPLIT]}
    _check_splits(source, chosen)
    return _loaded(source, data.load(chosen, _complete(options, source, options.streaming)), None, data.subset)


def load_audioset(
    source: Place,
    split: str = "balanced_train",
    *,
    segments: str | Path | None = None,
    vocabulary: str | Path | Vocabulary | None = None,
    **options: Unpack[LoadArguments],
) -> AnyDataset:
    """Load the clips of AudioSet that are there: videos disappear, so nobody has all.

    The audio may lie at any depth under the folder. AudioSet itself names no files; understood are the YouTube id, or
    the id with a Y before it, or with the start, or start and end, after it, in seconds or milliseconds: `ID.wav`,
    `YID.wav`, `ID_30.000.flac`, `ID_30_40.wav`, `ID_30000_40000.flac`, `YID_30.000_40.000.wav` (the times are not
    compared: no video is in AudioSet twice). Endings are wav, flac, ogg, opus, mp3, m4a and webm. Of several files of
    one clip the first is taken, folder by folder in alphabetical order, and the summary says so.

    Args:
        source: The folder, or shards: parquet files with the columns `video_id`, `audio` and `labels` (mids) as in
            `agkphysics/AudioSet` on the Hub, tars with a JSON per clip, or prepared shards.
        split: `balanced_train`, `unbalanced_train` or `eval`.
        segments: The official list, `<split>_segments.csv`; by default the one in the folder or in its folder
            `metadata`. Or a list of PSLA's own, `{"data": [{"wav": path, "labels": "mid,mid"}]}` in a `.json`, with
            paths relative to the folder or absolute; a clip's id is then the name of its file.
        vocabulary: `class_labels_indices.csv`, or what it holds; by default looked for beside the list, then in
            the folder and its folder `metadata`.
        **options: See `LoadOptions`.
    """
    settings = {"segments": segments, "vocabulary": vocabulary}
    return _datasets("audioset_full", source, {split: [split]}, settings, options)[split]


def load_fsd50k(
    source: Place,
    split: str = "train",
    *,
    vocabulary: str | Path | Vocabulary | None = None,
    **options: Unpack[LoadArguments],
) -> AnyDataset:
    """Load FSD50K from its official folders `FSD50K.dev_audio`, `FSD50K.eval_audio` and `FSD50K.ground_truth`.

    Args:
        source: The folder that holds the three, or shards: parquet files or tars.
        split: `train`, `val` or `eval`.
        vocabulary: A table of classes, or what it holds; by default `FSD50K.ground_truth/vocabulary.csv`. The names and
            the mids of every clip must be the same classes of it.
        **options: See `LoadOptions`.
    """
    return _datasets("fsd50k", source, {split: [split]}, {"vocabulary": vocabulary}, options)[split]


def load_esc(
    data_dir: Place, fold: int, subset: EscSubset | None = None, **options: Unpack[LoadArguments]
) -> DatasetDict | IterableDatasetDict:
    """Load ESC-50 or ESC-10: splits `train` (four folds) and `test` (the held-out one).

    Two layouts are understood: the official one (`audio/*.wav`, `meta/esc50.csv`) and ESC-10 by itself (`audio/*`,
    `esc10.csv`). Classes are ordered by the official `target`; one that AudioSet has too (`ESC50_TO_AUDIOSET`) has the
    mid of that class. The column `split` says the fold, such as `fold 1`.

    Args:
        data_dir: The folder, or prepared shards.
        fold: The fold to hold out, 1 to 5.
        subset: `"esc10"` picks ESC-10 out of ESC-50, `"audioset"` the classes that AudioSet has too; by default
            everything that the table lists is loaded.
        **options: See `LoadOptions`.
    """
    return _as_dict(_datasets("esc", data_dir, None, {"subset": subset}, options, fold))


def load_tagging_dataset(
    source: Place,
    *,
    audio_dir: str | Path | None = None,
    vocabulary: str | Path | Vocabulary | None = None,
    split: str | None = None,
    separator: str | None = None,
    negatives: float | None = None,
    file_column: str | None = None,
    label_column: str | None = None,
    start_column: str | None = None,
    end_column: str | None = None,
    split_column: str | None = None,
    group_column: str | None = None,
    fold_column: str | None = None,
    **options: Unpack[LoadArguments],
) -> AnyDataset | DatasetDict | IterableDatasetDict:
    """Load own data: a table of clips, a folder laid out as for `audiofolder` of `datasets`, shards, or a `Dataset`.

    A table is a CSV (or its like with tabs or semicolons), a JSON-lines or a parquet file. Its columns: the file as
    `file_name`, `file`, `path`, `filename`, `fname` or `wav` (the first that is there), the labels as `labels` or
    `label`, and, if wanted, `split` and `id` (by default the path without its ending); others are noted as not used.
    Where none of these is there, one called alike is taken and noted, such as `Species` or `segment_id`; several are
    refused until one is passed. A file that is not where the table says may lie anywhere below, if its name is the only
    one of the kind.
    A folder holds such tables, `metadata.csv`, `.jsonl` or `.parquet`, each of the files beside and below it; or else
    audio in folders, and the folder next to a file is its class. A folder further up that is called like a split, such
    as `train`, `Test` or `dev_data`, is the split `train`, `test` or `validation`. What is passed over is noted.

    With columns `start` and `end` in seconds (`12.5`, `1:02.5`, `1:02:03`; nothing for the file's own) a row is a
    segment of its file, and the data set has these two columns. Rows with the same file, start and end are one clip
    with all their labels, called `path:start-end`. A segment also has the labels of those that overlap it by at least
    half of the shorter one's length.

    Selection tables of Raven and labels of Audacity are such tables: of the recording that lies beside them under the
    same name (`rec.Table.1.selections.txt`, `rec.txt`), or of the files that they name. So is a folder, at any depth,
    of recordings with a table beside each.

    Shards, and data sets of `datasets`, in memory or saved to a folder, have a column `audio` of bytes or paths and one
    of labels. Clips without an id are called by shard and row, such as `data/train-00000-of-00012:7`, or by split and
    row, `train:7`.

    Labels are names, mids or indices of the classes: a list (in JSON lines, or as a JSON list in a CSV), one number, or
    a string in which `;`, `|` or `,` separates them, the first of the three that occurs in the column. A string that as
    a whole is a class of the vocabulary is that class, whatever it contains, and does not count in finding the
    separator; without a vocabulary a column of names with commas needs lists, another separator, or `separator`.
    An empty string or list is a clip without labels; empty pieces (`"dog;"`) and words for nothing (`nan`, `None`,
    `null`) do not count. Cells with `;` beside cells with `|` are refused.

    Args:
        source: The table, the folder, shards, a `Dataset` or a `DatasetDict`.
        audio_dir: What the files in the table are relative to; by default the table's own folder.
        vocabulary: A table of classes, or what it holds. By default the classes are the names that occur in any split,
            in alphabetical order.
        split: Load this split only.
        separator: Separates the labels in a string; then no string is taken as a whole.
        negatives: Make clips of at most so many seconds, without labels, of what no segment covers of the files named.
        file_column: The column of files, where its name does not say so, or says it of several.
        label_column: That of labels.
        start_column: That of starts; empty for clips that are whole files, whatever the table has.
        end_column: That of ends.
        split_column: That of splits; empty for none.
        group_column: That of groups of clips that belong together, such as recordings or places.
        fold_column: That of folds, which are then the splits, such as `fold 1`.
        **options: See `LoadOptions`.

    Returns:
        One data set if `split` is given or the source has no splits (`split` is `all` then), else one by split.
    """
    settings = {
        "audio_dir": audio_dir,
        "vocabulary": vocabulary,
        "split": split,
        "separator": separator,
        "negatives": negatives,
        "file_column": file_column,
        "label_column": label_column,
        "start_column": start_column,
        "end_column": end_column,
        "split_column": split_column,
        "group_column": group_column,
        "fold_column": fold_column,
    }
    data = _datasets("own", source, None, settings, options)
    return next(iter(data.values())) if split is not None or list(data) == [ONE_SPLIT] else _as_dict(data)


def _source(dataset: str) -> Source:
    if dataset not in SOURCES:
        raise ValueError(f"Expected a data set of {', '.join(SOURCES)}, got {dataset!r}.")
    return SOURCES[dataset]


def _check_splits(source: Source, parts: Parts) -> None:
    """Refuse a split that a data set does not have."""
    for split in (split for splits in parts.values() for split in splits):
        if source.splits and split not in source.splits:
            raise ValueError(f"Expected split {', '.join(source.splits)}, got {split!r}.")


def _complete(options: LoadOptions, source: Source, streaming: bool) -> LoadOptions:
    return replace(options, incomplete=options.incomplete or source.incomplete, streaming=streaming)


LoadedParts: TypeAlias = dict[str, tuple[Clips, LoadSummary]]


def _loaded(source: Source, parts: LoadedParts, fold: int | None, subset: str | None) -> Loaded:
    clips, summaries = ({part: pair[k] for part, pair in parts.items()} for k in range(2))
    return Loaded(source.key, clips, summaries, fold, subset)  # type: ignore[arg-type]  # mypy does not see which k


@dataclass(frozen=True)
class _Folder:
    """A data set's folder or table."""

    source: Source
    place: Place
    settings: Mapping[str, Any]
    division: Division | None = None

    @cached_property
    def splits(self) -> Sequence[str]:
        return self.source.splits or self.listing.splits

    @cached_property
    def divided(self) -> tuple[Listing, MadeSplits | None]:
        listing = self.source.list_folder(self.place, **self.settings)
        return (listing, None) if self.division is None else with_splits(listing, *self.division)

    @property
    def listing(self) -> Listing:
        return self.divided[0]

    @property
    def subset(self) -> str | None:
        return None if self.source.splits else self.listing.subset

    def load(self, parts: Parts, options: LoadOptions) -> LoadedParts:
        loaded: Mapping[str, tuple[Clips, LoadSummary]]
        if self.source.splits:  # each has a list of its own
            loaded = {part: self._joined(splits, options) for part, splits in parts.items()}
        else:
            unknown = sorted({split for splits in parts.values() for split in splits}.difference(self.splits))
            if unknown:
                raise ValueError(f"Expected splits of {self.place}, {', '.join(self.splits)}, got {unknown}.")
            loaded = load_listing(self.listing, options, parts)
        return _reported(loaded, options)

    def _joined(self, splits: Sequence[str], options: LoadOptions) -> tuple[Clips, LoadSummary]:
        listings = [self.source.list_folder(self.place, split=split, **self.settings) for split in splits]
        return _join([pair for listing in listings for pair in load_listing(listing, options).values()])


@dataclass(frozen=True)
class _Shards:
    """A data set's parquet files or tars."""

    source: Source
    place: Place
    given: Vocabulary | None
    split: str | None = None

    @cached_property
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
        return find_shards(self.place, None if split == ONE_SPLIT else split, self.source.shard_names, self.shards)

    def is_parquet(self, splits: Sequence[str]) -> bool:
        return all(file.endswith(".parquet") for split in splits for file in self.files(split))

    def load(self, parts: Parts, options: LoadOptions) -> LoadedParts:
        make = self._streamed if options.streaming else self._joined
        return _reported({part: make(splits) for part, splits in parts.items()}, options)

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
            read, how, version, _ = self.reader(files, split)
            # datasets would know its copy by the files' names alone, and serve it when they hold something else.
            key = repr((version, how["vocabulary"].fingerprint, split))
            dataset = Dataset.from_generator(
                read,
                features=tagging_features(how["vocabulary"]),
                gen_kwargs=how,
                fingerprint=digest(key),
            )
            clips = IndexedClips(dataset)
            pairs.append((clips, self.summary(clips, {split: len(clips)}, f"{len(files)} shards")))
        return _join(pairs)

    def reader(
        self, files: Sequence[str], split: str
    ) -> tuple[Callable[..., Iterator[dict[str, Any]]], dict[str, Any], str, ShardIndex | None]:
        """What yields the clips of files in the schema, its arguments, what changes when files do, and their index."""
        how = {"files": list(files), "vocabulary": self.vocabulary, "split": split}
        if files[0].endswith(".parquet"):
            index = ShardIndex.open(files, self.vocabulary)
            return iterate_parquet, {**how, "vocabulary": index.vocabulary}, index.version, index
        if self.vocabulary is None:
            raise ValueError(f"Tars such as {files[0]} do not say what their classes are. Pass the vocabulary.")
        return iterate_tar, how, files_version(files), None

    def summary(self, clips: Clips, splits: Mapping[str, int], how: str) -> LoadSummary:
        """What shards hold, by split."""
        name = " ".join(part for part in (self.source.name, ", ".join(splits)) if part != ONE_SPLIT)
        notes = () if clips.hours is not None else ("The shards do not say how long their clips are.",)
        return LoadSummary.of(clips, f"{name} ({how})", splits, hours=clips.hours, notes=notes)


@dataclass(frozen=True)
class _Datasets:
    """A data set that `datasets` has read, by split."""

    source: Source
    datasets: Mapping[str, Dataset]
    given: Vocabulary | None
    subset = None

    @cached_property
    def splits(self) -> Sequence[str]:
        return list(self.datasets)

    def load(self, parts: Parts, options: LoadOptions) -> LoadedParts:
        unknown = sorted({split for splits in parts.values() for split in splits}.difference(self.datasets))
        if unknown:
            raise ValueError(f"Expected splits of the data set, {', '.join(self.datasets)}, got {unknown}.")
        vocabulary = self.given or vocabulary_of_datasets(self.datasets)
        loaded = {}
        for part, splits in parts.items():
            clips = [clips_of_dataset(self.datasets[split], split, vocabulary) for split in splits]
            name = f"{self.source.name} {', '.join(splits)} (a data set of datasets)"
            pairs = zip(clips, splits, strict=True)
            loaded[part] = _join(
                [(own, LoadSummary.of(own, name, {split: len(own)}, hours=own.hours)) for own, split in pairs]
            )
        return _reported(loaded, options)


def _open(source: Source, place: Place, settings: Mapping[str, Any]) -> _Folder | _Shards | _Datasets:
    """A vocabulary and a split are all the settings that shards and data sets have."""
    vocabulary, split = settings.get("vocabulary"), settings.get("split")
    data = _dataset_at(place)
    shards = place if data is None and holds_shards(place) else None
    if settings.keys() - {"vocabulary", "split"} or (data is None and shards is None):
        return _Folder(source, place, settings)
    classes = None if vocabulary is None else read_vocabulary(vocabulary, [])
    if data is None:
        return _Shards(source, shards, classes, split)
    datasets = dict(data) if isinstance(data, DatasetDict) else {split or ONE_SPLIT: data}
    if split is not None and split not in datasets:
        raise ValueError(f"Expected a split of the data set, {', '.join(datasets)}, got {split!r}.")
    return _Datasets(source, datasets if split is None else {split: datasets[split]}, classes)


def _dataset_at(place: Place) -> Dataset | DatasetDict | None:
    """A data set of `datasets`, or what one was saved to; none where it is something else."""
    if isinstance(place, Dataset | DatasetDict):
        return place
    saved = ("dataset_dict.json", "state.json")
    if isinstance(place, str | Path) and any((Path(place) / name).is_file() for name in saved):
        with reading(place, "a data set that save_to_disk has written"):
            return load_from_disk(str(place))
    return None


def _join(pairs: Sequence[tuple[Clips, LoadSummary]]) -> tuple[Clips, LoadSummary]:
    if len(pairs) == 1:
        return pairs[0]
    clips = concatenate_datasets([clips.dataset() for clips, _ in pairs])
    return IndexedClips(clips), LoadSummary.joined([summary for _, summary in pairs])


def _reported(loaded: Mapping[str, tuple[Clips, LoadSummary]], options: LoadOptions) -> LoadedParts:
    if not options.quiet:
        for _, summary in loaded.values():
            print(summary)
    return dict(loaded)


def _datasets(
    key: str, place: Place, parts: Parts | None, settings: Mapping[str, Any], arguments: LoadArguments, fold: int = 1
) -> dict[str, AnyDataset]:
    """What the loaders of single data sets return, by part: those given, else those for a fold, else the splits."""
    source = SOURCES[key]
    given = source.check(fold, settings)
    _check_splits(source, parts or {})
    options = _complete(LoadOptions(**arguments), source, arguments.get("streaming", False))
    data = _open(source, place, given)
    if parts is None:
        parts = (
            source.parts(fold, data.splits, place) if source.num_folds else {split: [split] for split in data.splits}
        )
    if options.streaming and isinstance(data, _Shards):
        return {part: _stream(data, splits, options) for part, splits in parts.items()}
    loaded = {part: clips.dataset() for part, (clips, _) in data.load(parts, options).items()}
    return {part: clips.to_iterable_dataset() for part, clips in loaded.items()} if options.streaming else {**loaded}


def _stream(data: _Shards, splits: Sequence[str], options: LoadOptions) -> IterableDataset:
    """Nothing is kept, and each file is a shard of the stream."""
    by_split = {split: data.files(split) for split in splits}
    files = [file for of_split in by_split.values() for file in of_split]
    read, how, _, index = data.reader(files, ", ".join(splits))
    if index is not None and not options.quiet:
        print(data.summary(ShardedClips.of(index), index.count(by_split), f"{len(files)} shards, streamed"))
    elif not options.quiet:
        print(f"{data.source.name}: {len(files)} tars, streamed. A tar has no index, so that clips are not counted.")
    return IterableDataset.from_generator(read, features=tagging_features(how["vocabulary"]), gen_kwargs=how)


def _as_dict(data: Mapping[str, AnyDataset]) -> DatasetDict | IterableDatasetDict:
    streamed = any(isinstance(clips, IterableDataset) for clips in data.values())
    return IterableDatasetDict(data) if streamed else DatasetDict(data)
