"""Mixtures of real clips: the same again, and labelled with what was mixed and everything above it."""

import numpy as np
import pytest

from psla_hf.audio import read_audio
from psla_hf.data.load import load_esc
from psla_hf.data.schema import targets_of
from psla_hf.data.toy import dataset_of_waveforms
from psla_hf.labels.vocabulary import Vocabulary
from studies.mixtures import MIXTURE_CLASSES, make_mixtures, mixture_ontology

SOUNDS = [name for name in MIXTURE_CLASSES if not mixture_ontology().children[name]]


@pytest.fixture(scope="module")
def pool():
    """A tone of its own for each of the ten classes, one second of them."""
    time = np.arange(16000) / 16000
    tones = [0.1 * np.sin(2 * np.pi * 200 * (k + 1) * time) for k in range(10)]
    return dataset_of_waveforms(tones, [[k] for k in range(10)], Vocabulary(SOUNDS), "tone", "all")


def test_mixtures_sound_as_they_are_labelled(pool):
    clips, truth = make_mixtures(pool, 12, seed=1)
    ancestors = mixture_ontology().ancestor_relation(MIXTURE_CLASSES)
    for clip, labels in zip(clips, truth, strict=True):
        spectrum = np.abs(np.fft.rfft(read_audio(clip["audio"]["bytes"], 16000)[:16000]))
        heard = {SOUNDS[k] for k in range(10) if spectrum[200 * (k + 1)] > 50}
        leaves = {name for name, there in zip(MIXTURE_CLASSES, labels, strict=True) if there and name in SOUNDS}
        assert heard == leaves and 1 <= len(heard) <= 3
        assert (labels[(labels @ ancestors) > 0] == 1).all()  # what is above a true label is true
        # … and a class with children is true only if one of these is.
        below = mixture_ontology().child_relation(MIXTURE_CLASSES) @ labels
        parents = np.array([name not in SOUNDS for name in MIXTURE_CLASSES])
        assert (below[parents & (labels > 0)] > 0).all()


def test_mixtures_are_the_same_again_and_lose_labels_as_asked(pool):
    clips, truth = make_mixtures(pool, 200, seed=2, missing_labels=0.3)
    again, _ = make_mixtures(pool, 200, seed=2, missing_labels=0.3)
    assert clips[5] == again[5]
    given = targets_of(clips)
    assert (given <= truth).all() and (given.sum(axis=1) >= 1).all()
    assert 1 - given.sum() / truth.sum() == pytest.approx(0.3, abs=0.04)


def test_a_long_tail_makes_some_classes_rare_and_every_seed_others(pool):
    leaves = [MIXTURE_CLASSES.index(name) for name in SOUNDS]
    orders = []
    for seed in range(3):
        counts = make_mixtures(pool, 640, seed, long_tail=200.0)[1].sum(axis=0)[leaves]
        assert counts.max() / counts.min() > 50 and counts.min() >= 2
        orders.append(tuple(counts.argsort()))
    assert len(set(orders)) == 3


def test_other_classes_are_refused(esc_folder):
    with pytest.raises(ValueError, match="clips of ESC-10's classes"):
        make_mixtures(load_esc(esc_folder, 1, quiet=True)["train"], 2, seed=0)
