"""Tags while a sound goes on. Knows no microphones, sockets or files."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import soxr

from psla_hf.models.waveforms_psla import MAX_CHANNELS, as_mono, as_samples, mix_down, scale_to_float

from .recording import Recording, TopK, tag_count
from .tagger import AudioTagger, checked_rate
from .timeline import class_thresholds
from .windows import Windows

__all__ = ["Moment", "StreamingTagger"]


class Moment(NamedTuple):
    """What one window of a sound that goes on holds.

    Attributes:
        start: Its beginning in seconds.
        end: Its end, where the sound had come to; what came later is not in it.
        tags: `{"label", "score"}` by falling score.
    """

    start: float
    end: float
    tags: list[dict[str, Any]]


class StreamingTagger:
    """Tags a sound that arrives in pieces of any size; every hop there is a window to tag.

    Its windows, and so its scores, are those of `AudioTagger` with the same hop, whatever the pieces; it keeps one
    window's samples, and a window is tagged with the piece that completes it.

    >>> streaming = StreamingTagger(tagger, sampling_rate=48000, hop_seconds=1.0)  # doctest: +SKIP
    >>> for piece in microphone:  # doctest: +SKIP
    ...     for moment in streaming.feed(piece):
    ...         print(moment.end, moment.tags)

    Args:
        tagger: What tags each window; an exported model is soonest with `streams=1`.
        sampling_rate: Of the pieces in Hz; they are resampled if the model wants another.
        hop_seconds: From one window's beginning to the next one's; by default a second, or the window if it is shorter.
        window_seconds: Length of a window; by default, and at most, the model's. Shorter ones answer sooner after a
            sound has begun, and know less.
        top_k: Tags of a window, see `AudioTagger`.
        threshold: Only tags with at least this score.

    Raises:
        ValueError: The rate is no sound's, the hop is no time, the windows are none of the model's, or tags are asked
            for that cannot be.
    """

    def __init__(
        self,
        tagger: AudioTagger,
        sampling_rate: int,
        hop_seconds: float | None = None,
        window_seconds: float | None = None,
        top_k: TopK = "auto",
        threshold: float | None = None,
    ):
        extractor = tagger.extractor
        rate = extractor.sampling_rate
        most = tagger.window_samples
        asked = most / rate if window_seconds is None else window_seconds
        size = round(asked * rate) if math.isfinite(asked) else 0
        hop_seconds = min(1.0, size / rate) if hop_seconds is None else hop_seconds
        if not extractor.frame_size <= size <= most or not 0 < hop_seconds <= size / rate:
            raise ValueError(
                f"Expected windows of at most {most / rate:.2f} s, the model's, and hops up to theirs, got hop_seconds="
                f"{hop_seconds} and window_seconds={window_seconds}."
            )
        tag_count(top_k, len(tagger.labels), threshold)
        class_thresholds(0.0 if threshold is None else threshold, tagger.labels)
        self.tagger, self.top_k, self.threshold = tagger, top_k, threshold
        longest = size + extractor.hop_size - 1  # as in AudioTagger
        self._windows = Windows(size, max(1, round(hop_seconds * rate)), longest, tagger.windowing.last)
        self._time_axis: int | None = None
        given = checked_rate(sampling_rate)
        self._resampler = None if given == rate else soxr.ResampleStream(given, rate, 1, "float32")

    def feed(self, piece: Any) -> list[Moment]:
        """The moments that a piece completes, none while there is less than a window.

        Args:
            piece: The next samples, in any form that `AudioTagger` takes samples in; of several channels, every piece
                has its axes in the first one's order, however short it is. A piece of none is none.

        Raises:
            ValueError: It is of another shape or type, or has samples that are not finite.
        """
        samples = as_samples(piece)
        if not samples.numel():
            return []
        if samples.ndim == 2:
            if self._time_axis is None:
                self._time_axis = 0 if samples.shape[0] > samples.shape[1] else 1
            channels = scale_to_float(samples if self._time_axis else samples.T)
            if len(channels) > MAX_CHANNELS:
                raise ValueError(
                    f"Expected pieces of up to {MAX_CHANNELS} channels with their axes in the first one's order, got "
                    f"one of shape {list(samples.shape)}. Begin with a piece that is longer than it has channels."
                )
            samples = mix_down(channels)
        return list(self._moments(self._windows.push(self._at_rate(as_mono(samples).cpu().numpy(), last=False))))

    def finish(self) -> list[Moment]:
        """The last moment, of what the others did not cover; with it the sound is over."""
        rest = self._windows.push(self._at_rate(np.empty(0, np.float32), last=True))
        return list(self._moments([*rest, *self._windows.finish()]))

    def _at_rate(self, mono: np.ndarray, last: bool) -> np.ndarray:
        return mono if self._resampler is None else self._resampler.resample_chunk(mono, last=last)

    def _moments(self, windows: list[tuple[int, np.ndarray]]) -> Iterator[Moment]:
        rate = self.tagger.extractor.sampling_rate
        for start, samples in windows:
            scores = self.tagger.scores(samples, rate).numpy()
            heard = Recording(None, len(samples) / rate, self.tagger.labels, np.array([start / rate]), scores)
            yield Moment(start / rate, (start + len(samples)) / rate, heard.tags(self.top_k, self.threshold))
