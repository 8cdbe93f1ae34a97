"""How well events are found whose times are known: python -m studies.events MODEL --data-dir ESC --fold 1.

Clips of the held-out fold lie at known times in silence and in noise, made from seeds. Events come from the attention
head's frame scores and from sliding windows, at the rule's defaults but for the threshold, of which several are
reported. F1 is sed_eval's, which the project does not install: uv pip install sed_eval "setuptools<81"
"""

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from psla_hf.audio import read_audio
from psla_hf.commands.arguments import command_line
from psla_hf.data.load import load
from psla_hf.data.schema import class_names
from psla_hf.files import write_json
from psla_hf.inference.tagger import AudioTagger
from psla_hf.inference.timeline import Event, EventRule
from psla_hf.provenance import provenance
from psla_hf.reports.tables import print_figures

__all__ = ["Scene", "audible", "make_scenes", "score"]

RATE = 16000

SCENE_SECONDS = 60

GAP_SECONDS = (1.0, 5.0)

FRAME = RATE // 50

FLOOR_DB = -40.0  # of an event's ends, below its loudest 20 ms

NOISE_DB = -20.0  # below the events

COLLAR = 0.5  # seconds that an onset may be off

BACKGROUNDS = ("silence", "noise")


class Scene(NamedTuple):
    """A recording, and what is in it.

    Attributes:
        waveform: Mono float32 `[T]` at 16 kHz.
        events: In the order of their onsets, none over another.
    """

    waveform: np.ndarray
    events: list[Event]


def audible(waveform: np.ndarray) -> np.ndarray:
    """A clip without its quiet ends, at a root mean square of 0.1; clips of ESC are often filled up with silence."""
    frames = waveform[: len(waveform) // FRAME * FRAME].reshape(-1, FRAME)
    power = np.square(frames).mean(axis=1)
    loud = np.flatnonzero(power > power.max() * 10 ** (FLOOR_DB / 10))
    sound = frames[loud[0] : loud[-1] + 1].ravel()
    return 0.1 * sound / np.sqrt(np.square(sound).mean())


def make_scenes(sounds: list[tuple[str, np.ndarray]], number: int, seed: int, noise: bool) -> Iterator[Scene]:
    """Recordings of a minute; the same seed has the same events with noise and without.

    Args:
        sounds: Classes and waveforms `[T]`, of `audible`.
        number: Of recordings.
        seed: The same seed gives the same recordings.
        noise: Pink noise lies below the events.
    """
    rng = np.random.default_rng(seed)
    for _ in range(number):
        waveform = np.zeros(SCENE_SECONDS * RATE)
        events, place = [], rng.uniform(*GAP_SECONDS)
        while True:
            label, sound = sounds[rng.integers(len(sounds))]
            start = int(place * RATE)
            if start + len(sound) > len(waveform):
                break
            waveform[start : start + len(sound)] = sound
            end = start + len(sound)
            events.append(Event(start / RATE, end / RATE, label, 1.0))
            place = end / RATE + rng.uniform(*GAP_SECONDS)
        hiss = pink(len(waveform), rng)
        yield Scene((waveform + noise * 0.1 * 10 ** (NOISE_DB / 20) * hiss).astype(np.float32), events)


def pink(length: int, rng: np.random.Generator) -> np.ndarray:
    """Noise with as much power in every octave, at a root mean square of 1."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    shaped = np.fft.irfft(spectrum / np.sqrt(np.maximum(1, np.arange(len(spectrum)))), length)
    return shaped / np.sqrt(np.square(shaped).mean())


def score(truth: list[list[Event]], found: list[list[Event]], labels: list[str]) -> dict[str, float]:
    """F1 over all recordings and classes: by seconds, and by events whose onset is right within the collar."""
    import sed_eval

    by_seconds = sed_eval.sound_event.SegmentBasedMetrics(labels, time_resolution=1.0)
    by_events = sed_eval.sound_event.EventBasedMetrics(labels, t_collar=COLLAR, evaluate_offset=False)
    for k, (expected, got) in enumerate(zip(truth, found, strict=True)):
        for metrics in (by_seconds, by_events):
            metrics.evaluate(*(as_list(events, f"{k}.wav") for events in (expected, got)))
    results: dict[str, float] = {}
    for name, metrics in (("seconds", by_seconds), ("onsets", by_events)):
        overall = metrics.results_overall_metrics()["f_measure"]
        results |= {
            f"{short}_{name}": float(np.nan_to_num(overall[key]))
            for short, key in (("F1", "f_measure"), ("P", "precision"), ("R", "recall"))
        }
    return results


def as_list(events: list[Event], file: str) -> list[dict]:
    return [
        {"event_label": event.label, "onset": event.onset, "offset": event.offset, "file": file} for event in events
    ]


def main() -> None:
    """Find the events of all scenes by both ways, and count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="folder of a saved tagger")
    parser.add_argument("--data-dir", required=True, help="folder of ESC")
    parser.add_argument("--fold", type=int, default=1, help="that the model was not trained on")
    parser.add_argument("--scenes", type=int, default=10, help="minutes, for each seed and background")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--thresholds", type=float, nargs="+", default=[0.1, 0.3, 0.5, 0.7, 0.9])
    parser.add_argument("--output", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", module="sed_eval|dcase_util")
    with command_line():
        clips = load("esc", arguments.data_dir, fold=arguments.fold, parts=["test"]).test.dataset()
        names = class_names(clips)
        sounds = [
            (names[clip["labels"][0]], audible(read_audio(clip["audio"]["bytes"] or clip["audio"]["path"], RATE)))
            for clip in clips
        ]
        tagger = AudioTagger.from_pretrained(arguments.model)
        results: dict[str, dict] = {}
        counts: dict[str, int] = {}
        for background in BACKGROUNDS:
            scenes = [
                scene
                for seed in arguments.seeds
                for scene in make_scenes(sounds, arguments.scenes, seed, background == "noise")
            ]
            truth = [scene.events for scene in scenes]
            counts[background] = sum(map(len, truth))
            for way, window_seconds in (("attention", None), ("sliding windows", 2.24)):
                lines = [
                    recording.timeline
                    for recording in tagger.recordings(
                        (scene.waveform for scene in scenes), RATE, timeline=True, window_seconds=window_seconds
                    )
                ]
                for threshold in arguments.thresholds:
                    found = [line.events(EventRule(threshold)) for line in lines if line is not None]
                    results[f"{background}, {way}, {threshold:g}"] = score(truth, found, list(names))
        print_figures(results, first_column="background, way, threshold", title=f"{counts} events")
        if arguments.output:
            write_json({**provenance(), "events": counts, "results": results}, arguments.output)


if __name__ == "__main__":
    main()
