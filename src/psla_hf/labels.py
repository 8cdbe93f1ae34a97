"""Label vocabularies as multi-hot targets, and the ontology as a graph. Knows no audio and no models."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.preprocessing import MultiLabelBinarizer

__all__ = ["Ontology", "multi_hot", "read_label_names"]


def multi_hot(labels: Iterable[Sequence[int]], num_classes: int) -> np.ndarray:
    """Class indices per clip as float32 targets `[N, K]`: `[[0, 2], [1]]` with K = 3 gives `[[1, 0, 1], [0, 1, 0]]`.

    Raises:
        ValueError: An index is outside `range(num_classes)`.
    """
    labels = [list(of_clip) for of_clip in labels]
    outside = sorted({k for of_clip in labels for k in of_clip if not 0 <= k < num_classes})
    if outside:
        raise ValueError(f"Expected class indices from 0 to {num_classes - 1}, got {outside[:5]}.")
    return MultiLabelBinarizer(classes=range(num_classes)).fit_transform(labels).astype(np.float32)


def read_label_names(path: str | Path) -> list[str]:
    """Read `class_labels_indices.csv` (AudioSet's, or PSLA's for FSD50K): display names in index order.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It lacks the columns `index` and `display_name`, or the indices are not 0, 1, 2, …
    """
    table = pd.read_csv(path)
    if not {"index", "display_name"} <= set(table.columns):
        raise ValueError(f"Expected columns index and display_name in {path}, found {list(table.columns)}.")
    if table["index"].tolist() != list(range(len(table))):
        raise ValueError(f"Expected the indices 0, 1, 2, … in {path}, in this order.")
    return table["display_name"].tolist()


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
