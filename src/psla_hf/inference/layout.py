"""How the windows of a long sound lie, and what is heard in one sound after the other. Knows no files and no models."""

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from psla_hf.models.feature_extraction_psla import PslaFeatureExtractor

from .backends import Scores
from .recording import Recording, WindowPooling
from .timeline import Timeline
from .windows import LastWindow, Rows, Stitcher, Windows

__all__ = [
    "Heard",
    "Layout",
    "Window",
    "Windowing",
    "batches",
    "model_window",
    "note_scores",
    "sound_name",
    "windows_of",
]

logger = logging.getLogger(__name__)

UNLIMITED_FRAMES = 1056  # in a window of a model that has no longest one: PSLA's

STEP_SECONDS = 0.32  # of models without frame scores; those of others are about as long

SLID_SECONDS = 2.24

TOO_LOUD = 8.0  # 18 dB above full scale: a float recorder may go beyond it, integers that were not scaled go far


@dataclass(frozen=True)
class Windowing:
    """How a sound that is longer than the model's window is tagged.

    Attributes:
        hop_seconds: From one window's beginning to the next one's; by default windows lie side by side, and for scores
            over time they overlap by half.
        last: The last window ends with the sound (`"end"`), or begins where the next one would and is zero-padded
            (`"padded"`), as training clips are. Windows for scores over time lie on one grid and are always padded, and
            so are those of the tags that come with them.
        pooling: A tag's score is the windows' highest (`"max"`: it can be heard somewhere) or their mean (`"mean"`).

    Raises:
        ValueError: The hop is no time, or a choice is misspelt.
    """

    hop_seconds: float | None = None
    last: LastWindow = "end"
    pooling: WindowPooling = "max"

    def __post_init__(self) -> None:
        """Refuse what cannot be, before anything is read."""
        if self.hop_seconds is not None and not 0 < self.hop_seconds < math.inf:
            raise ValueError(f"Expected hop_seconds above 0, got {self.hop_seconds}.")
        if self.last not in ("end", "padded") or self.pooling not in ("max", "mean"):
            raise ValueError(
                f"Expected last 'end' or 'padded' and pooling 'max' or 'mean', got {self.last!r} and {self.pooling!r}."
            )

    def hop_samples(self, size: int, rate: int) -> int | None:
        """Samples from one window of `size` to the next at a rate in Hz, if it was said.

        Raises:
            ValueError: Something between two windows would not be heard.
        """
        hop = None if self.hop_seconds is None else max(1, round(self.hop_seconds * rate))
        if hop and hop > size:
            raise ValueError(
                f"Expected hop_seconds of at most {size / rate:.2f}, the model's window, got {self.hop_seconds}: what "
                "lies between windows would not be heard."
            )
        return hop


@dataclass(frozen=True)
class Layout:
    """How windows are cut and what is asked of each.

    Attributes:
        size: Samples in a window.
        hop: Samples from one to the next.
        longest: Samples of the longest sound that is one window.
        last: See `Windowing`.
        step: Samples in a step of the time line; 0 where there is to be none.
        slides: The time line has a step for each window instead of its frames.
    """

    size: int
    hop: int
    longest: int
    last: LastWindow
    step: float = 0.0
    slides: bool = False

    @classmethod
    def for_tags(cls, extractor: PslaFeatureExtractor, windowing: Windowing) -> "Layout":
        """Windows of the model's length, without a time line.

        Raises:
            ValueError: The hop is longer than they are.
        """
        size = model_window(extractor)
        hop = windowing.hop_samples(size, extractor.sampling_rate)
        return cls(size, hop or size, longest_sound(extractor), windowing.last)

    @classmethod
    def for_timeline(cls, extractor: PslaFeatureExtractor, windowing: Windowing, steps: int) -> "Layout":
        """Overlapping windows of the model's length, whose frame scores, `steps` of them, lie on one grid.

        Raises:
            ValueError: The hop is longer than they are.
        """
        size = model_window(extractor)
        hop = windowing.hop_samples(size, extractor.sampling_rate)
        step = extractor.num_frames(size) / steps * extractor.hop_size
        by_steps = max(1, round(hop / step) if hop else steps // 2)
        return cls(size, round(by_steps * step), longest_sound(extractor), "padded", step)

    @classmethod
    def sliding(
        cls, extractor: PslaFeatureExtractor, windowing: Windowing, window_seconds: float | None = None
    ) -> "Layout":
        """Short windows, one for each step of the time line.

        Raises:
            ValueError: They, or the hop, are longer than the model's window, or they are shorter than a step.
        """
        most, rate = model_window(extractor), extractor.sampling_rate
        windowing.hop_samples(most, rate)  # refused as everywhere, though a step is the hop here
        step = round(STEP_SECONDS * rate)
        asked = min(SLID_SECONDS, most / rate) if window_seconds is None else window_seconds
        if not (math.isfinite(asked) and step <= round(asked * rate) <= most):
            raise ValueError(
                f"Expected window_seconds from {STEP_SECONDS} to {most / rate:.2f} (the model's window), got {asked}."
            )
        size = round(asked * rate)
        size = (size // step - 1) // 2 * 2 * step + step  # an odd number of steps, so that one lies in the middle
        return cls(size, step, size, "padded", step, slides=True)

    def frames(self, extractor: PslaFeatureExtractor) -> int | None:
        """Frames of a window that is not padded to the model's, as it slides; none of others."""
        return extractor.num_frames(self.size) if self.slides else None


def model_window(extractor: PslaFeatureExtractor) -> int:
    """Samples in the model's window, at its rate."""
    return extractor.max_samples or extractor.frame_size + (UNLIMITED_FRAMES - 1) * extractor.hop_size


def longest_sound(extractor: PslaFeatureExtractor) -> int:
    """Samples of the longest sound that is one window: its last frame begins before the window's end."""
    return model_window(extractor) + extractor.hop_size - 1


@dataclass
class Heard:
    """What is known of one sound while its windows go through the model."""

    source: Any
    layout: Layout
    starts: list[int] = field(default_factory=list)
    scores: Rows = field(default_factory=Rows)
    stitcher: Stitcher = field(default_factory=Stitcher)
    total: int = 0  # samples
    error: Exception | None = None

    def note(self, start: int, scores: np.ndarray, frames: np.ndarray | None) -> None:
        """Add the scores `[K]` of the window that begins at a sample, and those of its frames `[steps, K]`."""
        self.starts.append(start)
        self.scores.push(scores[None])
        if self.layout.step:
            by_step = scores[None] if self.layout.slides or frames is None else frames
            self.stitcher.push(round(start / self.layout.step), by_step)

    def recording(self, labels: tuple[str, ...], rate: int) -> Recording:
        """All that was heard, when the sound is over."""
        starts = np.array(self.starts) / rate
        timeline = self._timeline(labels, rate) if self.layout.step else None
        return Recording(self.source, self.total / rate, labels, starts, self.scores.joined(), timeline, rate / 2)

    def _timeline(self, labels: tuple[str, ...], rate: int) -> Timeline:
        layout = self.layout
        steps = math.ceil(round(self.total / layout.step, 6))  # a step need not be whole
        scores = self.stitcher.finish(steps)
        if layout.slides:  # a window's score is its middle's; before the first and behind the last it is theirs
            before = min(steps, layout.size // layout.hop) // 2
            scores = np.pad(scores, ((before, 0), (0, 0)), mode="edge")[:steps]
        scores = np.pad(scores, ((0, steps - len(scores)), (0, 0)), mode="edge")
        return Timeline(scores, layout.step / rate, self.total / rate, labels)


Window: TypeAlias = tuple[Heard, int, np.ndarray | None]  # its sound, its first sample, and it; or the sound's end


def windows_of(sound: Heard, read: Callable[[], Iterator[np.ndarray]]) -> Iterator[Window]:
    """All windows of a sound that is read in blocks `[n]`, and its end; why it cannot be read is noted there."""
    layout = sound.layout
    windows = Windows(layout.size, layout.hop, layout.longest, layout.last)
    try:
        peak = 0.0
        for block in read():
            peak = max(peak, float(np.abs(block).max(initial=0.0)))
            yield from ((sound, start, samples) for start, samples in windows.push(block))
        yield from ((sound, start, samples) for start, samples in windows.finish())
        sound.total = windows.total
        if not sound.total:
            raise ValueError("Expected audio, got too few samples for one at the model's rate.")
        if peak > TOO_LOUD:
            logger.warning(
                "%s reaches %.3g, where 1 is full scale: its scores are those of so loud a sound. Divide samples by "
                "their full scale, such as 32768, if that is not meant.",
                sound_name(sound.source),
                peak,
            )
    except (OSError, ValueError) as error:
        sound.error = error
    yield sound, windows.total, None


def batches(windows: Iterable[Window], size: int) -> Iterator[list[Window]]:
    """Lists with so many windows; the ends of sounds count for nothing, and are in the list of the window before."""
    batch: list[Window] = []
    count = 0
    for window in windows:
        if count == size and window[2] is not None:
            yield batch
            batch, count = [], 0
        batch.append(window)
        count += window[2] is not None
    if batch:
        yield batch


def note_scores(batch: Sequence[Window], found: Scores | None, model_name: str) -> None:
    """Note the model's scores of a batch with the sounds of its windows; those that are not finite are an error."""
    if found is None:
        return
    windows = [window for window in batch if window[2] is not None]
    frames = [None] * len(windows) if found.frame_scores is None else found.frame_scores.numpy()
    for (one, start, samples), of_window, of_frames in zip(windows, found.probabilities.numpy(), frames, strict=True):
        if not np.isfinite(of_window).all():
            assert samples is not None
            one.error = not_finite(float(np.abs(samples).max()), model_name, sound_name(one.source))
        one.note(start, of_window, of_frames)


def sound_name(source: Any) -> str:
    """What messages call a sound: its path, where it has one; `datasets` has it beside the samples or the bytes."""
    path = source.get("path") if isinstance(source, Mapping) else source
    return str(path) if isinstance(path, str | Path) else "A sound"


def not_finite(peak: float, model_name: str, name: str) -> ValueError:
    """What is wrong where a window's scores are not finite."""
    cause = (
        f"the samples reach {peak:.3g}, where 1 is full scale. Scale the sound, or see how it was recorded."
        if peak > 1
        else f"the weights of the model {model_name} are damaged. Save it again."
    )
    return ValueError(f"{name}: expected finite scores, got NaN: {cause}")
