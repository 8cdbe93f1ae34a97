"""Annotations of recordings as Raven and Audacity save them, read as tables of segments. Knows no classes."""

import io
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from psla_hf.files import read_text
from psla_hf.folder import FolderContents

from .columns import SYNONYMS, ColumnArguments, normal_form
from .file_names import without_ending
from .reading import read_csv
from .segments import seconds_of_cell

__all__ = ["AnnotationTables", "is_annotations", "read_annotations", "recordings_beside"]

SUFFIXES = (".txt", ".tsv")

AFTER_STEM = re.compile(r"(\.BirdNET)?(\.Table\.\d+)?(\.selections?)?(\.table)?\.(txt|tsv)$", re.IGNORECASE)

RAVEN = {"selection", "begintime", "endtime"}  # columns in normal form, of every selection table

FILES = ("beginpath", "beginfile")


@dataclass
class AnnotationTables:
    """The annotations in a folder.

    Attributes:
        of_recordings: Tables, each with the recordings that lie beside it under its name; none if it names its files.
        orphans: Tables that lie beside no recording of their name, and name none.
    """

    of_recordings: dict[Path, list[Path]] = field(default_factory=dict)
    orphans: list[Path] = field(default_factory=list)

    @classmethod
    def of(cls, contents: FolderContents) -> "AnnotationTables":
        """Those of a tree; none where it is one of classes, most of whose recordings have no table."""
        by_stem: dict[Path, list[Path]] = {}
        for path in contents.audio:
            by_stem.setdefault(path.parent / without_ending(path.name), []).append(path)
        tables = cls()
        for path in contents.tables:
            if is_annotations(path):
                beside = by_stem.get(_stem_of(path), [])
                if beside or _names_files(path):
                    tables.of_recordings[path] = beside
                else:
                    tables.orphans.append(path)
        num_recordings = len({path for beside in tables.of_recordings.values() for path in beside})
        names_files = any(not beside for beside in tables.of_recordings.values())
        in_folders = all(path.parent != contents.root for path in contents.audio)
        is_of_classes = in_folders and not names_files and 2 * num_recordings < len(contents.audio)
        return cls() if is_of_classes or not tables.of_recordings else tables


def is_annotations(path: Path) -> bool:
    """Whether a file is a selection table of Raven or labels of Audacity, by its ending and first line."""
    if path.suffix.lower() not in SUFFIXES:
        return False
    try:
        fields = next((fields for _, fields in _lines(path)), [])
    except ValueError:  # no text
        return False
    return _is_label(fields) or _is_raven(fields)


def read_annotations(
    path: Path, recordings: Collection[Path], asked: ColumnArguments
) -> tuple[pd.DataFrame, list[str]]:
    """A table with `file`, `start`, `end` and a column of labels, indexed by the line, and notes.

    Args:
        path: What `is_annotations`.
        recordings: Those under its name, of which there must be one if it does not name its files.
        asked: Columns that are kept whatever they are called.

    Raises:
        ValueError: A line is not as it should be, or it is not clear which recording is meant.
    """
    fields = next(fields for _, fields in _lines(path))
    table, notes = (_labels(path), []) if _is_label(fields) else _selections(path, asked)
    if "file" not in table and not asked.get("file_column"):
        if len(recordings) != 1:
            found = " and ".join(sorted(file.name for file in recordings)) or "none"
            raise ValueError(f"Expected one recording called {_stem_of(path).name} beside {path}, found {found}.")
        table["file"] = next(iter(recordings)).name  # it lies beside
    table.attrs["delimiter"] = "\t"
    return table, notes


def recordings_beside(path: Path, folder: Path) -> list[Path]:
    """The files of audio in a folder that have the name of a table of annotations."""
    return [file for file in sorted(folder.iterdir()) if _is_recording(file, _stem_of(path).name)]


def _is_recording(file: Path, stem: str) -> bool:
    name = without_ending(file.name)
    return name != file.name and name == stem


def _labels(path: Path) -> pd.DataFrame:
    """Audacity's: a start, an end and a text in each line."""
    rows = []
    for line, fields in _lines(path):
        if not _is_label(fields):
            raise ValueError(
                f"Expected labels of Audacity in {path}, a start, an end and a text with tabs between, got "
                f"{'  '.join(fields)!r} in line {line}."
            )
        rows.append((line, fields[0], fields[1], " ".join(fields[2:])))
    lines, starts, ends, texts = zip(*rows, strict=True)
    return pd.DataFrame({"start": starts, "end": ends, "label": texts}, index=pd.Index(lines), dtype=object)


def _selections(path: Path, asked: ColumnArguments) -> tuple[pd.DataFrame, list[str]]:
    """Raven's: times in the file if it says so, else in what was open; the labels are a column of people's own."""
    table = read_csv(path)
    by_form = {normal_form(column): column for column in table.columns}
    given = {normal_form(str(name)) for name in asked.values() if name}
    labels = [by_form[form] for form in by_form if form in SYNONYMS["labels"]]
    others = [column for form, column in by_form.items() if form not in RAVEN]
    kept = [] if asked.get("label_column") else labels or others
    kept += [column for form, column in by_form.items() if form in given and column not in kept]
    selections = table[kept].copy()
    selections["start"], selections["end"] = table[by_form["begintime"]], table[by_form["endtime"]]
    files = next((by_form[form] for form in FILES if form in by_form), None)
    if files is not None:
        selections["file"] = table[files]
    if "fileoffset" in by_form:
        selections["start"], selections["end"] = _times_in_files(table, by_form, path)
    elif files is not None and table[files].nunique() > 1:
        raise ValueError(
            f"Expected a column File Offset (s) in {path}, whose selections lie in {table[files].nunique()} files: the "
            "other times are those in all of them, one after the other. Save the table with that column."
        )
    notes = []
    if len(labels) == 1 and not asked.get("label_column"):
        notes = [f"The labels of Raven's tables are their column {labels[0]}."]
        selections = selections.rename(columns={labels[0]: "label"})
    return selections, notes


def _times_in_files(table: pd.DataFrame, by_form: dict[str, str], path: Path) -> tuple[list, list]:
    """Starts and ends in the files that Raven's selections begin in."""
    columns = [table[by_form[form]] for form in ("fileoffset", "begintime", "endtime")]
    starts, ends = [], []
    for line, *cells in zip(table.index, *columns, strict=True):
        try:
            offset, begin, end = (seconds_of_cell(cell, decimal_comma=True) for cell in cells)
        except ValueError as error:
            raise ValueError(f"{path}, line {line}: {error}") from error
        if offset is None or begin is None or end is None:
            raise ValueError(
                f"Expected a file offset, a begin and an end in every line of {path}, line {line} lacks one."
            )
        starts.append(offset)
        ends.append(round(offset + end - begin, 9))  # decimal digits, not those of the difference
    return starts, ends


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The fields of the lines that hold any, with their numbers; not Audacity's frequencies, after a backslash."""
    for number, line in enumerate(io.StringIO(read_text(path), None), start=1):
        if line.strip() and not line.startswith("\\"):
            yield number, [field.strip() for field in line.rstrip("\n").split("\t")]


def _is_label(fields: list[str]) -> bool:
    try:
        return len(fields) > 1 and None not in [seconds_of_cell(cell, decimal_comma=True) for cell in fields[:2]]
    except ValueError:
        return False


def _is_raven(fields: list[str]) -> bool:
    return {normal_form(name) for name in fields} >= RAVEN


def _names_files(path: Path) -> bool:
    fields = next((fields for _, fields in _lines(path)), [])
    return not {normal_form(name) for name in fields}.isdisjoint(FILES)


def _stem_of(path: Path) -> Path:
    """Where the recording of a table lies, without its ending: `rec` of `rec.Table.1.selections.txt`."""
    return path.parent / AFTER_STEM.sub("", path.name)
