"""What was heard as other programs read it: JSON, CSV, Audacity, Raven, RTTM. Knows no audio and no models."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from os import fspath
from pathlib import Path
from typing import Any, Literal

from psla_hf.files import atomic_file, reading

from .recording import Recording, Threshold, TopK, WindowPooling
from .timeline import Event, EventRule

__all__ = ["EVENT_FORMATS", "PER_RECORDING", "Format", "Output", "OutputFile", "name_of", "path_inside"]

Format = Literal["table", "json", "jsonl", "csv", "audacity", "raven", "rttm"]

EVENT_FORMATS = ("audacity", "raven", "rttm")  # hold nothing else

# Formats that do not say of which recording an event is: one file for each, with this ending.
PER_RECORDING = {"audacity": ".txt", "raven": ".selections.txt"}

RAVEN_COLUMNS = (
    "Selection",
    "View",
    "Channel",
    "Begin Time (s)",
    "End Time (s)",
    "Low Freq (Hz)",
    "High Freq (Hz)",
    "Annotation",
    "Score",
)


@dataclass(frozen=True)
class Output:
    """What is written of a recording, and how.

    Attributes:
        format: Of the file; a table is for the screen, and is not written here.
        top_k: Tags at most, see `Recording.tags`.
        threshold: Only tags with at least this score.
        pooling: See `Recording.clip_scores`.
        rule: Events are found by it; none are, if it is not given.
        timeline: The scores of every step are written.
    """

    format: Format
    top_k: TopK = "auto"
    threshold: Threshold = None
    pooling: WindowPooling = "max"
    rule: EventRule | None = None
    timeline: bool = False

    @property
    def keys(self) -> set[str]:
        """Of a recording as JSON holds it."""
        optional = {"events": self.rule is not None, "timeline": self.timeline}
        return {"file", "seconds", "tags", *(key for key, is_wanted in optional.items() if is_wanted)}

    def head(self) -> str:
        """The line of a CSV file that names its columns, but for time lines, whose columns are the model's."""
        if self.format != "csv":
            return ""
        if self.timeline:
            return _csv([("file", "time", "label", "score")])
        return _csv([("file", "onset", "offset", "label", "score") if self.rule else ("file", "label", "score")])

    def text(self, recording: Recording) -> str:
        """A recording as whole lines.

        Raises:
            ValueError: The format cannot hold the recording's name.
        """
        if self.format in ("json", "jsonl"):
            return json.dumps(self.as_dict(recording), allow_nan=False) + "\n"
        name = name_of(recording)
        if self.format == "csv":
            return _csv((name, *row) for row in self._rows(recording))
        return WRITERS[self.format](name, self.events(recording), recording.top_hz)

    def events(self, recording: Recording) -> list[Event]:
        """The recording's events."""
        return [] if recording.timeline is None else recording.timeline.events(self.rule)

    def as_dict(self, recording: Recording) -> dict[str, Any]:
        """A recording as JSON holds it: file, seconds and tags; events and the time line if they are wanted."""
        result: dict[str, Any] = {
            "file": name_of(recording),
            "seconds": round(recording.seconds, 3),
            "tags": [_rounded(tag) for tag in recording.tags(self.top_k, self.threshold, self.pooling)],
        }
        if self.rule is not None:
            result["events"] = [_rounded(event._asdict()) for event in self.events(recording)]
        if self.timeline and recording.timeline is not None:
            line = recording.timeline
            result["timeline"] = {
                "step_seconds": line.step_seconds,
                "labels": list(line.labels),
                "scores": [[round(float(score), 4) for score in step] for step in line.scores],
            }
        return result

    def _rows(self, recording: Recording) -> Iterable[tuple]:
        line = recording.timeline
        if self.timeline and line is not None:
            return [
                (_seconds(time), label, _score(score))
                for time, step in zip(line.times, line.scores, strict=True)
                for label, score in zip(line.labels, step, strict=True)
            ]
        if self.rule is not None:
            return [(_seconds(e.onset), _seconds(e.offset), e.label, _score(e.score)) for e in self.events(recording)]
        tags = recording.tags(self.top_k, self.threshold, self.pooling)
        return [(tag["label"], _score(tag["score"])) for tag in tags]


class OutputFile:
    """A file, or a folder of files, to which recordings are appended as they are tagged, each whole or not at all.

    Args:
        output: What is written.
        path: The file, of formats in `PER_RECORDING` a folder; by default standard output.
        resume: What is there already stays, but for what a kill has cut; else there must be nothing.

    Raises:
        FileExistsError: There is something, and it is not to be resumed.
        ValueError: The format cannot be resumed.
    """

    def __init__(self, output: Output, path: str | Path | None = None, resume: bool = False):
        self.output, self.path = output, None if path is None else Path(path)
        self._names: set[str] = set()
        self._begin = output.head() or ("[" if output.format == "json" else "")
        if self.path is not None:
            self._open(self.path, resume)

    def _open(self, path: Path, resume: bool) -> None:
        output = self.output
        if resume and output.format in ("json", "rttm"):
            raise ValueError(
                f"Expected a format that is written line by line to resume (jsonl, csv), got {output.format}."
            )
        is_there = any(path.iterdir()) if path.is_dir() else path.exists()
        if is_there and not resume:
            raise FileExistsError(f"{path} is there already. Pass resume=True to go on with it, or take another.")
        if output.format in PER_RECORDING:
            path.mkdir(parents=True, exist_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if is_there:
            self._names = self._keep_whole(path)
        else:
            path.touch()

    def has(self, name: str) -> bool:
        """Whether a recording is finished."""
        return self._file_of(name).exists() if self._is_folder else name in self._names

    def write(self, recording: Recording) -> None:
        """Append a recording."""
        name, text = name_of(recording), self.output.text(recording)
        if self._is_folder:
            self._file_of(name).parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(self._file_of(name)) as temporary:
                temporary.write_bytes(text.encode(errors="surrogateescape"))
            return
        if self.output.format == "json":
            text = ("," if self._names else "") + "\n" + text.rstrip("\n")
        self._names.add(name)
        self._append(text)

    def close(self) -> None:
        """End what needs an end; a file without a recording goes."""
        if self.path is not None and not self._is_folder and not self._names:
            self.path.unlink(missing_ok=True)
        elif not self._is_folder:
            self._append("\n]\n" if self.output.format == "json" else "")

    @property
    def _is_folder(self) -> bool:
        return self.path is not None and self.output.format in PER_RECORDING

    def _append(self, text: str) -> None:
        data = (self._begin + text).encode(errors="surrogateescape")
        self._begin = ""
        if self.path is None:
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            return
        with self.path.open("ab") as file:
            file.write(data)

    def _file_of(self, name: str) -> Path:
        assert self.path is not None
        return path_inside(self.path, name, PER_RECORDING[self.output.format])

    def _keep_whole(self, path: Path) -> set[str]:
        """Remove what a kill has cut of the last recording, and return the names of the others.

        Raises:
            ValueError: The file holds something else than is to be written.
        """
        text = path.read_bytes().decode(errors="surrogateescape")
        text = text[: text.rfind("\n") + 1]
        names: list[str] = []
        is_same = not text or text.startswith(self._begin)
        if self.output.format == "jsonl":
            with reading(path, "a recording in each line"):
                for line in filter(None, text.split("\n")):  # one at a time: each may have a long time line
                    recording = json.loads(line)
                    names.append(recording["file"])
                    is_same &= recording.keys() == self.output.keys
        elif text and is_same:
            head, *rows = filter(None, csv.reader(io.StringIO(text)))  # without lines that an editor left empty
            rows = [row for row in rows if row[0] != rows[-1][0]]  # of the last one there may be more to come
            names, text = [row[0] for row in rows], _csv([head, *rows])
        if not is_same:
            raise ValueError(
                f"Expected {path} to hold what is to be written, it has other columns. Resume as it was begun, with "
                "tags, events and scores over time as then, or take another file."
            )
        with atomic_file(path) as temporary:
            temporary.write_bytes(text.encode(errors="surrogateescape"))
        self._begin = "" if text else self._begin
        return set(names)


def name_of(recording: Recording) -> str:
    """What the recording is called: its path as it was given, or the name of an opened file."""
    source = recording.source
    return fspath(source) if hasattr(source, "__fspath__") else str(getattr(source, "name", source))


def path_inside(folder: Path, name: str, ending: str) -> Path:
    """A file in a folder for a recording, under the recording's own folders and whole name."""
    parts = [part for part in Path(name).parts if part not in (Path(name).anchor, "..")]
    return folder.joinpath(*parts[:-1], parts[-1] + ending)


def _audacity(name: str, events: Sequence[Event], top_hz: float) -> str:
    return "".join(f"{_seconds(e.onset)}\t{_seconds(e.offset)}\t{_word(e.label)} {e.score:.2f}\n" for e in events)


def _raven(name: str, events: Sequence[Event], top_hz: float) -> str:
    rows = (
        (
            number,
            "Spectrogram 1",
            1,
            _seconds(e.onset),
            _seconds(e.offset),
            0,
            f"{top_hz:g}",
            _word(e.label),
            _score(e.score),
        )
        for number, e in enumerate(events, start=1)
    )
    return "".join("\t".join(map(str, row)) + "\n" for row in (RAVEN_COLUMNS, *rows))


def _rttm(name: str, events: Sequence[Event], top_hz: float) -> str:
    if len(name.split()) != 1:
        raise ValueError(
            f"RTTM has no spaces in names of recordings, as in {name!r}. Take another format, or rename it."
        )
    return "".join(
        f"SPEAKER {name} 1 {_seconds(e.onset)} {_seconds(e.offset - e.onset)} <NA> <NA> "
        f"{'_'.join(e.label.split())} {_score(e.score)} <NA>\n"
        for e in events
    )


WRITERS: dict[str, Callable[[str, Sequence[Event], float], str]] = {
    "audacity": _audacity,
    "raven": _raven,
    "rttm": _rttm,
}


def _csv(rows: Iterable[Sequence]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _word(label: str) -> str:
    """A label on one line of a table with tabs."""
    return " ".join(label.split())


def _seconds(value: float) -> str:
    return f"{value:.3f}"


def _score(value: float) -> str:
    return f"{value:.4f}"


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in values.items()}
