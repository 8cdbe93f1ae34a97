"""Own tagging data as a table or a folder, its labels in the forms people write them. Opens no audio."""

import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from psla_hf.audio import AUDIO_SUFFIXES, audio_files
from psla_hf.data.listing import (
    ONE_SPLIT,
    Listing,
    are_there,
    check_folder,
    clip_table,
    read_csv,
    read_vocabulary,
)
from psla_hf.data.shards import COMMON_SHARD_NAMES
from psla_hf.labels.vocabulary import Vocabulary

from .source import Source

__all__ = ["OWN"]


FILE_COLUMNS = ("file_name", "file", "path", "filename", "fname", "wav")

LABEL_COLUMNS = ("labels", "label")

METADATA_FILES = ("metadata.csv", "metadata.jsonl")

SPLIT_FOLDERS = ("train", "training", "dev", "val", "valid", "validation", "test", "testing", "eval", "evaluation")

SEPARATORS = (";", "|", ",")

NAMING = "Expected the files at the paths that the list gives, relative to the folder or absolute."


def list_own(
    source: str | Path,
    *,
    audio_dir: str | Path | None = None,
    vocabulary: str | Path | Vocabulary | None = None,
    split: str | None = None,
    separator: str | None = None,
) -> Listing:
    """The clips of a table or of a folder; the arguments are those of `data.load_tagging_dataset`."""
    vocabulary = None if vocabulary is None else read_vocabulary(vocabulary, [])
    source = Path(source)
    if not source.exists():
        raise FileNotFoundError(f"Expected a CSV, a JSON-lines file or a folder, there is no {source}.")
    folder = source if source.is_dir() else source.parent
    root = check_folder(audio_dir, "the folder that holds the audio") if audio_dir else folder
    rows = _folder_rows(source, audio_dir) if source.is_dir() else _table_rows(source, root)
    by_path = pd.Series([_id_of(Path(path), root) for path in rows["path"]], index=rows.index)
    rows["id"] = rows["id"].fillna(by_path) if "id" in rows else by_path
    labels = _label_lists(rows, vocabulary, separator)
    # The classes are those of the whole source, so that its splits agree about them.
    classes = vocabulary or _classes_that_occur(labels, source)
    rows["labels"] = _encode(rows["id"], labels, classes)
    if split is not None:
        rows = _of_split(rows, split, source)
    clips = clip_table(
        ids=list(rows["id"]),
        paths=list(rows["path"]),
        there=are_there([Path(path) for path in rows["path"]]),
        labels=list(rows["labels"]),
        splits=list(rows["split"]) if "split" in rows else [ONE_SPLIT] * len(rows),
    )
    return Listing(source.name + (f" {split}" if split else ""), root, classes, clips, NAMING)


def _folder_rows(folder: Path, audio_dir: str | Path | None) -> pd.DataFrame:
    """The rows of a folder, or of its folders by split, where all it holds is folders with the names of splits."""
    inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    loose = [path for path in folder.iterdir() if path.name in METADATA_FILES or path.suffix.lower() in AUDIO_SUFFIXES]
    if loose or not inside or any(path.name not in SPLIT_FOLDERS for path in inside):
        return _rows_of_one_folder(folder, audio_dir)
    parts = [_rows_of_one_folder(path, audio_dir).assign(split=path.name) for path in inside]
    return pd.concat(parts, ignore_index=True)


def _rows_of_one_folder(folder: Path, audio_dir: str | Path | None) -> pd.DataFrame:
    """The rows of a folder's table; without one, every audio file with the name of its class's folder."""
    tables = [folder / name for name in METADATA_FILES if (folder / name).is_file()]
    if len(tables) > 1 or (audio_dir and not tables):
        raise ValueError(f"Expected one of {METADATA_FILES} in {folder}, found {len(tables)} of them.")
    if tables:
        return _table_rows(tables[0], Path(audio_dir or folder))
    paths = list(audio_files(folder))
    outside = [path.name for path in paths if path.parent == folder]
    if outside or not paths:
        raise ValueError(
            f"Expected {' or '.join(METADATA_FILES)} in {folder}, or audio in one folder per class; found "
            + (f"audio outside of these, for example {outside[0]}." if outside else "no audio.")
        )
    # As a list, so that no name of a folder is taken apart.
    labels = [[path.relative_to(folder).parts[0]] for path in paths]
    return pd.DataFrame({"path": [str(path) for path in paths], "labels": labels})


def _table_rows(path: Path, root: Path) -> pd.DataFrame:
    """A table's columns under our names: `path`, `labels` as written, `split` and `id` if they are there."""
    if path.suffix not in (".csv", ".jsonl"):
        raise ValueError(f"Expected a table .csv or .jsonl, or a folder, got {path}.")
    table = read_csv(path) if path.suffix == ".csv" else _read_json_lines(path)
    columns = {}
    for name, choices in {"path": FILE_COLUMNS, "labels": LABEL_COLUMNS, "split": ("split",), "id": ("id",)}.items():
        column = next((choice for choice in choices if choice in table.columns), None)
        if column is None and name in ("path", "labels"):
            raise ValueError(f"Expected a column {' or '.join(choices)} in {path}, found {list(table.columns)}.")
        if column is not None:
            columns[name] = table[column]
            empty = table[column].isna() | ((table[column] == "") & (name != "labels"))  # a clip may have no labels
            if empty.any():
                raise ValueError(f"Expected {column} in every row of {path}, row {empty.argmax() + 1} has none.")
    rows = pd.DataFrame(columns)
    rows = rows.assign(path=[str(root / str(file)) for file in rows["path"]])  # an absolute path stays what it is
    return rows.astype({name: str for name in ("split", "id") if name in rows})


def _read_json_lines(path: Path) -> pd.DataFrame:
    records = []
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                records += [dict(json.loads(line))] if line.strip() else []
            except (TypeError, ValueError) as error:
                raise ValueError(f"Expected JSON objects in {path}, line {number} is none ({error}).") from error
    return pd.DataFrame(records, dtype=object)


def _id_of(path: Path, root: Path) -> str:
    """The path from the audio folder, without the ending of an audio file."""
    inside = path.relative_to(root) if path.is_relative_to(root) else path
    return (inside.with_suffix("") if inside.suffix.lower() in AUDIO_SUFFIXES else inside).as_posix()


def _label_lists(rows: pd.DataFrame, vocabulary: Vocabulary | None, separator: str | None) -> list[list[str]]:
    """Each clip's labels as strings.

    For example the cells `"Male speech, man speaking"` and `"Dog;Bark"` are one and two labels: the column's separator
    is `;`. So they are beside `"Dog,Bark"` if the first is a class of the vocabulary; otherwise it is two as well.
    """
    cells = [cell.strip() if isinstance(cell, str) else cell for cell in rows["labels"]]
    whole: Collection[str] = vocabulary.index.keys() if vocabulary and not separator else ()
    if not separator:
        texts = {cell for cell in cells if isinstance(cell, str) and not cell.startswith("[")}.difference(whole)
        separator = next((mark for mark in SEPARATORS if any(mark in text for text in texts)), None)
    found = []
    for clip, cell in zip(rows["id"], cells, strict=True):
        labels = _labels_in(cell, separator, whole)
        if not all(isinstance(label, str | int) for label in labels):
            raise ValueError(
                f"Clip {clip!r}: expected labels as strings, whole numbers or a JSON list of them, got {cell!r}."
            )
        stripped = [str(label).strip() for label in labels]
        found.append([label for label in stripped if label])
    return found


def _labels_in(cell: Any, separator: str | None, whole: Collection[str]) -> list:
    """The labels in one cell, as they are written; what is no list to JSON is returned as it is."""
    if isinstance(cell, list):
        return cell
    if not isinstance(cell, str) or cell in whole:
        return [cell]
    if cell.startswith("["):
        try:
            return json.loads(cell)
        except ValueError:
            return [None]  # neither a string nor a number: the caller knows which clip it is
    return cell.split(separator) if separator else [cell]


def _classes_that_occur(labels: list[list[str]], source: Path) -> Vocabulary:
    """The names in alphabetical order."""
    names = sorted({label for of_clip in labels for label in of_clip})
    if not names or all(name.isdecimal() for name in names):
        raise ValueError(
            f"Expected names of classes in {source}, got {'only numbers' if names else 'no labels'}. Pass a vocabulary "
            "(class_labels_indices.csv: index,mid,display_name) that says which classes there are."
        )
    return Vocabulary(tuple(names))


def _encode(ids: Iterable[str], labels: list[list[str]], classes: Vocabulary) -> list[list[int]]:
    """Class indices; what is no class names its clip."""
    indices = []
    for clip, of_clip in zip(ids, labels, strict=True):
        try:
            indices.append(classes.encode(of_clip))
        except ValueError as error:
            raise ValueError(
                f"Clip {clip!r}: {error} If names contain the character that separates labels, write JSON lists, or "
                "pass another separator."
            ) from error
    return indices


def _of_split(rows: pd.DataFrame, split: str, source: Path) -> pd.DataFrame:
    """The rows of one split."""
    splits = list(rows["split"].unique()) if "split" in rows else []
    if split not in splits:
        raise ValueError(
            f"Expected one of the splits of {source}, got {split!r}. "
            + (f"It has {splits}." if splits else "It has no column split and no folders by split: leave split out.")
        )
    return rows[rows["split"] == split]


OWN = Source(
    key="own",
    name="own data",
    title="own data",
    list_folder=list_own,
    settings=("audio_dir", "vocabulary", "split", "separator"),
    train=("train",),
    validation=("validation", "val"),
    test=("test",),
    shard_names=COMMON_SHARD_NAMES,
)
