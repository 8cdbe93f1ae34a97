"""Classes in their order, and the labels of many clips as flat arrays. Knows no ontology, no audio and no data sets."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import csr_array

from psla_hf.files import digest, read_text, reading

__all__ = ["ClipLabels", "Vocabulary", "rows_of_ids"]


@dataclass(frozen=True)
class Vocabulary:
    """The classes in index order.

    Attributes:
        names: Display names, all different.
        mids: AudioSet ids such as `/m/09x0r`, all different; a class without one has its name here. Left out, all have.

    Raises:
        ValueError: There are no classes, names or mids are not unique, or their numbers differ.
    """

    names: tuple[str, ...]
    mids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Fill in the mids and refuse what cannot tell classes apart."""
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "mids", tuple(self.mids) or self.names)
        if not self.names or len(self.names) != len(self.mids):
            raise ValueError(f"Expected one mid per class name, got {len(self.names)} names and {len(self.mids)} mids.")
        for what, values in (("names", self.names), ("mids", self.mids)):
            duplicates = sorted(value for value, times in Counter(values).items() if times > 1)
            if duplicates:
                raise ValueError(
                    f"Expected every class's {what} to be unique, these occur more than once: {duplicates[:5]}."
                )

    @classmethod
    def from_csv(cls, path: str | Path) -> "Vocabulary":
        """Read `class_labels_indices.csv` (index, mid, display_name) or FSD50K's `vocabulary.csv` (index, label, mid).

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is neither of the two, or the indices are not 0, 1, 2, …
        """
        lines = io.StringIO(read_text(path))
        with reading(path, "a table of classes"):
            rows = [row for row in csv.reader(lines) if row]
        has_header = rows[:1] == [["index", "mid", "display_name"]]
        first, rows = rows[:1], rows[has_header:]
        if not rows or any(len(row) != 3 for row in rows):
            raise ValueError(
                f"Expected the columns index,mid,display_name with a header, or index,label,mid without one, in "
                f"{path}; its first line is {str(first[0])[:80] if first else 'empty'}."
            )
        if [row[0] for row in rows] != [str(k) for k in range(len(rows))]:
            raise ValueError(f"Expected the indices 0, 1, 2, … in {path}, in this order.")
        names, mids = (tuple(row[k] for row in rows) for k in ((2, 1) if has_header else (1, 2)))
        with reading(path, "a table of classes"):
            return cls(names, mids)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the mids and names in their order: equal for equal vocabularies only."""
        lines = "\n".join(f"{mid}\t{name}" for mid, name in zip(self.mids, self.names, strict=True))
        return digest(lines)

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Index of each class, by its mid and by its name (where the two disagree, the mid's)."""
        by_name = {name: k for k, name in enumerate(self.names)}
        return by_name | {mid: k for k, mid in enumerate(self.mids)}

    def encode(self, labels: Iterable[str | int]) -> list[int]:
        """Names, mids or indices of one clip as sorted indices, each once.

        Raises:
            ValueError: One of them is no class of this vocabulary.
        """
        indices = set()
        for label in labels:
            number = str(label).strip()
            k = self.index.get(number, int(number) if number.isdecimal() else -1)
            if not 0 <= k < len(self):
                raise ValueError(
                    f"Expected names, mids or indices of the {len(self)} classes, got {label!r}. The nearest name is "
                    f"{self._nearest(number)!r}; the first mids are {list(self.mids[:3])}."
                )
            indices.add(k)
        return sorted(indices)

    def _nearest(self, text: str) -> str:
        """The name most like a text, whatever the case."""
        names = {name.lower(): name for name in self.names}
        return names[get_close_matches(text.lower(), names, n=1, cutoff=0)[0]]


@dataclass(frozen=True)
class ClipLabels:
    """The labels of N clips in little memory: clip i has the classes `values[offsets[i]:offsets[i + 1]]`.

    For example the labels `[[0, 2], [], [1]]` are the values `[0, 2, 1]` with the offsets `[0, 2, 2, 3]`.

    Attributes:
        values: Class indices, int32, of all clips one after the other.
        offsets: Int64 `[N + 1]`.
        num_classes: K.

    Raises:
        ValueError: An index is outside `range(num_classes)`.
    """

    values: np.ndarray
    offsets: np.ndarray
    num_classes: int

    def __post_init__(self) -> None:
        """Refuse indices without a class, and only then make them int32: before, 2**32 would become class 0."""
        outside = self.values[~((self.values >= 0) & (self.values < self.num_classes))]
        if len(outside):
            raise ValueError(
                f"Expected class indices from 0 to {self.num_classes - 1}, got {np.unique(outside)[:5].tolist()}."
            )
        object.__setattr__(self, "values", self.values.astype(np.int32, copy=False))

    @classmethod
    def from_lists(cls, labels: Iterable[Sequence[int]], num_classes: int) -> "ClipLabels":
        """From one sequence of class indices per clip."""
        lists = [list(of_clip) for of_clip in labels]
        offsets = np.cumsum([0, *map(len, lists)], dtype=np.int64)
        return cls(np.array([k for of_clip in lists for k in of_clip], dtype=np.int64), offsets, num_classes)

    @classmethod
    def from_arrow(cls, column: pa.ChunkedArray, num_classes: int) -> "ClipLabels":
        """From a list column of an Arrow table, without Python objects."""
        lengths = [np.diff(chunk.offsets.to_numpy()) for chunk in column.chunks]
        values = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
        offsets = np.concatenate([[0], *lengths]).cumsum(dtype=np.int64)
        return cls(np.concatenate([np.empty(0, np.int32), *values]), offsets, num_classes)

    @classmethod
    def from_multi_hot(cls, targets: np.ndarray) -> "ClipLabels":
        """From 0/1 targets `[N, K]`, the inverse of `multi_hot`."""
        return cls.from_matrix(csr_array(targets != 0))

    @classmethod
    def from_matrix(cls, matrix: csr_array) -> "ClipLabels":
        """From a sparse matrix `[N, K]`: what it stores are the labels; the inverse of `matrix`."""
        return cls(matrix.indices, matrix.indptr.astype(np.int64), matrix.shape[1])

    @classmethod
    def concatenate(cls, parts: Sequence["ClipLabels"]) -> "ClipLabels":
        """The clips of all parts, in order; the parts have the same classes."""
        offsets = np.concatenate([[0], *(np.diff(part.offsets) for part in parts)]).cumsum(dtype=np.int64)
        return cls(np.concatenate([part.values for part in parts]), offsets, parts[0].num_classes)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def take(self, clips: np.ndarray) -> "ClipLabels":
        """Some of the clips, by number, in this order; one may come more than once."""
        return self.from_matrix(self.matrix()[clips])

    def each_once(self) -> "ClipLabels":
        """The same clips, the classes of each in index order and without repetitions."""
        pairs = np.sort(self.clip_of_value() * self.num_classes + self.values, kind="stable")  # fast where in order
        pairs = pairs[np.diff(pairs, prepend=-1) > 0]
        counts = np.bincount(pairs // self.num_classes, minlength=len(self))
        offsets = np.concatenate([[0], counts]).cumsum(dtype=np.int64)
        return ClipLabels(pairs % self.num_classes, offsets, self.num_classes)

    def class_counts(self) -> np.ndarray:
        """Clips with each class, int64 `[K]`."""
        return np.bincount(self.values, minlength=self.num_classes)

    def sum_over_classes(self, of_class: np.ndarray) -> np.ndarray:
        """For each clip the sum of `of_class` `[K]` over its classes: float64 `[N]`."""
        return np.bincount(self.clip_of_value(), weights=of_class[self.values], minlength=len(self))

    def multi_hot(self) -> np.ndarray:
        """Float32 targets `[N, K]`: `[[0, 2], [1]]` with K = 3 gives `[[1, 0, 1], [0, 1, 0]]`."""
        return self.matrix().toarray().astype(np.float32)

    def matrix(self, values: np.ndarray | None = None) -> csr_array:
        """Sparse `[N, K]`: true where a clip has a class; or `values`, one for each of `self.values`."""
        data = np.ones(len(self.values), bool) if values is None else values
        return csr_array((data, self.values, self.offsets), shape=(len(self), self.num_classes))

    def clip_of_value(self) -> np.ndarray:
        """Number of the clip that each of `values` belongs to, int64."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))


def rows_of_ids(wanted: Sequence[str], available: Sequence[str], what: str) -> np.ndarray:
    """Row of each of some clips in what was made for them: for all of them, and no others, in any order.

    Args:
        wanted: Ids of the N clips at hand.
        available: Ids of what was made for them.
        what: That, for the message, such as `"the label set"`.

    Returns:
        Int64 row numbers `[N]`.

    Raises:
        ValueError: Ids are missing, extra or duplicates; the message counts them and has examples.
    """
    here, theirs = pa.array(wanted, pa.string()), pa.array(available, pa.string())
    for whose, ids in (("the data", here), (what, theirs)):
        duplicates = len(ids) - len(pc.unique(ids))
        if duplicates:
            raise ValueError(f"Expected every id once in {whose}, {duplicates} of {len(ids)} are repetitions.")
    rows = pc.index_in(here, value_set=theirs)
    missing, extra = here.filter(pc.is_null(rows)), theirs.filter(pc.invert(pc.is_in(theirs, value_set=here)))
    if len(missing) or len(extra):
        raise ValueError(
            f"Expected the {len(here)} clips of the data in {what}, got {len(theirs)} clips: {len(missing)} missing"
            + (f" (such as {', '.join(missing[:3].to_pylist())})" if len(missing) else "")
            + f", {len(extra)} extra"
            + (f" (such as {', '.join(extra[:3].to_pylist())})" if len(extra) else "")
            + ". Take the data it was made for, or make it for these."
        )
    return rows.to_numpy().astype(np.int64)
