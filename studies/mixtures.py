"""Mixtures of real clips whose true labels are known, with classes above those of ESC-10. Knows no models."""

from collections.abc import Sequence

import numpy as np
from datasets import Dataset

from psla_hf.audio import read_audio
from psla_hf.data.schema import class_names
from psla_hf.data.toy import dataset_of_waveforms, tree_ontology, with_ancestors
from psla_hf.labels.ontology import Ontology
from psla_hf.labels.vocabulary import Vocabulary

__all__ = ["MIXTURE_CLASSES", "make_mixtures", "mixture_ontology"]


SAMPLING_RATE = 16000

MIXTURE_SECONDS = 2.5

MOST_SOUNDS = 3

QUIETEST_DB = -10.0

# ESC-10's classes and made-up ones above them, two deep on either side of the fire and the clock.
MIXTURE_TREE = {
    "animal": ("dog", "rooster"),
    "human": ("crying_baby", "sneezing"),
    "nature": ("water", "crackling_fire"),
    "water": ("rain", "sea_waves"),
    "machine": ("engine", "clock_tick"),
    "engine": ("chainsaw", "helicopter"),
}

MIXTURE_CLASSES = tuple(dict.fromkeys(name for parent, below in MIXTURE_TREE.items() for name in (parent, *below)))


def mixture_ontology() -> Ontology:
    """The classes' parents and children, as the graph that label enhancement takes."""
    return tree_ontology(MIXTURE_TREE, MIXTURE_CLASSES)


def make_mixtures(
    clips: Dataset, number: int, seed: int, missing_labels: float = 0.0, long_tail: float = 1.0
) -> tuple[Dataset, np.ndarray]:
    """Add one to three clips of different classes at random levels; a mixture has their classes and all above these.

    Of each clip the loudest 2.5 s are taken, of which there is something to be heard, and scaled to the same energy,
    then made quieter by up to 10 dB.

    Args:
        clips: Of ESC-10: every clip has exactly one of its classes.
        number: Of mixtures.
        seed: The same seed gives the same mixtures.
        missing_labels: Probability with which each true label is left out; every mixture keeps at least one.
        long_tail: How many times as likely the most frequent class is drawn as the rarest; those between them lie
            evenly on a logarithmic scale, in an order that the seed draws. 1 draws all alike.

    Returns:
        The data set (schema of `schema.tagging_features`) and its true 0/1 labels `[N, K]`.

    Raises:
        ValueError: The clips' classes are not ESC-10's.
    """
    names = class_names(clips)
    ontology = mixture_ontology()
    leaves = {name for name in MIXTURE_CLASSES if not ontology.children[name]}
    if set(names) != leaves:
        raise ValueError(f"Expected clips of ESC-10's classes {sorted(leaves)}, got {sorted(names)}.")
    sounds: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for clip in clips:
        waveform = read_audio(clip["audio"]["bytes"] or clip["audio"]["path"], SAMPLING_RATE)
        sounds[names[clip["labels"][0]]].append(_loudest(waveform))

    rng = np.random.default_rng(seed)
    chances = None  # alike
    if long_tail != 1:
        weights = rng.permutation(np.geomspace(long_tail, 1, len(names)))
        chances = weights / weights.sum()
    waveforms, given, truth = [], [], np.zeros((number, len(MIXTURE_CLASSES)), dtype=np.float32)
    for i in range(number):
        sounding = rng.choice(names, size=rng.integers(1, MOST_SOUNDS + 1), replace=False, p=chances)
        chosen = [sounds[name][rng.integers(len(sounds[name]))] for name in sounding]
        mixture = np.sum([10 ** (rng.uniform(QUIETEST_DB, 0) / 20) * sound for sound in chosen], axis=0)
        waveforms.append(mixture / max(1.0, np.abs(mixture).max()))
        true_names = with_ancestors(sounding, ontology)
        labels = [k for k, name in enumerate(MIXTURE_CLASSES) if name in true_names]
        truth[i, labels] = 1
        given.append(_keep_some(labels, missing_labels, rng))
    return dataset_of_waveforms(waveforms, given, Vocabulary(MIXTURE_CLASSES), f"mixture-{seed}", f"seed {seed}"), truth


def _keep_some(labels: Sequence[int], missing: float, rng: np.random.Generator) -> list[int]:
    """A clip's labels, each left out with probability `missing`; one is kept where none would be."""
    return [k for k in labels if rng.random() >= missing] or [int(rng.choice(labels))]


def _loudest(waveform: np.ndarray) -> np.ndarray:
    """The loudest stretch of a mixture's length, at a root mean square of 0.1."""
    length = int(MIXTURE_SECONDS * SAMPLING_RATE)
    padded = np.pad(waveform, (0, max(0, length - len(waveform))))
    energy = np.concatenate([[0.0], np.cumsum(padded.astype(np.float64) ** 2)])
    start = int(np.argmax(energy[length:] - energy[:-length]))
    stretch = padded[start : start + length]
    return 0.1 * stretch / max(1e-6, float(np.sqrt(np.mean(stretch**2))))
