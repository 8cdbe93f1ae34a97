"""Segments of files, as tables list them: times, one clip each, labels of what overlaps, the rest. Decodes nothing."""

import math
import re
import reprlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from psla_hf.data.listing import LEAST_SECONDS

from .cells import is_label

__all__ = ["LEAST_REST", "merge_segments", "seconds_of_cell", "segment_times", "share_labels", "uncovered_segments"]

TIMES = "seconds as 12.5, or 1:02.5, or 1:02:03"

CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d{1,2}(?:\.\d*)?)")

LEAST_REST = 1.0  # seconds of an uncovered stretch that are kept

LIMITED = reprlib.Repr()  # at most six ids

OF_FILE = ("split", "group", "fold")  # columns in which the rows of one segment must agree

WITHOUT_LABELS = "no row"  # the place in the table of a clip that the table does not list


def seconds_of_cell(cell: Any, decimal_comma: bool) -> float | None:
    """A time in a table in seconds; none where there is nothing.

    Args:
        cell: A number, or a text.
        decimal_comma: Whether `12,5` is 12.5, as in tables whose fields are not separated by commas.

    Raises:
        ValueError: It is no time.
    """
    if cell is None or not is_label(str(cell).strip()):
        return None
    text = str(cell).strip()
    text = text.replace(",", ".") if decimal_comma and text.count(",") == 1 and "." not in text else text
    clock = CLOCK.fullmatch(text)
    try:
        if clock is None:
            seconds = float(text)
        else:
            hours, minutes, rest = int(clock[1] or 0), int(clock[2]), float(clock[3])
            seconds = 3600 * hours + 60 * minutes + rest
            if rest >= 60 or (clock[1] and minutes >= 60):
                raise ValueError
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds) or isinstance(cell, bool):
        raise ValueError(f"Expected {TIMES}, got {cell!r}.")
    return seconds


def segment_times(
    table: pd.DataFrame, columns: Mapping[str, str], files: Iterable[str], path: Path
) -> tuple[pd.DataFrame, list[str]]:
    """The `start` and `end` of each row in seconds, none where its cell is blank, and its `line`.

    Args:
        table: As `reading.read_any_table` returns it.
        columns: What holds `start`, and what `end` or `duration`.
        files: Of each row, for messages.
        path: The table.

    Returns:
        The times, and a note on each column of which some cells are blank, but not all.

    Raises:
        ValueError: A cell is no time, or a segment does not end `LEAST_SECONDS` after it starts, at 0 or later.
    """
    decimal_comma = table.attrs.get("delimiter") != ","
    stops = table[columns["end" if "end" in columns else "duration"]]
    times: dict[str, list] = {"start": [], "end": [], "line": []}
    for line, file, *cells in zip(table.index, files, table[columns["start"]], stops, strict=True):
        try:
            start, stop = (seconds_of_cell(cell, decimal_comma) for cell in cells)
        except ValueError as error:
            raise ValueError(f"{path}, line {line}: {error}") from error
        begin = start or 0.0
        end = stop if stop is None or "end" in columns else begin + stop
        if begin < 0 or (end is not None and end - begin < LEAST_SECONDS):
            raise ValueError(
                f"Expected a segment of {file} that ends after it starts, by {LEAST_SECONDS:g} s or more, "
                "at 0 or later, got "
                f"{' and '.join(f'{column} {cell}' for column, cell in zip(columns.values(), cells, strict=True))} "
                f"in {path}, line {line}."
            )
        for name, value in zip(times, (start, end, f"{path.name}, line {line}"), strict=True):
            times[name].append(value)
    notes = [
        f"{blank} of {len(table)} cells of the column {column} of {path.name} are blank: these clips {verb} with "
        "their files."
        for column, verb, cells in zip(columns.values(), ("start", "end"), (times["start"], times["end"]), strict=True)
        if 0 < (blank := cells.count(None)) < len(table)
    ]
    return pd.DataFrame(times, index=table.index, dtype=object), notes


def merge_segments(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """One row for each file, start and end, with the labels of all its rows; ids say the times where there are none.

    Args:
        rows: `path`, `file_id`, `id` or none, `labels` as lists of names, `start`, `end`, `line`; perhaps those of
            `OF_FILE`.

    Returns:
        The rows, and notes.

    Raises:
        ValueError: Rows of one segment do not agree about its split, group or fold.
    """
    firsts: dict[tuple, int] = {}
    labels: list[list[str]] = []
    kept: list[int] = []
    agreeing = [rows[name].tolist() for name in OF_FILE if name in rows]
    lines, own = rows["line"].tolist(), rows["labels"].tolist()
    unused: list[str] = []  # ids of rows that repeat another one's segment
    ids = rows["id"].tolist()
    starts = [start or 0.0 for start in rows["start"]]
    for k, key in enumerate(zip(rows["path"], starts, rows["end"], strict=True)):
        first = firsts.setdefault(key, len(kept))
        if first == len(kept):
            kept.append(k)
            labels.append([])
        elif any(cells[k] != cells[kept[first]] for cells in agreeing):
            raise ValueError(
                f"Expected one split, group and fold for a segment, {lines[kept[first]]} and {lines[k]} say different "
                f"ones of {_in_words(*key)}."
            )
        elif ids[k] and ids[k] != ids[kept[first]]:
            unused.append(ids[k])
        labels[first] = list(dict.fromkeys([*labels[first], *own[k]]))
    merged = rows.iloc[kept].copy()
    merged["labels"] = labels
    merged["id"] = [own_id or name for own_id, name in zip(merged["id"], _names(merged), strict=True)]
    repeated = len(rows) - len(kept)
    notes = [f"{repeated} rows repeat a segment; it has the labels of all its rows."] if repeated else []
    if unused:
        notes.append(f"{len(unused)} ids of rows that repeat a segment are not used: {LIMITED.repr(unused)}.")
    return merged, notes


def share_labels(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Each segment also has the labels of others that overlap it by at least half of the shorter one's length.

    For example 0 to 4 s of a dog and 3 to 5 s of rain are both a dog and rain.

    Returns:
        The rows, and notes.
    """
    labels = rows["labels"].tolist()
    shared = [list(names) for names in labels]
    for segments in _by_file(rows).values():
        for k, (start, end, row) in enumerate(segments):
            for other_start, other_end, other in segments[k + 1 :]:
                if other_start >= end:
                    break  # as do all that follow, in the order of their starts
                shorter = min(end - start, other_end - other_start)
                if min(end, other_end) - other_start >= shorter / 2:
                    shared[row] += labels[other]
                    shared[other] += labels[row]
    shared = [list(dict.fromkeys(names)) for names in shared]
    changed = sum(len(more) > len(names) for more, names in zip(shared, labels, strict=True))
    notes = [f"{changed} segments also have labels of others that overlap them by half or more."] if changed else []
    rows = rows.copy()
    rows["labels"] = shared
    return rows, notes


def uncovered_segments(rows: pd.DataFrame, lengths: Mapping[str, float], longest: float) -> tuple[pd.DataFrame, str]:
    """The rows, and after them what of their files no row covers, as clips without labels.

    Such a clip is of the split, group and fold of the row before it in its file, or of the first.

    Args:
        rows: As `merge_segments` returns them.
        lengths: Of the files in seconds, by path; of others nothing is added.
        longest: Seconds of a clip; what remains of a stretch is one too if it has at least a second.

    Returns:
        The rows, and a note.
    """
    files = rows["file_id"].tolist()
    added: list[tuple] = []
    for path, segments in _by_file(rows).items():
        for start, end, row in _gaps(segments, lengths.get(path, 0.0)):
            for begin, stop in _pieces(start, end, longest):
                added.append((row, begin, stop, _id_of(files[row], begin, stop), []))
    new = rows.iloc[[row for row, *_ in added]].copy()
    for column, name in enumerate(("start", "end", "id", "labels"), start=1):
        new[name] = pd.Series([piece[column] for piece in added], new.index, dtype=object)
    new["line"] = WITHOUT_LABELS
    note = f"{len(added)} clips of at most {longest:g} s without labels are what no row covers of the files."
    return pd.concat([rows, new], ignore_index=True), note


def _by_file(rows: pd.DataFrame) -> dict[str, list[tuple[float, float, int]]]:
    """By path the segments' starts, ends and numbers of rows, in order."""
    files = defaultdict(list)
    for row, (path, start, end) in enumerate(zip(rows["path"], rows["start"], rows["end"], strict=True)):
        files[path].append((start or 0.0, math.inf if end is None else end, row))
    return {path: sorted(segments) for path, segments in files.items()}


def _gaps(segments: list[tuple[float, float, int]], length: float) -> Iterator[tuple[float, float, int]]:
    """What the segments of a file leave out, each with the number of the row before it."""
    covered, row = 0.0, segments[0][2]
    for start, end, number in [*segments, (length, length, -1)]:
        if start > covered:
            yield covered, min(start, length), row
        covered, row = max(covered, end), number


def _pieces(start: float, end: float, longest: float) -> Iterator[tuple[float, float]]:
    """A stretch cut into pieces of `longest` seconds, and a rest of at least `LEAST_REST`."""
    while end - start >= LEAST_REST:
        stop = min(start + longest, end)
        yield start, stop
        start = stop


def _names(rows: pd.DataFrame) -> list[str]:
    """Ids that say the times in thousandths of a second, or in all digits where several segments would share one."""
    places = list(zip(rows["file_id"], rows["start"], rows["end"], strict=True))
    names = [_id_of(*place) for place in places]
    counts = Counter(names)
    return [_id_of(*place, exact=True) if counts[name] > 1 else name for name, place in zip(names, places, strict=True)]


def _id_of(name: str, start: float | None, end: float | None, exact: bool = False) -> str:
    if start is None and end is None:
        return name
    begin, stop = (seconds if exact else f"{seconds:.3f}" for seconds in (start or 0.0, end or 0.0))
    return f"{name}:{begin}-{'end' if end is None else stop}"


def _in_words(path: str, start: float | None, end: float | None) -> str:
    return f"{path} from {start or 0:g} s to {'its end' if end is None else f'{end:g} s'}"
