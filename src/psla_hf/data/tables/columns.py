"""Which column of a table holds what, by its name: ours, a synonym, or the one asked for. Knows no cells."""

import difflib
import re
import reprlib
from collections.abc import Mapping, Sequence

from typing_extensions import TypedDict

__all__ = ["COLUMN_SETTINGS", "ColumnArguments", "find_columns", "is_header", "normal_form"]


LIMITED = reprlib.Repr()
LIMITED.maxlist, LIMITED.maxstring = 30, 80


class ColumnArguments(TypedDict, total=False):
    """Columns that are asked for by name. An empty `start_column`, `end_column` or `split_column` asks for none.

    An `end_column` that is called `duration` or `length` holds durations.
    """

    file_column: str | None
    label_column: str | None
    start_column: str | None
    end_column: str | None
    split_column: str | None
    group_column: str | None
    fold_column: str | None


COLUMN_SETTINGS = tuple(ColumnArguments.__annotations__)

SETTINGS = {
    "path": "file_column",
    "labels": "label_column",
    "start": "start_column",
    "end": "end_column",
    "split": "split_column",
    "group": "group_column",
    "fold": "fold_column",
}

OPTIONAL = ("start", "end", "split")

# Taken wherever they are there, the first of them.
OUR_NAMES = {
    "path": ("file_name", "file", "path", "filename", "fname", "wav"),
    "labels": ("labels", "label"),
    "start": ("start",),
    "end": ("end",),
    "split": ("split",),
}

# In normal form. Taken where none of our names is there, if one only is.
SYNONYMS = {
    "path": {
        *("filename", "file", "path", "fname", "wav", "audio", "audiofile", "recording", "clip", "beginpath"),
        *("beginfile", "segmentid", "soundfile"),
    },
    "labels": {
        *("labels", "label", "class", "category", "species", "commonname", "scientificname", "tag", "tags"),
        *("eventlabel", "eventlabels", "annotation", "sound", "targetname"),
    },
    "start": {"start", "starttime", "begin", "begintime", "onset", "tmin", "from"},
    "end": {"end", "endtime", "stop", "tmax", "to"},
    "duration": {"duration"},  # and of the one that is asked for as the end also `ASKED_DURATIONS`
    "split": {"split", "subset", "set", "partition"},
}

ASKED_DURATIONS = {"duration", "length"}

UNITS = re.compile(r"[\s_]*([(\[]\s*)?(?<![a-z])(s|sec|secs|second|seconds)(\s*[)\]])?$")


def find_columns(columns: Sequence[str], asked: ColumnArguments, where: str) -> tuple[dict[str, str], list[str]]:
    """The columns of a table by what they hold: `path`, `labels`, and those there are of the others.

    The others are `id`, `start` with `end` or else `duration`, `split`, `group` and `fold`; the last two only if they
    are asked for, and no `split` beside a `fold`. `offset` is an end beside `onset` only.

    Args:
        columns: The table's.
        asked: Names that decide; compared like all without case, spaces and units of seconds where none is the same.
        where: The table, for messages.

    Returns:
        The columns, and a note where synonyms were taken, or a duration for the end.

    Raises:
        ValueError: One is asked for and not there, several may be meant, or one is missing that must be there.
    """
    if asked.get("fold_column") and asked.get("split_column"):
        raise ValueError("Expected a split_column or a fold_column, got both.")
    found = {role: _asked_column(name, columns, where, role) for role, name in _wanted(asked).items()}
    by_synonym = {}
    if "end" in found and normal_form(found["end"]) in ASKED_DURATIONS:
        found["duration"] = by_synonym["duration"] = found.pop("end")
    for role in OUR_NAMES:
        needs_no_end = role == "end" and ("start" not in found or "duration" in found)
        is_declined = dict(asked).get(SETTINGS[role]) == ""
        if role in found or needs_no_end or is_declined or (role == "split" and "fold" in found):
            continue
        free = [column for column in columns if column not in found.values()]
        ours = next((name for name in OUR_NAMES[role] if name in free), None)
        if ours is not None:
            found[role] = ours
            continue
        taken = _synonym(role, free, columns, where, found.get("start"))
        if taken is not None:
            found[taken[0]] = by_synonym[taken[0]] = taken[1]
    if "id" in columns and "id" not in found.values():
        found["id"] = "id"
    _check_ends(found, columns, where)
    taken_as = ", ".join(f"{column} as {'file' if role == 'path' else role}" for role, column in by_synonym.items())
    return found, [f"Columns of {where} were taken by their names: {taken_as}."] if taken_as else []


def is_header(fields: Sequence[str]) -> bool:
    """Whether some fields are names of columns, by those of a file and of labels among them."""
    forms = {normal_form(field) for field in fields}
    return not (forms.isdisjoint(SYNONYMS["path"]) or forms.isdisjoint(SYNONYMS["labels"]))


def normal_form(column: str) -> str:
    """A column's name without case, spaces, marks, and units of seconds: `Begin Time (s)` is `begintime`."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column.strip("\ufeff \t")).lower()
    return re.sub(r"[^a-z0-9]", "", UNITS.sub("", name)) or name


def _wanted(asked: ColumnArguments) -> dict[str, str]:
    given: Mapping[str, object] = asked
    wrong = [name for role, name in SETTINGS.items() if given.get(name) == "" and role not in OPTIONAL]
    if wrong:
        raise ValueError(f"Expected the name of a column as {wrong[0]}, got ''.")
    return {role: str(given[name]) for role, name in SETTINGS.items() if given.get(name)}


def _asked_column(name: str, columns: Sequence[str], where: str, role: str) -> str:
    """The column of this name, or the only one of this name in normal form."""
    alike = [name] if name in columns else [c for c in columns if normal_form(c) == normal_form(name)]
    if len(alike) == 1:
        return alike[0]
    nearest = alike[:1] or difflib.get_close_matches(name, columns, 1, 0.5)
    hint = f" Did you mean {_named(nearest[0])}?" if nearest else ""
    raise ValueError(
        f"Expected {SETTINGS[role]} to be a column of {where}, got {_named(name)}; it has {_shown(columns)}.{hint}"
    )


def _synonym(
    role: str, free: Sequence[str], columns: Sequence[str], where: str, start: str | None
) -> tuple[str, str] | None:
    """The one column that may hold this, and what it is: an end may be a duration."""
    names = SYNONYMS[role] | ({"offset"} if role == "end" and start and normal_form(start) == "onset" else set())
    choices = [column for column in free if normal_form(column) in names]
    if role == "end" and not choices:
        role, choices = "duration", [column for column in free if normal_form(column) in SYNONYMS["duration"]]
    if len(choices) == 1:
        return role, choices[0]
    setting = SETTINGS["end" if role == "duration" else role]
    if choices:
        taken_as = ", which is taken as a duration" if role == "duration" else ""
        raise ValueError(
            f"Expected one column for {setting} in {where}, found {', '.join(map(repr, choices))} among "
            f"{_shown(columns)}. Pass one, for example {setting}={_named(choices[0])}{taken_as}."
        )
    if role in ("path", "labels"):
        example = next(iter([*free, *columns]), "species")
        raise ValueError(
            f"Expected a column {' or '.join(OUR_NAMES[role])} in {where}, or one called alike, found "
            f"{_shown(columns)}. Pass its name, for example {setting}={_named(example)}."
        )
    return None


def _check_ends(found: Mapping[str, str], columns: Sequence[str], where: str) -> None:
    """Refuse a start without an end, and the other way round if it was asked for."""
    if "start" in found and not found.keys() & {"end", "duration"}:
        raise ValueError(
            f"Expected a column end or duration beside {_named(found['start'])} in {where}, found {_shown(columns)}. "
            "Pass end_column, whose name says so if it holds durations (duration, length), or start_column='' for "
            "clips that are whole files."
        )
    ends = [found[role] for role in ("end", "duration") if role in found]
    if ends and "start" not in found:
        raise ValueError(f"Expected a column start beside {_named(ends[0])} in {where}: pass start_column.")


def _named(column: object) -> str:
    """A column's name in a message; of one that is no name but a damaged file, its beginning and its end."""
    return LIMITED.repr(column)


def _shown(columns: Sequence[str]) -> str:
    return LIMITED.repr(list(columns))
