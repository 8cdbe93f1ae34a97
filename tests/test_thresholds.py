"""A threshold has the highest F1 that there is, and models carry theirs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score
from transformers import AutoConfig

from psla_hf.inference.tagger import AudioTagger
from psla_hf.models.feature_extraction_psla import PslaFeatureExtractor
from psla_hf.thresholds import best_threshold, choose_thresholds


@given(st.lists(st.tuples(st.integers(1, 20), st.booleans()), min_size=1, max_size=30))
def test_no_threshold_has_a_higher_f1(clips):
    scores, positive = np.array([score / 20 for score, _ in clips]), np.array([is_positive for _, is_positive in clips])
    chosen = best_threshold(scores, positive)
    if not positive.any():
        assert chosen == 0.5
        return
    best = max(f1_score(positive, scores >= threshold) for threshold in np.arange(0.025, 1.05, 0.05))
    assert f1_score(positive, scores >= chosen) == pytest.approx(best)


def test_a_class_with_few_clips_has_the_threshold_of_all():
    rng = np.random.default_rng(0)
    targets = np.zeros((40, 3), int)
    targets[:20, 0] = targets[:4, 1] = 1
    probabilities = np.clip(0.3 * targets + 0.4 * rng.random((40, 3)), 0, 1)
    chosen = choose_thresholds(probabilities, targets)
    assert chosen[1] == chosen[2] == best_threshold(probabilities.ravel(), targets.ravel() > 0)
    assert chosen[0] == best_threshold(probabilities[:, 0], targets[:, 0] > 0)


def test_a_model_carries_its_thresholds_and_tags_by_them(tiny_model, tmp_path):
    noise = np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    tagger = AudioTagger(tiny_model, PslaFeatureExtractor(max_length=48))
    with pytest.raises(ValueError, match=r"thresholds for its 3 classes, this one has none\. Train with a validation"):
        tagger(noise, 16000, threshold="auto")
    scores = {tag["label"]: tag["score"] for tag in tagger(noise, 16000, top_k=None)}
    first, *others = tagger.labels
    tiny_model.config.thresholds = [scores[first] + 1e-4, *(scores[name] - 1e-4 for name in others)]
    tiny_model.save_pretrained(tmp_path)
    PslaFeatureExtractor(max_length=48).save_pretrained(tmp_path)
    tags = AudioTagger.from_pretrained(tmp_path)(noise, 16000, threshold="auto")
    assert {tag["label"] for tag in tags} == set(others)


def test_thresholds_that_are_none_are_refused(tiny_model):
    config = type(tiny_model.config)
    with pytest.raises(ValueError, match="thresholds must be from 0 to 1"):
        config(thresholds=[0.5, 1.5])


@pytest.mark.parametrize(
    ("loaded_with", "expected"),
    [
        ({}, [0.3, 0.4, 0.5]),
        ({"id2label": {0: "a", 1: "b", 2: "c"}}, [0.3, 0.4, 0.5]),
        ({"id2label": {0: "b", 1: "a", 2: "c"}}, None),
        ({"num_labels": 2}, None),
        ({"id2label": {0: "x", 1: "y", 2: "z"}, "thresholds": [0.1, 0.2, 0.3]}, [0.1, 0.2, 0.3]),
    ],
)
def test_thresholds_are_of_the_saved_classes_only(tiny_model, tmp_path, loaded_with, expected):
    config = type(tiny_model.config)(
        **{**tiny_model.config.to_diff_dict(), "id2label": {0: "a", 1: "b", 2: "c"}, "thresholds": [0.3, 0.4, 0.5]}
    )
    type(tiny_model)(config).save_pretrained(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path, **loaded_with).thresholds == expected
    model = type(tiny_model).from_pretrained(tmp_path, ignore_mismatched_sizes=True, **loaded_with)
    assert model.config.thresholds == expected
