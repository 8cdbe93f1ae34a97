"""The studies of starts and teachers run from beginning to end, and what is finished is not run again."""

import numpy as np
import pytest

from psla_hf.data.toy import dataset_of_waveforms
from psla_hf.files import read_json
from psla_hf.labels.vocabulary import Vocabulary
from psla_hf.training import recipes
from studies import students
from tests.conftest import TINY_BACKBONE
from tests.studies.test_mixtures import SOUNDS


@pytest.fixture
def tiny(monkeypatch):
    small = {"backbone": TINY_BACKBONE, "pretraining": "none", "max_length": 48, "batch_size": 8, "epochs": 1}
    monkeypatch.setitem(recipes.RECIPES, "esc10", recipes.get_recipe("esc10").replace(**small))
    monkeypatch.setattr(students, "SHORT", {"epochs": 1})


def test_singles_their_ensemble_and_students_are_compared(tiny, esc_folder, tmp_path, accelerator, capsys):
    rows = students.distil(str(esc_folder), tmp_path, [1], [0, 1], accelerator)
    assert {row: list(runs) for row, runs in rows.items()} == {
        "single": ["fold 1, seed 0", "fold 1, seed 1"],
        "ensemble": ["fold 1"],
        "student": ["fold 1, seed 0", "fold 1, seed 1"],
    }
    assert capsys.readouterr().out.count("epoch 1") == 4
    assert students.distil(str(esc_folder), tmp_path, [1], [0, 1], accelerator) == rows
    assert "epoch 1" not in capsys.readouterr().out
    assert " ± " in students.summary(rows)["student"]["mAP"] and " ± " not in students.summary(rows)["ensemble"]["mAP"]


def test_gains_are_over_the_same_run_of_a_row():
    rows = {"plain": {"a": {"mAP": 0.5}, "b": {"mAP": 0.75}}, "better": {"a": {"mAP": 0.75}, "b": {"mAP": 0.5}}}
    table = students.summary(rows, "plain")
    assert table["plain"]["gain of each"] == "" and table["better"]["gain of each"] == "+0.250 -0.250"


def test_starts_are_compared_on_classes_that_the_tagger_does_not_know(tiny, tmp_path, accelerator):
    from tests.docs.small_world import make_esc

    make_esc(tmp_path / "esc10")
    folder = tmp_path / "esc10"
    table = (folder / "esc10.csv").read_text().replace("sneezing", "sea_waves")
    (folder / "esc10.csv").write_text(table)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(students, "SOURCE_CLASSES", 3)
        rows = students.fine_tune(str(folder), tmp_path / "work", [1], [0], accelerator)
    assert all(list(runs) == ["fold 1, seed 0"] for runs in rows.values()) and len(rows) == 2


def test_mixtures_are_learned_with_what_cross_fitted_teachers_say(monkeypatch, tmp_path, accelerator):
    rng = np.random.default_rng(0)
    noise = [0.1 * rng.standard_normal(8000) for _ in range(20)]
    pool = dataset_of_waveforms(noise, [[k % 10] for k in range(20)], Vocabulary(SOUNDS), "noise", "all")
    small = {"backbone": TINY_BACKBONE, "pretraining": "none", "max_length": 48, "epochs": 1}
    monkeypatch.setattr(students, "STUDY_RECIPE", students.STUDY_RECIPE.replace(**small))
    monkeypatch.setattr(students, "MIXTURES", (32, 32))
    monkeypatch.setattr(students, "load_esc", lambda *_, **__: {"train": pool, "test": pool})
    rows = students.mixtures("esc10", tmp_path, [5], [0], accelerator)
    assert list(rows) == ["original", "enhanced", "distilled", "enhanced and distilled", "full"]
    assert all(list(runs) == ["fold 5, seed 0"] for runs in rows.values())
    assert 0 < rows["enhanced"]["fold 5, seed 0"][students.OF_TEACHERS] < 1
    distilled = read_json(tmp_path / "fold5" / "seed0" / "distilled" / "results.json")
    assert distilled["recipe"]["distillation"]["distillation_weight"] == students.SHARE_OF_SCORES
