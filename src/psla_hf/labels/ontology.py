"""AudioSet's ontology, or one of the same form: which class is whose child. Knows no clips and no files but its own."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import numpy as np

from psla_hf.files import read_json

from .vocabulary import Vocabulary

__all__ = ["Ontology"]


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
            ValueError: It is no such list, a node is none, an id is duplicated, or the graph is none; see the class.
        """
        nodes = read_json(path, list)
        bad = [node for node in nodes if not _is_node(node)]
        if bad or not nodes:
            raise ValueError(
                f'Expected a list of nodes such as {{"id": "animal", "name": "Animal", "child_ids": ["dog"]}} in {path}'
                f", got {str(bad[0])[:80] if bad else 'an empty one'}."
            )
        ids = Counter(node["id"] for node in nodes)
        if len(ids) < len(nodes):
            duplicates = [node for node, times in ids.items() if times > 1]
            raise ValueError(f"Expected every id once in {path}, these occur more often: {duplicates[:5]}.")
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
                "or let them propose nothing (Ontology.without_relations)."
            )

    def parents(self, node: str) -> set[str]:
        """Ids of the classes, abstract ones left out, whose direct child this is."""
        return {parent for parent in self._parents[node] if parent not in self.abstract}

    def ancestors(self, node: str) -> set[str]:
        """Ids of all classes above this one, direct parents included."""
        ancestors: set[str] = set()
        waiting = self.parents(node)
        while waiting:
            parent = waiting.pop()
            if parent not in ancestors:
                ancestors.add(parent)
                waiting |= self.parents(parent)
        return ancestors

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
