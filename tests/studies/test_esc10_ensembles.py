"""Ensembles of ESC-10's models are means of probabilities, each chosen by runs that did not hear its fold."""

from statistics import fmean
from types import SimpleNamespace

import numpy as np
import pytest

from psla_hf.data.schema import targets_of
from studies import esc10_ensembles as study
from studies import esc10_selection as selection
from studies.esc10_selection import FOLDS, PAIRS, validation_run
from studies.folds import every_clip, of_folds
from tests.docs.small_world import make_esc


@pytest.fixture
def ensembles(tmp_path, monkeypatch):
    """Ensembles of models that say something else in each run, without any training."""
    make_esc(tmp_path / "esc10")
    trained = SimpleNamespace(
        clips=every_clip(str(tmp_path / "esc10")),
        validate=lambda settings: None,
        test_one=lambda name, fold, seed: None,
        found=dict,
    )

    def probabilities(self, run: str, fold: int) -> np.ndarray:
        clips = of_folds(trained.clips, [fold])
        rng = np.random.default_rng([*run.encode(), fold])
        return 0.3 * targets_of(clips) + 0.7 * rng.random((len(clips), len(clips.features["labels"].feature.names)))

    monkeypatch.setattr(study.Ensembles, "_probabilities", probabilities)
    known = {
        validation_run(study.LITE0, pair): {"folds": {str(fold): {"accuracy": 1.0, "mAP": 1.0} for fold in pair}}
        for pair in PAIRS
    }
    return study.Ensembles(trained, known)


def heard(ensembles, runs: list[str], fold: int) -> list[int]:
    return np.mean([ensembles._probabilities(run, fold) for run in runs], axis=0).argmax(axis=1).tolist()


def test_an_ensemble_is_the_mean_of_its_settings_and_one_of_seeds_that_of_its_seeds(ensembles):
    validated = ensembles.validate()
    assert len(validated) == len(PAIRS) * len(study.ENSEMBLES)
    for ensemble, members in study.ENSEMBLES.items():
        of_members = [validation_run(name, (2, 3)) for name in members]
        found = validated[validation_run(ensemble, (2, 3))]["folds"]["3"]
        assert found["heard"] == heard(ensembles, of_members, 3)
    together = ensembles.together([0, 1, 2])
    for fold in FOLDS:
        of_seeds = [selection.tested_run(study.LITE0, fold, seed) for seed in (0, 1, 2)]
        assert together[f"{study.TOGETHER}, fold {fold}"]["folds"][str(fold)]["heard"] == heard(
            ensembles, of_seeds, fold
        )
    tested = ensembles.test(validated, [0, 1])
    assert len(tested) == 2 * len(FOLDS)
    rows = study.tested_rows({**validated, **together, **tested})
    accuracies = [run["folds"][str(fold)]["accuracy"] for fold, run in zip(FOLDS, together.values(), strict=True)]
    assert len(rows) == 3
    assert next(iter(rows.values()))["accuracy"] == pytest.approx(fmean(accuracies))
