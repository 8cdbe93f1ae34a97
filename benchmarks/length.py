"""Tagging a recording of hours: time, peak memory, and whether windows have the scores that they have cut by hand."""

import itertools
import tempfile
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from matplotlib.figure import Figure

from psla_hf.inference.tagger import AudioTagger, files_in
from psla_hf.reports.plots import save

__all__ = ["benchmark_length", "draw_memory"]

RATE = 48000

CUT_WINDOWS = 25  # that are compared with windows cut by hand, spread evenly


def benchmark_length(model: str, sounds: Path, hours: Iterable[float]) -> dict[str, dict[str, float]]:
    """Figures of `tag_recording` for recordings of several lengths, by the length in hours."""
    return {f"{length:g}": tag_recording(model, sounds, length) for length in hours}


def draw_memory(results: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """Memory against length, as PNG."""
    figure = Figure((6, 3.2), layout="constrained")
    axes = figure.subplots()
    lengths = [float(hours) for hours in results]
    axes.plot(lengths, [of_length["mb_at_the_peak"] for of_length in results.values()], marker="o")
    axes.set(xlabel="hours of 48 kHz stereo FLAC", ylabel="MB at the peak", ylim=(0, None))
    axes.grid(alpha=0.3)
    save(figure, path)


def tag_recording(model: str, sounds: Path, hours: float) -> dict[str, float]:
    """Join sounds to a FLAC file of 48 kHz in two channels, and tag it in a process of its own.

    Args:
        model: Folder of a saved tagger of 16 kHz.
        sounds: Folder of audio, taken in turn.
        hours: Length of the recording.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording.flac"
        write_recording(path, files_in(sounds), hours)
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            starts, scores, seconds, megabytes = process.submit(tag_whole, model, path).result()
        chosen = np.linspace(0, len(starts) - 1, CUT_WINDOWS).astype(int)
        cut = cut_by_hand(AudioTagger.from_pretrained(model), path, starts[chosen])
        change = np.abs(cut - scores[chosen])
    return {
        "minutes_to_tag": seconds / 60,
        "times_real_time": hours * 3600 / seconds,
        "mb_at_the_peak": megabytes,
        "windows": len(starts),
        "largest_change_by_hand": float(change.max()),
        "largest_relative_change_by_hand": float((change / cut)[cut > 0.1].max()),
    }


def write_recording(path: Path, files: list[Path], hours: float) -> None:
    """The sounds one after the other, in both channels, until the time is full."""
    left = round(hours * 3600 * RATE)
    with soundfile.SoundFile(path, "w", RATE, 2) as recording:
        for file in itertools.cycle(files):
            samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
            mono = soxr.resample(samples.mean(axis=1), rate, RATE)[:left]
            recording.write(np.stack([mono, mono], axis=1))
            left -= len(mono)
            if not left:
                return


def tag_whole(model: str, path: Path) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Starts of the windows in seconds, their scores `[windows, K]`, seconds that it took, and MB at the peak."""
    tagger = AudioTagger.from_pretrained(model)
    before = time.perf_counter()
    [recording] = tagger.recordings([path])
    seconds = time.perf_counter() - before
    return recording.starts, recording.scores, seconds, peak_of_process()


def peak_of_process() -> float:
    """MB at the peak of this process alone; what `getrusage` says begins with the parent's peak."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def cut_by_hand(tagger: AudioTagger, path: Path, starts: np.ndarray) -> np.ndarray:
    """Scores of the windows that begin there, `[n, K]`, each read and resampled by itself."""
    size = round(tagger.window_samples / tagger.extractor.sampling_rate * RATE)
    scores = []
    for start in starts:
        samples, _ = soundfile.read(path, size, round(start * RATE), dtype="float32")
        scores.append(tagger.scores(samples, RATE))
    return torch.cat(scores).numpy()
