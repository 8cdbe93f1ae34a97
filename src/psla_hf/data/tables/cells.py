"""Labels as people write them in the cells of a table or a column of shards. Knows no files and no audio."""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from psla_hf.labels.vocabulary import Vocabulary

__all__ = ["classes_that_occur", "encode_text", "find_separator", "is_label", "labels_in"]

SEPARATORS = (";", "|", ",")

NO_LABELS = ("", "nan", "none", "null", "<na>")  # what programs write where there is nothing


def is_label(text: str, classes: Collection[str] = ()) -> bool:
    """Whether a text names a class: nothing, or `nan`, does not, unless it is one of the classes."""
    return text in classes or text.lower() not in NO_LABELS


def find_separator(texts: Mapping[str, int | str], where: str) -> str | None:
    """What separates the labels of a column: the first of `;`, `|` and `,` that occurs in it; none where none does.

    Args:
        texts: The different cells, each with the line of the first, or its row and file.
        where: The table, for messages.

    Raises:
        ValueError: Some cells are separated by one mark and some by another: then neither is the right one.
    """
    separator = next((mark for mark in SEPARATORS if any(mark in text for text in texts)), None)
    if separator is None:
        return None
    names = {label.strip() for text in texts for label in text.split(separator)}
    for mark in SEPARATORS[SEPARATORS.index(separator) + 1 :]:
        for text, line in texts.items():
            # A comma may belong to a name, unless what is left and right of it are names themselves.
            is_mixed = mark in text and (
                mark != "," or any(_falls_apart(label, names) for label in text.split(separator))
            )
            if is_mixed:
                other = next(text for text in texts if separator in text)
                raise ValueError(
                    f"Expected one mark between labels in {where}, {other!r} in line {texts[other]} has {separator!r} "
                    f"and {text!r} in line {line} has {mark!r}. Write them alike, or pass the separator."
                )
    return separator


def _falls_apart(label: str, names: Collection[str]) -> bool:
    return "," in label and all(part.strip() in names for part in label.split(","))


def labels_in(cell: Any, separator: str | None, whole: Collection[str]) -> list:
    """The labels in one cell, as they are written; what is no list to JSON is returned as it is."""
    if cell is None:
        return []
    if isinstance(cell, list):
        return cell
    if not isinstance(cell, str) or cell in whole:
        return [cell]
    if cell.startswith("["):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError):
            return [None]  # neither a string nor a number: the caller knows which clip it is
    return cell.split(separator) if separator else [cell]


def encode_text(text: str | None, classes: Vocabulary) -> list[int]:
    """Class indices of a text that is a class, or several with a mark between them.

    Raises:
        ValueError: It is neither.
    """
    known = classes.index.keys()
    if text is None or not is_label(text.strip(), known):
        return []
    for mark in (None, *SEPARATORS):
        parts = [part.strip() for part in (text.split(mark) if mark else [text])]
        try:
            return classes.encode([part for part in parts if is_label(part, known)])
        except ValueError:
            continue
    return classes.encode([text])  # raises


def classes_that_occur(labels: Iterable[Iterable[str]], where: str) -> Vocabulary:
    """The names in alphabetical order.

    Raises:
        ValueError: There are none, or only numbers.
    """
    names = sorted({label for of_clip in labels for label in of_clip})
    if not names or all(name.isdecimal() for name in names):
        raise ValueError(
            f"Expected names of classes in {where}, got {'only numbers' if names else 'no labels'}. Pass a vocabulary "
            "(class_labels_indices.csv: index,mid,display_name) that says which classes there are."
        )
    return Vocabulary(tuple(names))
