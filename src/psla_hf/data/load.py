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

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import datasets
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict, concatenate_datasets

from psla_hf.data.sources import DATASETS
from psla_hf.data.sources.audioset import AUDIOSET_SHARD_NAMES, AUDIOSET_SPLITS, audioset_listing
from psla_hf.data.sources.esc import NUM_ESC_FOLDS, EscSubset, esc_listing
from psla_hf.data.sources.fsd50k import FSD50K_SHARD_NAMES, FSD50K_SPLITS, fsd50k_listing
from psla_hf.data.sources.own import own_listing
from psla_hf.enhancement.label_set import LabelSet, with_label_set
from psla_hf.labels.vocabulary import ClipLabels, Vocabulary

from .listing import ONE_SPLIT, load_clips, load_parts, read_vocabulary
from .remote import files_version
from .schema import labels_of, tagging_features, vocabulary_of
from .shards import ShardedClips, ShardIndex, find_shards, holds_shards, iterate_parquet, iterate_tar
from .summary import Incomplete, LoadOptions, LoadSummary, report
from .training_clips import TrainingClips

__all__ = [
    "RunData",
    "check_split",
    "load_audioset",
    "load_esc",
    "load_fsd50k",
    "load_run_data",
    "load_shards",
    "load_tagging_dataset",
    "load_test_clips",
    "shards_summary",
]


def check_split(split: str, splits: tuple[str, ...]) -> None:
    """Refuse a split that a data set does not have."""
    if split not in splits:
        raise ValueError(f"Expected split {', '.join(splits)}, got {split!r}.")


def load_shards(
    files: Sequence[str], vocabulary: Vocabulary | None, split: str, source: str, options: LoadOptions
) -> Dataset | IterableDataset:
    """Clips of parquet files or WebDataset tars.

    By index, `datasets` writes a copy to its cache, which is memory-mapped; streamed, nothing is kept, and each file is
    a shard of the stream. Labels are counted from the label column alone. A tar has no such column: streamed tars are
    not counted, and have no summary.

    Args:
        files: From `find_shards`.
        vocabulary: The classes; may be none if the files carry them.
        split: Name for clips whose shards do not say.
        source: Which data, in words.
        options: How; headers are not read, a clip's length is what the shards say.

    Raises:
        ValueError: The shards are not understood, or their labels are not the vocabulary's.
    """
    if files[0].endswith(".parquet"):
        index = ShardIndex.open(files, vocabulary)
        report(shards_summary(index, split, source), files[0], options)
        how = {"files": list(files), "vocabulary": index.vocabulary, "split": split}
        return _generated(iterate_parquet, how, options.streaming, index.version)
    if vocabulary is None:
        raise ValueError(f"Tars such as {files[0]} do not say what their classes are. Pass the vocabulary.")
    how = {"files": list(files), "vocabulary": vocabulary, "split": split}
    clips = _generated(iterate_tar, how, options.streaming, files_version(files))
    if isinstance(clips, Dataset):
        seconds = clips.select_columns("seconds").with_format("arrow")[:]["seconds"]
        length = None if seconds.null_count else pc.sum(seconds).as_py()
        report(_summary(labels_of(clips), vocabulary, length, split, source), files[0], options)
    elif not options.quiet:
        print(f"{source}: {len(files)} tars, streamed. A tar has no index, so that its clips are not counted.")
    return clips


def shards_summary(index: ShardIndex, split: str, source: str) -> LoadSummary:
    """What parquet shards hold: `source` says which data in words, `split` which part."""
    return _summary(index.labels, index.vocabulary, index.seconds, split, source)


def _generated(
    generator: Callable[..., Iterator[dict[str, Any]]], how: dict[str, Any], streaming: bool, version: str
) -> Dataset | IterableDataset:
    features = tagging_features(how["vocabulary"])
    if streaming:
        return IterableDataset.from_generator(generator, features=features, gen_kwargs=how)
    # datasets would know its copy by the files' names alone, and serve it when they hold something else.
    known_by = hashlib.sha256(repr((version, how["vocabulary"].fingerprint, how["split"])).encode()).hexdigest()
    return Dataset.from_generator(generator, features=features, gen_kwargs=how, fingerprint=known_by)


def _summary(labels: ClipLabels, vocabulary: Vocabulary, seconds: float | None, split: str, source: str) -> LoadSummary:
    return LoadSummary(
        source=source,
        splits={split: len(labels)},
        listed=len(labels),
        class_counts=dict(zip(vocabulary.names, labels.class_counts().tolist(), strict=True)),
        vocabulary=vocabulary.fingerprint,
        hours=None if seconds is None else seconds / 3600,
        notes=() if seconds is not None else ("The shards do not say how long their clips are.",),
    )


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


@dataclass(frozen=True)
class RunData:
    """The parts of a data set.

    Attributes:
        train: Clips to train on, by index or in parquet shards to be streamed.
        test: Clips to test on.
        validation: Clips to choose an epoch on, where the data set has such.
        about: What each load found, in figures, by part.
    """

    train: TrainingClips
    test: Dataset
    validation: Dataset | None = None
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def num_train(self) -> int:
        """Clips to train on."""
        return len(self.train)

    @property
    def train_hours(self) -> float | None:
        """Length of the clips to train on; none where it is not known."""
        if not isinstance(self.train, Dataset):
            return None if self.train.index.seconds is None else self.train.index.seconds / 3600
        seconds = self.train.select_columns("seconds").with_format("arrow")[:]["seconds"]
        return None if seconds.null_count else pc.sum(seconds).as_py() / 3600


def load_run_data(
    dataset: str,
    data_dir: str | Path,
    *,
    fold: int = 1,
    subset: EscSubset | None = None,
    vocabulary: str | None = None,
    streaming: bool = False,
    drop_incomplete: bool = False,
    labels: str | Path | None = None,
    quiet: bool = False,
) -> RunData:
    """Load all parts of a data set.

    `audioset_balanced` and `audioset_full` (both training lists) are tested on `eval`; `fsd50k` has `train`, `val` and
    `eval`; `esc` trains on four folds and tests on the one held out; `own` is what `load_tagging_dataset` finds as
    splits `train`, `test` and, if there is one, `validation` or `val`.

    Args:
        dataset: One of `DATASETS`.
        data_dir: The folder, table or address.
        fold: ESC's, to hold out.
        subset: Of ESC-50.
        vocabulary: The classes, where the data do not say; see `data`.
        streaming: Do not load the training clips, stream them: `data_dir` holds parquet shards.
        drop_incomplete: Go on without listed clips that are missing or unreadable (AudioSet always does).
        labels: A label set, see `LabelSet.open`, whose enhanced labels the clips to train on get.
        quiet: Print no summaries.

    Raises:
        FileNotFoundError: Data are missing.
        ValueError: There is no such data set, it lacks a part, or the label set was made for other clips.
    """
    _check_choice(dataset, fold, subset, vocabulary)
    place = hashlib.sha256(str(Path(data_dir).absolute()).encode()).hexdigest()[:8]
    summaries = Path(datasets.config.HF_DATASETS_CACHE) / "psla_hf" / f"{dataset}-{place}"
    loaded: list[Path] = []

    def how(part: str) -> dict[str, Any]:
        incomplete = "drop" if drop_incomplete or dataset.startswith("audioset") else "raise"
        loaded.append(summaries / f"{part}.json")
        return {"incomplete": incomplete, "quiet": quiet, "summary_path": loaded[-1]}

    both = ("balanced_train", "unbalanced_train")
    loaders: dict[str, Callable[[], RunData]] = {
        "audioset_balanced": lambda: _audioset(data_dir, both[:1], vocabulary, streaming, how),
        "audioset_full": lambda: _audioset(data_dir, both, vocabulary, streaming, how),
        "fsd50k": lambda: _fsd50k(data_dir, vocabulary, how),
        "esc": lambda: _esc(data_dir, fold, subset, how),
        "own": lambda: _own(data_dir, vocabulary, how),
    }
    if streaming and not dataset.startswith("audioset"):
        raise ValueError(f"Streaming is for what does not fit: AudioSet's shards. Load {dataset} by index.")
    label_set = None if labels is None else LabelSet.open(labels)
    data = loaders[dataset]()
    about = {path.stem: _in_figures(path) for path in loaded if path.is_file()}
    if label_set is None:
        return replace(data, about=about)
    about["label_set"] = label_set.in_figures()
    return replace(data, train=with_label_set(data.train, label_set), about=about)


def load_test_clips(
    dataset: str,
    data_dir: str | Path,
    *,
    fold: int = 1,
    subset: EscSubset | None = None,
    vocabulary: str | None = None,
    drop_incomplete: bool = False,
    quiet: bool = False,
) -> Dataset:
    """Only the part of a data set that a run is tested on; the arguments are those of `load_run_data`.

    Raises:
        FileNotFoundError: Data are missing.
        ValueError: There is no such data set, or it has no such part.
    """
    _check_choice(dataset, fold, subset, vocabulary)
    incomplete: Incomplete = "drop" if drop_incomplete or dataset.startswith("audioset") else "raise"
    if dataset.startswith("audioset"):
        clips = load_audioset(data_dir, "eval", vocabulary=vocabulary, incomplete=incomplete, quiet=quiet)
    elif dataset == "fsd50k":
        clips = load_fsd50k(data_dir, "eval", vocabulary=vocabulary, incomplete=incomplete, quiet=quiet)
    elif dataset == "esc":
        return cast("DatasetDict", load_esc(data_dir, fold, subset, incomplete=incomplete, quiet=quiet))["test"]
    else:
        clips = load_tagging_dataset(data_dir, vocabulary=vocabulary, split="test", incomplete=incomplete, quiet=quiet)
    return cast("Dataset", clips)


How = Callable[[str], dict[str, Any]]


def _check_choice(dataset: str, fold: int, subset: EscSubset | None, vocabulary: str | None) -> None:
    """Refuse a data set that there is not, and what would have no effect on this one."""
    if dataset not in DATASETS:
        raise ValueError(f"Expected a data set of {', '.join(DATASETS)}, got {dataset!r}.")
    if dataset == "esc" and vocabulary is not None:
        raise ValueError(f"Expected no vocabulary for ESC, whose classes are its own, got {vocabulary}.")
    if dataset != "esc" and (fold != 1 or subset is not None):
        raise ValueError(f"Expected fold and subset for ESC only, got fold {fold} and subset {subset} for {dataset}.")


def _audioset(
    data_dir: str | Path, splits: tuple[str, ...], vocabulary: str | None, streaming: bool, how: How
) -> RunData:
    test = cast("Dataset", load_audioset(data_dir, "eval", vocabulary=vocabulary, **how("eval")))
    if streaming:
        if not holds_shards(data_dir):
            raise ValueError(f"Expected parquet shards to stream in {data_dir}. Make them with prepare_data.py.")
        files = [file for split in splits for file in find_shards(data_dir, split, AUDIOSET_SHARD_NAMES)]
        index = ShardIndex.open(files, vocabulary_of(test))
        source = f"AudioSet {', '.join(splits)} ({len(files)} shards, streamed)"
        report(shards_summary(index, "train", source), files[0], LoadOptions(**how("train")))
        return RunData(ShardedClips.of(index), test)
    parts = [cast("Dataset", load_audioset(data_dir, split, vocabulary=vocabulary, **how(split))) for split in splits]
    return RunData(concatenate_datasets(parts) if len(parts) > 1 else parts[0], test)


def _fsd50k(data_dir: str | Path, vocabulary: str | None, how: How) -> RunData:
    train, validation, test = (
        cast("Dataset", load_fsd50k(data_dir, split, vocabulary=vocabulary, **how(split)))
        for split in ("train", "val", "eval")
    )
    return RunData(train, test, validation)


def _esc(data_dir: str | Path, fold: int, subset: EscSubset | None, how: How) -> RunData:
    data = cast("DatasetDict", load_esc(data_dir, fold, subset, **how("esc")))
    return RunData(data["train"], data["test"])


def _own(data_dir: str | Path, vocabulary: str | None, how: How) -> RunData:
    if holds_shards(data_dir):
        parts = {
            split: cast("Dataset", load_tagging_dataset(data_dir, vocabulary=vocabulary, split=split, **how(split)))
            for split in ("train", "test", *_validation_shards(data_dir))
        }
        return RunData(parts.pop("train"), parts.pop("test"), next(iter(parts.values()), None))
    data = load_tagging_dataset(data_dir, vocabulary=vocabulary, **how("own"))
    if not isinstance(data, DatasetDict) or not {"train", "test"} <= set(data):
        found = sorted(data) if isinstance(data, DatasetDict) else "none"
        raise ValueError(f"Expected the splits train and test in {data_dir}, found {found}. Add a column split.")
    return RunData(data["train"], data["test"], data.get("validation", data.get("val")))


def _validation_shards(data_dir: str | Path) -> list[str]:
    """What the validation split of one's own shards is called, if they have one."""
    for split in ("validation", "val"):
        with suppress(FileNotFoundError):
            find_shards(data_dir, split)
            return [split]
    return []


def _in_figures(path: Path) -> dict[str, Any]:
    """A saved summary, its lists as counts."""
    summary = json.loads(path.read_text(encoding="utf-8"))
    kept = ("source", "splits", "listed", "found", "hours", "vocabulary", "notes")
    counts = {name: len(summary[name]) for name in ("missing", "unreadable")}
    return {name: summary[name] for name in kept} | counts
