"""The ablation trains its rows once each, and its differences are over the same seeds and clips."""

import numpy as np
import pytest

from psla_hf.data.toy import dataset_of_waveforms
from psla_hf.labels.vocabulary import Vocabulary
from studies.ablation import (
    ABLATION_RECIPE,
    ENSEMBLE,
    FREQUENT,
    FULL,
    PLAIN,
    RARE,
    ROWS,
    TEACHER,
    ablation_rows,
    aggregation_rows,
    figures,
    paired_difference,
    train_seed,
)
from tests.conftest import TINY_BACKBONE
from tests.studies.test_mixtures import SOUNDS


def test_rows_leave_out_one_ingredient_each_and_plain_all():
    recipes = {name: ABLATION_RECIPE.replace(**row.changes).settings() for name, row in ROWS.items()}
    changed = {
        name: {setting for setting, value in recipe.items() if value != recipes[FULL][setting]}
        for name, recipe in recipes.items()
    }
    assert changed[FULL] == changed[TEACHER] == set() and not ROWS[TEACHER].enhanced
    alone = [changes for name, changes in changed.items() if name not in (FULL, TEACHER, PLAIN)]
    assert len(alone) == 4 and set.union(*alone) == changed[PLAIN]
    assert sum(map(len, alone)) == len(changed[PLAIN]) and not ROWS[PLAIN].enhanced


def test_a_difference_is_that_of_the_same_seeds_and_clips():
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, (60, 3))
    good = targets + rng.normal(0, 0.5, (2, 60, 3))
    assert paired_difference(good, good, targets) == {"mean": 0, "low": 0, "high": 0, "by seed": [0, 0]}
    worse = paired_difference(good, rng.random((2, 60, 3)), targets)
    assert worse["low"] < worse["mean"] < worse["high"] < 0
    better = paired_difference(rng.random((2, 60, 3)), good, targets)
    assert better["low"] > 0


def test_rows_and_seeds_are_trained_once_and_shown_as_far_as_they_are(tmp_path, accelerator, capsys):
    rng = np.random.default_rng(0)
    noise = [0.1 * rng.standard_normal(8000) for _ in range(20)]
    pool = dataset_of_waveforms(noise, [[k % 10] for k in range(20)], Vocabulary(SOUNDS), "noise", "all")
    recipe = ABLATION_RECIPE.replace(backbone=TINY_BACKBONE, pretraining="none", epochs=1, max_length=48)

    def train(*rows: str) -> int:
        capsys.readouterr()
        for seed in (0, 1):
            train_seed((pool, pool), seed, tmp_path, accelerator, recipe, (32, 48), rows)
        return capsys.readouterr().out.count("epoch")

    assert train(TEACHER) == 2
    found = figures(tmp_path, [0, 1])
    assert list(ablation_rows(found)) == [TEACHER] and found["differences"] == {}
    assert train(FULL, "no mixup") == 4 and train(FULL) == 0
    found = figures(tmp_path, [0, 1])
    assert set(found["differences"]) == {TEACHER, "no mixup"} and set(found["labels"]) == {"0", "1"}
    table = ablation_rows(found)
    assert table["no mixup"]["paper, fsd50k"] == "-0.051" and table[FULL]["paper, fsd50k"] == ""
    assert " ± " in table[FULL][ENSEMBLE] and len(aggregation_rows(found)[FULL]) == 3
    assert found["groups"][FULL].keys() == {FREQUENT, RARE}
    train_seed((pool, pool), 2, tmp_path, accelerator, recipe, (32, 48), [TEACHER])
    with pytest.raises(ValueError, match="of the same seeds in all rows"):
        figures(tmp_path, [0, 1, 2])
    with pytest.raises(FileNotFoundError):
        train_seed((pool, pool), 3, tmp_path, accelerator, recipe, (32, 48), [FULL])
