"""`psla score` writes what a teacher says of clips, and `psla train` and `psla enhance` learn from it."""

import json

import numpy as np
import pytest

from psla_hf.commands import run
from tests.conftest import TINY_BACKBONE

STUDENT = ["--backbone", TINY_BACKBONE, "--pretraining", "none", "--epochs", "1", "--average-last", "1", "--cpu"]


def psla(*words: object) -> None:
    run(map(str, words))


def test_a_student_learns_from_the_scores_of_a_teacher(esc_folder, saved_model, tmp_path, capsys):
    scores = tmp_path / "scores"
    asked = ("score", "--teacher", saved_model, "--data-dir", esc_folder, "--clips-per-chunk", 5)
    psla(*asked, "--output", scores, "--shard-of", "2/2")
    printed = capsys.readouterr().out
    assert "The teacher knows 3 of the data's 3 classes." in printed and "Part 2 of 2 of the scores" in printed
    psla(*asked, "--output", scores)
    assert f"Scores of 24 clips: {scores}" in capsys.readouterr().out
    np.savetxt(tmp_path / "other.csv", np.full((24, 3), 0.5), delimiter=",")
    student = ("train", esc_folder, "--recipe", "esc10/distilled", "--teacher-scores", scores, tmp_path / "other.csv")
    psla(*student, "--output-dir", tmp_path / "run", *STUDENT)
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["data"]["distilled"]["teacher"] == "model and whoever made the scores in other.csv"
    assert results["recipe"]["distillation"] == {"distillation_weight": 0.9, "temperature": 1.0}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--shard-of", "4/3"], "expected a part such as 3/64, got 4/3"),
        (["--top-k", "9"], "Expected top_k from 1 to 3"),
        (["--activation", "softmax"], "activation and window_seconds would have no effect"),
        (["--class-map", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_what_a_user_gets_wrong_is_one_line(words, said, esc_folder, saved_model, tmp_path, capsys):
    with pytest.raises(SystemExit):
        psla("score", "--teacher", saved_model, "--data-dir", esc_folder, "--output", tmp_path / "scores", *words)
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_weight_without_scores_says_which_flag(esc_folder, tmp_path, capsys):
    with pytest.raises(SystemExit):
        psla("train", esc_folder, "--recipe", "esc10/distilled", "--output-dir", tmp_path / "run", *STUDENT)
    assert "(--teacher-scores FOLDER)" in capsys.readouterr().err
