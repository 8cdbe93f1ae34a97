"""Tagging a recording of hours: time, peak memory, and whether windows have the scores that they have cut by hand."""

import itertools
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from matplotlib.figure import Figure

from psla_hf.inference.backends import BackendName
from psla_hf.inference.tagger import AudioTagger, files_in
from psla_hf.models.export import export_model
from psla_hf.reports.plots import save

__all__ = ["benchmark_length", "draw_memory"]

RATE = 48000

CUT_WINDOWS = 25  # that are compared with windows cut by hand, spread evenly


def benchmark_length(
    model: str, sounds: Path, hours: Sequence[float], backends: Iterable[BackendName]
) -> dict[str, dict[str, dict[str, float]]]:
    """Figures of `tag_recording` by the backend and by the length in hours."""
    tagger = AudioTagger.from_pretrained(model)
    found: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as place:
        for backend in backends:
            folder = Path(model)
            if backend != "torch":
                folder = Path(place) / backend
                export_model(tagger.model, tagger.extractor, folder, backend)
            found[backend] = {f"{length:g}": tag_recording(tagger, folder, backend, sounds, length) for length in hours}
    return found


def draw_memory(results: Mapping[str, Mapping[str, Mapping[str, float]]], path: Path) -> None:
    """Memory against length for each backend, as PNG."""
    figure = Figure((6, 3.2), layout="constrained")
    axes = figure.subplots()
    for backend, of_lengths in results.items():
        peaks = [of_length["mb_at_the_peak"] for of_length in of_lengths.values()]
        axes.plot([float(hours) for hours in of_lengths], peaks, marker="o", label=backend)
    axes.margins(y=0.1)
    axes.set(xlabel="hours of 48 kHz stereo FLAC", ylabel="MB at the peak", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    save(figure, path)


def tag_recording(
    tagger: AudioTagger, folder: Path, backend: BackendName, sounds: Path, hours: float
) -> dict[str, float]:
    """Join sounds to a FLAC file of 48 kHz in two channels, and tag it in a process of its own.

    Args:
        tagger: In torch, of 16 kHz: the judge of windows that are cut by hand.
        folder: The same model, saved for this backend.
        backend: What tags.
        sounds: Folder of audio, taken in turn.
        hours: Length of the recording.
    """
    with tempfile.TemporaryDirectory() as place:
        path, noted = Path(place) / "recording.flac", Path(place) / "noted.npz"
        write_recording(path, files_in(sounds), hours)
        subprocess.run([sys.executable, "-m", "benchmarks.tag_whole", folder, backend, path, noted], check=True)
        with np.load(noted) as file:
            whole = dict(file)
        starts, scores = whole["starts"], whole["scores"]
        chosen = np.linspace(0, len(starts) - 1, CUT_WINDOWS).astype(int)
        cut = cut_by_hand(tagger, path, starts[chosen])
        change = np.abs(cut - scores[chosen])
    return {
        "minutes_to_tag": float(whole["seconds"]) / 60,
        "times_real_time": hours * 3600 / float(whole["seconds"]),
        "mb_loaded": float(whole["mb_loaded"]),
        "mb_at_the_peak": float(whole["mb_at_the_peak"]),
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


def cut_by_hand(tagger: AudioTagger, path: Path, starts: np.ndarray) -> np.ndarray:
    """Scores of the windows that begin there, `[n, K]`, each read and resampled by itself."""
    size = round(tagger.window_samples / tagger.extractor.sampling_rate * RATE)
    scores = []
    for start in starts:
        samples, _ = soundfile.read(path, size, round(start * RATE), dtype="float32")
        scores.append(tagger.scores(samples, RATE))
    return torch.cat(scores).numpy()
