"""Label vocabularies, clips' labels as arrays, and the ontology as a graph. Knows no audio and no models."""

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["FSD50K_SKIPPED", "ClipLabels", "Ontology", "Vocabulary", "rows_of_ids", "stretches"]

# Classes of FSD50K that propose nothing in the original's label enhancement: Human_voice, Crash_cymbal,
# Human_group_actions, Respiratory_sounds and Domestic_sounds_and_home_sounds.
FSD50K_SKIPPED = ("/m/09l8g", "/m/0bm0k", "/t/dd00012", "/m/09hlz4", "/t/dd00071")


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
    def from_multi_hot(cls, targets: np.ndarray) -> "ClipLabels":
        """From 0/1 targets `[N, K]`, the inverse of `multi_hot`."""
        clips, classes = np.nonzero(targets)
        offsets = np.searchsorted(clips, np.arange(len(targets) + 1))
        return cls(classes.astype(np.int32), offsets.astype(np.int64), targets.shape[1])

    @classmethod
    def concatenate(cls, parts: Sequence["ClipLabels"]) -> "ClipLabels":
        """The clips of all parts, in order; the parts have the same classes."""
        offsets = np.concatenate([[0], *(np.diff(part.offsets) for part in parts)]).cumsum(dtype=np.int64)
        return cls(np.concatenate([part.values for part in parts]), offsets, parts[0].num_classes)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def take(self, clips: np.ndarray) -> "ClipLabels":
        """Some of the clips, by number, in this order; one may come more than once."""
        lengths = np.diff(self.offsets)[clips]
        places = stretches(self.offsets[clips], lengths)
        offsets = np.concatenate([[0], lengths]).cumsum(dtype=np.int64)
        return ClipLabels(self.values[places], offsets, self.num_classes)

    def each_once(self) -> "ClipLabels":
        """The same clips, the classes of each in index order and without repetitions."""
        pairs = np.sort(self.clip_of_value() * self.num_classes + self.values, kind="stable")  # fast where in order
        pairs = pairs[np.diff(pairs, prepend=-1) > 0]
        counts = np.bincount(pairs // self.num_classes, minlength=len(self))
        offsets = np.concatenate([[0], counts]).cumsum(dtype=np.int64)
        return ClipLabels((pairs % self.num_classes).astype(np.int32), offsets, self.num_classes)

    def class_counts(self) -> np.ndarray:
        """Clips with each class, int64 `[K]`."""
        return np.bincount(self.values, minlength=self.num_classes)

    def sum_over_classes(self, of_class: np.ndarray) -> np.ndarray:
        """For each clip the sum of `of_class` `[K]` over its classes: float64 `[N]`."""
        return np.bincount(self.clip_of_value(), weights=of_class[self.values], minlength=len(self))

    def multi_hot(self) -> np.ndarray:
        """Float32 targets `[N, K]`: `[[0, 2], [1]]` with K = 3 gives `[[1, 0, 1], [0, 1, 0]]`."""
        targets = np.zeros((len(self), self.num_classes), dtype=np.float32)
        targets[self.clip_of_value(), self.values] = 1
        return targets

    def clip_of_value(self) -> np.ndarray:
        """Number of the clip that each of `values` belongs to, int64."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))


def stretches(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Numbers of some stretches one after the other: starts `[7, 2]`, lengths `[2, 3]` give `[7, 8, 2, 3, 4]`."""
    ends = np.cumsum(lengths)
    return np.repeat(starts - ends + lengths, lengths) + np.arange(ends[-1] if len(ends) else 0)


def rows_of_ids(wanted: Sequence[str], there: Sequence[str], what: str) -> np.ndarray:
    """Where each of some clips is among those that are there: all of them, and no others, in any order.

    Args:
        wanted: Ids of the N clips at hand.
        there: Ids of what was made for them.
        what: That, for the message, such as `"the label set"`.

    Returns:
        Int64 row numbers `[N]`.

    Raises:
        ValueError: Ids are missing, extra or there twice; the message counts them and has examples.
    """
    here, theirs = pa.array(wanted, pa.string()), pa.array(there, pa.string())
    for whose, ids in (("the data", here), (what, theirs)):
        twice = len(ids) - len(pc.unique(ids))
        if twice:
            raise ValueError(f"Expected every id once in {whose}, {twice} of {len(ids)} are repetitions.")
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


@dataclass(frozen=True)
class Ontology:
    """Classes as a graph: their direct children, and what follows from these.

    Attributes:
        children: Ids of each class's direct children.
        names: Each class's display name.
        abstract: Ids of abstract classes. They pass on no relations: neither are they anyone's parent here, nor does a
            chain of ancestors run through them.
        silent: Ids of classes that have no children and no ancestors of their own, see `without_relations`.

    Raises:
        ValueError: A child is no class of the ontology, or classes are above each other in a circle.
    """

    children: Mapping[str, tuple[str, ...]]
    names: Mapping[str, str]
    abstract: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Refuse children that are no classes, and cycles."""
        unknown = {child for children in self.children.values() for child in children} - self.children.keys()
        if unknown:
            raise ValueError(
                f"Expected every child to be a class of the ontology, {len(unknown)} are not: {sorted(unknown)[:5]}."
            )
        try:
            TopologicalSorter(self.children).prepare()
        except CycleError as error:
            circle = " → ".join(reversed(error.args[1]))
            raise ValueError(
                f"Expected an ontology without cycles, but each of these is the parent of the next: {circle}."
            ) from error

    @classmethod
    def from_json(cls, path: str | Path) -> "Ontology":
        """Read AudioSet's `ontology.json`, or one of the same form.

        A list of nodes with `id` and, where there are such, `name` (else the id is the name), `child_ids` and
        `restrictions` (a node with nothing but `"abstract"` in it is abstract). For example
        `[{"id": "animal", "child_ids": ["dog"]}, {"id": "dog"}]`.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is no such list, a node is none, an id occurs twice, or the graph is none; see the class.
        """
        try:
            nodes = json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"Expected JSON in {path}: {error}") from error
        bad = [node for node in nodes if not _is_node(node)] if isinstance(nodes, list) else [nodes]
        if bad or not nodes:
            raise ValueError(
                f'Expected a list of nodes such as {{"id": "animal", "name": "Animal", "child_ids": ["dog"]}} in {path}'
                f", got {str(bad[0])[:80] if bad else 'an empty one'}."
            )
        ids = Counter(node["id"] for node in nodes)
        if len(ids) < len(nodes):
            twice = [node for node, times in ids.items() if times > 1]
            raise ValueError(f"Expected every id once in {path}, these occur more often: {twice[:5]}.")
        return cls(
            children={node["id"]: tuple(node.get("child_ids", ())) for node in nodes},
            names={node["id"]: node.get("name", node["id"]) for node in nodes},
            abstract=frozenset(node["id"] for node in nodes if node.get("restrictions") == ["abstract"]),
        )

    def without_relations(self, ids: Iterable[str]) -> "Ontology":
        """The same graph, in which these classes propose nothing: not their children, and not what is above them.

        Others still propose them. They may be classes that the graph does not have. This is what the original does
        with five of FSD50K's classes, `FSD50K_SKIPPED`.
        """
        return replace(self, silent=self.silent | frozenset(ids))

    def with_all_relations(self) -> "Ontology":
        """The same graph as its file has it, `without_relations` undone; classes it does not have may still occur."""
        return replace(self, silent=self.silent - self.children.keys())

    def check_classes(self, vocabulary: Vocabulary) -> None:
        """Refuse classes that are neither in the graph nor among those without relations.

        Raises:
            ValueError: There are such; the message has their names and mids.
        """
        missing = [k for k, mid in enumerate(vocabulary.mids) if mid not in self.children and mid not in self.silent]
        if missing:
            named = ", ".join(f"{vocabulary.names[k]} ({vocabulary.mids[k]})" for k in missing[:5])
            raise ValueError(
                f"Expected the data's classes in the ontology, {len(missing)} of {len(vocabulary)} are not: {named}. "
                "Its ids have to be the mids, in brackets here, where the data have mids. Add the classes to its file, "
                "or let them propose nothing (--skip-sources)."
            )

    def parents(self, node: str) -> set[str]:
        """Ids of the classes, abstract ones left out, whose direct child this is."""
        return {parent for parent in self._parents[node] if parent not in self.abstract}

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

    def depth(self, node: str) -> int:
        """Steps of the longest way down to this class from one that has no parents; abstract classes count."""
        return self._depths[node]

    def child_relation(self, ids: Sequence[str]) -> np.ndarray:
        """Boolean `[K, K]`: entry [k, j] says that class `ids[j]` is a direct child of class `ids[k]`."""
        return self._relation(ids, lambda node: () if node in self.abstract else self.children[node])

    def ancestor_relation(self, ids: Sequence[str]) -> np.ndarray:
        """Boolean `[K, K]`: entry [k, j] says that class `ids[j]` is an ancestor of class `ids[k]`."""
        return self._relation(ids, self.ancestors)

    @cached_property
    def _parents(self) -> Mapping[str, list[str]]:
        parents: dict[str, list[str]] = {node: [] for node in self.children}
        for parent, children in self.children.items():
            for child in children:
                parents[child].append(parent)
        return parents

    @cached_property
    def _depths(self) -> Mapping[str, int]:
        depths: dict[str, int] = {}
        for node in TopologicalSorter(self._parents).static_order():
            depths[node] = max((depths[parent] + 1 for parent in self._parents[node]), default=0)
        return depths

    def _relation(self, ids: Sequence[str], related: Callable[[str], Iterable[str]]) -> np.ndarray:
        column = {node: j for j, node in enumerate(ids)}
        unknown = [node for node in ids if node not in self.children and node not in self.silent]
        if unknown:
            raise ValueError(
                f"Expected classes of the ontology, {len(unknown)} of {len(ids)} are not: {unknown[:5]}. Add them to "
                "its file, or let them be without relations (Ontology.without_relations)."
            )
        if len(column) < len(ids):
            raise ValueError(f"Expected every class once, got {len(ids)} ids of {len(column)} classes.")
        relation = np.zeros((len(ids), len(ids)), dtype=bool)
        for k, node in enumerate(ids):
            for other in () if node in self.silent else related(node):
                if other in column:
                    relation[k, column[other]] = True
        return relation


def _is_node(node: object) -> bool:
    """Whether this is one of an ontology's file."""
    if not isinstance(node, dict) or not isinstance(node.get("id"), str):
        return False
    children = node.get("child_ids", [])
    of_words = isinstance(children, list) and all(isinstance(child, str) for child in children)
    return of_words and isinstance(node.get("name", ""), str)
