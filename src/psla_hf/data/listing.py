"""Clips that a list names become a data set in the schema, with an account of it. Knows no layout, decodes nothing."""

import os
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from psla_hf.audio import audio_seconds
from psla_hf.folder import FolderContents, entry_is_file
from psla_hf.labels.vocabulary import Vocabulary
from psla_hf.progress import progress

from .schema import IndexedClips, tagging_features
from .splitting import Groups
from .summary import LoadOptions, LoadSummary

__all__ = [
    "Listing",
    "are_there",
    "check_folder",
    "clip_table",
    "first_file",
    "load_listing",
    "read_vocabulary",
]


HEADER_THREADS = 16  # they wait for the disk, not for a core

HEADERS_PER_TASK = 500

LATE_SECONDS = 0.1  # by which an end may lie after the file's: lists round, and cut files

LEAST_SECONDS = 1 / 8000  # of a segment: a sample, where the sampling rate is low

LONGEST_NAME = 500  # letters of a file's name that an error repeats

WAYS_OUT = "Restore the clips, take them out of the list, or pass incomplete='drop'."


@dataclass(frozen=True)
class Listing:
    """What a source lists, and which of it is there.

    Attributes:
        source: Which data, in words, such as `FSD50K train`.
        root: The folder under which the clips are looked for.
        vocabulary: The classes.
        clips: One row per listed clip, as `clip_table` makes it, perhaps with columns of its own source. One that is
            called `group` says which clips stay together wherever clips are parted.
        naming: How the files may be named, a sentence for who has named them otherwise.
        notes: What else the reader should know, a sentence each.
        subset: The part of a data set that these are, where it has a name of its own.
        division: How the splits were made, in words, where they were.

    Raises:
        ValueError: There are no clips, or an id occurs twice.
    """

    source: str
    root: Path
    vocabulary: Vocabulary
    clips: pa.Table
    naming: str
    notes: tuple[str, ...] = ()
    subset: str | None = None
    division: str | None = None

    def __post_init__(self) -> None:
        """Refuse lists that cannot be meant."""
        if not len(self.clips):
            raise ValueError(f"Expected clips, but {self.source} lists none. Check the list under {self.root}.")
        counts = self.clips["id"].value_counts()
        duplicates = counts.filter(pc.greater(counts.field("counts"), 1)).field("values").to_pylist()
        if duplicates:
            raise ValueError(
                f"Expected {self.source} to list every clip once, these ids occur more than once: {duplicates[:5]}. "
                "Take the repeated rows out of the list, or give the clips ids of their own."
            )

    @property
    def splits(self) -> list[str]:
        """The splits of the listed clips, in the order in which they first occur."""
        return pc.unique(self.clips["split"]).to_pylist()

    @property
    def groups(self) -> Groups:
        """Which clips stay together wherever clips are parted."""
        given = self.clips["group"].to_pylist() if "group" in self.clips.column_names else None
        return Groups.of(given, self.clips["path"].to_pylist(), self.clips["id"].to_pylist())


def clip_table(
    ids: Sequence[str],
    paths: Sequence[str | None],
    there: Sequence[bool],
    labels: Sequence[Sequence[int]],
    splits: Sequence[str],
    starts: Sequence[float | None] | None = None,
    ends: Sequence[float | None] | None = None,
    lines: Sequence[str] | None = None,
) -> pa.Table:
    """The rows of a `Listing`, N of everything.

    Args:
        ids: Names of the clips.
        paths: Where each file is, or where it should be; none if that is not known.
        there: Whether it is there.
        labels: Class indices.
        splits: Split of each.
        starts: Where in its file each begins, in seconds; none for the beginning. By default clips are whole files.
        ends: Where each ends; none for the end of the file.
        lines: The place in a table that says so, for messages about segments, such as `clips.csv, line 3`.
    """
    columns = {
        "id": (ids, pa.string()),
        "path": (paths, pa.string()),
        "there": (there, pa.bool_()),
        "labels": (labels, pa.list_(pa.int32())),
        "split": (splits, pa.string()),
        "start": (starts, pa.float64()),
        "end": (ends, pa.float64()),
        "line": (lines, pa.string()),
    }
    try:
        return pa.table({name: pa.array(cells, type) for name, (cells, type) in columns.items() if cells is not None})
    except UnicodeEncodeError as error:
        raise ValueError(f"Expected ids, files and splits as text, got {error.object!r}. Rename it.") from error


def load_listing(
    listing: Listing, options: LoadOptions, parts: Mapping[str, Collection[str]] | None = None
) -> dict[str, tuple[IndexedClips, LoadSummary]]:
    """Check the listed clips, and return them with an account of them.

    Args:
        listing: What to load.
        options: How.
        parts: Splits of each part, for example `{"test": ["fold 1"]}`; by default each split is a part. Clips of other
            splits are not looked at.

    Raises:
        FileNotFoundError: No clip is there, or one is not and `incomplete` says to raise.
        ValueError: No clip is readable, or one is not and `incomplete` says to raise.
    """
    parts = parts or {split: [split] for split in listing.splits}
    wanted = [split for splits in parts.values() for split in splits]
    listing = replace(listing, clips=_of_splits(listing.clips, wanted))
    clips, unreadable = _checked(listing, options)
    notes = (*listing.notes, *_notes_on_division(listing, clips, wanted), *_notes_on_ends(listing.clips, clips))
    listing = replace(listing, notes=notes)
    loaded = {}
    for part, splits in parts.items():
        loaded[part] = _part(listing, clips, unreadable, splits, options)
        listing = replace(listing, notes=())  # those of the whole are the first part's, so that each is printed once
    return loaded


def are_there(paths: Collection[Path]) -> list[bool]:
    """Whether each path is a file; every folder is read once, which for many files is faster than asking for each."""
    names = {}
    for folder in {path.parent for path in paths}:
        names[folder] = (
            {entry.name for entry in os.scandir(folder) if entry_is_file(entry)} if folder.is_dir() else set()
        )
    return [path.name in names[path.parent] for path in paths]


def check_folder(folder: str | Path, what: str) -> Path:
    """The folder as a path.

    Raises:
        FileNotFoundError: There is none; the message asks for `what`.
    """
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"There is no directory {folder}. Pass {what}.")
    return Path(folder)


def _of_splits(clips: pa.Table, splits: Collection[str]) -> pa.Table:
    return clips.filter(pc.is_in(clips["split"], pa.array(splits, pa.string())))


def _checked(listing: Listing, options: LoadOptions) -> tuple[pa.Table, dict[str, str]]:
    """The clips that are there and readable, with `seconds`, and the ids of the unreadable ones with the reason."""
    missing = listing.clips.filter(pc.invert(listing.clips["there"]))
    clips = listing.clips.filter(listing.clips["there"])
    if not len(clips):
        raise FileNotFoundError(_nothing_found(listing))
    if len(missing) and options.incomplete != "drop":
        raise FileNotFoundError(
            f"{len(missing)} of {len(listing.clips)} listed clips are not in {listing.root}, for example "
            f"{_listed_as(missing)}. {listing.naming} {WAYS_OUT}"
        )
    unreadable: dict[str, str] = {}
    if options.read_headers:
        clips, unreadable = _with_seconds(clips, options.quiet)
    else:
        clips = clips.append_column("seconds", _seconds_by_times(clips))
    if not len(clips) or (unreadable and options.incomplete != "drop"):
        raise ValueError(
            f"{len(unreadable)} of {len(unreadable) + len(clips)} clips in {listing.root} are unreadable, for example: "
            f"{next(iter(unreadable.values()))} {WAYS_OUT}"
        )
    return clips, unreadable


def _part(
    listing: Listing, clips: pa.Table, unreadable: Mapping[str, str], splits: Collection[str], options: LoadOptions
) -> tuple[IndexedClips, LoadSummary]:
    """The checked clips of some splits in the schema, and their summary."""
    listed, clips = _of_splits(listing.clips, splits), _of_splits(clips, splits)
    indexed = IndexedClips(_as_dataset(clips, listing.vocabulary))
    notes = listing.notes
    if not options.read_headers:
        notes = (*notes, "Headers were not read: hours are unknown, and what is unreadable shows when it is decoded.")
    without = pc.sum(pc.equal(pc.list_value_length(clips["labels"]), 0)).as_py()
    if without:
        notes = (*notes, f"{without} clips have no label.")
    found = {entry["values"]: entry["counts"] for entry in clips["split"].value_counts().to_pylist()}
    summary = LoadSummary.of(
        indexed,
        listing.source,
        # A split of which nothing was found counts 0 rather than going unmentioned.
        {split: found.get(split, 0) for split in splits},
        missing=listed.filter(pc.invert(listed["there"]))["id"].to_pylist(),
        unreadable={clip: unreadable[clip] for clip in listed["id"].to_pylist() if clip in unreadable},
        hours=indexed.hours,
        notes=notes,
    )
    return indexed, summary


def _nothing_found(listing: Listing) -> str:
    """What is listed beside what is there."""
    audio = [str(path.relative_to(listing.root)) for path in FolderContents.of(listing.root).audio[:3]]
    others = [path.name for path in islice(listing.root.glob("[!.]*"), 5)]
    there = f"There is audio, for example {audio}" if audio else f"There is no audio, only {sorted(others)}"
    return (
        f"None of the {len(listing.clips)} clips of {listing.source}, such as {_listed_as(listing.clips)}, was found "
        f"in {listing.root}. {listing.naming} {there if audio or others else 'The folder is empty'}. Pass the "
        "folder that holds the audio, or rename the files."
    )


def _listed_as(clips: pa.Table) -> str:
    """The file that the first clip should have, or its id where the list does not say."""
    path = clips["path"][0].as_py()
    named = repr(clips["id"][0].as_py()) if path is None else path
    return named if len(named) <= LONGEST_NAME else f"{named[:LONGEST_NAME]}…"


def _with_seconds(clips: pa.Table, quiet: bool) -> tuple[pa.Table, dict[str, str]]:
    """The readable clips with their `seconds`, and the ids of the others with the reason; ends lie inside the files."""
    paths = clips["path"].to_pylist()
    files = list(dict.fromkeys(paths))
    tasks = [files[i : i + HEADERS_PER_TASK] for i in range(0, len(files), HEADERS_PER_TASK)]
    lengths: dict[str, float | str] = {}
    bar = progress(total=len(files), desc="headers", unit="file", quiet=quiet)
    with bar, ThreadPoolExecutor(HEADER_THREADS) as pool:
        for task, of_task in zip(tasks, pool.map(_seconds_or_reasons, tasks), strict=True):
            lengths |= zip(task, of_task, strict=True)
            bar.update(len(of_task))
    found = [lengths[path] for path in paths]
    if "start" in clips.column_names:
        found, clips = _of_segments(clips, found)
    seconds = pa.array([None if isinstance(value, str) else value for value in found], pa.float32())
    reasons = {
        clip: value for clip, value in zip(clips["id"].to_pylist(), found, strict=True) if isinstance(value, str)
    }
    return clips.append_column("seconds", seconds).filter(seconds.is_valid()), reasons


def _of_segments(clips: pa.Table, lengths: Sequence[float | str]) -> tuple[list[float | str], pa.Table]:
    """The segments' lengths, or why they have none, and the clips with ends inside their files."""
    found: list[float | str] = []
    ends = clips["end"].to_pylist()
    columns = [name for name in ("id", "path", "start", "line") if name in clips.column_names]
    for k, (clip, length) in enumerate(zip(clips.select(columns).to_pylist(), lengths, strict=True)):
        if isinstance(length, str):
            found.append(length)
            continue
        start, end = clip["start"] or 0.0, length if ends[k] is None else ends[k]
        if length - start < LEAST_SECONDS or end > length + LATE_SECONDS:
            found.append(
                f"Expected a segment inside {clip['path']}, which is {length:.3f} s long, got {start:g} to {end:g} s "
                f"({clip.get('line') or clip['id']})."
            )
            continue
        ends[k] = None if ends[k] is None else min(end, length)
        found.append(min(end, length) - start)
    return found, clips.set_column(clips.column_names.index("end"), "end", pa.array(ends, pa.float64()))


def _seconds_by_times(clips: pa.Table) -> pa.ChunkedArray | pa.Array:
    """The lengths of clips of which both times are listed, none of others."""
    if "start" not in clips.column_names:
        return pa.nulls(len(clips), pa.float32())
    return pc.subtract(clips["end"], pc.fill_null(clips["start"], 0.0)).cast(pa.float32())


def _notes_on_division(listing: Listing, clips: pa.Table, splits: Collection[str]) -> tuple[str, ...]:
    """How the splits were made, and what is there of those that are looked at, a sentence."""
    found = clips["split"].to_pylist()
    counts = ", ".join(f"{split} {found.count(split)}" for split in sorted(splits))
    return (f"Splits were made, {listing.division}: {counts}.",) if listing.division else ()


def _notes_on_ends(listed: pa.Table, clips: pa.Table) -> tuple[str, ...]:
    """How many ends of segments were beyond those of their files, a sentence."""
    if "end" not in listed.column_names:
        return ()
    ends = dict(zip(listed["id"].to_pylist(), listed["end"].to_pylist(), strict=True))
    cut = sum(ends[clip] != end for clip, end in zip(clips["id"].to_pylist(), clips["end"].to_pylist(), strict=True))
    return (f"{cut} segments end up to {LATE_SECONDS} s after their files; they end with these.",) if cut else ()


def _seconds_or_reasons(paths: list[str]) -> list[float | str]:
    """Each file's length, or why it has none."""
    found: list[float | str] = []
    for path in paths:
        try:
            found.append(audio_seconds(path))
        except (OSError, ValueError) as error:
            found.append(str(error))
    return found


def _as_dataset(clips: pa.Table, vocabulary: Vocabulary) -> Dataset:
    """Checked clips in the schema, column by column."""
    features = tagging_features(
        vocabulary, segments="start" in clips.column_names, groups="group" in clips.column_names
    )
    columns = {name: clips[name].combine_chunks() for name in features if name not in ("audio", "mids")}
    audio = [clips["path"].combine_chunks(), pa.nulls(len(clips), pa.binary())]
    columns["audio"] = pa.StructArray.from_arrays(audio, names=["path", "bytes"])
    columns["mids"] = columns["labels"]
    return Dataset.from_dict({name: columns[name] for name in features}, features=features)


def read_vocabulary(given: str | Path | Vocabulary | None, candidates: Sequence[Path]) -> Vocabulary:
    """The vocabulary that was given, as such or as a path, or else the first of the candidates that is there."""
    if isinstance(given, Vocabulary):
        return given
    return Vocabulary.from_csv(first_file([Path(given)] if given else candidates, "the table of classes as vocabulary"))


def first_file(candidates: Sequence[Path], what: str) -> Path:
    """The first candidate that is a file."""
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"Expected {' or '.join(map(str, candidates))}, found none. Put it there, or pass {what}."
        )
    return path
