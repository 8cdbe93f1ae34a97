"""Loaders of tagging data: AudioSet, FSD50K, ESC and own data, in one schema. Knows no models and no recipes.

Every loader returns data with the features of `schema.tagging_features`, audio undecoded. Classes are in the
vocabulary's order. What was found is printed, and saved as JSON with every missing and unreadable clip by name.

The source of all but ESC may also be shards, parquet files or WebDataset tars: a folder of them, an address such as
`hf://datasets/owner/name@revision/folder`, one file, or a list. See `shard_loading.load_shards`.

All loaders share these arguments:

- `incomplete`: what to do about listed clips that are missing or unreadable, `"drop"` them or `"raise"`.
- `read_headers`: read each file's header, for its length and to see that it is audio. `False` is faster: hours are then
  unknown, and what is unreadable shows when it is decoded.
- `streaming`: return an `IterableDataset` of the same clips in the same order.
- `quiet`: print nothing.
- `summary_path`: where to save the summary; by default in the folder `psla_hf` of the cache of `datasets`.

All raise `FileNotFoundError` where a folder, a list or all of its clips are missing, and `ValueError` where a list is
not in its format, an argument is out of range, or none of the clips is readable.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict

from .labels import Vocabulary
from .layouts import (
    AUDIOSET_SPLITS,
    ESC50_TO_AUDIOSET,
    FSD50K_SPLITS,
    EscSubset,
    audioset_listing,
    check_split,
    esc_listing,
    fsd50k_listing,
    read_vocabulary,
)
from .listing import Incomplete, LoadOptions, load_clips, load_parts
from .shard_loading import AUDIOSET_SHARD_NAMES, FSD50K_SHARD_NAMES, find_shards, holds_shards, load_shards
from .tables import ONE_SPLIT, own_listing

__all__ = ["ESC50_TO_AUDIOSET", "NUM_ESC_FOLDS", "load_audioset", "load_esc", "load_fsd50k", "load_tagging_dataset"]

NUM_ESC_FOLDS = 5

Source = str | Path | Sequence[str | Path]


def load_audioset(
    source: Source,
    split: str = "balanced_train",
    *,
    segments: str | Path | None = None,
    vocabulary: str | Path | Vocabulary | None = None,
    incomplete: Incomplete = "drop",
    read_headers: bool = True,
    streaming: bool = False,
    quiet: bool = False,
    summary_path: str | Path | None = None,
) -> Dataset | IterableDataset:
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
        incomplete: `"drop"` listed clips that are missing or unreadable, or `"raise"`.
        read_headers: Read every file's header, for its length and to see that it is audio.
        streaming: Return what is iterable.
        quiet: Print nothing.
        summary_path: Where to save the summary.
    """
    options = LoadOptions(incomplete, read_headers, streaming, quiet, summary_path)
    check_split(split, AUDIOSET_SPLITS)
    if segments is None and holds_shards(source):
        return _shards(source, split, AUDIOSET_SHARD_NAMES, "AudioSet", vocabulary, options)
    return load_clips(audioset_listing(_one(source), split, segments, vocabulary), options)


def load_fsd50k(
    source: Source,
    split: str = "train",
    *,
    vocabulary: str | Path | Vocabulary | None = None,
    incomplete: Incomplete = "raise",
    read_headers: bool = True,
    streaming: bool = False,
    quiet: bool = False,
    summary_path: str | Path | None = None,
) -> Dataset | IterableDataset:
    """Load FSD50K from its official folders `FSD50K.dev_audio`, `FSD50K.eval_audio` and `FSD50K.ground_truth`.

    Args:
        source: The folder that holds the three, or shards: parquet files or tars.
        split: `train`, `val` or `eval`.
        vocabulary: A table of classes, or what it holds; by default `FSD50K.ground_truth/vocabulary.csv`. The names and
            the mids of every clip must be the same classes of it.
        incomplete: `"drop"` listed clips that are missing or unreadable, or `"raise"`.
        read_headers: Read every file's header, for its length and to see that it is audio.
        streaming: Return what is iterable.
        quiet: Print nothing.
        summary_path: Where to save the summary.
    """
    options = LoadOptions(incomplete, read_headers, streaming, quiet, summary_path)
    check_split(split, FSD50K_SPLITS)
    if holds_shards(source):
        return _shards(source, split, FSD50K_SHARD_NAMES, "FSD50K", vocabulary, options)
    return load_clips(fsd50k_listing(_one(source), split, vocabulary), options)


def load_esc(
    data_dir: str | Path,
    fold: int,
    subset: EscSubset | None = None,
    *,
    incomplete: Incomplete = "raise",
    read_headers: bool = True,
    streaming: bool = False,
    quiet: bool = False,
    summary_path: str | Path | None = None,
) -> DatasetDict | IterableDatasetDict:
    """Load ESC-50 or ESC-10 from a folder: splits `train` (four folds) and `test` (the held-out one).

    Two layouts are understood: the official one (`audio/*.wav`, `meta/esc50.csv`) and ESC-10 by itself (`audio/*`,
    `esc10.csv`). Classes are ordered by the official `target`; one that AudioSet has too (`ESC50_TO_AUDIOSET`) has the
    mid of that class. The column `split` says the fold, such as `fold 1`.

    Args:
        data_dir: The folder.
        fold: The fold to hold out, 1 to 5.
        subset: `"esc10"` picks ESC-10 out of ESC-50, `"audioset"` the classes that AudioSet has too; by default
            everything that the table lists is loaded.
        incomplete: `"drop"` listed clips that are missing or unreadable, or `"raise"`.
        read_headers: Read every file's header, for its length and to see that it is audio.
        streaming: Return what is iterable.
        quiet: Print nothing.
        summary_path: Where to save the summary.
    """
    options = LoadOptions(incomplete, read_headers, streaming, quiet, summary_path)
    if fold not in range(1, NUM_ESC_FOLDS + 1):
        raise ValueError(f"Expected fold 1 to {NUM_ESC_FOLDS}, got {fold}.")
    listing = esc_listing(data_dir, subset)
    held_out = f"fold {fold}"
    others = [split for split in listing.splits if split != held_out]
    if not others or held_out not in listing.splits:
        raise ValueError(f"Expected clips in fold {fold} and in others, the table has {sorted(listing.splits)}.")
    return load_parts(listing, {"train": others, "test": [held_out]}, options)


def load_tagging_dataset(
    source: Source,
    *,
    audio_dir: str | Path | None = None,
    vocabulary: str | Path | Vocabulary | None = None,
    split: str | None = None,
    separator: str | None = None,
    incomplete: Incomplete = "raise",
    read_headers: bool = True,
    streaming: bool = False,
    quiet: bool = False,
    summary_path: str | Path | None = None,
) -> Dataset | DatasetDict | IterableDataset | IterableDatasetDict:
    """Load own data: a table of clips, or a folder laid out as for `audiofolder` of `datasets`.

    A table is a CSV or a JSON-lines file. Its columns: the file as `file_name`, `file`, `path`, `filename`, `fname` or
    `wav` (the first that is there), the labels as `labels` or `label`, and, if wanted, `split` and `id` (by default the
    path without its ending). A folder holds such a table as `metadata.csv` or `metadata.jsonl`, or else one folder of
    audio per class. If all its folders have the names of splits, such as `train` and `test`, each is a split and holds
    one of the two.

    Labels are names, mids or indices of the classes: a list (in JSON lines, or as a JSON list in a CSV), one number, or
    a string in which `;`, `|` or `,` separates them, the first of the three that occurs in the column. A string that as
    a whole is a class of the vocabulary is that class, whatever it contains, and does not count in finding the
    separator; without a vocabulary a column of names with commas needs lists, another separator, or `separator`.
    An empty string or list is a clip without labels, and empty pieces (`"dog;"`) do not count.

    Args:
        source: The table, the folder, or shards.
        audio_dir: What the files in the table are relative to; by default the table's own folder.
        vocabulary: A table of classes, or what it holds. By default the classes are the names that occur in any split,
            in alphabetical order.
        split: Load this split only.
        separator: Separates the labels in a string; then no string is taken as a whole.
        incomplete: `"drop"` listed clips that are missing or unreadable, or `"raise"`.
        read_headers: Read every file's header, for its length and to see that it is audio.
        streaming: Return what is iterable.
        quiet: Print nothing.
        summary_path: Where to save the summary.

    Returns:
        One data set if `split` is given or the source has no splits (`split` is `all` then), else one by split.
    """
    options = LoadOptions(incomplete, read_headers, streaming, quiet, summary_path)
    if holds_shards(source):
        return _shards(source, split, {}, "own data", vocabulary, options)
    classes = None if vocabulary is None else read_vocabulary(vocabulary, [])
    listing = own_listing(_one(source), audio_dir, classes, split, separator)
    if split is not None or listing.splits == [ONE_SPLIT]:
        return load_clips(listing, options)
    return load_parts(listing, {name: [name] for name in listing.splits}, options)


def _shards(
    source: Source,
    split: str | None,
    names: Mapping[str, tuple[str, ...]],
    what: str,
    vocabulary: str | Path | Vocabulary | None,
    options: LoadOptions,
) -> Dataset | IterableDataset:
    """What the loaders do with parquet files and tars."""
    files = find_shards(source, split, names)
    classes = None if vocabulary is None else read_vocabulary(vocabulary, [])
    return load_shards(files, classes, split or ONE_SPLIT, f"{what} {split or ''} ({len(files)} shards)", options)


def _one(source: Source) -> str | Path:
    """The folder or table, where it is no list of shards."""
    assert isinstance(source, str | Path)
    return source
