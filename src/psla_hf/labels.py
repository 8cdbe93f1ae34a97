"""Label vocabularies, clips' labels as arrays, and the ontology as a graph. Knows no audio and no models."""

import csv
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

__all__ = ["ClipLabels", "Ontology", "Vocabulary"]


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
            twice = sorted({value for value in values if values.count(value) > 1})
            if twice:
                raise ValueError(
                    f"Expected every class's {what} to be unique, these occur more than once: {twice[:5]}."
                )

    @classmethod
    def from_csv(cls, path: str | Path) -> "Vocabulary":
        """Read `class_labels_indices.csv` (index, mid, display_name) or FSD50K's `vocabulary.csv` (index, label, mid).

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is neither of the two, or the indices are not 0, 1, 2, …
        """
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
        if rows and rows[0] == ["index", "mid", "display_name"]:
            rows = [[index, name, mid] for index, mid, name in rows[1:]]
        if not rows or any(len(row) != 3 for row in rows):
            raise ValueError(
                f"Expected the columns index,mid,display_name with a header, or index,label,mid without one, in "
                f"{path}; its first line is {rows[0] if rows else 'empty'}."
            )
        if [row[0] for row in rows] != [str(k) for k in range(len(rows))]:
            raise ValueError(f"Expected the indices 0, 1, 2, … in {path}, in this order.")
        return cls(tuple(row[1] for row in rows), tuple(row[2] for row in rows))

    def __len__(self) -> int:
        return len(self.names)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the mids and names in their order: equal for equal vocabularies only."""
        lines = "\n".join(f"{mid}\t{name}" for mid, name in zip(self.mids, self.names, strict=True))
        return hashlib.sha256(lines.encode()).hexdigest()

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
                    f"Expected names, mids or indices of the {len(self)} classes, got {label!r}. The first classes are "
                    f"{list(self.names[:3])} ({list(self.mids[:3])})."
                )
            indices.add(k)
        return sorted(indices)


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
        """Refuse indices without a class."""
        outside = self.values[(self.values < 0) | (self.values >= self.num_classes)]
        if len(outside):
            raise ValueError(
                f"Expected class indices from 0 to {self.num_classes - 1}, got {np.unique(outside)[:5].tolist()}."
            )

    @classmethod
    def from_lists(cls, labels: Iterable[Sequence[int]], num_classes: int) -> "ClipLabels":
        """From one sequence of class indices per clip."""
        lists = [list(of_clip) for of_clip in labels]
        offsets = np.cumsum([0, *map(len, lists)], dtype=np.int64)
        return cls(np.array([k for of_clip in lists for k in of_clip], dtype=np.int32), offsets, num_classes)

    @classmethod
    def from_arrow(cls, column: pa.ChunkedArray, num_classes: int) -> "ClipLabels":
        """From a list column of an Arrow table, without Python objects."""
        lengths = [np.diff(chunk.offsets.to_numpy()) for chunk in column.chunks]
        values = [chunk.flatten().to_numpy(zero_copy_only=False).astype(np.int32) for chunk in column.chunks]
        offsets = np.concatenate([[0], *lengths]).cumsum(dtype=np.int64)
        return cls(np.concatenate([np.empty(0, np.int32), *values]), offsets, num_classes)

    @classmethod
    def concatenate(cls, parts: Sequence["ClipLabels"]) -> "ClipLabels":
        """The clips of all parts, in order; the parts have the same classes."""
        offsets = np.concatenate([[0], *(np.diff(part.offsets) for part in parts)]).cumsum(dtype=np.int64)
        return cls(np.concatenate([part.values for part in parts]), offsets, parts[0].num_classes)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def each_once(self) -> "ClipLabels":
        """The same clips, the classes of each in index order and without repetitions."""
        pairs = np.unique(self._clip_of_value() * self.num_classes + self.values)
        counts = np.bincount(pairs // self.num_classes, minlength=len(self))
        offsets = np.concatenate([[0], counts]).cumsum(dtype=np.int64)
        return ClipLabels((pairs % self.num_classes).astype(np.int32), offsets, self.num_classes)

    def class_counts(self) -> np.ndarray:
        """Clips with each class, int64 `[K]`."""
        return np.bincount(self.values, minlength=self.num_classes)

    def sum_over_classes(self, of_class: np.ndarray) -> np.ndarray:
        """For each clip the sum of `of_class` `[K]` over its classes: float64 `[N]`."""
        return np.bincount(self._clip_of_value(), weights=of_class[self.values], minlength=len(self))

    def multi_hot(self) -> np.ndarray:
        """Float32 targets `[N, K]`: `[[0, 2], [1]]` with K = 3 gives `[[1, 0, 1], [0, 1, 0]]`."""
        targets = np.zeros((len(self), self.num_classes), dtype=np.float32)
        targets[self._clip_of_value(), self.values] = 1
        return targets

    def _clip_of_value(self) -> np.ndarray:
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))


@dataclass(frozen=True)
class Ontology:
    """Classes and their direct children.

    Attributes:
        children: Ids of each class's direct children.
        names: Each class's display name.
        abstract: Ids of abstract classes. They pass on no relations: neither are they anyone's parent here, nor does a
            chain of ancestors run through them.
    """

    children: Mapping[str, tuple[str, ...]]
    names: Mapping[str, str]
    abstract: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Refuse children that are no classes, and cycles."""
        unknown = {child for children in self.children.values() for child in children} - self.children.keys()
        if unknown:
            raise ValueError(f"Expected every child to be a class of the ontology, unknown are {sorted(unknown)[:5]}.")
        for node in self.children:
            if node in self.ancestors(node):
                raise ValueError(f"Expected an ontology without cycles, {node!r} is its own ancestor.")

    @classmethod
    def from_json(cls, path: str | Path) -> "Ontology":
        """Read AudioSet's `ontology.json`: a list of nodes with `id`, `name`, `child_ids` and `restrictions`."""
        nodes = json.loads(Path(path).read_text(encoding="utf-8"))
        return cls(
            children={node["id"]: tuple(node["child_ids"]) for node in nodes},
            names={node["id"]: node["name"] for node in nodes},
            abstract=frozenset(node["id"] for node in nodes if node["restrictions"] == ["abstract"]),
        )

    def parents(self, node: str) -> set[str]:
        """Ids of the classes, abstract ones left out, whose direct child this is."""
        return {p for p, children in self.children.items() if node in children and p not in self.abstract}

    def ancestors(self, node: str) -> set[str]:
        """Ids of all classes above this one, direct parents included."""
        found: set[str] = set()
        waiting = self.parents(node)
        while waiting:
            parent = waiting.pop()
            if parent not in found:
                found.add(parent)
                waiting |= self.parents(parent)
        return found

    def child_relation(self, ids: Sequence[str]) -> np.ndarray:
        """Boolean `[K, K]`: entry [k, j] says that class `ids[j]` is a direct child of class `ids[k]`."""
        return self._relation(ids, lambda node: () if node in self.abstract else self.children[node])

    def ancestor_relation(self, ids: Sequence[str]) -> np.ndarray:
        """Boolean `[K, K]`: entry [k, j] says that class `ids[j]` is an ancestor of class `ids[k]`."""
        return self._relation(ids, self.ancestors)

    def _relation(self, ids: Sequence[str], related: Callable[[str], Iterable[str]]) -> np.ndarray:
        unknown = [node for node in ids if node not in self.children]
        if unknown:
            raise ValueError(f"Expected classes of the ontology, unknown are {unknown[:5]}.")
        column = {node: j for j, node in enumerate(ids)}
        relation = np.zeros((len(ids), len(ids)), dtype=bool)
        for k, node in enumerate(ids):
            for other in related(node):
                if other in column:
                    relation[k, column[other]] = True
        return relation
