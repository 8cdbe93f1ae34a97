"""Clips in parquet shards, local or remote, read in the one schema. Knows no sampling and no decoding."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets import Dataset, Features
from typing_extensions import override

from psla_hf.data.foreign import (
    Annotations,
    LabelTexts,
    columns_of,
    declared_features,
    ids_of_rows,
    in_schema,
    place_in,
    times_of,
    vocabulary_of_features,
)
from psla_hf.data.schema import Clips, tagging_features
from psla_hf.files import digest, reading
from psla_hf.labels.scores import ScoreRows, check_rows, chunks_of
from psla_hf.labels.vocabulary import ClipLabels, Vocabulary

from .remote import files_version, open_binary

__all__ = [
    "ShardIndex",
    "ShardedClips",
    "iterate_parquet",
    "names_that_occur",
]

SHARD = "clips as parquet"


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
        version: Changes when one of the files does (see `remote.files_version`), a label, or the order of the classes.
        values: Targets of soft labels, one for each of `labels.values`; none where they are all 1.
        segments: Whether clips are parts of their audio, from `start` to `end`.
        groups: Whether the shards say which clips belong together, by `group`.
        relabelled: Whether the labels are others than the files', see `with_labels`.
        scores: What a teacher says of all clips, see `Clips.with_scores`.
    """

    files: tuple[str, ...]
    group_sizes: np.ndarray
    group_files: np.ndarray
    labels: ClipLabels
    vocabulary: Vocabulary
    seconds: float | None
    version: str
    values: np.ndarray | None = None
    segments: bool = False
    groups: bool = False
    relabelled: bool = False
    scores: ScoreRows | None = None

    @classmethod
    def open(cls, files: Sequence[str], vocabulary: Vocabulary | None = None) -> "ShardIndex":
        """Read the files' footers and label columns; no audio is read, wherever they are.

        Args:
            files: Parquet files. Their columns may have other names than the schema's (see `foreign.ID_COLUMNS`,
                `foreign.LABEL_COLUMNS`), and labels may be indices, names or mids, one or several.
            vocabulary: The classes; needed unless the files carry them, as prepared shards do.

        Raises:
            ValueError: There are no files, columns are missing, or `start`, `end`, `label_values` or `group` are in
                some only; labels are no classes of the vocabulary, or the files' own classes are others.
        """
        if not files:
            raise ValueError("Expected at least one parquet file, got none.")
        sizes, places, parts, optional = [], [], [], []
        for number, file in enumerate(files):
            with open_binary(file) as source:
                parquet = _parquet(source, file)
                columns = columns_of(parquet.schema_arrow, file)
                features = declared_features(parquet.schema_arrow, file)
                vocabulary = vocabulary_of_features(features, columns["labels"], file, vocabulary)
                if vocabulary is None:
                    raise ValueError(f"{file} does not say what its classes are. Pass the vocabulary.")
                table = _read(parquet, [name for ours, name in columns.items() if ours != "id"], file)
                groups = [parquet.metadata.row_group(g).num_rows for g in range(parquet.num_row_groups)]
            parts.append(Annotations.of(table, columns, vocabulary, file))
            optional.append(sorted(columns.keys() & {"start", "end", "label_values", "group"}))
            if optional[-1] != optional[0]:
                raise ValueError(
                    f"Expected files with the same of the columns start, end, label_values and group, {files[0]} has "
                    f"{optional[0]} and {file} has {optional[-1]}."
                )
            sizes += groups
            places += [(number, g) for g in range(len(groups))]
        assert vocabulary is not None
        seconds = pa.chunked_array([chunk for part in parts for chunk in part.others["seconds"].chunks], pa.float32())
        return cls(
            tuple(files),
            np.array(sizes),
            np.array(places).reshape(-1, 2),
            ClipLabels.concatenate([part.labels for part in parts]),
            vocabulary,
            None if seconds.null_count else pc.sum(seconds).as_py() or 0.0,
            digest(files_version(files), vocabulary.fingerprint),
            np.concatenate([part.values for part in parts]) if "label_values" in optional[0] else None,
            segments="start" in optional[0],
            groups="group" in optional[0],
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
        return tagging_features(self.vocabulary, self.values is not None, self.segments, self.groups)

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

    def with_scores(self, scores: ScoreRows) -> "ShardIndex":
        """The same clips with what a teacher says of all of them, see `Clips.with_scores`."""
        check_rows(scores, len(self.labels), len(self.vocabulary))
        return replace(self, scores=scores, version=digest(self.version, *(rows for _, rows in chunks_of(scores))))

    def read(self, group: int, rows: np.ndarray | None = None) -> list[dict[str, Any]]:
        """Clips of one row group in the schema, audio encoded.

        Args:
            group: Which one.
            rows: Numbers of the clips wanted, within the row group; by default all. What is not wanted is read with the
                rest (a row group is the unit of reading), but becomes no Python object.
        """
        number, own_group = self.group_files[group]
        parquet = _open_parquet(self.files[number], self.version, os.getpid())
        table = _read_group(parquet, int(own_group), self.files[number])
        table = table if rows is None else table.take(pa.array(rows))
        numbers = self.group_starts[group] + (np.arange(len(table)) if rows is None else rows)
        start_of_file = self.group_starts[np.searchsorted(self.group_files[:, 0], number)]
        clips = in_schema(table, self.vocabulary, self.files[number], numbers - start_of_file)
        if self.relabelled:
            for clip, row in zip(clips, numbers, strict=True):
                clip.pop("label_values", None)
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
        """That of the index, see `ShardIndex.version`, and of which clips these are."""
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
                parquet = _parquet(source, file)
                columns = {**columns_of(parquet.schema_arrow, file), "split": "split"}
                needed = ("seconds", "start", "end") if name == "seconds" else (name,)
                there = [columns[part] for part in needed if columns.get(part) in parquet.schema_arrow.names]
                table = _read(parquet, there, file)
            rows = range(parquet.metadata.num_rows)
            if name == "id":
                values += ids_of_rows(table[there[0]] if there else None, place_in(file), rows)
            elif there:
                column = times_of(table, columns, file)[name] if name == "seconds" else table[there[0]]
                values += [None if value is None else str(value) for value in column.to_pylist()]
            else:
                values += [None] * len(rows)
        return values[self.start : self.stop]

    @override
    def select(self, rows: range) -> "ShardedClips":
        self._refuse_scores()
        return ShardedClips(self.index, self.start + rows.start, self.start + rows.stop)

    def with_labels(self, labels: ClipLabels, values: np.ndarray | None = None) -> "ShardedClips":
        """The same clips with other labels, see `ShardIndex.with_labels`: all clips of the shards, not some."""
        return ShardedClips.of(self.index.with_labels(labels, values))

    @override
    def with_scores(self, scores: ScoreRows) -> "ShardedClips":
        return ShardedClips.of(self.index.with_scores(scores))

    @property
    @override
    def scores(self) -> ScoreRows | None:  # type: ignore[override]
        return self.index.scores

    @override
    def dataset(self) -> Dataset:
        return Dataset.from_list(list(self), features=self.features)

    @property
    @override
    def files(self) -> list[str | None]:
        return [None] * len(self)

    def audio_path(self, clip: int, root: str | Path) -> None:
        """None: the audio has no file of its own."""


@lru_cache(maxsize=4)
def _open_parquet(file: str, version: str, process: int) -> pq.ParquetFile:
    """A file's footer is read once, not once per row group; but forked processes must not share a file's position."""
    return _parquet(open_binary(file), file)


def _parquet(source: BinaryIO, file: str) -> pq.ParquetFile:
    with reading(file, SHARD):
        return pq.ParquetFile(source)


def _read(parquet: pq.ParquetFile, columns: list[str], file: str) -> pa.Table:
    with reading(file, SHARD):
        return parquet.read(columns=columns, use_threads=False)


def _read_group(parquet: pq.ParquetFile, group: int, file: str) -> pa.Table:
    """A row group's columns that the schema knows. Without threads: giving up a read that has them can abort Python."""
    columns = {*columns_of(parquet.schema_arrow, file).values(), "audio", "split"} & set(parquet.schema_arrow.names)
    with reading(file, SHARD):
        return parquet.read_row_group(group, columns=sorted(columns), use_threads=False)


def iterate_parquet(files: Sequence[str], vocabulary: Vocabulary, split: str | None = None) -> Iterator[dict[str, Any]]:
    """The clips of parquet files in the schema, in order, audio encoded; `split` is that of clips that do not say."""
    for file in files:
        with open_binary(file) as source:
            parquet = _parquet(source, file)
            start = 0
            for group in range(parquet.num_row_groups):
                table = _read_group(parquet, group, file)
                for clip in in_schema(table, vocabulary, file, range(start, start + len(table))):
                    yield {**clip, "split": clip["split"] or split}
                start += len(table)


def names_that_occur(files: Sequence[str]) -> Vocabulary | None:
    """The classes of files that do not declare any: the names in their labels; none where labels are numbers."""
    texts = LabelTexts()
    for file in files:
        with open_binary(file) as source:
            parquet = _parquet(source, file)
            labels = columns_of(parquet.schema_arrow, file)["labels"]
            if vocabulary_of_features(declared_features(parquet.schema_arrow, file), labels, file, None):
                return None
            if not texts.add(_read(parquet, [labels], file)[labels], file):
                return None
    return texts.vocabulary(str(files[0])) if files else None
