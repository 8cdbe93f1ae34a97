"""Clips in parquet and WebDataset shards, local or remote, read in the one schema. Knows no sampling, no decoding."""

import json
import os
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets import Dataset, Features
from typing_extensions import override

from psla_hf.audio import AUDIO_SUFFIXES
from psla_hf.files import digest
from psla_hf.labels.vocabulary import ClipLabels, Vocabulary

from .remote import REMOTE, files_version, find_files, open_binary
from .schema import Clips, tagging_features

__all__ = [
    "COMMON_SHARD_NAMES",
    "ShardIndex",
    "ShardedClips",
    "find_shards",
    "holds_shards",
    "iterate_parquet",
    "iterate_tar",
]


# What sets on the Hub call these columns; the first one that is there counts.
ID_COLUMNS = ("id", "video_id", "fname", "filename", "file_name", "name")

LABEL_COLUMNS = ("labels", "mids", "label", "category")

SECONDS_COLUMNS = ("seconds", "duration")


@dataclass(frozen=True)
class ShardIndex:
    """What can be known of parquet shards without reading audio: row groups and labels.

    Attributes:
        files: Paths or addresses.
        group_sizes: Clips in each row group of all files, in order `[G]`.
        group_files: Which file each is in, and its number there `[G, 2]`.
        labels: Of all clips.
        vocabulary: Their classes.
        seconds: Length of all clips together, where the shards say it.
        version: Changes when one of the files does (see `remote.files_version`), or a label.
        values: Targets of soft labels, one for each of `labels.values`; none where they are all 1.
        relabelled: Whether the labels are others than the files', see `with_labels`.
    """

    files: tuple[str, ...]
    group_sizes: np.ndarray
    group_files: np.ndarray
    labels: ClipLabels
    vocabulary: Vocabulary
    seconds: float | None
    version: str
    values: np.ndarray | None = None
    relabelled: bool = False

    @classmethod
    def open(cls, files: Sequence[str], vocabulary: Vocabulary | None = None) -> "ShardIndex":
        """Read the files' footers and label columns; no audio is read, wherever they are.

        Args:
            files: Parquet files. Their columns may have other names than the schema's (see `ID_COLUMNS`,
                `LABEL_COLUMNS`), and labels may be indices, names or mids, one or several.
            vocabulary: The classes; needed unless the files carry them, as prepared shards do.

        Raises:
            ValueError: There are no files, columns are missing, labels are no classes of the vocabulary, or the files'
                own classes are others.
        """
        if not files:
            raise ValueError("Expected at least one parquet file, got none.")
        sizes, places, parts, seconds = [], [], [], 0.0
        for number, file in enumerate(files):
            with open_binary(file) as source:
                parquet = pq.ParquetFile(source)
                vocabulary = _own_vocabulary(parquet, file, vocabulary)
                columns = _columns(parquet.schema_arrow, file)
                wanted = [columns["labels"], *([columns["seconds"]] if "seconds" in columns else [])]
                table = parquet.read(columns=wanted, use_threads=False)
                groups = [parquet.metadata.row_group(g).num_rows for g in range(parquet.num_row_groups)]
            parts.append(_encode(table[columns["labels"]], vocabulary, file))
            lengths = table[columns["seconds"]] if "seconds" in columns else None
            known = lengths is not None and lengths.null_count == 0
            seconds = seconds + (pc.sum(lengths).as_py() or 0.0) if known else float("nan")
            sizes += groups
            places += [(number, g) for g in range(len(groups))]
        assert vocabulary is not None
        return cls(
            tuple(files),
            np.array(sizes),
            np.array(places).reshape(-1, 2),
            ClipLabels.concatenate(parts),
            vocabulary,
            None if np.isnan(seconds) else seconds,
            files_version(files),
        )

    @cached_property
    def group_starts(self) -> np.ndarray:
        """Number of the first clip of each row group, and the number of clips `[G + 1]`."""
        return np.concatenate([[0], np.cumsum(self.group_sizes)])

    def count(self, files: Mapping[str, Sequence[str]]) -> dict[str, int]:
        """Clips in some of the files each, such as those of a split."""
        sizes = np.bincount(self.group_files[:, 0], weights=self.group_sizes, minlength=len(self.files)).astype(int)
        by_file = dict(zip(self.files, sizes.tolist(), strict=True))
        return {name: sum(by_file[file] for file in chosen) for name, chosen in files.items()}

    @property
    def features(self) -> Features:
        """The schema of what is read."""
        return tagging_features(self.vocabulary, soft=self.values is not None)

    def with_labels(self, labels: ClipLabels, values: np.ndarray | None = None) -> "ShardIndex":
        """The same clips, read with other labels, for example enhanced ones; the files stay as they are.

        Args:
            labels: Of all clips, in their order.
            values: Targets of soft labels, one for each of `labels.values`.

        Raises:
            ValueError: The numbers of clips, of classes or of values do not fit.
        """
        fits = (len(labels), labels.num_classes) == (len(self.labels), self.labels.num_classes)
        if not fits or (values is not None and len(values) != len(labels.values)):
            raise ValueError(
                f"Expected labels of {len(self.labels)} clips and {self.labels.num_classes} classes, and a value for "
                f"each if they are soft, got labels of {len(labels)} clips and {labels.num_classes} classes."
            )
        version = digest(self.version, labels.values, labels.offsets, b"" if values is None else values)
        return replace(self, labels=labels, values=values, version=version, relabelled=True)

    def read(self, group: int, rows: np.ndarray | None = None) -> list[dict[str, Any]]:
        """Clips of one row group in the schema, audio encoded.

        Args:
            group: Which one.
            rows: Numbers of the clips wanted, within the row group; by default all. What is not wanted is read with the
                rest (a row group is the unit of reading), but becomes no Python object.
        """
        number, own_group = self.group_files[group]
        parquet = _open_parquet(self.files[number], os.getpid())
        table = _read_group(parquet, int(own_group), self.files[number])
        table = table if rows is None else table.take(pa.array(rows))
        clips = _in_schema(table, self.vocabulary, self.files[number])
        if self.relabelled:
            rows = np.arange(len(clips)) if rows is None else rows
            for clip, row in zip(clips, self.group_starts[group] + rows, strict=True):
                clip |= self._labels_of(row)
        return clips

    def _labels_of(self, clip: int) -> dict[str, list]:
        part = slice(*self.labels.offsets[clip : clip + 2])
        indices = self.labels.values[part].tolist()
        soft = {} if self.values is None else {"label_values": self.values[part].tolist()}
        return {"labels": indices, "mids": indices, **soft}


@dataclass(frozen=True)
class ShardedClips(Clips):
    """Some clips of shards, one after the other, read when they are iterated over: a data set without a copy of it.

    Attributes:
        index: The shards.
        start: Number of the first clip.
        stop: Number of the clip behind the last one.
    """

    index: ShardIndex
    start: int
    stop: int

    @classmethod
    def of(cls, index: ShardIndex) -> "ShardedClips":
        """All of them."""
        return cls(index, 0, len(index.labels))

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[dict[str, Any]]:
        starts = self.index.group_starts
        first, last = np.searchsorted(starts, [self.start, self.stop - 1], side="right") - 1
        for group in range(first, last + 1):
            rows = np.arange(max(starts[group], self.start), min(starts[group + 1], self.stop)) - starts[group]
            yield from self.index.read(group, rows)

    @property
    @override
    def features(self) -> Features:
        return self.index.features

    @property
    def fingerprint(self) -> str:
        """Changes with one of the files, see `remote.files_version`, or with a label."""
        if self._whole:
            return self.index.version
        return digest(repr((self.index.version, self.start, self.stop)))

    @property
    def hours(self) -> float | None:
        """Length of all clips of the shards; none where they do not say, or of only some of them."""
        return self.index.seconds / 3600 if self._whole and self.index.seconds is not None else None

    @property
    def _whole(self) -> bool:
        return len(self) == len(self.index.labels)

    @property
    @override
    def labels(self) -> ClipLabels:
        labels = self.index.labels
        begin, end = labels.offsets[[self.start, self.stop]]
        offsets = labels.offsets[self.start : self.stop + 1] - begin
        return ClipLabels(labels.values[begin:end], offsets, labels.num_classes)

    @override
    def column(self, name: str) -> list[str | None]:
        values: list[str | None] = []
        for file in self.index.files:
            with open_binary(file) as source:
                parquet = pq.ParquetFile(source)
                theirs = {**_columns(parquet.schema_arrow, file), "split": "split"}[name]
                if theirs in parquet.schema_arrow.names:
                    column = parquet.read(columns=[theirs], use_threads=False)[theirs]
                    values += [None if value is None else str(value) for value in column.to_pylist()]
                else:
                    values += [None] * parquet.metadata.num_rows
        return values[self.start : self.stop]

    @override
    def select(self, rows: range) -> "ShardedClips":
        return ShardedClips(self.index, self.start + rows.start, self.start + rows.stop)

    def with_labels(self, labels: ClipLabels, values: np.ndarray | None = None) -> "ShardedClips":
        """The same clips with other labels, see `ShardIndex.with_labels`: all clips of the shards, not some."""
        return ShardedClips.of(self.index.with_labels(labels, values))

    @override
    def dataset(self) -> Dataset:
        return Dataset.from_list(list(self), features=self.features)

    def audio_path(self, clip: int, root: str | Path) -> None:
        """None: the audio has no file of its own."""


@lru_cache(maxsize=4)
def _open_parquet(file: str, process: int) -> pq.ParquetFile:
    """A file's footer is read once, not once per row group; but forked processes must not share a file's position."""
    return pq.ParquetFile(open_binary(file))


def _read_group(parquet: pq.ParquetFile, group: int, file: str) -> pa.Table:
    """A row group's columns that the schema knows. Without threads: giving up a read that has them can abort Python."""
    columns = {*_columns(parquet.schema_arrow, file).values(), "audio", "split"} & set(parquet.schema_arrow.names)
    return parquet.read_row_group(group, columns=sorted(columns), use_threads=False)


def iterate_parquet(files: Sequence[str], vocabulary: Vocabulary, split: str | None = None) -> Iterator[dict[str, Any]]:
    """The clips of parquet files in the schema, in order, audio encoded; `split` is that of clips that do not say."""
    for file in files:
        with open_binary(file) as source:
            parquet = pq.ParquetFile(source)
            for group in range(parquet.num_row_groups):
                for clip in _in_schema(_read_group(parquet, group, file), vocabulary, file):
                    yield {**clip, "split": clip["split"] or split}


def iterate_tar(files: Sequence[str], vocabulary: Vocabulary, split: str) -> Iterator[dict[str, Any]]:
    """The clips of WebDataset tars in the schema, in order, audio encoded.

    A clip is consecutive members of one name: an audio file, and a `.json` with its labels under one of
    `LABEL_COLUMNS`, or a `.cls` with one index.

    Raises:
        ValueError: A clip has no audio or no labels.
    """
    for file in files:
        with open_binary(file) as source, tarfile.open(fileobj=source, mode="r|*") as archive:
            key: str | None = None
            parts: dict[str, bytes] = {}
            for member in archive:
                if not member.isfile():
                    continue
                stem, _, suffix = PurePosixPath(member.name).name.partition(".")
                name = str(PurePosixPath(member.name).parent / stem)
                if name != key and parts:
                    yield _clip_of_tar(key, parts, vocabulary, split, file)
                    parts = {}
                extracted = archive.extractfile(member)
                assert extracted is not None
                key, parts[f".{suffix}"] = name, extracted.read()
            if parts:
                yield _clip_of_tar(key, parts, vocabulary, split, file)


def _clip_of_tar(
    key: str | None, parts: dict[str, bytes], vocabulary: Vocabulary, split: str, file: str
) -> dict[str, Any]:
    suffix = next((suffix for suffix in parts if suffix.lower().endswith(AUDIO_SUFFIXES)), None)
    about = json.loads(parts[".json"]) if ".json" in parts else {"label": parts.get(".cls", b"").decode().strip()}
    labels = next((about[column] for column in LABEL_COLUMNS if about.get(column) not in (None, "")), None)
    if suffix is None or labels is None:
        raise ValueError(
            f"Expected an audio file ({', '.join(AUDIO_SUFFIXES)}) and a .json with one of {list(LABEL_COLUMNS)} for "
            f"{key} in {file}, found {sorted(parts)}{'' if labels else ' without labels'}."
        )
    indices = vocabulary.encode(labels if isinstance(labels, list) else [labels])
    return {
        "id": str(next((about[column] for column in ID_COLUMNS if column in about), PurePosixPath(str(key)).name)),
        "audio": {"path": f"{key}{suffix}", "bytes": parts[suffix]},
        "labels": indices,
        "mids": indices,
        "split": split,
        "seconds": next((about[column] for column in SECONDS_COLUMNS if column in about), None),
    }


def _columns(schema: pa.Schema, file: str) -> dict[str, str]:
    """What the file calls the schema's columns."""
    names = set(schema.names)
    candidates = {"id": ID_COLUMNS, "labels": LABEL_COLUMNS, "seconds": SECONDS_COLUMNS}
    found = {ours: next((name for name in theirs if name in names), None) for ours, theirs in candidates.items()}
    if not found["id"] or not found["labels"] or "audio" not in names:
        raise ValueError(
            f"Expected the columns audio, one of {list(ID_COLUMNS)} and one of {list(LABEL_COLUMNS)} in {file}, found "
            f"{schema.names}."
        )
    return {ours: name for ours, name in found.items() if name}


def _own_vocabulary(parquet: pq.ParquetFile, file: str, vocabulary: Vocabulary | None) -> Vocabulary:
    """The classes that the file itself declares, checked against those given; else those given."""
    stored = (parquet.schema_arrow.metadata or {}).get(b"huggingface")
    features = Features.from_dict(json.loads(stored)["info"]["features"]) if stored else {}
    names, mids = (
        _class_names(features.get(column)) for column in (_columns(parquet.schema_arrow, file)["labels"], "mids")
    )
    if names is None:
        if vocabulary is None:
            raise ValueError(f"{file} does not say what its classes are. Pass the vocabulary.")
        return vocabulary
    if vocabulary is None:
        return Vocabulary(tuple(names), tuple(mids or ()))
    if list(vocabulary.names) != names or list(vocabulary.mids) != (mids or list(vocabulary.mids)):
        raise ValueError(
            f"The classes of {file} are not the vocabulary's, or not in its order: {len(names)} classes, first "
            f"{names[:3]}; expected {len(vocabulary)}, first {list(vocabulary.names[:3])}."
        )
    return vocabulary


def _class_names(feature: Any) -> list[str] | None:
    """The names that a `ClassLabel`, or a list of them, declares."""
    return getattr(getattr(feature, "feature", feature), "names", None)


def _encode(column: pa.ChunkedArray, vocabulary: Vocabulary, file: str) -> ClipLabels:
    """Labels of any form as indices."""
    array = column.combine_chunks()
    if not pa.types.is_list(array.type) and not pa.types.is_large_list(array.type):
        array = pa.ListArray.from_arrays(pa.array(np.arange(len(array) + 1), pa.int32()), array)
    values = array.flatten()
    if not pa.types.is_integer(values.type):
        # Each different label is looked up once.
        coded = values.cast(pa.string()).dictionary_encode()
        try:
            known = [vocabulary.encode([label])[0] for label in coded.dictionary.to_pylist()]
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error
        values = pa.array(np.array(known, np.int32)[coded.indices.to_numpy()])
    offsets = np.concatenate([[0], np.cumsum(pc.fill_null(pc.list_value_length(array), 0).to_numpy())])
    return ClipLabels(values.to_numpy().astype(np.int32), offsets.astype(np.int64), len(vocabulary)).each_once()


def _in_schema(table: pa.Table, vocabulary: Vocabulary, file: str) -> list[dict[str, Any]]:
    """Rows of a table of any of the known forms in the schema."""
    columns = _columns(table.schema, file)
    labels = _encode(table[columns["labels"]], vocabulary, file)
    rows = len(table)
    ids, audio = table[columns["id"]].to_pylist(), table["audio"].to_pylist()
    seconds = table[columns["seconds"]].to_pylist() if "seconds" in columns else [None] * rows
    split = table["split"].to_pylist() if "split" in table.column_names else [None] * rows
    clips = []
    for i in range(rows):
        indices = labels.values[labels.offsets[i] : labels.offsets[i + 1]].tolist()
        clips.append(
            {
                "id": str(ids[i]),
                "audio": {key: (audio[i] or {}).get(key) for key in ("path", "bytes")},
                "labels": indices,
                "mids": indices,
                "split": split[i],
                "seconds": seconds[i],
            }
        )
    return clips


SHARDS = (".parquet", ".tar")

COMMON_SHARD_NAMES = {split: (split,) for split in ("train", "validation", "val", "test", "eval")}


def holds_shards(source: str | Path | Sequence[str | Path]) -> bool:
    """Whether this is an address, a shard, a list of these, or a folder with shards at most two levels down."""
    if not isinstance(source, str | Path) or str(source).startswith(REMOTE) or str(source).endswith(SHARDS):
        return True
    levels = ("*", "*/*", "*/*/*")
    return any(next(Path(source).glob(level + suffix), None) for level in levels for suffix in SHARDS)


def find_shards(
    source: str | Path | Sequence[str | Path],
    split: str | None,
    names: Mapping[str, tuple[str, ...]] = COMMON_SHARD_NAMES,
) -> list[str]:
    """The shards of a split.

    Args:
        source: See `remote.find_files`.
        split: Which; with none, all shards are taken.
        names: By split, what it is called as a folder or at the beginning of a file's name; else as it is.

    Raises:
        FileNotFoundError: There are no shards, or none of this split.
        ValueError: There are parquet files and tars.
    """
    files = find_files(source, SHARDS)
    known = {**names}
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
