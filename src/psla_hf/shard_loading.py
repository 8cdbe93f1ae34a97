"""Shards, local or remote, as data sets in the schema, with an account of them. Knows no sampling, decodes nothing."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from datasets import Dataset, IterableDataset

from .labels import ClipLabels, Vocabulary
from .listing import LoadOptions, report
from .remote import REMOTE, files_version, find_files
from .schema import LoadSummary, labels_of, tagging_features
from .shards import ShardIndex, iterate_parquet, iterate_tar

__all__ = ["AUDIOSET_SHARD_NAMES", "FSD50K_SHARD_NAMES", "find_shards", "holds_shards", "load_shards", "shards_summary"]

SHARDS = (".parquet", ".tar")
# What a split is called in the paths of shards: by ourselves first, then on the Hub.
AUDIOSET_SHARD_NAMES = {
    "balanced_train": ("balanced_train", "bal_train"),
    "unbalanced_train": ("unbalanced_train", "unbal_train"),
    "eval": ("eval", "evaluation", "test"),
}
COMMON_SHARD_NAMES = {
    "train": ("train",),
    "validation": ("validation",),
    "val": ("val",),
    "test": ("test",),
    "eval": ("eval",),
}
FSD50K_SHARD_NAMES = {
    "train": ("train", "dev"),
    "val": ("val", "valid", "validation"),
    "eval": ("eval", "evaluation", "test"),
}


def holds_shards(source: str | Path | Sequence[str | Path]) -> bool:
    """Whether this is an address, a shard, a list of these, or a folder with shards at most two levels down."""
    if not isinstance(source, str | Path) or str(source).startswith(REMOTE) or str(source).endswith(SHARDS):
        return True
    levels = ("*", "*/*", "*/*/*")
    return any(next(Path(source).glob(level + suffix), None) for level in levels for suffix in SHARDS)


def find_shards(
    source: str | Path | Sequence[str | Path], split: str | None, names: Mapping[str, tuple[str, ...]] | None = None
) -> list[str]:
    """The shards of a split.

    Args:
        source: See `remote.find_files`.
        split: Which; with none, all shards are taken.
        names: By split, what it is called as a folder or at the beginning of a file's name; by default as it is.

    Raises:
        FileNotFoundError: There are no shards, or none of this split.
        ValueError: There are parquet files and tars.
    """
    files = find_files(source, SHARDS)
    known = {**(names or COMMON_SHARD_NAMES)}
    if split is not None:
        known.setdefault(split, (split,))
    chosen = [file for file in files if split is None or _split_of(file, source, known) == split]
    if not chosen:
        called = " or ".join(known.get(split or "", ()))
        which = f" of the split {split!r}, with {called} as a folder or at the beginning of their names,"
        raise FileNotFoundError(
            f"Expected .parquet or .tar shards{which if split else ''} in {source}, found {files[:3] or 'none'}."
        )
    if len({Path(file).suffix for file in chosen}) > 1:
        raise ValueError(f"Expected parquet files or tars in {source}, found both: pass one kind.")
    return chosen


def _split_of(file: str, source: str | Path | Sequence[str | Path], names: Mapping[str, tuple[str, ...]]) -> str | None:
    """The split that a shard's name says, else the nearest folder's, up to the source itself but not beyond it."""
    base = str(Path(str(source)).parent) if isinstance(source, str | Path) else ""
    inside = str(Path(file)).removeprefix(base) if base else "/".join(Path(file).parts[-2:])
    for part in reversed(Path(inside).parts):
        for split, called in names.items():
            if re.match(rf"({'|'.join(map(re.escape, called))})(?=[-.@]|$)", part):
                return split
    return None


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
