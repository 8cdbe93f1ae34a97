"""Metrics equal their definitions; every clip is scored once, in order."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score

from psla_hf import PslaFeatureExtractor
from psla_hf.aggregation.aggregate import Scorer
from psla_hf.data.load import load_esc
from psla_hf.evaluation import class_metrics, score_clips, tagging_metrics
from psla_hf.loading.samples import SampleMaker
from psla_hf.models.saved import Saved
from psla_hf.training.build import make_accelerator


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


def test_a_classs_figures_are_those_of_scikit_learn_on_any_scores_and_labels():
    """Ties, equal scores, one positive clip, one negative clip, sparse labels; coarse scores of both precisions."""
    rng = np.random.default_rng(0)
    for round in range(20):
        scores = rng.integers(0, 2 + round, (30, 8)) / (1 + round)
        scores[:, 0] = 0.5
        targets = (rng.random((30, 8)) < rng.random(8)).astype(np.float32)
        targets[:, :3] = np.stack([np.arange(30) % 2, np.arange(30) == 7, np.arange(30) != 7], axis=1)
        for probabilities in (scores, scores.astype(np.float32)):
            per_class = class_metrics(probabilities, targets)
            for k in range(8):
                if 0 < targets[:, k].sum() < 30:
                    assert per_class["AP"][k] == average_precision_score(targets[:, k], probabilities[:, k])
                    assert per_class["AUC"][k] == roc_auc_score(targets[:, k], probabilities[:, k])
        assert per_class["AUC"][0] == 0.5


def test_a_class_without_positive_or_without_negative_clips_has_no_figures():
    per_class = class_metrics(np.array([[0.9, 0.1, 0.2], [0.1, 0.9, 0.5]]), np.array([[1, 0, 1], [0, 0, 1]]))
    assert per_class == {"AP": [1.0, None, None], "AUC": [1.0, None, None]}


def test_the_means_are_those_of_the_classes_figures():
    rng = np.random.default_rng(1)
    scores, targets = rng.random((40, 6)), rng.random((40, 6)) < [0.5, 0.3, 0.1, 0.0, 1.1, 0.5]
    per_class = class_metrics(scores, targets)
    metrics = tagging_metrics(scores, targets)
    assert metrics == tagging_metrics(scores, targets, per_class)
    ranked = [0, 1, 2, 5]
    assert metrics["classes_left_out"] == 2
    assert metrics["mAP"] == pytest.approx(average_precision_score(targets[:, ranked], scores[:, ranked]))
    assert metrics["AUC"] == pytest.approx(roc_auc_score(targets[:, ranked], scores[:, ranked]))


def test_scores_that_are_not_finite_are_refused():
    targets = np.array([[1], [0]])
    for odd in (np.nan, np.inf, -np.inf):
        with pytest.raises(ValueError, match="finite scores, those of 1 of 2 clips are not, such as of clip 1 "):
            tagging_metrics(np.array([[0.5], [odd]]), targets)
    assert tagging_metrics(np.array([[0.5, np.nan], [0.2, 0.5]]), np.array([[1, 0], [0, 0]]))["mAP"] == 1.0


def test_scores_are_the_models_in_the_data_sets_order_whatever_the_batch(tiny_model, esc_folder, accelerator):
    clips = load_esc(esc_folder, 1)["train"]
    extractor = PslaFeatureExtractor(max_length=48)
    scores = score_clips(tiny_model, extractor, clips, accelerator, batch_size=5)
    assert scores.shape == (24, 3)
    waveform = SampleMaker(3, 16000).clip(clips[17]).waveform
    features = extractor(waveform, sampling_rate=16000, return_tensors="pt")
    expected = tiny_model(**features).logits.sigmoid().detach().numpy()[0]
    np.testing.assert_allclose(scores[17], expected, atol=1e-5)


@pytest.fixture(params=["no", "bf16"])
def busy(request):
    """An accelerator that has prepared a caller's model, optimizer and loader; processes share their state."""
    AcceleratorState._reset_state()
    accelerator = Accelerator(cpu=True, mixed_precision=request.param)
    model = torch.nn.Linear(1, 1)
    loader = torch.utils.data.DataLoader([0])
    accelerator.prepare(model, torch.optim.SGD(model.parameters()), loader)
    yield accelerator
    AcceleratorState._reset_state()
    make_accelerator(cpu=True)


def test_the_callers_accelerator_and_models_are_left_as_they_were(busy, tiny_model, esc_folder, tmp_path):
    kept = [list(prepared) for prepared in (busy._models, busy._optimizers, busy._dataloaders)]
    clips, extractor, forward = load_esc(esc_folder, 1, quiet=True)["test"], PslaFeatureExtractor(), tiny_model.forward
    first = score_clips(tiny_model, extractor, clips, busy)
    np.testing.assert_array_equal(score_clips(tiny_model, extractor, clips, busy), first)
    Scorer(clips, busy).scores(Saved(tiny_model, extractor))
    assert [busy._models, busy._optimizers, busy._dataloaders] == kept and busy.gradient_state.active_dataloader is None
    assert tiny_model.forward == forward
    busy.save_state(tmp_path / "state")
    assert not (tmp_path / "state" / "model_1.safetensors").exists()


def test_a_data_set_with_other_classes_is_refused(tiny_model, accelerator, esc_folder):
    tiny_model.config.id2label = {0: "rain", 1: "dog", 2: "rooster"}
    with pytest.raises(ValueError, match="class 0 is 'dog' in the data and 'rain' in the model"):
        score_clips(tiny_model, PslaFeatureExtractor(), load_esc(esc_folder, 1)["test"], accelerator)
