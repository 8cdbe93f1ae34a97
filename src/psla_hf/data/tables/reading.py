"""Tables of clips as people save them, read as they are meant or refused by file and line. Chooses no columns."""

import csv
import io
import reprlib
from collections.abc import Sequence
from itertools import dropwhile
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from psla_hf.files import read_json_lines, read_text, reading

from .columns import is_header

__all__ = ["TABLES", "read_any_table", "read_csv", "read_table"]

TABLES = (".csv", ".tsv", ".txt", ".jsonl", ".parquet")

DELIMITERS = ",\t;"  # of as many fields the first


def read_any_table(path: Path) -> pd.DataFrame:
    """A CSV, a JSON-lines or a parquet file by its ending, indexed by the line or row, from 1.

    Raises:
        ValueError: It is none of these, or is not as it should be; the message has the file and the line.
    """
    suffix = path.suffix.lower()
    if suffix not in TABLES:
        raise ValueError(f"Expected a table {', '.join(TABLES)}, or a folder, got {path}.")
    if suffix == ".jsonl":
        lines = read_json_lines(path)
        return pd.DataFrame(list(lines.values()), index=pd.Index(lines), dtype=object)
    if suffix == ".parquet":
        with reading(path, "a table of clips as parquet"):
            table = pd.DataFrame(pq.read_table(path).to_pydict(), dtype=object)
        return table.set_index(pd.RangeIndex(1, len(table) + 1))
    return read_csv(path)


def read_csv(path: Path) -> pd.DataFrame:
    """A table with a header, every cell as a string, indexed by the line; `attrs` has the `delimiter`.

    Fields are separated by commas, tabs or semicolons: what makes most of the header. Lines before the header, and
    lines of one field, that begin with `#` are comments, but for a first line that names known columns (`#file,label`):
    it is the header, if no other is. Empty fields at the end of a line do not count.

    Raises:
        ValueError: It is empty, no text, or a line has another number of fields than the header.
    """
    text = read_text(path)
    written = [line for line in io.StringIO(text, None) if line.strip()]
    head = next((line for line in written if not line.startswith("#")), None)
    if head is None:
        raise ValueError(f"Expected a header and lines of clips in {path}, it is empty.")
    is_first = written[0].startswith("#") and _names_columns(written[0]) and not _names_columns(head)
    head = written[0] if is_first else head
    delimiter = max(DELIMITERS, key=lambda mark: _num_fields(head, mark))
    # Translated, so that the ends of lines of any system are one.
    reader = csv.reader(io.StringIO(text, None), delimiter=delimiter, strict=True, skipinitialspace=True)
    try:
        lines = [(reader.line_num, row) for row in reader if any(row)]
    except csv.Error as error:
        raise ValueError(f"Expected fields in {path}, line {reader.line_num} has none that end: {error}.") from error
    lines = lines if is_first else list(dropwhile(lambda line: line[1][0].startswith("#"), lines))
    if not lines:
        raise ValueError(f"Expected a header with the names of columns in {path}, its fields are empty.")
    (_, header), *rows = lines
    rows = [(number, row) for number, row in rows if not (len(row) == 1 and row[0].startswith("#"))]
    header = _without_end([name.strip() for name in header], 0)
    header = [header[0].lstrip("# "), *header[1:]] if is_first else header
    repeated = {name for name in header if name and header.count(name) > 1}
    if repeated:
        raise ValueError(f"Expected every column of {path} once, these are repeated: {reprlib.repr(sorted(repeated))}.")
    fields = [_without_end(row, len(header)) for _, row in rows]
    wrong = next((k for k, row in enumerate(fields) if len(row) != len(header)), None)
    if wrong is not None:
        raise ValueError(
            f"Expected the {len(header)} fields of the header in every line of {path}, line {rows[wrong][0]} has "
            f"{len(fields[wrong])}. Put fields that contain {delimiter!r} in double quotes."
        )
    columns = [name or f"column {k} without a name" for k, name in enumerate(header, start=1)]
    table = pd.DataFrame(fields, index=pd.Index([number for number, _ in rows]), columns=columns, dtype=object)
    table.attrs["delimiter"] = delimiter
    return table


def read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """A CSV as strings, its columns checked."""
    if not path.is_file():
        raise FileNotFoundError(f"Expected the table {path}, there is none. Is the data set complete?")
    table = read_csv(path)
    absent = [column for column in columns if column not in table.columns]
    if absent:
        raise ValueError(
            f"Expected columns {list(columns)} in {path}, missing {absent}, found {reprlib.repr(list(table.columns))}."
        )
    return table


def _names_columns(line: str) -> bool:
    """Whether a line is a header of columns that are known, as a comment or not."""
    return any(is_header(line.lstrip("# ").split(mark)) for mark in DELIMITERS)


def _num_fields(line: str, delimiter: str) -> int:
    """How many fields a line has; none if one is too long for any."""
    try:
        return len(next(csv.reader([line], delimiter=delimiter)))
    except csv.Error:
        return 0


def _without_end(row: list[str], least: int) -> list[str]:
    """The fields without empty ones at the end, but not fewer than `least`."""
    while len(row) > least and not row[-1].strip():
        row = row[:-1]
    return row
