"""What becomes slower with more clips and more classes, and faster with more processes, and by how much."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np
import soundfile

from benchmarks.labels import random_forest
from benchmarks.sampling import long_tail_labels
from benchmarks.timing import seconds_per_clip
from psla_hf.data.load import load_tagging_dataset
from psla_hf.enhancement.algorithm import enhance_clip_labels
from psla_hf.evaluation import tagging_metrics
from psla_hf.labels.vocabulary import ClipLabels
from psla_hf.loading.sampler import EpochSampler, balanced_weights

__all__ = ["GROWTHS", "Growth", "benchmark_growth", "exponent", "growth_rows"]

Work = Callable[[], object]


@dataclass(frozen=True)
class Growth:
    """Something that is done at several sizes.

    Attributes:
        of: What the sizes are.
        sizes: From small to large.
        start: Takes a size, an empty folder, and the share of all other clips; makes ready, and returns what is timed.
    """

    of: Literal["clips", "classes", "processes"]
    sizes: Sequence[int]
    start: Callable[[int, Path, float], Work]


def benchmark_growth(
    rounds: int = 3, share: float = 1.0, growths: Mapping[str, Growth] | None = None
) -> dict[str, dict]:
    """Time everything at its sizes.

    Args:
        rounds: How often each size is timed, the sizes in turn, after one round that does not count.
        share: Of the numbers of clips, for a small version.
        growths: What to time, by name; by default all `GROWTHS`.

    Returns:
        By name: `of`, and `seconds` by size, medians over the rounds.
    """
    return {
        name: {"of": growth.of, "seconds": _seconds(growth, rounds, share)}
        for name, growth in (growths or GROWTHS).items()
    }


def exponent(seconds: Mapping[str, float]) -> float:
    """The power of the size that the time grows with, by least squares of the logarithms: 1 where twice takes twice."""
    sizes = np.log([float(size) for size in seconds])
    return float(np.polyfit(sizes, np.log(list(seconds.values())), 1)[0])


def growth_rows(results: Mapping[str, Mapping]) -> dict[str, dict[str, str]]:
    """A table of what `benchmark_growth` returns."""
    return {
        name: {
            "sizes": " / ".join(f"{int(size):,}" for size in grown["seconds"]) + f" {grown['of']}",
            "seconds": " / ".join(f"{seconds:.2g}" for seconds in grown["seconds"].values()),
            "power": f"{exponent(grown['seconds']):.2f}",
        }
        for name, grown in results.items()
    }


def _seconds(growth: Growth, rounds: int, share: float) -> dict[str, float]:
    sizes = [round(share * size) for size in growth.sizes] if growth.of == "clips" else growth.sizes
    with tempfile.TemporaryDirectory() as place:
        works = {}
        for size in sizes:
            folder = Path(place) / str(size)
            folder.mkdir()
            works[str(size)] = partial(_once, growth.start(size, folder, share))
        times = seconds_per_clip(works, rounds)
    return {size: median(taken) for size, taken in times.items()}


def _once(work: Work) -> int:
    work()
    return 1


def _files(clips: int, folder: Path, _: float) -> Work:
    """A folder with a folder for each of eight classes, to a data set."""
    for k in range(clips):
        place = folder / f"class{k % 8}"
        place.mkdir(exist_ok=True)
        soundfile.write(place / f"{k}.wav", np.zeros(160, np.float32), 16000)
    return lambda: load_tagging_dataset(folder, quiet=True)


def _epoch(clips: int, *_: Any) -> Work:
    """Balanced weights, and the order of an epoch, of AudioSet's 527 classes."""
    labels = long_tail_labels(clips, 0)
    return lambda: list(EpochSampler(clips, 0, balanced_weights(labels)))


def _enhanced(clips: float, classes: int) -> Work:
    """Two labels a clip, at random, enhanced by random scores."""
    clips, rng = round(clips), np.random.default_rng(0)
    labels = ClipLabels(rng.integers(classes, size=2 * clips), 2 * np.arange(clips + 1), classes).each_once()
    scores, ontology = rng.random((clips, classes), np.float32).astype(np.float16), random_forest(classes, 0)
    return lambda: enhance_clip_labels(labels, scores, ontology, list(ontology.children))


def _metrics(clips: float, classes: int) -> Work:
    """mAP, AUC and d' of random scores."""
    clips, rng = round(clips), np.random.default_rng(0)
    scores, targets = rng.random((clips, classes), np.float32), rng.random((clips, classes)) < 0.1
    return lambda: tagging_metrics(scores, targets.astype(np.float32))


def _prepared(processes: int, folder: Path, share: float) -> Work:
    """The command for 1,000 files of five seconds of 44.1 kHz, 100 in a shard."""
    noise = np.random.default_rng(0).standard_normal(5 * 44100, np.float32)
    sounds = folder / "sounds" / "noise"
    sounds.mkdir(parents=True)
    soundfile.write(sounds / "0.wav", 0.1 * noise, 44100)
    for k in range(1, round(1000 * share)):
        (sounds / f"{k}.wav").hardlink_to(sounds / "0.wav")
    places = (folder / str(number) for number in count())
    options = ["--title", "Noise", "--clips-per-shard", "100", "--num-processes", str(processes), "--quiet"]

    def work() -> None:
        command = [sys.executable, "-m", "psla_hf.commands", "prepare", "own", "--data-dir", str(folder / "sounds")]
        subprocess.run([*command, "--output-dir", str(next(places)), *options], check=True, capture_output=True)

    return work


CLIPS, CLASSES = (25_000, 50_000, 100_000, 200_000), (66, 132, 264, 527)

GROWTHS = {
    "a folder of files to a data set": Growth("clips", (1000, 2000, 4000, 8000), _files),
    "balanced weights and an epoch's order": Growth("clips", CLIPS, _epoch),
    "label enhancement": Growth("clips", CLIPS, lambda clips, *_: _enhanced(clips, 527)),
    "label enhancement, 50,000 clips": Growth("classes", CLASSES, lambda k, _, share: _enhanced(share * 50_000, k)),
    "metrics of 66 classes": Growth("clips", CLIPS, lambda clips, *_: _metrics(clips, 66)),
    "metrics of 20,000 clips": Growth("classes", CLASSES, lambda k, _, share: _metrics(share * 20_000, k)),
    "psla prepare own, 1,000 files": Growth("processes", (1, 2), _prepared),
}
