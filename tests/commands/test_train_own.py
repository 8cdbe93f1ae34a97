"""`psla train` on people's own folders and tables: what it chooses, says, writes and refuses."""

import json
import subprocess
import sys
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
import soundfile
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from psla_hf.commands import run
from psla_hf.data.load import load
from psla_hf.data.summary import LoadOptions
from psla_hf.hub.model_card import model_card
from tests.conftest import TINY_BACKBONE

SMALL = ["--backbone", TINY_BACKBONE, "--pretraining", "none", "--epochs", "2", "--cpu"]


def psla(*words: object) -> None:
    run(map(str, words))


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    """A folder for each of three classes, with recordings of a tone."""
    folder = tmp_path_factory.mktemp("data") / "birds"
    rng = np.random.default_rng(0)
    for k, name in enumerate(("robin", "wren", "Wren")):
        (folder / name).mkdir(parents=True)
        for number in range(24 if k == 0 else 6):
            tone = np.sin(2 * np.pi * 400 * (k + 1) * np.arange(16000) / 16000)
            soundfile.write(folder / name / f"{number}.flac", 0.3 * tone + 0.05 * rng.standard_normal(16000), 16000)
    return folder


def test_a_folder_is_all_it_takes(birds, tmp_path, capsys):
    psla("train", birds, "--output-dir", tmp_path / "run", *SMALL)
    printed = capsys.readouterr().out
    for said in (
        "Splits were made, stratified, by recording, with seed 0",
        "Chosen: recipe own_small: ",
        "Chosen: max_length 128: 1.28 s, 95% of the clips are no longer than 1.00 s",
        "Chosen: balanced_sampling on: the most frequent class has",
        "Note: Class names that may be one class, with their clips: 'Wren' (6) and 'wren' (6).",
        "Note: Classes with fewer than 10 clips to train on: Wren (4); wren (4)",
    ):
        assert said in printed
    trained = json.loads((tmp_path / "run" / "results.json").read_text())
    assert trained["data"]["made"]["seed"] == 0 and trained["recipe"]["schedule"]["epochs"] == 2

    table = tmp_path / "run" / "splits.csv"
    psla("evaluate", tmp_path / "run", "--data-dir", table, "--output", tmp_path / "evaluated.json")
    evaluated = json.loads((tmp_path / "evaluated.json").read_text())
    assert evaluated["results"] == pytest.approx(trained["results"]["averaged"], abs=1e-4)
    assert evaluated["seen"] is False


def test_splits_of_another_seed_are_made_again_to_evaluate_on_and_others_refused(birds, tmp_path, capsys):
    psla("train", birds, "--output-dir", tmp_path / "run", "--split-seed", 3, *SMALL)
    table, output = tmp_path / "run" / "splits.csv", ["--output", tmp_path / "evaluated.json"]
    figures = []
    for where in ([birds, "--split-seed", 3], [table], [table, "--label-column", "labels"]):
        psla("evaluate", tmp_path / "run", "--data-dir", *where, *output)
        figures.append(json.loads((tmp_path / "evaluated.json").read_text())["results"])
    assert figures[0] == figures[1] == figures[2]
    joined = ["aggregate", "ensemble", tmp_path / "run", tmp_path / "run" / "last_epoch"]
    psla(*joined, "--data-dir", birds, "--split-seed", 3, "--output-dir", tmp_path / "joined")
    [member, _] = json.loads((tmp_path / "joined" / "results.json").read_text())["members"]
    assert member["results"] == pytest.approx(figures[0])
    with pytest.raises(SystemExit):
        psla(*joined, "--split-seed", 3, "--output-dir", tmp_path / "again")
    assert "--split-seed would have no effect without --data-dir" in capsys.readouterr().err
    capsys.readouterr()
    with pytest.raises(SystemExit):
        psla("evaluate", tmp_path / "run", "--data-dir", birds)
    assert "was trained on" in capsys.readouterr().err


def test_segments_of_a_table_are_prepared_by_its_columns(birds, tmp_path, capsys):
    table = tmp_path / "table.csv"
    rows = [f"robin/{number}.flac;0.2;0.7;robin" for number in range(4)]
    table.write_text("\n".join(["what;from;until;bird", *rows]))
    columns = ["--file-column", "what", "--start-column", "from", "--end-column", "until", "--label-column", "bird"]
    own = ["--data-dir", table, "--audio-dir", birds, "--title", "Birds", *columns]
    psla("prepare", "own", *own, "--output-dir", tmp_path / "shards")
    assert "all, 4 of 4 clips" in capsys.readouterr().out
    [shard] = (tmp_path / "shards" / "data").glob("*.parquet")
    assert pd.read_parquet(shard)["seconds"].to_list() == pytest.approx([0.5] * 4)


def test_a_plan_says_the_same_and_touches_nothing(birds, tmp_path, capsys):
    psla("train", birds, "--output-dir", tmp_path / "run", "--dry-run", "--sampling-rate", 32000, "--batch-size", 4)
    printed = capsys.readouterr().out
    assert "Chosen: epochs 40: for " in printed and "sampling_rate 32000" in printed and "batch_size 4" in printed
    assert not (tmp_path / "run").exists()


def test_folds_are_runs_with_a_table_over_all(birds, tmp_path, capsys):
    output = tmp_path / "run"
    psla("train", birds, "--output-dir", output, "--folds", 2, *SMALL, "--epochs", 1)
    printed = capsys.readouterr().out
    assert "mean ± deviation" in printed
    folds = json.loads((output / "folds.json").read_text())
    assert list(folds["folds"]) == ["fold 1", "fold 2"]
    values = [of_fold["averaged"]["mAP"] for of_fold in folds["folds"].values()]
    assert folds["mean"]["averaged"]["mAP"]["mean"] == pytest.approx(np.mean(values))
    for fold in (1, 2):
        assert set(pd.read_csv(output / f"fold{fold}" / "splits.csv")["split"]) == {"train", "test"}


def train_in_two_processes(*words: object) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [*launcher, "-m", "psla_hf.commands", "train", *words, "--cpu", *SMALL, "--epochs", 1]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_folds_of_two_processes_are_tracked_each_by_itself(birds, tmp_path):
    train_in_two_processes(birds, "--output-dir", tmp_path / "run", "--folds", 2, "--trackers", "tensorboard")
    for fold in (1, 2):
        folder = tmp_path / "run" / f"fold{fold}"
        assert json.loads((folder / "results.json").read_text())["processes"] == 2
        [row] = json.loads((folder / "results.json").read_text())["epochs"]
        [logged] = EventAccumulator(str(folder / "psla-hf")).Reload().Scalars("mAP")
        assert logged.value == pytest.approx(row["mAP"], rel=1e-6)
    assert (tmp_path / "run" / "folds.json").is_file()


def test_a_table_of_times_is_trained_on_by_its_segments(birds, tmp_path, capsys):
    rows = [
        {"file": f"{name}/{number}.flac", "start": start, "end": start + 0.5, "species": name}
        for name in ("robin", "wren")
        for number in range(6)
        for start in (0.0, 0.5)
    ]
    table = tmp_path / "calls.csv"
    pd.DataFrame(rows).to_csv(table, index=False, sep=";")
    psla("train", table, "--audio-dir", birds, "--label-column", "species", "--output-dir", tmp_path / "run", *SMALL)
    printed = capsys.readouterr().out
    assert "95% of the clips are no longer than 0.50 s" in printed
    assert json.loads((tmp_path / "run" / "results.json").read_text())["classes"] == ["robin", "wren"]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([], "expected the data as the first argument or as --data-dir"),
        (["a", "--data-dir", "b"], "expected the data as the first argument or as --data-dir"),
        (["nowhere"], "there is no nowhere"),
        (["birds", "--folds", "2", "--push-to-hub", "me/birds"], "expected one model for --push-to-hub"),
        (["birds", "--folds", "1"], "Expected at least 2 folds, got 1"),
        (["birds", "--folds", "0"], "Expected at least 2 folds, got 0"),
        (["birds", "--folds", "3", "--fold", "0"], "Expected clips in fold 0"),
        (["birds", "--cross-fit", "0"], "Expected at least 2 parts to cross-fit, got 0"),
        (["birds", "--file-column", "x"], "file_column"),
    ],
)
def test_what_cannot_be_meant_is_refused(birds, words, error, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(birds.parent)
    with pytest.raises(SystemExit) as ended:
        psla("train", *words, "--output-dir", tmp_path / "run", "--cpu")
    assert ended.value.code == 2 and error in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_teachers_are_cross_fitted_to_the_clips_that_they_did_not_hear(birds, tmp_path, capsys):
    run = ("train", birds, "--output-dir", tmp_path / "fit", *SMALL, "--cross-fit", 2)
    psla(*run, "--dry-run")
    assert not (tmp_path / "fit").exists()
    psla(*run)
    psla(*run, "--resume")
    printed = capsys.readouterr().out
    train = [loaded(tmp_path / "fit" / f"part{number}")["clips"] for number in (1, 2)]
    assert (train[0]["train"], train[0]["test"]) == (train[1]["test"], train[1]["train"])
    scores = np.load(tmp_path / "fit" / "scores" / "chunk-000000000.npy")
    assert len(scores) == train[0]["train"] + train[0]["test"] and np.isfinite(scores).all()
    assert f"Scores of {len(scores)} clips, each by a teacher that did not hear it" in printed
    parts = [np.load(tmp_path / "fit" / f"part{number}" / "scores" / "chunk-000000000.npy") for number in (1, 2)]
    assert sorted(map(tuple, scores.tolist())) == sorted(map(tuple, np.concatenate(parts).tolist()))
    assert loaded(tmp_path / "fit" / "part2")["data"]["cross_fit"] == {"part": 2, "of": 2}
    student = ("train", birds, "--output-dir", tmp_path / "student", *SMALL, "--distillation-weight", 0.5)
    psla(*student, "--teacher-scores", tmp_path / "fit" / "scores")
    teacher = "2 models of the recipe own_small, each for the clips that it was not trained on"
    assert loaded(tmp_path / "student")["data"]["distilled"]["teacher"] == teacher
    with pytest.raises(SystemExit):
        psla(*run, "--folds", 2)
    assert "--folds and --push-to-hub would have no effect" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        (slice(0, 0), None),
        (slice(0, 2), "2 of {} clips have no scores: they are learned from their labels alone."),
        (slice(None), "{0} of {0} clips have none (NaN)"),
        ((5, 1), "1 of {} clips lack some (NaN)"),
    ],
)
def test_clips_without_scores_to_learn_from_are_counted(birds, lacking, said, tmp_path, capsys):
    clips = len(load("own", birds, LoadOptions(quiet=True)).train)
    scores = np.full((clips, 3), 0.5, np.float32)
    scores[lacking] = np.nan
    np.save(tmp_path / "scores.npy", scores)
    words = ("train", birds, "--output-dir", tmp_path / "run", "--teacher-scores", tmp_path / "scores.npy", "--dry-run")
    with nullcontext() if said is None or "alone" in said else pytest.raises(SystemExit):
        psla(*words)
    printed = "".join(capsys.readouterr())
    assert said.format(clips) in printed if said else "have no scores" not in printed


def test_teachers_are_cross_fitted_by_two_processes(birds, tmp_path):
    train_in_two_processes(birds, "--output-dir", tmp_path / "fit", "--cross-fit", 2)
    assert [loaded(tmp_path / "fit" / f"part{number}")["processes"] for number in (1, 2)] == [2, 2]
    assert np.isfinite(np.load(tmp_path / "fit" / "scores" / "chunk-000000000.npy")).all()


def loaded(folder) -> dict:
    return json.loads((folder / "results.json").read_text())


def test_a_run_begins_from_a_tagger_and_takes_its_architecture(birds, tmp_path, capsys):
    psla("train", birds, "--output-dir", tmp_path / "first", *SMALL, "--num-attention-heads", 2)
    capsys.readouterr()
    tuned = ["--init-from", tmp_path / "first", "--epochs", "1", "--cpu", "--layer-decay", "0.8"]
    psla("train", birds, "--output-dir", tmp_path / "second", *tuned)
    said = "backbone and pooling are kept, and the head of 3 of the 3 classes; 0 are new"
    assert f"Chosen: begins from first: {said}." in capsys.readouterr().out
    results = json.loads((tmp_path / "second" / "results.json").read_text())
    model = results["recipe"]["model"]
    assert (model["backbone"], model["num_attention_heads"], model["pretraining"]) == (TINY_BACKBONE, 2, "none")
    assert results["init_from"]["name"] == "first" and results["init_from"]["origin"]["data"]["dataset"] == "own"
    card = str(model_card(tmp_path / "second"))
    assert "from the weights of `first`, with its head for 3 of the 3 classes. Trained for 1 epoch" in " ".join(
        card.split()
    )
    with pytest.raises(SystemExit):
        psla("train", birds, "--output-dir", tmp_path / "third", *tuned, "--num-attention-heads", "4")
    error = capsys.readouterr().err
    assert "Expected num_attention_heads=2" in error and "got 4. Leave num_attention_heads out" in error
