"""A sound file as a page shows it: tags, the picture of its time line, events. Knows no web page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from psla_hf.audio import audio_seconds
from psla_hf.inference.outputs import Output
from psla_hf.inference.overview import Overview, overview
from psla_hf.inference.recording import Recording
from psla_hf.inference.tagger import AudioTagger
from psla_hf.inference.timeline import Event, EventRule
from psla_hf.places import local_path

__all__ = ["Analysis", "Limits", "analyse", "load_taggers"]

SHOWN_TAGS = 10


@dataclass(frozen=True)
class Limits:
    """The longest and the largest file that a page takes.

    Attributes:
        max_minutes: Of sound.
        max_megabytes: Of the file.

    Raises:
        ValueError: One is not above 0, or not finite.
    """

    max_minutes: float = 10.0
    max_megabytes: float = 100.0

    def __post_init__(self) -> None:
        """Refuse what would take no file."""
        if not (0 < self.max_minutes < math.inf and 0 < self.max_megabytes < math.inf):
            raise ValueError(
                f"Expected max_minutes and max_megabytes above 0, got {self.max_minutes} and {self.max_megabytes}."
            )

    @property
    def max_bytes(self) -> int:
        """Of the file."""
        return int(self.max_megabytes * 2**20)

    def check(self, path: Path) -> None:
        """Refuse a file before it is decoded as a whole.

        Raises:
            ValueError: It is empty, too large or too long, or no audio.
        """
        size = path.stat().st_size
        if size == 0:
            raise ValueError(f"Expected audio, {path.name} is empty.")
        if size > self.max_bytes:
            raise ValueError(
                f"Expected at most {self.max_megabytes:g} MB, {path.name} has {size / 2**20:.1f} MB. Cut it, or "
                "compress it as FLAC or MP3."
            )
        if (minutes := audio_seconds(path) / 60) > self.max_minutes:
            raise ValueError(
                f"Expected at most {self.max_minutes:g} minutes, {path.name} has {minutes:.1f} minutes. Cut it."
            )


@dataclass(frozen=True)
class Analysis:
    """What was heard in a sound file, and what it looks like.

    Attributes:
        recording: With its time line; its source is the file's name, without its folder.
        overview: Of its samples.
    """

    recording: Recording
    overview: Overview

    def tags(self) -> dict[str, float]:
        """The highest scores by label."""
        number = min(SHOWN_TAGS, len(self.recording.labels))
        return {tag["label"]: tag["score"] for tag in self.recording.tags(number)}

    def events(self, threshold: float) -> list[Event]:
        """What is heard from when to when, with at least this score."""
        assert self.recording.timeline is not None
        return self.recording.timeline.events(EventRule(threshold))

    def write_events(self, path: Path, threshold: float) -> None:
        """Write the events as `psla tag --events --format csv` does."""
        output = Output("csv", rule=EventRule(threshold))
        path.write_text(output.head() + output.text(self.recording), encoding="utf-8")

    def draw(self, path: Path, threshold: float) -> None:
        """Draw sound, scores over time and events as a PNG."""
        from psla_hf.reports.plots import save
        from psla_hf.reports.recording import recording_picture

        assert self.recording.timeline is not None
        events = self.events(threshold)
        save(recording_picture(self.recording.source, self.overview, self.recording.timeline, events), path)


def analyse(tagger: AudioTagger, path: Path, limits: Limits) -> Analysis:
    """Tag a sound file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not readable as audio, beyond the limits, or its samples or scores are not finite.
    """
    limits.check(path)
    [recording] = tagger.recordings([path], timeline=True)
    return Analysis(replace(recording, source=path.name), overview(tagger.blocks(path), tagger.extractor))


def load_taggers(models: Sequence[str | Path], device: str | None = None) -> dict[str, AudioTagger]:
    """Taggers by the names that a page has for them.

    Args:
        models: Directories or Hub ids of saved taggers.
        device: Where they run; by default a GPU if there is one.

    Raises:
        FileNotFoundError: A path is given (`psla_hf.places.local_path` says when) and holds no model.
        OSError: The Hub or its cache has no such model.
        ValueError: A file of a model is damaged, or a model is given more than once.
    """
    return {name: AudioTagger.from_pretrained(model, device) for name, model in named(models).items()}


def named(models: Sequence[str | Path]) -> dict[str, str | Path]:
    """Models by name: Hub ids by themselves, folders by the folder's name if no other has it, else by their path.

    Raises:
        ValueError: A model is given more than once.
    """
    paths = [local_path(model, "a saved model") for model in models]
    short = [str(model) if path is None else path.absolute().name for model, path in zip(models, paths, strict=True)]
    names = {name if short.count(name) == 1 else str(model): model for name, model in zip(short, models, strict=True)}
    if len(names) < len(models):
        raise ValueError(f"Expected every model once, got {', '.join(map(str, models))}.")
    return names
