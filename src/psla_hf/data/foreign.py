"""Clips in tables that others made, with columns and labels of many forms, in the one schema. Reads no files."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

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
    "Annotations",
    "LabelTexts",
    "as_clips",
    "clips_of_dataset",
    "columns_of",
    "declared_features",
    "encode_labels",
    "ids_of_rows",
    "in_schema",
    "place_in",
    "times_of",
    "vocabulary_of_datasets",
    "vocabulary_of_features",
]

# What sets on the Hub call these columns; the first one that is there counts.
ID_COLUMNS = ("id", "video_id", "fname", "filename", "file_name", "name")

LABEL_COLUMNS = ("labels", "mids", "label", "category")

SECONDS_COLUMNS = ("seconds", "duration")

TIMES = {"seconds": pa.float32(), "start": pa.float64(), "end": pa.float64()}


def columns_of(schema: pa.Schema, where: str) -> dict[str, str]:
    """What a table calls the schema's columns `labels` and, where it has them, the others but `audio` and `split`.

    Raises:
        ValueError: It has no labels, or no audio as a file's bytes or path; or of `start` and `end` only one.
    """
    own = {name: (name,) for name in ("start", "end", "label_values")}
    candidates = {"id": ID_COLUMNS, "labels": LABEL_COLUMNS, "seconds": SECONDS_COLUMNS, **own}
    found = {ours: next((name for name in theirs if name in schema.names), None) for ours, theirs in candidates.items()}
    audio = schema.field("audio").type if "audio" in schema.names else None
    is_file = audio is not None and pa.types.is_struct(audio) and {"bytes", "path"} & {part.name for part in audio}
    if not found["labels"] or not is_file:
        raise ValueError(
            f"Expected the columns audio (a struct of bytes and path) and one of {list(LABEL_COLUMNS)} in {where}, "
            f"found {schema.names}{'' if audio is None or is_file else f' with audio as {audio}'}."
        )
    columns = {ours: name for ours, name in found.items() if name}
    if len(columns.keys() & {"start", "end"}) == 1:
        raise ValueError(
            f"Expected start and end in {where}, which say what part of its audio a clip is, or neither, found "
            f"{schema.names}. Rename the one if it says something else."
        )
    if "group" in schema.names and pa.types.is_string(schema.field("group").type):
        columns["group"] = "group"
    return columns


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


class LabelTexts:
    """The labels in columns of texts, to be read together: what separates several in a text shows in all of them."""

    def __init__(self) -> None:
        self._single: dict[str, str] = {}  # the different texts, with the place of the first of each
        self._listed: dict[str, str] = {}  # those in lists, where nothing separates them

    def add(self, column: pa.ChunkedArray, where: str) -> bool:
        """Add those of a column; false if it has none, but numbers."""
        values, _, is_list = _flat(column)
        if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
            return False
        unique = pc.unique(values).drop_null()
        texts = self._listed if is_list else self._single
        for text, row in zip(unique.to_pylist(), pc.index_in(unique, values).to_pylist(), strict=True):
            texts.setdefault(text, f"{row} of {where}")
        return True

    def vocabulary(self, where: str) -> Vocabulary:
        """The names that occur, in alphabetical order.

        Raises:
            ValueError: There are none, or only numbers; or some are separated by one mark and some by another.
        """
        separator = find_separator(self._single, where)
        pieces = [text.split(separator) if separator else [text] for text in self._single]
        names = {part.strip() for parts in [*pieces, self._listed] for part in parts}
        return classes_that_occur([filter(is_label, names)], where)


def encode_labels(column: pa.ChunkedArray, vocabulary: Vocabulary, where: str) -> ClipLabels:
    """Labels of any form as indices, of each clip in index order and each once.

    Raises:
        ValueError: One is no class of the vocabulary; or all are lists of a 0 or 1 for each class.
    """
    return _as_written(column, vocabulary, where).each_once()


def _as_written(column: pa.ChunkedArray, vocabulary: Vocabulary, where: str) -> ClipLabels:
    values, offsets, is_list = _flat(column)
    if values.null_count and is_list:
        raise ValueError(f"Expected labels in {where}, {values.null_count} of those in its lists are empty (null).")
    if is_list and _is_multi_hot(values, offsets, len(vocabulary)):
        raise ValueError(
            f"Expected indices of classes in {where}, every list has a 0 or 1 for each of the {len(vocabulary)} "
            "classes. Write the indices of those that are 1: [k for k, there in enumerate(row) if there]."
        )
    try:
        if not pa.types.is_integer(values.type):
            values, offsets = _encoded(values, offsets, vocabulary, is_list)
        elif values.null_count:  # a clip without a label
            offsets = np.concatenate([[0], np.cumsum(values.is_valid().to_numpy(zero_copy_only=False))])
            values = values.drop_null()
        return ClipLabels(np.asarray(values), offsets.astype(np.int64), len(vocabulary))
    except (ValueError, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"{where}: {error}") from error


def _is_multi_hot(values: pa.Array, offsets: np.ndarray, num_classes: int) -> bool:
    """Whether rows have a 0 or 1 for each class; of two classes they may be indices."""
    as_many = len(offsets) > 1 and num_classes > 2 and (np.diff(offsets) == num_classes).all()
    return bool(as_many and pa.types.is_integer(values.type) and np.isin(values, (0, 1)).all())


class Annotations(NamedTuple):
    """What a table says of its clips, in the schema.

    Attributes:
        labels: Of each clip in index order.
        values: Targets of soft labels, one for each of `labels.values`; none where there are no `label_values`.
        others: Times, see `times_of`, and `group` where there is one.
    """

    labels: ClipLabels
    values: np.ndarray | None
    others: dict[str, pa.ChunkedArray]

    @classmethod
    def of(cls, table: pa.Table, columns: Mapping[str, str], vocabulary: Vocabulary, where: str) -> "Annotations":
        """Read them.

        Args:
            table: The clips.
            columns: What it calls the schema's, see `columns_of`.
            vocabulary: The classes.
            where: The table, for messages.

        Raises:
            ValueError: See `encode_labels` and `times_of`; or there is not a target from 0 to 1 for each label.
        """
        written = _as_written(table[columns["labels"]], vocabulary, where)
        labels, values = written.each_once(), None
        if "label_values" in columns:
            with reading(where, "label_values as numbers"):
                flat, offsets, _ = _flat(table[columns["label_values"]])
                values = flat.cast(pa.float32()).to_numpy(zero_copy_only=False)  # NaN where there is none
            fits = np.array_equal(offsets, written.offsets) and len(labels.values) == len(written.values)
            if not fits or not ((values >= 0) & (values <= 1)).all():
                raise ValueError(
                    f"Expected label_values in {where} from 0 to 1, one for each of a clip's labels, which are all "
                    "different. Remove the column if it says something else."
                )
            values = values[np.lexsort((written.values, written.clip_of_value()))]
        group = {"group": table["group"]} if "group" in columns else {}
        return cls(labels, values, {**times_of(table, columns, where), **group})


def times_of(table: pa.Table, columns: Mapping[str, str], where: str) -> dict[str, pa.ChunkedArray]:
    """The lengths of clips, `seconds`, none where there are none or no lengths; of segments, also `start` and `end`.

    Args:
        table: The clips.
        columns: What it calls the schema's, see `columns_of`.
        where: The table, for messages.

    Raises:
        ValueError: A time is no number, or a segment does not end after it starts, at 0 or later.
    """
    unknown = pa.chunked_array([pa.nulls(len(table), TIMES["seconds"])])
    with reading(where, "times in seconds as numbers"):
        times = {name: table[columns[name]].cast(kind) for name, kind in TIMES.items() if name in columns}
    if "start" in times:
        begin = pc.fill_null(times["start"], 0.0)
        lengths = pc.subtract(times["end"], begin)
        is_part = pc.and_(pc.greater_equal(begin, 0.0), pc.fill_null(pc.greater(lengths, 0.0), True))
        wrong = pc.index(is_part, False).as_py()
        if wrong >= 0:
            raise ValueError(
                f"Expected segments that end after they start, at 0 or later, in {where}, one goes from "
                f"{times['start'][wrong]} to {times['end'][wrong]} s."
            )
        # What says the length of the file is longer.
        times["seconds"] = pc.min_element_wise(times.get("seconds", unknown), lengths.cast(TIMES["seconds"]))
    seconds = times.get("seconds", unknown)
    is_length = pc.and_(pc.is_finite(seconds), pc.greater_equal(seconds, 0.0))
    return {**times, "seconds": pc.if_else(is_length, seconds, pa.scalar(None, TIMES["seconds"]))}


def ids_of_rows(column: pa.ChunkedArray | None, place: str, rows: Iterable[int]) -> list[str]:
    """Ids of clips; of one that has none its place and row, such as `train:7`."""
    names = [f"{place}:{row}" for row in rows]
    own = [None] * len(names) if column is None else column.to_pylist()
    return [row if given is None else str(given) for given, row in zip(own, names, strict=True)]


def place_in(file: str) -> str:
    """A file in the ids of its clips, with its folder, such as `data/train-00000-of-00012`."""
    return "/".join(PurePosixPath(file).with_suffix("").parts[-2:])


def in_schema(table: pa.Table, vocabulary: Vocabulary, file: str, numbers: Sequence[int] | np.ndarray) -> list[dict]:
    """Rows of a file's table in the schema.

    Args:
        table: Some of its rows.
        vocabulary: The classes.
        file: Its name, for messages and for clips without an id.
        numbers: Of the rows in the file.
    """
    columns = columns_of(table.schema, file)
    labels, values, others = Annotations.of(table, columns, vocabulary, file)
    ids = ids_of_rows(table[columns["id"]] if "id" in columns else None, place_in(file), numbers)
    audio = table["audio"].to_pylist()
    split = table["split"].to_pylist() if "split" in table.column_names else [None] * len(table)
    more = {name: column.to_pylist() for name, column in others.items()}
    clips = []
    for i in range(len(table)):
        of_clip = slice(*labels.offsets[i : i + 2])
        indices = labels.values[of_clip].tolist()
        clips.append(
            {
                "id": ids[i],
                "audio": {key: (audio[i] or {}).get(key) for key in ("path", "bytes")},
                "labels": indices,
                "mids": indices,
                "split": split[i],
                **{name: of_all[i] for name, of_all in more.items()},
                **({} if values is None else {"label_values": values[of_clip].tolist()}),
            }
        )
    return clips


def vocabulary_of_datasets(datasets: Mapping[str, Dataset]) -> Vocabulary | None:
    """The classes of data sets that do not declare any: the names in their labels; none where labels are numbers."""
    texts = LabelTexts()
    for split, dataset in datasets.items():
        labels = columns_of(dataset.features.arrow_schema, split)["labels"]
        if vocabulary_of_features(dataset.features, labels, split, None):
            return None
        if not texts.add(dataset.select_columns(labels).with_format("arrow")[:][labels], f"the split {split}"):
            return None
    return texts.vocabulary(f"the splits {', '.join(datasets)}")


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
    features = tagging_features(vocabulary, "label_values" in columns, "start" in columns, "group" in columns)
    if {**dataset.features, **features} == dataset.features:
        return IndexedClips(dataset)
    table = dataset.with_format("arrow")[:]
    labels, values, others = Annotations.of(table, columns, vocabulary, where)
    indices, targets = (
        None if flat is None else pa.ListArray.from_arrays(pa.array(labels.offsets, pa.int32()), pa.array(flat, kind))
        for flat, kind in ((labels.values, pa.int64()), (values, pa.float32()))
    )
    content = {
        "id": ids_of_rows(table[columns["id"]] if "id" in columns else None, split, range(len(table))),
        "audio": _plain_audio(table["audio"]),
        "labels": indices,
        "mids": indices,
        "label_values": targets,
        "split": pc.fill_null(table["split"].cast(pa.string()), split)
        if "split" in table.column_names
        else [split] * len(table),
        **others,
    }
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
    if pa.types.is_fixed_size_list(array.type):
        array = array.cast(pa.list_(array.type.value_type))
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
