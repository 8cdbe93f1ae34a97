"""The module of `evaluate` gives the figures of `evaluation`, however it is fed, and needs no network."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import metrics.audio_tagging.audio_tagging as audio_tagging
from metrics.audio_tagging.audio_tagging import AudioTagging
from metrics.audio_tagging.tests import test_cases as CASES
from psla_hf import AudioTagger
from psla_hf.data.load import load_esc
from psla_hf.data.schema import targets_of
from psla_hf.evaluation import class_metrics, score_clips, tagging_metrics

RNG = np.random.default_rng(0)
SCORES = RNG.random((50, 4))
TARGETS = np.concatenate([RNG.random((50, 2)) < 0.4, np.zeros((50, 1)), np.ones((50, 1))], axis=1).astype(np.float32)


@pytest.fixture
def metric(tmp_path) -> AudioTagging:
    return AudioTagging(cache_dir=str(tmp_path))


def test_it_gives_the_same_figures_as_the_functions_and_names_the_classes_left_out(metric):
    assert metric.compute(predictions=SCORES, references=TARGETS) == {
        **tagging_metrics(SCORES, TARGETS),
        "left_out": [2, 3],
        "per_class": class_metrics(SCORES, TARGETS),
    }


def test_its_figures_are_those_that_the_evaluate_command_computes(metric, saved_model, esc_folder, accelerator):
    tagger, clips = AudioTagger.from_pretrained(saved_model), load_esc(esc_folder, 1, quiet=True)["test"]
    scores, targets = score_clips(tagger.model, tagger.extractor, clips, accelerator), targets_of(clips)
    figures = metric.compute(predictions=scores, references=targets)
    expected = tagging_metrics(scores, targets)
    assert {"mAP", "AUC", "d_prime", "accuracy"} < set(expected)
    assert {name: figures[name] for name in expected} == expected


@pytest.mark.parametrize("case", CASES)
def test_its_own_cases_hold(metric, case):
    figures = metric.compute(predictions=case["predictions"], references=case["references"])
    assert {name: figures[name] for name in case["result"]} == pytest.approx(case["result"])


def test_its_card_has_the_head_that_the_hub_reads():
    head, text = (Path(audio_tagging.__file__).parent / "README.md").read_text().split("---\n")[1:3]
    assert {"title", "sdk", "app_file", "tags"} <= set(yaml.safe_load(head))
    assert all(f"`{name}`" in text or f"**{name}**" in text for name in ("mAP", "AUC", "d_prime", "per_class"))


def test_batches_are_as_good_as_all_at_once_whatever_they_are_made_of(metric):
    whole = metric.compute(predictions=SCORES, references=TARGETS)
    for scores, targets in (
        (SCORES, TARGETS > 0),
        (SCORES.tolist(), TARGETS.astype(int).tolist()),
        (torch.from_numpy(SCORES), torch.from_numpy(TARGETS)),
    ):
        for start in range(0, 50, 7):
            metric.add_batch(predictions=scores[start : start + 7], references=targets[start : start + 7])
        assert metric.compute() == whole


def test_scores_that_differ_in_float64_alone_are_not_tied(metric):
    scores = np.array([[0.5], [0.5 + 1e-12], [0.5 - 1e-12]])
    assert metric.compute(predictions=scores, references=[[0], [1], [0]])["mAP"] == 1.0


def test_accuracy_is_there_where_every_clip_has_one_label(metric):
    one_label = np.eye(3)[[0, 1, 2, 0]]
    assert metric.compute(predictions=one_label, references=one_label)["accuracy"] == 1.0
    assert "accuracy" not in metric.compute(predictions=SCORES, references=TARGETS)


def test_clips_with_different_numbers_of_classes_are_refused(metric):
    with pytest.raises(ValueError, match=r"rows of \[1 2\] figures"):
        metric.compute(predictions=[[0.1, 0.2], [0.3]], references=[[0, 1], [1, 0]])


def test_evaluate_loads_it_from_its_file_without_network(tmp_path):
    """In a process of its own: `evaluate` reads at import where its cache is and whether it is offline."""
    code = """
import json, sys, evaluate
made = {"predictions": [[0.9, 0.3], [0.4, 0.1], [0.2, 0.8]], "references": [[1, 0], [0, 0], [0, 1]]}
metrics = [evaluate.load(place).compute(**made) for place in sys.argv[1:]]
print(json.dumps(metrics))
"""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "HTTPS_PROXY": "http://127.0.0.1:9"}
    for name in ("HF_MODULES_CACHE", "HF_METRICS_CACHE", "HF_EVALUATE_CACHE"):
        environment.pop(name, None)
    file = Path(audio_tagging.__file__)
    command = [sys.executable, "-c", code, str(file), str(file.parent)]
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, cwd=tmp_path).stdout
    by_file, by_folder = json.loads(output.splitlines()[-1])
    assert by_file == by_folder
    assert by_file["mAP"] == by_file["AUC"] == 1.0 and by_file["per_class"]["AP"] == [1.0, 1.0]
    assert list(Path(tmp_path, "modules").rglob("audio_tagging.py"))
