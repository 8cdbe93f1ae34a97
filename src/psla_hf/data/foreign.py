"""Clips in tables that others made, with columns and labels of many forms, in the one schema. Reads no files."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, Features

from psla_hf.files import reading
from psla_hf.labels.vocabulary import ClipLabels, Vocabulary

from .schema import Clips, IndexedClips, tagging_features
from .splits import ONE_SPLIT
from .tables.cells import classes_that_occur, encode_text, find_separator, is_label

__all__ = [
    "ID_COLUMNS",
    "LABEL_COLUMNS",
    "SECONDS_COLUMNS",
    "as_clips",
    "clips_of_dataset",
    "columns_of",
    "declared_features",
    "encode_labels",
    "in_schema",
    "label_texts",
    "names_of_texts",
    "row_ids",
    "vocabulary_of_datasets",
    "vocabulary_of_features",
]

# What sets on the Hub call these columns; the first one that is there counts.
ID_COLUMNS = ("id", "video_id", "fname", "filename", "file_name", "name")

LABEL_COLUMNS = ("labels", "mids", "label", "category")

SECONDS_COLUMNS = ("seconds", "duration")

Texts = dict[str, int]  # the different labels of a column as they are written, with the first row of each


def columns_of(schema: pa.Schema, where: str) -> dict[str, str]:
    """What a table calls the schema's columns `labels` and, where it has them, `id` and `seconds`.

    Raises:
        ValueError: It has no labels, or no audio as a file's bytes or path.
    """
    candidates = {"id": ID_COLUMNS, "labels": LABEL_COLUMNS, "seconds": SECONDS_COLUMNS}
    found = {ours: next((name for name in theirs if name in schema.names), None) for ours, theirs in candidates.items()}
    audio = schema.field("audio").type if "audio" in schema.names else None
    is_file = audio is not None and pa.types.is_struct(audio) and {"bytes", "path"} & {part.name for part in audio}
    if not found["labels"] or not is_file:
        raise ValueError(
            f"Expected the columns audio (a struct of bytes and path) and one of {list(LABEL_COLUMNS)} in {where}, "
            f"found {schema.names}{'' if audio is None or is_file else f' with audio as {audio}'}."
        )
    return {ours: name for ours, name in found.items() if name}


def declared_features(schema: pa.Schema, where: str) -> Features:
    """The features that `datasets` wrote into a parquet file; none where something else wrote it."""
    stored = (schema.metadata or {}).get(b"huggingface")
    with reading(where, "clips as parquet"):
        return Features.from_dict(json.loads(stored)["info"]["features"]) if stored else Features()


def vocabulary_of_features(
    features: Features, labels: str, where: str, vocabulary: Vocabulary | None
) -> Vocabulary | None:
    """The classes that a column of labels declares, checked against those given; else those given.

    Raises:
        ValueError: The declared ones are others, or in another order.
    """
    names, mids = (_class_names(features.get(column)) for column in (labels, "mids"))
    if names is None:
        return vocabulary
    if vocabulary is None:
        return Vocabulary(tuple(names), tuple(mids or ()))
    if list(vocabulary.names) != names or list(vocabulary.mids) != (mids or list(vocabulary.mids)):
        raise ValueError(
            f"The classes of {where} are not the vocabulary's, or not in its order: {len(names)} classes, first "
            f"{names[:3]}; expected {len(vocabulary)}, first {list(vocabulary.names[:3])}."
        )
    return vocabulary


def label_texts(column: pa.ChunkedArray) -> tuple[Texts, bool] | None:
    """The different labels of a column of texts, and whether each row is a list of them; none for numbers."""
    values, _, is_list = _flat(column)
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        return None
    unique = pc.unique(values).drop_null()
    return dict(zip(unique.to_pylist(), pc.index_in(unique, values).to_pylist(), strict=True)), is_list


def names_of_texts(texts: Mapping[str, int], is_list: bool, where: str) -> list[str]:
    """The names in the labels of a column: in a text of its own there may be several, with a mark between them."""
    separator = None if is_list else find_separator(texts, where)
    parts = [part.strip() for text in texts for part in (text.split(separator) if separator else [text])]
    return [part for part in parts if is_label(part)]


def encode_labels(column: pa.ChunkedArray, vocabulary: Vocabulary, where: str) -> ClipLabels:
    """Labels of any form as indices.

    Raises:
        ValueError: One is no class of the vocabulary.
    """
    values, offsets, is_list = _flat(column)
    if values.null_count and is_list:
        raise ValueError(f"Expected labels in {where}, {values.null_count} of those in its lists are empty (null).")
    try:
        if not pa.types.is_integer(values.type):
            values, offsets = _encoded(values, offsets, vocabulary, is_list)
        elif values.null_count:  # a clip without a label
            offsets = np.concatenate([[0], np.cumsum(values.is_valid().to_numpy(zero_copy_only=False))])
            values = values.drop_null()
        return ClipLabels(np.asarray(values), offsets.astype(np.int64), len(vocabulary)).each_once()
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def row_ids(file: str, rows: Iterable[int]) -> list[str]:
    """Ids of clips that have none: their file, with its folder, and row, such as `data/train-00000-of-00012:7`."""
    name = "/".join(PurePosixPath(file).with_suffix("").parts[-2:])
    return [f"{name}:{row}" for row in rows]


def in_schema(table: pa.Table, vocabulary: Vocabulary, file: str, numbers: Sequence[int] | np.ndarray) -> list[dict]:
    """Rows of a file's table in the schema.

    Args:
        table: Some of its rows.
        vocabulary: The classes.
        file: Its name, for messages and for clips without an id.
        numbers: Of the rows in the file.
    """
    columns = columns_of(table.schema, file)
    labels = encode_labels(table[columns["labels"]], vocabulary, file)
    rows = len(table)
    ids = table[columns["id"]].to_pylist() if "id" in columns else row_ids(file, numbers)
    audio = table["audio"].to_pylist()
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


def vocabulary_of_datasets(datasets: Mapping[str, Dataset]) -> Vocabulary | None:
    """The classes of data sets that do not declare any: the names in their labels; none where labels are numbers."""
    names: set[str] = set()
    for split, dataset in datasets.items():
        labels = columns_of(dataset.features.arrow_schema, split)["labels"]
        if vocabulary_of_features(dataset.features, labels, split, None):
            return None
        texts = label_texts(dataset.select_columns(labels).with_format("arrow")[:][labels])
        if texts is None:
            return None
        names.update(names_of_texts(*texts, f"the split {split}"))
    return classes_that_occur([names], f"the splits {', '.join(datasets)}")


def clips_of_dataset(dataset: Dataset, split: str = ONE_SPLIT, vocabulary: Vocabulary | None = None) -> IndexedClips:
    """A data set of others, with `audio` and labels, in the schema; its audio is neither decoded nor copied.

    Args:
        dataset: With the columns of which parquet shards have any, see `LABEL_COLUMNS`. Clips without an id are called
            `<split>:<row>`.
        split: The split of clips that do not say.
        vocabulary: The classes; by default those that the labels declare, else the names that occur in them.

    Raises:
        ValueError: Columns are missing, or labels are no classes.
    """
    where = f"the data set of the split {split}"
    columns = columns_of(dataset.features.arrow_schema, where)
    vocabulary = vocabulary_of_features(dataset.features, columns["labels"], where, vocabulary)
    vocabulary = vocabulary or vocabulary_of_datasets({split: dataset})
    if vocabulary is None:
        raise ValueError(f"The labels in {where} are numbers, and do not say of which classes. Pass the vocabulary.")
    if {**dataset.features, **tagging_features(vocabulary)} == dataset.features:
        return IndexedClips(dataset)
    table = dataset.with_format("arrow")[:]
    labels = table[columns["labels"]]
    encoded = encode_labels(labels, vocabulary, where)
    lists = pa.ListArray.from_arrays(pa.array(encoded.offsets, pa.int32()), pa.array(encoded.values, pa.int64()))
    own = {ours: table[theirs] for ours, theirs in columns.items() if ours != "labels"}
    splits = pc.fill_null(table["split"].cast(pa.string()), split) if "split" in table.column_names else None
    content = {
        "id": own["id"].cast(pa.string()) if "id" in own else [f"{split}:{row}" for row in range(len(table))],
        "audio": _plain_audio(table["audio"]),
        "labels": lists,
        "mids": lists,
        "split": [split] * len(table) if splits is None else splits,
        "seconds": own["seconds"].cast(pa.float32()) if "seconds" in own else pa.nulls(len(table), pa.float32()),
    }
    features = tagging_features(vocabulary)
    return IndexedClips(Dataset.from_dict({name: content[name] for name in features}, features=features))


def as_clips(clips: Dataset | Clips) -> Clips:
    """Clips as they are, or those of a data set, which may be one of others, see `clips_of_dataset`."""
    return clips if isinstance(clips, Clips) else clips_of_dataset(clips)


def _class_names(feature: Any) -> list[str] | None:
    """The names that a `ClassLabel`, or a list of them, declares."""
    return getattr(getattr(feature, "feature", feature), "names", None)


def _flat(column: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray, bool]:
    """All labels of a column, where those of each row begin, and whether its rows are lists."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # of no chunks
        array = pa.array([], column.type)
    is_list = pa.types.is_list(array.type) or pa.types.is_large_list(array.type)
    if not is_list:
        return array, np.arange(len(array) + 1), False
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    return array.flatten(), np.concatenate([[0], np.cumsum(lengths)]), True


def _encoded(
    values: pa.Array, offsets: np.ndarray, vocabulary: Vocabulary, is_list: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of labels that are texts, and where those of each row begin; each different text is looked up once."""
    coded = values.cast(pa.string()).dictionary_encode()
    known: list[list[int]] = []
    for text in coded.dictionary.to_pylist():
        is_none = is_list and not is_label(text.strip(), vocabulary.index.keys())
        known.append([] if is_none else vocabulary.encode([text]) if is_list else encode_text(text, vocabulary))
    if all(len(indices) == 1 for indices in known) and not values.null_count:
        return np.array([k for [k] in known], np.int32)[coded.indices.to_numpy()], offsets
    found = [[] if code is None else known[code] for code in coded.indices.to_pylist()]
    ends = np.concatenate([[0], np.cumsum([len(indices) for indices in found], dtype=np.int64)])
    return np.array([k for indices in found for k in indices], np.int32), ends[offsets]


def _plain_audio(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Audio as the schema has it; that of `datasets.Audio` has its parts in the other order, or lacks one."""
    types = {"path": pa.string(), "bytes": pa.binary()}

    def plain(chunk: pa.StructArray) -> pa.StructArray:
        there = [part.name for part in chunk.type]
        parts = [
            chunk.field(name).cast(type) if name in there else pa.nulls(len(chunk), type)
            for name, type in types.items()
        ]
        return pa.StructArray.from_arrays(parts, names=list(types))

    return pa.chunked_array([plain(chunk) for chunk in column.chunks], pa.struct(list(types.items())))
