"""ESC-10's settings are chosen for each fold by runs that did not hear it, and each run is trained once."""

import pytest

from psla_hf.training.recipes import get_recipe
from studies import esc10_selection as study
from studies.esc10_selection import (
    FOLDS,
    PAIRS,
    SETTINGS,
    Selection,
    choices,
    figures_by_seed,
    validation_run,
)
from tests.conftest import TINY_BACKBONE
from tests.docs.small_world import make_esc

FIRST, SECOND = list(SETTINGS)[:2]


def runs_of(accuracies: dict[str, dict[int, float]]) -> dict:
    """Finished runs in which a fold's accuracy is the same, whatever it was left out with."""
    return {
        validation_run(name, pair): {"folds": {str(fold): {"accuracy": of_folds[fold], "mAP": 0.9} for fold in pair}}
        for name, of_folds in accuracies.items()
        for pair in PAIRS
    }


def test_each_fold_is_left_out_twice_with_another_one_each_time():
    for fold in FOLDS:
        others = [other for pair in PAIRS if fold in pair for other in pair if other != fold]
        assert len(set(others)) == len(others) == 2


def test_a_folds_own_figures_have_no_say_in_its_choice():
    even = dict.fromkeys(FOLDS, 0.9)
    for fold in FOLDS:
        runs = runs_of({FIRST: even, SECOND: even | {fold: 1.0}})
        chosen = {tested: name for tested, (name, _) in choices(runs).items()}
        beside = {other for pair in PAIRS if fold in pair for other in pair} - {fold}
        assert {tested for tested, name in chosen.items() if name == SECOND} == beside


def test_a_recipe_has_the_settings_that_were_chosen():
    assert get_recipe("esc10/moved") == study.BEFORE.replace(**SETTINGS["moved, 8 clips"])


def test_settings_without_all_their_runs_are_no_choice():
    runs = runs_of({FIRST: dict.fromkeys(FOLDS, 0.8), SECOND: dict.fromkeys(FOLDS, 0.9)})
    del runs[validation_run(SECOND, (1, 2))]
    assert [choices(runs)[fold][0] for fold in FOLDS] == [FIRST, FIRST, SECOND, SECOND, SECOND]
    with pytest.raises(ValueError, match="without fold 1, got none"):
        choices({})


def test_settings_that_are_validated_later_leave_what_was_tested():
    figures = {"accuracy": 0.9, "mAP": 0.9}
    tested = {
        study.tested_run(FIRST, fold, seed): {"folds": {str(fold): figures}} for fold in FOLDS for seed in range(2)
    }
    before = runs_of({FIRST: dict.fromkeys(FOLDS, 0.8)}) | tested
    later = before | runs_of({SECOND: dict.fromkeys(FOLDS, 0.9)})
    assert study.fold_rows(later, [FIRST]) == study.fold_rows(before) != {}
    assert study.fold_rows(later) == {}


def test_runs_are_trained_once_and_their_figures_put_together(tmp_path, accelerator, capsys, monkeypatch):
    both = [FIRST, SECOND]
    monkeypatch.setattr(study, "SETTINGS", {FIRST: {}, SECOND: {"gain_db": 6.0}})
    make_esc(tmp_path / "esc10")
    clips = study.every_clip(str(tmp_path / "esc10"))
    base = study.BEFORE.replace(backbone=TINY_BACKBONE, pretraining="none", epochs=1, max_length=48, batch_size=8)

    def trained(what, *arguments) -> int:
        capsys.readouterr()
        what(*arguments)
        return capsys.readouterr().out.count("epoch")

    first = Selection(clips, tmp_path / "work", accelerator, base=base)
    assert trained(first.validate, both, [1, 2]) == 4
    assert trained(first.validate, both) == 6
    second = Selection(clips, tmp_path / "new", accelerator, first.found(), base)
    assert trained(second.validate, both) == 0
    assert trained(second.test, [0, 1]) == 10
    runs, known = second.found(), first.found()
    study.picture(runs, study.class_names(clips)).savefig(tmp_path / "confusions.png")
    assert list(figures_by_seed(runs)) == [0, 1]
    assert " ± " in study.fold_rows(runs)["all 5"]["accuracy"]
    assert study.fold_rows(known) == {} and "✓" in str(study.validation_rows(runs))
