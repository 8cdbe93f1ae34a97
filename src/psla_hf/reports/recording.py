"""A recording as a picture: waveform, spectrogram, the strongest classes over time, events. Computes no scores.

Needs matplotlib: `pip install psla-hf[plots]`.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import FuncFormatter, MaxNLocator

from psla_hf.inference.overview import Overview
from psla_hf.inference.timeline import Event, Timeline

__all__ = ["recording_picture"]

SHOWN_CLASSES = 8

SCORE_COLOURS = "magma"


def recording_picture(
    title: str, overview: Overview, timeline: Timeline, events: Sequence[Event], classes: int = SHOWN_CLASSES
) -> Figure:
    """What a recording looks like, and what is heard in it when.

    Args:
        title: Above it.
        overview: Of its samples.
        timeline: The classes' scores over time; the strongest are shown, those with events first.
        events: Bars above the scores.
        classes: How many.
    """
    shown = strongest(timeline, events, classes)
    figure = Figure(figsize=(10, 3.6 + 0.32 * len(shown)), layout="constrained")
    wave, spectrogram, scores = figure.subplots(
        3, 1, sharex=True, gridspec_kw={"height_ratios": [1, 2, 0.42 * len(shown) + 0.4]}
    )
    _draw_sound(wave, spectrogram, overview)
    image = _draw_scores(scores, timeline, shown)
    _draw_events(scores, events, [timeline.labels[k] for k in shown])
    figure.colorbar(image, ax=scores, label="score", pad=0.01, fraction=0.03)
    wave.set_title(title, fontsize="medium", parse_math=False)  # a file's name is no formula, nor is a class's
    wave.set_xlim(0, timeline.seconds)
    scores.xaxis.set_major_locator(MaxNLocator(9, steps=[1, 1.5, 2, 3, 5, 6, 10]))
    scores.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: clock(seconds)))
    scores.set_xlabel("time" if timeline.seconds >= 60 else "time in seconds")
    return figure


def strongest(timeline: Timeline, events: Sequence[Event], number: int) -> list[int]:
    """The classes with events, then those with the highest scores; as many at most, the strongest first."""
    peaks = timeline.scores.max(axis=0)
    heard = {event.label for event in events}
    order = sorted(range(len(peaks)), key=lambda k: (timeline.labels[k] not in heard, -peaks[k]))
    return order[:number]


def clock(seconds: float) -> str:
    """A time as one reads it: 7.5, 2:05 or 1:02:05."""
    if seconds < 60:
        return f"{seconds:g}"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _draw_sound(wave: Axes, spectrogram: Axes, overview: Overview) -> None:
    times = (np.arange(len(overview.lowest)) + 0.5) * overview.column_seconds
    wave.fill_between(times, overview.lowest, overview.highest, color="0.35", linewidth=0)
    loudest = max(1e-6, float(np.abs([overview.lowest, overview.highest]).max()))
    wave.set(ylim=(-1.05 * loudest, 1.05 * loudest), yticks=[], ylabel="waveform")
    quiet, loud = np.percentile(overview.log_mel, [5, 99.8])
    spectrogram.imshow(
        overview.log_mel,
        aspect="auto",
        origin="lower",
        extent=(0, len(times) * overview.column_seconds, 0, len(overview.log_mel)),
        cmap="viridis",
        vmin=quiet,
        vmax=loud,
        interpolation="antialiased",
    )
    mels = 1127 * np.log1p(np.array([20.0, overview.top_hz]) / 700)
    ticks = np.array([hz for hz in (200, 500, 1000, 2000, 4000, 8000, 16000) if hz <= overview.top_hz])
    places = (1127 * np.log1p(ticks / 700) - mels[0]) / (mels[1] - mels[0]) * len(overview.log_mel)
    spectrogram.set_yticks(places, [f"{hz / 1000:g}k" if hz >= 1000 else str(hz) for hz in ticks])
    spectrogram.set_ylabel("Hz")


def _draw_scores(axes: Axes, timeline: Timeline, shown: Sequence[int]) -> AxesImage:
    axes.set_yticks(np.arange(len(shown)) + 0.5, [timeline.labels[k] for k in shown], parse_math=False)
    axes.tick_params(axis="y", length=0)
    image = axes.imshow(
        timeline.scores[:, shown].T,
        aspect="auto",
        extent=(0, len(timeline.scores) * timeline.step_seconds, len(shown), 0),
        cmap=SCORE_COLOURS,
        vmin=0,
        vmax=1,
        interpolation="nearest",
    )
    for row in range(1, len(shown)):
        axes.axhline(row, color="white", linewidth=0.8)
    return image


def _draw_events(axes: Axes, events: Sequence[Event], labels: Sequence[str]) -> None:
    rows = {label: row for row, label in enumerate(labels)}
    for event in events:
        if event.label in rows:
            width = event.offset - event.onset
            axes.broken_barh([(event.onset, width)], (rows[event.label] + 0.78, 0.16), color="#35c2b8", linewidth=0)
