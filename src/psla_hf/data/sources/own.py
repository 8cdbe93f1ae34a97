"""Own tagging data as a table or a folder, its labels in the forms people write them. Decodes no audio."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from typing_extensions import Unpack

from psla_hf.audio import AUDIO_SUFFIXES, audio_seconds
from psla_hf.data.listing import Listing, are_there, check_folder, clip_table, read_vocabulary
from psla_hf.data.shards.shard_files import COMMON_SHARD_NAMES
from psla_hf.data.splits import ONE_SPLIT, split_of_folder, split_of_text
from psla_hf.data.tables.annotations import AnnotationTables, is_annotations, read_annotations, recordings_beside
from psla_hf.data.tables.cells import classes_that_occur, find_separator, is_label, labels_in
from psla_hf.data.tables.columns import COLUMN_SETTINGS, ColumnArguments, find_columns
from psla_hf.data.tables.file_names import find_files, in_one_form
from psla_hf.data.tables.reading import read_any_table
from psla_hf.data.tables.segments import LEAST_REST, merge_segments, segment_times, share_labels, uncovered_segments
from psla_hf.folder import METADATA_FILES, FolderContents
from psla_hf.labels.vocabulary import Vocabulary

from .source import Source

__all__ = ["OWN"]


LONGEST_NAME = 60  # letters of a column's name that a note repeats

NAMING = "Expected the files at the paths that the list gives, relative to the folder or absolute."


@dataclass
class _Reading:
    """How the tables of a source are read, and what there is to note about it."""

    root: Path
    vocabulary: Vocabulary | None
    separator: str | None
    columns: ColumnArguments
    notes: list[str] = field(default_factory=list)
    trees: dict[Path, list[Path]] = field(default_factory=dict)


def list_own(
    source: str | Path,
    *,
    audio_dir: str | Path | None = None,
    vocabulary: str | Path | Vocabulary | None = None,
    split: str | None = None,
    separator: str | None = None,
    negatives: float | None = None,
    **columns: Unpack[ColumnArguments],
) -> Listing:
    """The clips of a table or of a folder; the arguments are those of `data.load_tagging_dataset`."""
    if negatives is not None and not negatives >= LEAST_REST:
        raise ValueError(f"Expected negatives of at least {LEAST_REST:g} s, got {negatives:g}.")
    if not isinstance(source, str | Path):
        raise ValueError(
            "Expected a table or a folder to go with audio_dir, separator, negatives or columns, got "
            f"{type(source).__name__}."
        )
    source = Path(source)
    if not source.exists():
        raise FileNotFoundError(f"Expected a table of clips or a folder, there is no {source}.")
    folder = source if source.is_dir() else source.parent
    root = check_folder(audio_dir, "the folder that holds the audio") if audio_dir else folder
    how = _Reading(root, None if vocabulary is None else read_vocabulary(vocabulary, []), separator, columns)
    rows = _folder_rows(source, audio_dir, how) if source.is_dir() else _table_rows(source, root, how)
    rows = _segments(rows, negatives, how) if "start" in rows else _whole_files(rows, negatives)
    # The classes are those of the whole source, so that its splits agree about them.
    classes = how.vocabulary or classes_that_occur(rows["labels"], str(source))
    rows["labels"] = _encode(rows["id"], rows["labels"], classes)
    if {"group", "split"} <= set(rows):
        _check_groups(rows, source)
    if split is not None:
        rows = _of_split(rows, split_of_text(split), source)
    name = source.name + (f" {split}" if split else "")
    return Listing(name, root, classes, _clips(rows), NAMING, tuple(dict.fromkeys(how.notes)))


def _clips(rows: pd.DataFrame) -> pa.Table:
    """The rows of a listing, with `group` and `fold` where there are any."""
    clips: pa.Table = clip_table(
        ids=list(rows["id"]),
        paths=list(rows["path"]),
        there=are_there([Path(path) for path in rows["path"]]),
        labels=list(rows["labels"]),
        splits=list(rows["split"]) if "split" in rows else [ONE_SPLIT] * len(rows),
        **{f"{name}s": list(rows[name]) for name in ("start", "end", "line") if "start" in rows},
    )
    for column in ("group", "fold"):
        if column in rows:
            clips = clips.append_column(column, pa.array(list(rows[column]), pa.string()))
    return clips


def _whole_files(rows: pd.DataFrame, negatives: float | None) -> pd.DataFrame:
    """The rows with ids."""
    if negatives is not None:
        raise ValueError("Expected segments with a start and an end for negatives, got whole files: leave it out.")
    return rows.assign(id=rows["id"].where(rows["id"].notna(), rows["file_id"]))


def _segments(rows: pd.DataFrame, negatives: float | None, how: _Reading) -> pd.DataFrame:
    """One row for each segment, with all labels that it has."""
    times = {name: pd.Series(rows[name], dtype=object) for name in ("id", "start", "end", "line")}
    rows = rows.assign(**{name: cells.where(cells.notna(), None) for name, cells in times.items()})
    are_clips = rows["id"].notna().all()  # with ids of their own: not annotations that may share a sound
    rows, notes = merge_segments(rows)
    rows, notes_on_labels = (rows, []) if are_clips else share_labels(rows)
    how.notes += notes + notes_on_labels
    if negatives is not None:
        rows, note = uncovered_segments(rows, _lengths(rows["path"].unique()), negatives)
        how.notes.append(note)
    return rows


def _lengths(paths: Iterable[str]) -> dict[str, float]:
    """Seconds of the files that have any; what is wrong with others is said when clips are checked."""
    lengths = {}
    for path in paths:
        with suppress(OSError, ValueError):
            lengths[path] = audio_seconds(path)
    return lengths


def _folder_rows(folder: Path, audio_dir: str | Path | None, how: _Reading) -> pd.DataFrame:
    """The rows of a folder's tables, each of files beside it; without one, audio in folders by class."""
    contents = FolderContents.of(folder)
    annotations = AnnotationTables() if contents.metadata or audio_dir else AnnotationTables.of(contents)
    used = {*annotations.of_recordings, *annotations.orphans}
    contents.tables = [path for path in contents.tables if path not in used]
    how.notes += contents.notes()
    if annotations.orphans:
        found = contents.named(annotations.orphans)
        how.notes.append(f"{len(annotations.orphans)} tables lie beside no recording of their name: {found}.")
    if annotations.of_recordings:
        parts = [_annotation_rows(path, files, how) for path, files in annotations.of_recordings.items()]
        return _joined(parts, contents, how)
    if not contents.metadata:
        if audio_dir:
            raise ValueError(f"Expected {' or '.join(METADATA_FILES)} in {folder} to go with audio_dir, found none.")
        if any(how.columns.values()):
            asked = next(name for name, column in how.columns.items() if column)
            raise ValueError(f"Expected tables in {folder} to go with {asked}, found none.")
        return _class_folder_rows(contents, how)
    several = [str(place) for place, count in Counter(path.parent for path in contents.metadata).items() if count > 1]
    if several or (audio_dir and len(contents.metadata) > 1):
        raise ValueError(f"Expected one of {METADATA_FILES} in {several[0] if several else folder}, found several.")
    parts = [_table_rows(path, Path(audio_dir or path.parent), how) for path in contents.metadata]
    return _joined(parts, contents, how, audio_dir is not None)


def _joined(
    parts: Sequence[pd.DataFrame], contents: FolderContents, how: _Reading, is_elsewhere: bool = False
) -> pd.DataFrame:
    """The rows of all tables in a folder, with the splits that folders are called like; audio may be elsewhere."""
    rows = pd.concat(parts, ignore_index=True)
    listed = set(rows["path"])
    unlisted = [path for path in contents.audio if str(path) not in listed] if not is_elsewhere else []
    if unlisted:
        how.notes.append(f"{len(unlisted)} audio files are in no table: {contents.named(unlisted)}.")
    if "split" not in rows:
        splits = _splits_of_folders([Path(path) for path in rows["path"]], how.root, 1)
        rows = rows.assign(split=splits) if splits else rows
    elif rows["split"].isna().any():
        raise ValueError(f"Expected a column split in all tables in {contents.root} or in none. Some have it.")
    return rows


def _class_folder_rows(contents: FolderContents, how: _Reading) -> pd.DataFrame:
    """As `audiofolder` of `datasets` reads it: a file's class is the folder next to it, splits lie anywhere above."""
    paths, root = contents.audio, contents.root
    outside = [path for path in paths if path.parent == root]
    classes = sorted({path.parent.name for path in paths})
    like_splits = [name for name in classes if split_of_folder(name)]
    if not paths or outside or len(like_splits) == len(classes):
        found = f"audio outside of these, for example {contents.named(outside)}" if outside else "no audio"
        if paths and not outside:
            found = f"audio in folders called like splits, {', '.join(like_splits)}, without one of its class"
        tables = f" There are tables, {contents.named(contents.tables)}: pass one." if contents.tables else ""
        raise ValueError(
            f"Expected {' or '.join(METADATA_FILES)} in {root}, or audio in one folder per class; found "
            f"{found}.{tables}"
        )
    how.notes += [f"The folder {name} next to audio is taken as a class, not as a split." for name in like_splits]
    how.notes += [f"There is one class only, {classes[0]}."] if len(classes) == 1 else []
    splits = _splits_of_folders(paths, root, 2)
    depths = {len(path.relative_to(root).parts) for path in paths}
    if len(depths) > 1:
        how.notes.append("The folders of classes lie at different depths; the one next to a file is its class.")
    rows = pd.DataFrame({"path": [str(path) for path in paths], "file_id": [_id_of(path, root) for path in paths]})
    rows["labels"] = [[path.parent.name] for path in paths]
    rows["id"] = None
    return rows.assign(split=splits) if splits else rows


def _splits_of_folders(paths: Sequence[Path], root: Path, least: int) -> list[str] | None:
    """The split that a folder on the way to each file is called like; none where no folder is.

    Args:
        paths: The files.
        root: Where their ways begin.
        least: How many of a file's last parts are no folders of splits: itself, and that of its class.
    """
    splits = []
    for path in paths:
        folders = path.relative_to(root).parts[:-least] if path.is_relative_to(root) else ()
        splits.append(next((split for folder in folders if (split := split_of_folder(folder))), None))
    if not any(splits):
        return None
    if None in splits:
        without, other = paths[splits.index(None)], paths[next(k for k, split in enumerate(splits) if split)]
        raise ValueError(
            f"Expected audio in folders called like splits for all files in {root} or for none, {other} is in one and "
            f"{without} is not. It may be audio outside of its split: move it, or write a table with a column split."
        )
    return [split for split in splits if split]


def _table_rows(path: Path, root: Path, how: _Reading) -> pd.DataFrame:
    """The rows of a table of files in the folder `root`."""
    if is_annotations(path):
        return _annotation_rows(path, recordings_beside(path, root), how, root)
    return _rows_of(read_any_table(path), path, root, how)


def _annotation_rows(path: Path, recordings: Collection[Path], how: _Reading, root: Path | None = None) -> pd.DataFrame:
    """The rows of a table of Raven or Audacity, of files in the folder `root`, by default its own."""
    table, notes = read_annotations(path, recordings, how.columns)
    how.notes += notes
    return _rows_of(table, path, root or path.parent, how)


def _rows_of(table: pd.DataFrame, path: Path, root: Path, how: _Reading) -> pd.DataFrame:
    """A table under our names: `path`, `file_id`, `id` or none, `labels` as lists, and others that there are.

    These are `split`, `group` and `fold`, and of segments `start`, `end` and `line`.
    """
    columns, notes = find_columns([str(column) for column in table.columns], how.columns, path.name)
    how.notes += notes
    ignored = [str(column) for column in table.columns if column not in columns.values()]
    if ignored:
        how.notes.append(
            f"Columns of {path.name} that are not used: {', '.join(column[:LONGEST_NAME] for column in ignored)}."
        )
    times: dict[str, str] = {name: columns.pop(name) for name in ("start", "end", "duration") if name in columns}
    for name, column in columns.items():
        _check_filled(table[column], column, path, may_be_empty=name == "labels")
    rows = pd.DataFrame({name: table[column] for name, column in columns.items()})
    rows["path"], notes = find_files([str(file) for file in rows["path"]], root, how.trees)
    how.notes += [f"{path.name}: {note}" for note in notes]
    ids = {file: _id_of(Path(file), how.root) for file in rows["path"].unique()}
    rows["file_id"] = [ids[file] for file in rows["path"]]
    rows["id"] = rows["id"].astype(str) if "id" in rows else None
    if times:
        seconds, notes = segment_times(table, times, rows["path"], path)
        rows = rows.join(seconds)
        how.notes += notes
    rows["path"] = rows["path"].map(in_one_form(rows["path"], how.root))
    for name in ("group", "fold"):
        if name in rows:
            rows[name] = [_in_one_form(cell) for cell in rows[name]]
    if "fold" in rows:
        rows["split"] = [f"fold {fold}" for fold in rows["fold"]]
    elif "split" in rows:
        rows["split"] = [split_of_text(str(split)) for split in rows["split"]]
        renamed = sorted(set(table[columns["split"]].astype(str)).difference(rows["split"]))
        if renamed:
            how.notes.append(f"Splits of {path.name} that are one of {sorted(set(rows['split']))}: {renamed}.")
    rows["labels"] = _label_lists(rows, path, how)
    return rows


def _in_one_form(cell: Any) -> str:
    """A cell as a text; whole numbers are written alike, as integers or not."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()


def _check_filled(cells: pd.Series, column: str, path: Path, may_be_empty: bool) -> None:
    """Refuse a row without a value; a clip may have no labels, but must say so."""
    for line, cell in cells.items():
        is_absent = isinstance(cell, float) and math.isnan(cell)  # as pandas fills in what a line of JSON does not have
        if is_absent or (not may_be_empty and cell in (None, "")):
            raise ValueError(f"Expected {column} in every row of {path}, line {line} has none.")


def _id_of(path: Path, root: Path) -> str:
    """The path from the audio folder, without the ending of an audio file."""
    inside = path.relative_to(root) if path.is_relative_to(root) else path
    return (inside.with_suffix("") if inside.suffix.lower() in AUDIO_SUFFIXES else inside).as_posix()


def _label_lists(rows: pd.DataFrame, path: Path, how: _Reading) -> list[list[str]]:
    """Each clip's labels as strings.

    For example the cells `"Male speech, man speaking"` and `"Dog;Bark"` are one and two labels: the column's separator
    is `;`. So they are beside `"Dog,Bark"` if the first is a class of the vocabulary; otherwise it is two as well.
    """
    cells = [cell.strip() if isinstance(cell, str) else cell for cell in rows["labels"]]
    known: Collection[str] = how.vocabulary.index.keys() if how.vocabulary else ()
    whole: Collection[str] = () if how.separator else known
    texts: dict[str, int] = {}
    for line, cell in zip(rows.index, cells, strict=True):
        if isinstance(cell, str) and not cell.startswith("[") and cell not in whole:
            texts.setdefault(cell, line)
    separator = how.separator or find_separator(texts, str(path))
    found = []
    for clip, cell in zip(rows["id"].where(rows["id"].notna(), rows["file_id"]), cells, strict=True):
        labels = labels_in(cell, separator, whole)
        if not isinstance(labels, list) or not all(isinstance(label, str | int) for label in labels):
            raise ValueError(
                f"Clip {clip!r}: expected labels as strings, whole numbers or a JSON list of them, got {cell!r}."
            )
        found.append([str(label).strip() for label in labels])
    absent = Counter(label for of_clip in found for label in of_clip if label and not is_label(label, known))
    if absent:
        how.notes.append(f"Labels of {path.name} that name no class: {dict(absent)}.")
    return [[label for label in of_clip if is_label(label, known)] for of_clip in found]


def _encode(ids: Iterable[str], labels: Iterable[list[str]], classes: Vocabulary) -> list[list[int]]:
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


def _check_groups(rows: pd.DataFrame, source: Path) -> None:
    """Refuse splits that part a group, in tables that say both."""
    splits = rows.groupby("group")["split"].unique()
    parted = splits[splits.map(len) > 1]
    if len(parted):
        raise ValueError(
            f"Expected the clips of a group in one split of {source}, {len(parted)} of {len(splits)} groups are in "
            f"several, such as {parted.index[0]!r} in {', '.join(parted.iloc[0])}. Correct the splits, or leave "
            "group_column out."
        )


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
    settings=("audio_dir", "vocabulary", "split", "separator", "negatives", *COLUMN_SETTINGS),
    train=("train",),
    validation=("validation", "val"),
    test=("test",),
    shard_names=COMMON_SHARD_NAMES,
)
