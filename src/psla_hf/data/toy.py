"""Synthetic sound scenes whose true labels are known, for the demo and the tests. Knows no models."""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import soundfile
from datasets import Dataset
from scipy.signal import butter, sosfilt

from psla_hf.labels.ontology import Ontology
from psla_hf.labels.vocabulary import Vocabulary

from .schema import tagging_features

__all__ = [
    "SCENE_CLASSES",
    "SCENE_SECONDS",
    "SOUNDS",
    "dataset_of_waveforms",
    "make_scenes",
    "scene_ontology",
    "tree_ontology",
    "with_ancestors",
]


SAMPLING_RATE = 16000

SCENE_SECONDS = 0.5

# Parents never sound by themselves: a scene has a parent's label when one of its children sounds.
SCENE_TREE = {
    "tone": ("hum", "whistle", "siren"),
    "impact": ("click", "knock", "bell"),
    "noise": ("rain", "wind"),
}

SCENE_CLASSES = tuple(name for parent, children in SCENE_TREE.items() for name in (parent, *children))

# From common to rare, where a long tail is asked for: the k-th is drawn 1 / k^1.2 times as often as the first.
FROM_COMMON_TO_RARE = ("hum", "rain", "click", "whistle", "wind", "knock", "siren", "bell")

LONG_TAIL = 1.2

LEVELS = (-0.9, -0.4)  # of a sound's peak, as powers of ten: from an eighth to two fifths of full scale


def scene_ontology() -> Ontology:
    """The classes' parents and children, as the graph that label enhancement takes."""
    return tree_ontology(SCENE_TREE, SCENE_CLASSES)


def tree_ontology(tree: Mapping[str, Sequence[str]], classes: Sequence[str]) -> Ontology:
    """The graph of some classes, whose names are their ids.

    Args:
        tree: The direct children of each class that has some.
        classes: All of them.
    """
    return Ontology({name: tuple(tree.get(name, ())) for name in classes}, {name: name for name in classes})


def with_ancestors(names: Iterable[str], ontology: Ontology) -> set[str]:
    """These classes and all above them: what is true of a clip in which they sound."""
    return {other for name in names for other in (name, *ontology.ancestors(name))}


def make_scenes(
    num_scenes: int,
    seed: int,
    long_tail: bool = False,
    missing_children: float = 0.0,
) -> tuple[Dataset, np.ndarray]:
    """Make scenes of half a second with one or two sounds on a quiet floor, some of their labels left out.

    What is left out are children of a class that stays: somebody has written `tone` and not which.

    Args:
        num_scenes: How many.
        seed: The same seed gives the same scenes, on any machine up to rounding.
        long_tail: A few sounds are common and the others rare, instead of all alike.
        missing_children: Probability with which each label that has a parent is left out; the parent's stays.

    Returns:
        The data set (schema of `schema.tagging_features`, audio as FLAC bytes) and its true 0/1 labels `[N, K]`.
    """
    rng = np.random.default_rng(seed)
    shares = np.arange(1, len(FROM_COMMON_TO_RARE) + 1) ** (-LONG_TAIL if long_tail else 0.0)
    ontology, truth = scene_ontology(), np.zeros((num_scenes, len(SCENE_CLASSES)), dtype=np.float32)
    waveforms, given = [], []
    for i in range(num_scenes):
        sounding = rng.choice(FROM_COMMON_TO_RARE, size=rng.integers(1, 3), replace=False, p=shares / shares.sum())
        names = with_ancestors(sounding, ontology)
        labels = [k for k, name in enumerate(SCENE_CLASSES) if name in names]
        truth[i, labels] = 1
        given.append([k for k in labels if SCENE_CLASSES[k] in SCENE_TREE or rng.random() >= missing_children])
        waveforms.append(_scene(sounding, rng))
    return dataset_of_waveforms(waveforms, given, Vocabulary(SCENE_CLASSES), f"scene-{seed}", f"seed {seed}"), truth


def dataset_of_waveforms(
    waveforms: Sequence[np.ndarray], labels: Sequence[Sequence[int]], vocabulary: Vocabulary, name: str, split: str
) -> Dataset:
    """Made waveforms as a data set, as FLAC in the schema of `schema.tagging_features`.

    Args:
        waveforms: Of N clips, `[T]` at 16 kHz.
        labels: Class indices of each.
        vocabulary: The classes.
        name: What the ids begin with.
        split: Of all of them.
    """
    rows = [
        {
            "id": f"{name}-{i:05d}",
            "audio": {"path": None, "bytes": _as_flac(samples)},
            "labels": of_clip,
            "mids": of_clip,
            "split": split,
            "seconds": len(samples) / SAMPLING_RATE,
        }
        for i, (samples, of_clip) in enumerate(zip(waveforms, labels, strict=True))
    ]
    return Dataset.from_list(rows, features=tagging_features(vocabulary))


def _scene(sounding: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The sounds at random levels, over a floor of white noise."""
    time = np.arange(int(SCENE_SECONDS * SAMPLING_RATE)) / SAMPLING_RATE
    scene = 0.003 * rng.standard_normal(len(time))
    for name in sounding:
        sound = SOUNDS[name](time, rng)
        scene += 10 ** rng.uniform(*LEVELS) * sound / np.abs(sound).max()
    return scene / max(1.0, np.abs(scene).max())


def _as_flac(samples: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, SAMPLING_RATE, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def _hum(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    base = rng.uniform(80, 200)
    harmonics = [np.sin(2 * np.pi * base * h * time + rng.uniform(0, 6.28)) / h for h in range(1, 8)]
    return np.sum(harmonics, axis=0)


def _whistle(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    vibrato = rng.uniform(0.5, 3) * np.sin(2 * np.pi * rng.uniform(4, 7) * time)
    return np.sin(2 * np.pi * rng.uniform(1500, 3500) * time + vibrato) * _fade(time, rng)


def _siren(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    rate = rng.uniform(0.8, 2.0)
    sweep = rng.uniform(250, 500) / rate * np.cos(2 * np.pi * rate * time + rng.uniform(0, 6.28))
    phase = 2 * np.pi * rng.uniform(900, 1300) * time + sweep
    return np.sin(phase) + 0.3 * np.sin(2 * phase)


def _click(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _strikes(time, rng, rng.uniform(5, 12), lambda t: np.exp(-t * 1500) * rng.standard_normal(len(t)))


def _knock(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    pitch = rng.uniform(120, 300)
    return _strikes(time, rng, rng.uniform(3, 7), lambda t: np.exp(-t * 40) * np.sin(2 * np.pi * pitch * t))


def _bell(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    base = rng.uniform(600, 1200)
    partials = (1.0, 2.76, 5.4)  # a struck bar's: not harmonic

    def strike(t: np.ndarray) -> np.ndarray:
        return np.sum([np.exp(-t * 4 * p) * np.sin(2 * np.pi * base * p * t) for p in partials], axis=0)

    return _strikes(time, rng, 1.5, strike)


def _rain(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return sosfilt(butter(2, 3000, "high", fs=1 / time[1], output="sos"), rng.standard_normal(len(time)))


def _wind(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    low = sosfilt(butter(2, rng.uniform(300, 700), "low", fs=1 / time[1], output="sos"), rng.standard_normal(len(time)))
    return low * (1 + 0.9 * np.sin(2 * np.pi * rng.uniform(0.7, 2) * time + rng.uniform(0, 6.28)))


def _fade(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An envelope that sounds for part of the scene."""
    start, length = time[-1] * rng.uniform(0, 0.4), time[-1] * rng.uniform(0.3, 0.6)
    return np.clip(np.minimum(time - start, start + length - time) / 0.03, 0, 1)


def _strikes(
    time: np.ndarray, rng: np.random.Generator, per_second: float, strike: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """One sound struck again and again at slightly uneven times."""
    sound = np.zeros(len(time))
    onset = rng.uniform(0, 0.5 / per_second)
    while onset < time[-1]:
        begin = int(onset / time[1])
        sound[begin:] += strike(time[: len(time) - begin])
        onset += rng.uniform(0.8, 1.2) / per_second
    return sound


SOUNDS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "hum": _hum,
    "whistle": _whistle,
    "siren": _siren,
    "click": _click,
    "knock": _knock,
    "bell": _bell,
    "rain": _rain,
    "wind": _wind,
}
