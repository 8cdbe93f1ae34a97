"""Loaders of tagging data in one schema: any `Source` from a folder, a table or shards. Knows no models, no recipes.

All data have the features of `schema.tagging_features`, audio undecoded, classes in the vocabulary's order. What was
found is printed unless one asks for `quiet`; `load` and `load_splits` return it too.

Data may also be shards, parquet files or WebDataset tars: a folder of them, an address such as
`hf://datasets/owner/name@revision/folder`, one file, or a list. And they may be a `Dataset` or a `DatasetDict` of
`datasets` with audio and labels, or the folder that one was saved to.

All raise `FileNotFoundError` where a folder, a list or all of its clips are missing, and `ValueError` where a list is
not in its format, an argument is out of range, or none of the clips is readable.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict
from typing_extensions import Unpack

from psla_hf.data.sources import SOURCES, EscSubset, Source
from psla_hf.labels.vocabulary import Vocabulary

from .made_splits import Division
from .opened import LoadedParts, OpenedData, OpenedFolder, OpenedShards, Parts, Place, open_data
from .shards.parquet import ShardedClips
from .splits import ONE_SPLIT
from .summary import LoadArguments, Loaded, LoadOptions

__all__ = [
    "load",
    "load_audioset",
    "load_esc",
    "load_fsd50k",
    "load_splits",
    "load_tagging_dataset",
]


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
    may_fold = source.key == "own" and (folds is not None or bool(settings.get("fold_column")))
    given = source.check(1 if may_fold else fold, settings)
    data = _divided(open_data(source, place, given), source, place, Division(split_seed, folds))
    if may_fold:
        source = replace(source, num_folds=len(data.splits))
    if options.streaming and not isinstance(data, OpenedShards):
        raise ValueError(
            f"Streaming is for what does not fit: expected parquet shards in {place}, as "
            f"psla_hf.data.shards.prepare.prepare makes them. Load {dataset} by index."
        )
    splits = source.parts(fold, data.splits, place)
    absent = [part for part in parts or () if part not in splits]
    if absent:
        raise ValueError(f"Expected parts of {source.title}, {', '.join(splits)}, got {absent}.")
    if options.streaming and isinstance(data, OpenedShards) and not data.is_parquet(splits["train"]):
        raise ValueError(f"Expected parquet shards to stream, tars in {place} have no index. Load them by index.")
    notes = [] if source.splits else _notes_on_rest(data, splits)
    loaded: LoadedParts = {}
    for streaming in (True, False):
        chosen = {
            part: splits[part] for part in parts or splits if (options.streaming and part == "train") == streaming
        }
        if chosen:
            loaded |= data.load(chosen, _complete(options, source, streaming), notes)
    ordered = {part: loaded[part] for part in parts or splits}
    made = data.divided[1] if isinstance(data, OpenedFolder) and data.division is not None else None
    result = _loaded(source, ordered, fold if source.num_folds else None, data.subset)
    return replace(result, made=made)


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
    data = open_data(source, place, source.check(1, settings))
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
    row, `train:7`. With columns `start` and `end` clips are segments of their audio, with `label_values` their labels
    are soft, from 0 to 1. A parquet file without audio is a table.

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
        end_column: That of ends, or of durations if it is called `duration` or `length`.
        split_column: That of splits; empty for none.
        group_column: That of groups of clips that belong together, such as recordings or places: none may be in
            several splits. The data set has it as `group`.
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


def _divided(data: OpenedData, source: Source, place: Place, division: Division) -> OpenedData:
    """The data with splits that are made, if they are own ones in a folder or a table; others are divided already."""
    if isinstance(data, OpenedFolder) and source.key == "own":
        return replace(data, division=division)
    if any(asked is not None for asked in division):
        raise ValueError(
            f"split_seed and folds would have no effect on {source.title} in {place}, which are divided as "
            "they are. Leave them out."
        )
    return data


def _notes_on_rest(data: OpenedData, parts: Parts) -> list[str]:
    """How many clips are in no part, a sentence; nobody looks whether these are there."""
    rest = [split for split in data.splits if not any(split in splits for splits in parts.values())]
    counts = [data.count(split) for split in rest]
    clips = "Clips" if None in counts else f"{sum(count or 0 for count in counts)} listed clips"
    return [f"{clips} of the splits {', '.join(rest)} are in no part."] if rest else []


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


def _loaded(source: Source, parts: LoadedParts, fold: int | None, subset: str | None) -> Loaded:
    clips, summaries = ({part: pair[k] for part, pair in parts.items()} for k in range(2))
    return Loaded(source.key, clips, summaries, fold, subset)  # type: ignore[arg-type]  # mypy does not see which k


def _datasets(
    key: str, place: Place, parts: Parts | None, settings: Mapping[str, Any], arguments: LoadArguments, fold: int = 1
) -> dict[str, AnyDataset]:
    """What the loaders of single data sets return, by part: those given, else those for a fold, else the splits."""
    source = SOURCES[key]
    given = source.check(fold, settings)
    _check_splits(source, parts or {})
    options = _complete(LoadOptions(**arguments), source, arguments.get("streaming", False))
    data = open_data(source, place, given)
    if parts is None:
        parts = (
            source.parts(fold, data.splits, place) if source.num_folds else {split: [split] for split in data.splits}
        )
    if options.streaming and isinstance(data, OpenedShards):
        return {part: _stream(data, splits, options) for part, splits in parts.items()}
    loaded = {part: clips.dataset() for part, (clips, _) in data.load(parts, options).items()}
    return {part: clips.to_iterable_dataset() for part, clips in loaded.items()} if options.streaming else {**loaded}


def _stream(data: OpenedShards, splits: Sequence[str], options: LoadOptions) -> IterableDataset:
    """Nothing is kept, and each file is a shard of the stream."""
    by_split = {split: data.files(split) for split in splits}
    files = [file for of_split in by_split.values() for file in of_split]
    read, how, features, _, index = data.reader(files, ", ".join(splits))
    if index is not None and not options.quiet:
        print(data.summary(ShardedClips.of(index), index.count(by_split), f"{len(files)} shards, streamed"))
    elif not options.quiet:
        print(f"{data.source.name}: {len(files)} tars, streamed. A tar has no index, so that clips are not counted.")
    return IterableDataset.from_generator(read, features=features, gen_kwargs=how)


def _as_dict(data: Mapping[str, AnyDataset]) -> DatasetDict | IterableDatasetDict:
    streamed = any(isinstance(clips, IterableDataset) for clips in data.values())
    return IterableDatasetDict(data) if streamed else DatasetDict(data)
