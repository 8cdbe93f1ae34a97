"""The study's figures mean what they say, and it takes up what is there."""

import numpy as np
import pytest

from psla_hf.data.toy import dataset_of_waveforms
from psla_hf.labels.vocabulary import Vocabulary
from studies.label_enhancement import STUDY_RECIPE, added_labels, over_seeds, proposed_share, study_seed
from studies.mixtures import MIXTURE_CLASSES
from tests.conftest import TINY_BACKBONE
from tests.studies.test_mixtures import SOUNDS


def test_precision_and_recall_are_of_the_added_and_the_missing_labels():
    given = np.array([[1, 0, 0, 0], [0, 1, 0, 0]])
    truth = np.array([[1, 1, 0, 0], [0, 1, 1, 1]])  # three missing
    enhanced = np.array([[1, 1, 1, 0], [0, 1, 0, 0]])  # two added, one of them true
    figures = added_labels(given, enhanced, truth)
    assert figures == {"added_percent": 100.0, "precision": 0.5, "recall": pytest.approx(1 / 3)}
    assert added_labels(given, given, truth) == {"added_percent": 0.0, "precision": 1.0, "recall": 0.0}


def test_the_ontology_proposes_what_is_above_or_directly_below():
    def clip(*names: str) -> np.ndarray:
        return np.array([[name in names for name in MIXTURE_CLASSES]], dtype=np.float32)

    # Every class is given once, so that each has a threshold; nothing is missing in those rows.
    rest = np.eye(len(MIXTURE_CLASSES), dtype=np.float32)
    truth = np.concatenate([clip("rain", "water", "nature"), rest])
    without_parents = np.concatenate([clip("rain"), rest])
    assert proposed_share(without_parents, truth, ("II",)) == 1
    assert proposed_share(without_parents, truth, ("I",)) == 0
    only_the_top = np.concatenate([clip("nature"), rest])  # rain is two steps below
    assert proposed_share(only_the_top, truth, ("I",)) == 0.5
    assert proposed_share(only_the_top, truth, ("II",)) == 0


def test_figures_over_seeds_are_means_and_deviations():
    assert over_seeds([{"mAP": 0.4, "AUC": 0.5}, {"mAP": 0.6, "AUC": 0.5}], ["mAP"]) == {"mAP": "0.500 ± 0.141"}
    assert over_seeds([{"mAP": 0.4}], ["mAP"]) == {"mAP": "0.400"}


def test_a_seed_gives_all_figures_and_the_same_again(tmp_path, accelerator):
    rng = np.random.default_rng(0)
    noise = [0.1 * rng.standard_normal(8000) for _ in range(20)]
    pool = dataset_of_waveforms(noise, [[k % 10] for k in range(20)], Vocabulary(SOUNDS), "noise", "all")
    recipe = STUDY_RECIPE.replace(backbone=TINY_BACKBONE, pretraining="none", epochs=1, max_length=64)
    first = study_seed((pool, pool), 0, tmp_path, accelerator, sizes=(48, 48), recipe=recipe)
    assert set(first["models"]) == {"original", "enhanced-mean", "enhanced-25P", "full"} and len(first["labels"]) == 15
    assert first["proposed"]["I+II"] >= max(first["proposed"]["I"], first["proposed"]["II"]) > 0
    assert study_seed((pool, pool), 0, tmp_path, accelerator, sizes=(48, 48), recipe=recipe) == first
