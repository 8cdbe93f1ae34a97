"""Which of a teacher's classes stand for which of the data's. Knows no models and no scores' files."""

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from psla_hf.files import read_text, reading
from psla_hf.labels.vocabulary import Vocabulary

__all__ = ["ClassMap", "read_class_map"]


SHOWN = 10  # of the classes that found no partner

COLUMNS = ["class", "teacher"]


@dataclass(frozen=True)
class ClassMap:
    """A teacher's classes for each of the data's.

    Attributes:
        teacher: Names of the teacher's C classes, in index order.
        classes: Names of the data's K classes, in index order.
        sources: For each of the K the indices among the C whose highest score is its; none for a class that the teacher
            does not know.
    """

    teacher: tuple[str, ...]
    classes: tuple[str, ...]
    sources: tuple[tuple[int, ...], ...]

    @classmethod
    def of(
        cls,
        teacher: Sequence[str],
        vocabulary: Vocabulary,
        chosen: Mapping[str, Sequence[str]] | None = None,
        may_be_strange: bool = False,
    ) -> "ClassMap":
        """Find partners by mid, by name, and by the words of the name.

        The words of *Chink, clink*, of *Chink_and_clink* and of *chink-clink* are the same.

        Args:
            teacher: The teacher's names (or mids), in index order.
            vocabulary: The data's classes.
            chosen: By a class's name or mid the teacher's classes for it, which go before what would be found.
            may_be_strange: The two may have no class in common.

        Raises:
            ValueError: There is no partner at all, or something chosen is no class; the message has the nearest.
        """
        chosen = dict(chosen or {})
        by_name = _only_ones([(name, k) for k, name in enumerate(teacher)])
        by_words = _only_ones([(_words(name), k) for k, name in enumerate(teacher)])
        sources: list[tuple[int, ...]] = []
        for mid, name in zip(vocabulary.mids, vocabulary.names, strict=True):
            wanted = chosen.pop(name, None) or chosen.pop(mid, None)
            if wanted is not None:
                sources.append(tuple(_index(label, by_name, teacher) for label in wanted))
                continue
            found = by_name.get(mid, by_name.get(name, by_words.get(_words(name))))
            sources.append(() if found is None else (found,))
        if chosen:
            raise ValueError(
                f"Expected classes of the data in the class map, got {sorted(chosen)[:5]}; the data's are "
                f"{', '.join(vocabulary.names[:5])}, …"
            )
        if not any(sources) and not may_be_strange:
            pairs = ((name, get_close_matches(name, teacher, n=1, cutoff=0)[0]) for name in vocabulary.names[:3])
            raise ValueError(
                "Expected a teacher that knows some of the data's classes by mid or name, it knows none: "
                + ", ".join(f"the nearest to {name!r} is {nearest!r}" for name, nearest in pairs)
                + ". Say which stand for which with class_map=FILE."
            )
        return cls(tuple(teacher), vocabulary.names, tuple(sources))

    @property
    def known(self) -> np.ndarray:
        """Boolean `[K]`: the teacher knows the class."""
        return np.array([bool(of_class) for of_class in self.sources])

    def apply(self, scores: np.ndarray) -> np.ndarray:
        """Scores of the data's classes `[n, K]`, NaN for those it does not know, from the teacher's own `[n, C]`."""
        if self.sources == tuple((k,) for k in range(scores.shape[1])):
            return scores
        mapped = np.full((len(scores), len(self.classes)), np.nan, scores.dtype)
        for k, of_class in enumerate(self.sources):
            if of_class:
                mapped[:, k] = scores[:, list(of_class)].max(axis=1)
        return mapped

    def in_words(self) -> list[str]:
        """How many found a partner, and which did not."""
        used = {k for of_class in self.sources for k in of_class}
        known = self.known
        lines = [f"The teacher knows {known.sum()} of the data's {len(known)} classes."]
        unknown = [name for name, is_known in zip(self.classes, known, strict=True) if not is_known]
        unused = [name for k, name in enumerate(self.teacher) if k not in used]
        if unknown:
            lines.append(f"Without its scores: {_listed(unknown)}.")
        if unused:
            lines.append(f"Its classes that the data do not have: {_listed(unused)}.")
        return lines


def read_class_map(path: str | Path) -> dict[str, list[str]]:
    """The pairs of a CSV file with the columns `class` and `teacher`; a class in several lines has several.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It has other columns, or a line lacks one of the two.
    """
    with reading(path, "a class map"):
        rows = list(csv.DictReader(io.StringIO(read_text(path))))
    if not rows or any(not row.get(column) for row in rows for column in COLUMNS):
        raise ValueError(f"Expected the columns {' and '.join(COLUMNS)} in the class map {path}, a pair in each line.")
    chosen: dict[str, list[str]] = {}
    for row in rows:
        chosen.setdefault(row["class"], []).append(row["teacher"])
    return chosen


def _words(name: str) -> tuple[str, ...]:
    """A name's words, by which *Sea_waves* and *Sea waves* are one; *and* stands for a comma."""
    return tuple(word for word in re.split(r"[\W_]+", name.casefold()) if word not in ("", "and"))


def _only_ones(pairs: Sequence[tuple]) -> dict:
    """A dictionary of the pairs whose key comes once: what is ambiguous is no partner."""
    times = Counter(key for key, _ in pairs)
    return {key: value for key, value in pairs if times[key] == 1 and key != ()}


def _index(label: str, by_name: Mapping[str, int], teacher: Sequence[str]) -> int:
    if label not in by_name:
        nearest = get_close_matches(label, teacher, n=1, cutoff=0)[0]
        raise ValueError(f"Expected the teacher's classes in the class map, got {label!r}. The nearest is {nearest!r}.")
    return by_name[label]


def _listed(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
