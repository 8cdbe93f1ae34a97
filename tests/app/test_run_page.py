"""A run's report: its figures are right; the page shows them, light and dark, narrow and wide, without a network."""

import json

import numpy as np
import pytest
import soundfile
from sklearn.metrics import average_precision_score

from psla_hf.models.configuration_psla import PslaConfig
from psla_hf.reports.run_figures import (
    average_precision,
    bootstrap_intervals,
    calibration,
    confusions,
    worst_mistakes,
)
from psla_hf.training.run.report import write_report
from psla_hf.training.run.scores import PartScores, write_scores
from tests.data.test_advice import noise

COMMAND = "psla train birds.csv --output-dir runs/birds"

NAMES = ["dog", "<script>alert(1)</script>", "rain & wind", "a name that is as long as names of species sometimes are"]


def scores_of(number: int, seed: int = 0, num_classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets = np.eye(num_classes, dtype=int)[rng.integers(num_classes, size=number)]
    return np.clip(0.35 * targets + 0.6 * rng.random((number, num_classes)), 0, 1).round(2), targets


def test_average_precision_is_scikit_learns_with_equal_scores_too():
    probabilities, targets = scores_of(200)
    expected = [average_precision_score(targets[:, k], probabilities[:, k]) for k in range(4)]
    np.testing.assert_allclose(average_precision(probabilities, targets), expected)
    assert np.isnan(average_precision(probabilities, 0 * targets)).all()


def test_an_interval_holds_the_figure_and_gets_narrower_with_more_clips():
    widths = []
    for number in (40, 400):
        probabilities, targets = scores_of(number)
        intervals, figures = bootstrap_intervals(probabilities, targets), average_precision(probabilities, targets)
        assert (intervals[:, 0] <= figures).all() and (figures <= intervals[:, 1]).all()
        widths.append(intervals[:, 1] - intervals[:, 0])
    assert (widths[1] < widths[0]).all()


@pytest.mark.parametrize(("clips", "heard"), [(400, 40), (10_000, 60), (60, 60)])
def test_an_interval_is_that_of_resampled_clips_whatever_their_number(clips, heard):
    rng = np.random.default_rng(clips)
    targets = (np.arange(clips) < heard)[:, None]
    scores = np.round(rng.normal(size=(clips, 1)) + 1.5 * targets, 1)  # with equal ones
    drawn = np.concatenate(
        [rng.choice(group, (400, len(group))) for group in (np.arange(heard), np.arange(heard, clips)) if len(group)],
        axis=1,
    )
    resampled = average_precision(scores[drawn, 0].T, targets[drawn, 0].T)
    expected = np.quantile(resampled, (0.025, 0.975))
    np.testing.assert_allclose(bootstrap_intervals(scores, targets)[0], expected, atol=0.3 * np.ptp(expected))


def test_confusions_are_of_single_labels_or_of_what_was_missed_and_heard_instead():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    matrix, is_matrix = confusions(probabilities, np.array([[1, 0], [1, 0], [0, 1]]), np.full(2, 0.5))
    assert is_matrix and matrix.tolist() == [[1, 1], [1, 0]]
    matrix, is_matrix = confusions(probabilities, np.array([[1, 1], [1, 0], [0, 0]]), np.full(2, 0.5))
    assert not is_matrix and matrix.tolist() == [[0, 1], [0, 0]]


def test_scores_that_are_shares_are_calibrated():
    scores = np.repeat([0.25, 0.75], 400)[:, None]
    targets = np.concatenate([np.arange(400) < 100, np.arange(400) < 300])[:, None]
    bins, error = calibration(scores, targets)
    assert error == pytest.approx(0) and [count for _, _, count in bins] == [400, 400]


def test_the_worst_mistakes_are_far_from_their_labels():
    probabilities, targets = np.array([[0.9, 0.1], [0.6, 0.2], [0.05, 0.3]]), np.array([[0, 0], [0, 0], [1, 0]])
    assert [(m.clip, m.label, m.is_missed) for m in worst_mistakes(probabilities, targets, 2)] == [
        (2, 0, True),
        (0, 0, False),
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run's folder, made by hand."""
    folder = tmp_path_factory.mktemp("runs") / "birds"
    folder.mkdir()
    probabilities, targets = scores_of(60)
    probabilities[0], targets[0] = [0.95, 0.05, 0.05, 0.05], [0, 1, 0, 0]
    soundfile.write(folder / "sound.wav", noise(0), 16000)
    paths = np.array([str(folder / "sound.wav"), *[str(folder / "gone.wav")] * 59])
    ids = np.array([f"clip {k} <b>" for k in range(60)])
    scores = PartScores(ids, paths, np.zeros(60), np.full(60, np.nan), probabilities.astype(np.float32), targets)
    write_scores(folder, "test", scores)
    figures = {"mAP": 0.8, "AUC": 0.9, "d_prime": 1.8, "accuracy": 0.7}
    part = {"source": "birds.csv", "found": 60, "hours": 0.1, "missing": 0, "unreadable": 1, "notes": ["A note."]}
    results = {
        "command": COMMAND,
        "psla_hf": "0.1.0",
        "commit": "abc",
        "versions": {"torch": "2.13.0"},
        "machine": {"system": "Linux", "cpus": 2, "accelerator": None},
        "recipe": {"schedule": {"epochs": 3}},
        "seed": 0,
        "clips": {"train": 200, "test": 60},
        "data": {"parts": {"train": part, "test": part}, "advice": ["Advice."]},
        "classes": NAMES,
        "epochs": [{"epoch": k, "loss": 1 / k, "mAP": 0.3 * k - 0.1, "validation_mAP": 0.25 * k} for k in (1, 2, 3)],
        "results": {"last_epoch": figures, "averaged": figures},
    }
    (folder / "results.json").write_text(json.dumps(results))
    PslaConfig(id2label=dict(enumerate(NAMES)), thresholds=[0.4, 0.5, 0.6, 0.7]).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(("scheme", "width"), [("light", 1600), ("dark", 360)])
def test_the_page_is_whole_in_light_and_dark_narrow_and_wide(run, opened, scheme, width):
    page = opened(write_report(run).as_uri(), width=width, color_scheme=scheme)
    assert page.errors == [] and page.foreign == []
    assert page.page.evaluate("document.documentElement.scrollWidth") <= width
    text = page.page.inner_text("body")
    for shown in (*NAMES, "clip 0 <b>", "Confusions", "Expected calibration error", "Advice.", "0.60", COMMAND):
        assert shown in text
    background = page.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 31)"}[scheme]


def test_a_mistake_can_be_listened_to_where_its_file_is_there(run, opened):
    page = opened(write_report(run).as_uri()).page
    assert page.locator("audio").count() == 1  # the other files are gone
    page.evaluate("document.querySelector('audio').load()")
    page.wait_for_function("document.querySelector('audio').duration > 1.9")


def test_a_run_without_scores_or_thresholds_has_a_page_too(run, tmp_path):
    (tmp_path / "results.json").write_text((run / "results.json").read_text())
    PslaConfig(id2label=dict(enumerate(NAMES))).save_pretrained(tmp_path)
    assert "keeps no scores" in write_report(tmp_path).read_text(encoding="utf-8")
