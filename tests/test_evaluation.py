"""Metrics equal their definitions; every clip is scored once, in order."""

import numpy as np
import pytest
from scipy.stats import norm

from psla_hf import PslaFeatureExtractor
from psla_hf.data import load_esc
from psla_hf.evaluation import score_clips, tagging_metrics
from psla_hf.samples import SampleMaker


def test_metrics_by_hand():
    """Class 0 ranks its two positives first and third: AP (1 + 2/3) / 2, AUC 3/4. Class 1 is perfect."""
    targets = np.array([[1, 0], [0, 1], [1, 0], [0, 1]])
    probabilities = np.array([[0.9, 0.1], [0.7, 0.8], [0.6, 0.2], [0.1, 0.9]])
    metrics = tagging_metrics(probabilities, targets)
    assert metrics["mAP"] == pytest.approx((5 / 6 + 1) / 2)
    assert metrics["AUC"] == pytest.approx(7 / 8)
    assert metrics["d_prime"] == pytest.approx(np.sqrt(2) * norm.ppf(7 / 8))
    assert metrics["accuracy"] == 1.0


def test_accuracy_is_only_for_clips_with_one_label_each():
    targets = np.array([[1, 1], [0, 1], [1, 0]])
    assert "accuracy" not in tagging_metrics(np.random.default_rng(0).random((3, 2)), targets)


def test_classes_that_cannot_be_ranked_are_left_out_and_counted():
    targets = np.array([[1, 0, 1], [0, 0, 1], [1, 0, 1]])
    metrics = tagging_metrics(np.array([[0.9, 0.1, 0.2], [0.1, 0.9, 0.5], [0.8, 0.3, 0.4]]), targets)
    assert metrics["mAP"] == metrics["AUC"] == 1.0
    assert metrics["classes_left_out"] == 2
    with pytest.raises(ValueError, match="none to rank"):
        tagging_metrics(targets[:, 1:2], targets[:, 1:2])


def test_scores_are_the_models_in_the_data_sets_order_whatever_the_batch(tiny_model, esc_folder, accelerator):
    clips = load_esc(esc_folder, 1)["train"]
    extractor = PslaFeatureExtractor(max_length=48)
    scores = score_clips(tiny_model, extractor, clips, accelerator, batch_size=5)
    assert scores.shape == (24, 3)
    waveform = SampleMaker(3, 16000).clip(clips[17])["waveform"]
    features = extractor(waveform, sampling_rate=16000, return_tensors="pt")
    expected = tiny_model(**features).logits.sigmoid().detach().numpy()[0]
    np.testing.assert_allclose(scores[17], expected, atol=1e-5)


def test_a_data_set_with_other_classes_is_refused(tiny_model, accelerator, esc_folder):
    tiny_model.config.id2label = {0: "rain", 1: "dog", 2: "rooster"}
    with pytest.raises(ValueError, match="class 0 is 'dog' in the data and 'rain' in the model"):
        score_clips(tiny_model, PslaFeatureExtractor(), load_esc(esc_folder, 1)["test"], accelerator)
