"""The one schema of tagging data, and clips in it, by index or in shards. Decodes nothing; knows no sources."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Audio, ClassLabel, Dataset, Features, List, Value
from typing_extensions import override

from psla_hf.files import digest
from psla_hf.labels.scores import ScoreRows, check_rows, chunks_of
from psla_hf.labels.vocabulary import ClipLabels, Vocabulary

from .splitting import Groups

__all__ = [
    "Clips",
    "IndexedClips",
    "check_class_order",
    "class_names",
    "labels_of",
    "plain_features",
    "stored_features",
    "tagging_features",
    "targets_of",
    "vocabulary_of",
    "with_labels",
    "with_targets",
]


PLAIN_AUDIO = {"path": Value("string"), "bytes": Value("binary")}


def tagging_features(
    vocabulary: Vocabulary, soft: bool = False, segments: bool = False, groups: bool = False
) -> Features:
    """The schema of every data set here.

    - `id`: the clip's name, unique in its split.
    - `audio`: undecoded, a path or the file's bytes, in the layout of `datasets.Audio`, but as plain values, because
      `Audio` needs torchcodec and FFmpeg even to store.
    - `labels`: class indices in the vocabulary's order; the feature has the display names.
    - `mids`: the same indices; the feature has AudioSet's ids (the name again, for a class without one).
    - `split`: such as `train`.
    - `seconds`: length according to the file's header when it was listed; none where nobody looked.

    Clips with soft labels have one column more, `label_values`: the target of each of `labels`, float32. Clips that are
    segments of files have two more, `start` and `end` in seconds, none for the beginning or the end of the file;
    `seconds` is then the length of the segment. Clips that may belong together have `group`, the name of what
    they belong to, such as a recording.
    """
    times = {"start": Value("float64"), "end": Value("float64")} if segments else {}
    group = {"group": Value("string")} if groups else {}
    values = {"label_values": List(Value("float32"))} if soft else {}
    return Features(
        {
            "id": Value("string"),
            "audio": dict(PLAIN_AUDIO),
            "labels": List(ClassLabel(names=list(vocabulary.names))),
            "mids": List(ClassLabel(names=list(vocabulary.mids))),
            "split": Value("string"),
            "seconds": Value("float32"),
            **times,
            **group,
            **values,
        }
    )


def stored_features(features: Features, sampling_rate: int) -> Features:
    """The same columns as prepared shards declare them: their `audio` is sound, which the Hub's viewer plays.

    Undecoded, so that they load without torchcodec; `cast_column("audio", Audio(sampling_rate))` decodes them.
    """
    return Features({**features, "audio": Audio(sampling_rate=sampling_rate, decode=False)})


def plain_features(features: Features) -> Features:
    """The columns of `stored_features` as `tagging_features` has them; others as they are."""
    audio = features.get("audio")
    return (
        Features({**features, "audio": dict(PLAIN_AUDIO)})
        if isinstance(audio, Audio) and not audio.decode
        else features
    )


class HasFeatures(Protocol):
    """Whatever declares its columns as a `datasets.Dataset` does."""

    @property
    def features(self) -> Features | None:
        """The columns."""


def vocabulary_of(clips: HasFeatures) -> Vocabulary:
    """The classes of a data set with `tagging_features`."""
    features = clips.features
    if features is None or not {"labels", "mids"} <= set(features):
        raise ValueError(
            "Expected a data set with the features of psla_hf.data.schema.tagging_features, got "
            f"{None if features is None else sorted(features)}. Load it with a function of psla_hf.data."
        )
    return Vocabulary(tuple(features["labels"].feature.names), tuple(features["mids"].feature.names))


def class_names(clips: HasFeatures) -> list[str]:
    """The display names of a data set's classes, in index order."""
    return list(vocabulary_of(clips).names)


def labels_of(clips: Dataset) -> ClipLabels:
    """All labels of a data set, without touching its audio."""
    column = clips.select_columns("labels").with_format("arrow")[:]["labels"]
    return ClipLabels.from_arrow(column, len(vocabulary_of(clips)))


def targets_of(clips: Dataset) -> np.ndarray:
    """All labels of a data set as float32 0/1 targets `[N, K]`, without touching its audio."""
    return labels_of(clips).multi_hot()


def with_targets(clips: Dataset, targets: np.ndarray) -> Dataset:
    """The same clips with other labels, for example enhanced ones.

    Args:
        clips: N clips of K classes.
        targets: 0/1 labels `[N, K]`.

    Raises:
        ValueError: The shape does not fit, or a label is neither 0 nor 1.
    """
    expected = (len(clips), len(vocabulary_of(clips)))
    if targets.shape != expected:
        raise ValueError(
            f"Expected targets {expected}, one row per clip and one column per class, got {targets.shape}."
        )
    if not np.isin(targets, (0, 1)).all():
        raise ValueError("Expected 0/1 targets: a data set's labels are there or not.")
    return with_labels(clips, ClipLabels.from_multi_hot(targets))


def with_labels(clips: Dataset, labels: ClipLabels, values: np.ndarray | None = None) -> Dataset:
    """The same clips with other labels; their audio is not touched.

    Args:
        clips: N clips of K classes.
        labels: Of N clips and K classes.
        values: Targets of soft labels, one for each of `labels.values`, from 0 to 1; by default all are 1.

    Raises:
        ValueError: The numbers of clips, of classes or of values do not fit.
    """
    expected, got = (len(clips), len(vocabulary_of(clips))), (len(labels), labels.num_classes)
    if got != expected or (values is not None and len(values) != len(labels.values)):
        raise ValueError(
            f"Expected labels of {expected[0]} clips with {expected[1]} classes, and a value for each of "
            f"{len(labels.values)} labels, got {got[0]} clips with {got[1]} classes"
            + ("." if values is None else f" and {len(values)} values.")
        )
    indices = pa.array(labels.values, pa.int64())
    columns = {"labels": indices, "mids": indices}
    features = Features({name: clips.features[name] for name in clips.features if name != "label_values"})
    if values is not None:
        columns["label_values"] = pa.array(values, pa.float32())
        features["label_values"] = List(Value("float32"))
    rest = clips.remove_columns([name for name in ("labels", "mids", "label_values") if name in clips.features])
    for name, flat in columns.items():
        lists = pa.ListArray.from_arrays(pa.array(labels.offsets, pa.int32()), flat)
        rest = rest.add_column(name, lists, feature=features[name])
    return rest.select_columns(list(features))


class Clips(ABC):
    """N clips with `tagging_features`: by index (`IndexedClips`), or in shards (`shards.parquet.ShardedClips`).

    Attributes:
        index: The row groups to stream them from (`shards.parquet.ShardIndex`); none for clips by index.
        scores: What a teacher says of them, `[N, K]`, where they are to be learned from, see `with_scores`.
    """

    index: Any
    scores: ScoreRows | None

    @property
    @abstractmethod
    def features(self) -> Features:
        """The columns, see `tagging_features`."""

    @property
    @abstractmethod
    def labels(self) -> ClipLabels:
        """Labels of all clips, read without their audio."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """SHA-256 that changes with the ids, the labels or the scores, or with the order of one."""

    @property
    @abstractmethod
    def hours(self) -> float | None:
        """Length of all clips together; none where it is not known."""

    @abstractmethod
    def __len__(self) -> int:
        """N."""

    @abstractmethod
    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The clips in order, audio encoded."""

    @abstractmethod
    def column(self, name: str) -> list[str | None]:
        """`id`, `split`, `seconds` or `group` of each clip, read without audio; none where the data do not say."""

    @abstractmethod
    def select(self, rows: range) -> "Clips":
        """Consecutive clips, cheap to send to another process."""

    @abstractmethod
    def with_labels(self, labels: ClipLabels, values: np.ndarray | None = None) -> "Clips":
        """The same clips with other labels; neither audio nor files are touched. See the function `with_labels`."""

    @abstractmethod
    def with_scores(self, scores: ScoreRows) -> "Clips":
        """The same clips with a teacher's scores, which are read clip by clip when they are used.

        Args:
            scores: `[N, K]`, NaN where the teacher has none.

        Raises:
            ValueError: They are of another number of clips or classes.
        """

    @abstractmethod
    def dataset(self) -> Dataset:
        """The clips by index; those of shards are read into memory."""

    @abstractmethod
    def audio_path(self, clip: int, root: str | Path) -> str | None:
        """The file of a clip by its number: its path inside the folder `root`, else its name; none in shards."""

    @property
    @abstractmethod
    def files(self) -> list[str | None]:
        """The file of each clip; none for a clip whose bytes a table holds."""

    @property
    def groups(self) -> Groups:
        """Which of the clips stay together wherever clips are parted."""
        return Groups.of(self.column("group") if "group" in self.features else None, self.files, self.ids)

    def _refuse_scores(self) -> None:
        """Scores are of all clips, in their order: a part would be given those of others."""
        if self.scores is not None:
            raise ValueError("Expected clips without a teacher's scores: select some first, and then give them scores.")

    @property
    def vocabulary(self) -> Vocabulary:
        """The classes."""
        return vocabulary_of(self)

    @property
    def ids(self) -> list[str]:
        """Id of each clip."""
        return [str(name) for name in self.column("id")]

    @property
    def seconds(self) -> list[float | None]:
        """Length of each clip; none where nobody looked."""
        return [None if length is None else float(length) for length in self.column("seconds")]


class IndexedClips(Clips):
    """The clips of a `datasets.Dataset`.

    Args:
        dataset: With `tagging_features`.
        scores: What a teacher says of them.

    Raises:
        ValueError: It has other features, or there are scores of other clips or classes.
    """

    index = None

    def __init__(self, dataset: Dataset, scores: ScoreRows | None = None):
        vocabulary = vocabulary_of(dataset)
        if scores is not None:
            check_rows(scores, len(dataset), len(vocabulary))
        self._dataset, self.scores = dataset.with_format(None), scores

    def __reduce__(self) -> tuple[type["IndexedClips"], tuple[Dataset, ScoreRows | None]]:
        # A table in memory would be pickled whole, not just these rows; one on disk is pickled as its file's name.
        on_disk = bool(self._dataset.cache_files)
        return IndexedClips, (
            self._dataset if on_disk else Dataset.from_dict(self._dataset[:], features=self.features),
            self.scores,
        )

    @property
    @override
    def features(self) -> Features:
        return self._dataset.features

    @property
    @override
    def labels(self) -> ClipLabels:
        return labels_of(self._dataset)

    @property
    @override
    def fingerprint(self) -> str:
        labels = self.labels
        parts: list[Any] = ["\n".join(self.ids), labels.values, labels.offsets]
        if "label_values" in self.features:
            parts.append(self._arrow("label_values").combine_chunks().flatten().to_numpy(zero_copy_only=False))
        if "start" in self.features:
            parts.append(repr([self.column("start"), self.column("end")]))
        if self.scores is not None:
            parts += [rows for _, rows in chunks_of(self.scores)]
        return digest(*parts)

    @property
    @override
    def hours(self) -> float | None:
        seconds = self._arrow("seconds")
        return None if seconds.null_count else (pc.sum(seconds).as_py() or 0.0) / 3600

    def __len__(self) -> int:
        return len(self._dataset)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._dataset)

    @override
    def column(self, name: str) -> list[str | None]:
        return self._arrow(name).to_pylist()

    @override
    def select(self, rows: range) -> "IndexedClips":
        self._refuse_scores()
        return IndexedClips(self._dataset.select(rows))

    @override
    def with_labels(self, labels: ClipLabels, values: np.ndarray | None = None) -> "IndexedClips":
        return IndexedClips(with_labels(self._dataset, labels, values), self.scores)

    @override
    def with_scores(self, scores: ScoreRows) -> "IndexedClips":
        return IndexedClips(self._dataset, scores)

    @override
    def dataset(self) -> Dataset:
        return self._dataset

    def audio_path(self, clip: int, root: str | Path) -> str | None:
        """The file of a clip by its number: its path inside the folder `root`, else its name.

        Where a table holds the encoded audio itself, it is the name that the table has for it; so is an address.
        """
        audio = self._dataset.select_columns("audio")[clip]["audio"]
        path = audio["path"]
        inside_table = audio["bytes"] is not None and path is not None and not Path(path).is_absolute()
        if path is None or inside_table or "://" in path:
            return path
        # Not resolved: a link inside the folder is the file's name there.
        file, folder = (Path(os.path.normpath(Path(part).absolute())) for part in (path, root))
        return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.name

    @property
    @override
    def files(self) -> list[str | None]:
        found: list[str | None] = []
        for chunk in self._arrow("audio").chunks:  # one by one: joined, the bytes would be copied
            paths, are_files = chunk.field("path").to_pylist(), chunk.field("bytes").is_null().to_pylist()
            found += [path if is_file else None for path, is_file in zip(paths, are_files, strict=True)]
        return found

    def _arrow(self, name: str) -> pa.ChunkedArray:
        return self._dataset.select_columns(name).with_format("arrow")[:][name]


def check_class_order(names: Sequence[str], model_names: Sequence[str]) -> None:
    """Refuse data whose classes are not a model's, in the model's order.

    Args:
        names: The data set's classes in index order.
        model_names: The model's, as in its configuration's `id2label`.

    Raises:
        ValueError: They differ; the message says from which index on.
    """
    if list(names) == list(model_names):
        return
    differ = next((k for k, (a, b) in enumerate(zip(names, model_names, strict=False)) if a != b), None)
    where = (
        f"class {differ} is {names[differ]!r} in the data and {model_names[differ]!r} in the model"
        if differ is not None
        else "the first ones agree, one list is longer"
    )
    raise ValueError(
        f"Expected the model's {len(model_names)} classes in the model's order, got {len(names)}: {where}. Load the "
        "data with the vocabulary that the model was trained with, or give the model a new head (num_labels, id2label)."
    )
