"""Label sets: a training set's labels before and after enhancement, as a folder or on the Hub. Knows no models."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Dataset, Features, List, Value, load_dataset
from datasets.exceptions import DatasetNotFoundError

from psla_hf.data.foreign import as_clips
from psla_hf.data.schema import Clips
from psla_hf.files import reading, write_json
from psla_hf.labels.vocabulary import ClipLabels, Vocabulary, rows_of_ids
from psla_hf.places import local_path

from .algorithm import RELATION_NAMES, Enhancement, check_probabilities

__all__ = [
    "COUNTS_FILE",
    "LABELS_FILE",
    "VOCABULARY_FILE",
    "LabelSet",
    "label_set_features",
    "write_label_set",
]


LABELS_FILE = "labels.parquet"

VOCABULARY_FILE = "vocabulary.csv"

COUNTS_FILE = "class_counts.json"

COLUMNS = ("id", "labels", "enhanced_labels", "enhanced_values")

CLIPS_PER_GROUP = 65536


def label_set_features(vocabulary: Vocabulary, soft: bool = False) -> Features:
    """The schema of a label set, a row per clip.

    - `id`: the clip's.
    - `labels`, `enhanced_labels`: before and after.
    - `added`: for each label of the second that is not in the first its `score`, its class's `threshold`, the
      `relation` that proposed it (`I`, a missing child; `II`, a missing parent; `I+II`), and the labels it was
      `proposed_by`.
    - `enhanced_values`, in a set of soft labels: the target of each of `enhanced_labels`.
    """
    classes = ClassLabel(names=list(vocabulary.names))
    added = {
        "label": classes,
        "score": Value("float32"),
        "threshold": Value("float32"),
        "relation": Value("string"),
        "proposed_by": List(classes),
    }
    columns = {"id": Value("string"), "labels": List(classes), "enhanced_labels": List(classes), "added": List(added)}
    return Features(columns | ({"enhanced_values": List(Value("float32"))} if soft else {}))


def write_label_set(
    folder: str | Path, ids: Sequence[str], enhancement: Enhancement, vocabulary: Vocabulary, soft: bool = False
) -> None:
    """Write labels, classes and class counts into an existing folder; see `files.atomic_folder`.

    Args:
        folder: For `labels.parquet` (`label_set_features`), `vocabulary.csv` and `class_counts.json`.
        ids: Of the N clips.
        enhancement: Of their labels.
        vocabulary: The K classes.
        soft: The targets of added labels are the teacher's scores.

    Raises:
        ValueError: The labels are to be soft, and the scores are no probabilities.
    """
    folder = Path(folder)
    enhanced = enhancement.enhanced()
    values = check_probabilities(enhancement.values()) if soft else None
    schema = label_set_features(vocabulary, soft).arrow_schema
    added_ends = np.searchsorted(enhancement.clips, np.arange(len(ids) + 1))
    with pq.ParquetWriter(folder / LABELS_FILE, schema) as writer:
        for start in range(0, max(len(ids), 1), CLIPS_PER_GROUP):
            clips = slice(start, min(start + CLIPS_PER_GROUP, len(ids)))
            columns = {
                "id": pa.array(ids[clips], pa.string()),
                "labels": _lists(enhancement.original, clips),
                "enhanced_labels": _lists(enhanced, clips),
                "added": _added(enhancement, added_ends[clips.start : clips.stop + 1]),
            }
            if values is not None:
                columns["enhanced_values"] = _lists(enhanced, clips, values)
            writer.write_table(pa.table(columns).cast(schema))
    with (folder / VOCABULARY_FILE).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["index", "mid", "display_name"])
        table.writerows(zip(range(len(vocabulary)), vocabulary.mids, vocabulary.names, strict=True))
    counts: dict[str, Any] = {
        "original": enhancement.original.class_counts().tolist(),
        "enhanced": enhanced.class_counts().tolist(),
        "classes": list(vocabulary.names),
    }
    write_json(counts, folder / COUNTS_FILE)


@dataclass(frozen=True)
class LabelSet:
    """A training set's labels before and after enhancement.

    Attributes:
        name: Where it is from, for messages.
        ids: Of the N clips.
        original: Their labels before.
        enhanced: And after.
        values: Float32 target of each of `enhanced.values` in a set of soft labels; none in a set of 0/1 labels.
        vocabulary: The classes (from the Hub with names alone).
    """

    name: str
    ids: list[str]
    original: ClipLabels
    enhanced: ClipLabels
    values: np.ndarray | None
    vocabulary: Vocabulary

    @classmethod
    def open(cls, name: str | Path, config: str | None = None) -> "LabelSet":
        """Read a label set.

        Args:
            name: A folder that `write_label_set` wrote, or a data set repository of the Hub, `owner/name`.
                `name:config` chooses one of several in a repository, or in a folder of folders.
            config: The same by itself.

        Raises:
            FileNotFoundError: There is no such folder, and no such repository or no way to the Hub.
            ValueError: It holds no label set, or several of which none was chosen.
        """
        name = str(name)
        if config is None and not Path(name).exists() and ":" in name:
            name, _, config = name.rpartition(":")
        path = local_path(name, "a label set's folder or a repository OWNER/NAME or OWNER/NAME:CONFIG")
        if path is not None:
            return cls._of_folder(path / (config or ""))
        clips = _of_hub(name, config)
        columns = [column for column in COLUMNS if column in clips.features]
        table = clips.select_columns(columns).with_format("arrow")[:]
        return cls._of_table(table, clips.features, f"{name}:{config}" if config else name)

    @classmethod
    def _of_folder(cls, folder: Path) -> "LabelSet":
        path = folder / LABELS_FILE
        if not path.is_file():
            inside = sorted(child.parent.name for child in folder.glob(f"[!.]*/{LABELS_FILE}"))
            hint = f" Choose one of {inside}, such as {folder}:{inside[0]}." if inside else ""
            raise FileNotFoundError(f"Expected a label set ({LABELS_FILE}) in {folder}.{hint}")
        with reading(path, "a label set as parquet"):
            schema = pq.read_schema(path)
            table = pq.read_table(path, columns=[column for column in COLUMNS if column in schema.names])
        vocabulary = Vocabulary.from_csv(folder / VOCABULARY_FILE)
        return cls._of_table(table, Features.from_arrow_schema(schema), str(folder), vocabulary)

    @classmethod
    def _of_table(
        cls, table: pa.Table, features: Features, name: str, vocabulary: Vocabulary | None = None
    ) -> "LabelSet":
        classes = getattr(getattr(features.get("enhanced_labels"), "feature", None), "names", None)
        if classes is None or not {"id", "labels"} <= set(features):
            raise ValueError(f"Expected the columns of a label set in {name}, found {sorted(features)}.")
        vocabulary = vocabulary or Vocabulary(tuple(classes))
        if list(vocabulary.names) != classes:
            raise ValueError(f"Expected the same classes in {LABELS_FILE} and {VOCABULARY_FILE} of {name}.")
        with reading(name, "labels of these classes"):
            original, enhanced = (ClipLabels.from_arrow(table[column], len(classes)) for column in COLUMNS[1:3])
        values = None
        if "enhanced_values" in features:
            values = np.concatenate([np.empty(0, np.float32), *map(_flat, table["enhanced_values"].chunks)])
        return cls(name, table["id"].to_pylist(), original, enhanced, values, vocabulary)

    def check(self, ids: Sequence[str], vocabulary: Vocabulary, original: ClipLabels) -> np.ndarray:
        """Refuse clips that this label set was not made for.

        Args:
            ids: Of the N clips at hand, in any order.
            vocabulary: Their classes.
            original: Their labels.

        Returns:
            Row of this set for each of the clips, int64 `[N]`.

        Raises:
            ValueError: Classes differ; ids are missing or extra; or clips have other labels than they had before the
                enhancement. The message counts them.
        """
        if vocabulary.names != self.vocabulary.names:
            differ = [
                k for k, (a, b) in enumerate(zip(vocabulary.names, self.vocabulary.names, strict=False)) if a != b
            ]
            raise ValueError(
                f"Expected the data's {len(vocabulary)} classes in the label set {self.name}, it has "
                f"{len(self.vocabulary)}"
                + (f"; the first that differs is number {differ[0]}." if differ else ".")
                + " Load the data with the label set's vocabulary."
            )
        rows = rows_of_ids(ids, self.ids, f"the label set {self.name}")
        others = _clips_that_differ(original, self.original.take(rows))
        if len(others):
            raise ValueError(
                f"Expected clips with the labels that {self.name} was made from, {len(others)} of {len(ids)} have "
                f"others, such as {', '.join(ids[row] for row in others[:3])}. Enhance the labels of these data."
            )
        return rows

    def apply(self, clips: Clips | Dataset) -> Clips:
        """The same clips with enhanced labels; where they are soft, with a column `label_values`.

        Args:
            clips: By index, or all clips of some shards; files stay as they are.

        Raises:
            ValueError: The label set was made for other clips, see `check`.
        """
        clips = as_clips(clips)
        rows = self.check(clips.ids, clips.vocabulary, clips.labels)
        labels = self.enhanced.take(rows)
        if self.values is None:
            return clips.with_labels(labels)
        return clips.with_labels(labels, self.enhanced.matrix(self.values)[rows].data)

    def in_figures(self) -> dict[str, Any]:
        """What a run's results say of it: its name, how many clips and labels it has, and whether they are soft."""
        before, after = len(self.original.values), len(self.enhanced.values)
        name = Path(self.name).name if Path(self.name).is_absolute() else self.name
        counts = {"clips": len(self.ids), "labels_before": before, "labels_after": after}
        return {"name": name, **counts, "soft": self.values is not None}


def _of_hub(name: str, config: str | None) -> Dataset:
    """The one split of a repository's configuration."""
    try:
        splits = load_dataset(name, config)
    except (DatasetNotFoundError, ConnectionError) as error:
        raise FileNotFoundError(
            f"Expected a label set, there is neither a folder {name} nor a repository {name} of the Hub that can be "
            f"read from here: {error}"
        ) from error
    if len(splits) != 1:
        raise ValueError(
            f"Expected one split in a label set, {name} has {sorted(splits)}. Publish label sets with "
            "psla_hf.hub.push_labels."
        )
    return next(iter(splits.values()))


def _flat(lists: pa.ListArray) -> np.ndarray:
    return lists.flatten().to_numpy(zero_copy_only=False)


def _clips_that_differ(labels: ClipLabels, others: ClipLabels) -> np.ndarray:
    """Numbers of the clips with different labels."""
    return np.flatnonzero(np.diff((labels.matrix() != others.matrix()).indptr))


def _lists(labels: ClipLabels, clips: slice, values: np.ndarray | None = None) -> pa.ListArray:
    """Some clips' labels, or what there is for each of them, as lists."""
    ends = labels.offsets[clips.start : clips.stop + 1]
    flat = (labels.values if values is None else values)[ends[0] : ends[-1]]
    return pa.ListArray.from_arrays(pa.array(ends - ends[0], pa.int32()), pa.array(flat))


def _added(enhancement: Enhancement, ends: np.ndarray) -> pa.ListArray:
    """The added labels between the first and the last of `ends` as a list of structures per clip."""
    part = slice(ends[0], ends[-1])
    classes, kinds = enhancement.classes[part], enhancement.kinds[part]
    columns = {
        "label": pa.array(classes),
        "score": pa.array(enhancement.scores[part]),
        "threshold": pa.array(enhancement.thresholds[classes].astype(np.float32)),
        "relation": pa.array([RELATION_NAMES[kind] for kind in kinds.tolist()], pa.string()),
        "proposed_by": _lists(enhancement.proposed_by, part),
    }
    structures = pa.StructArray.from_arrays(list(columns.values()), names=list(columns))
    return pa.ListArray.from_arrays(pa.array(ends - ends[0], pa.int32()), structures)
