"""From a teacher, or its saved scores, to a label set: one command, which may be killed and shared."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from psla_hf.commands import run as psla
from psla_hf.data.load import load_esc
from psla_hf.data.schema import labels_of, vocabulary_of
from psla_hf.enhancement.label_set import LabelSet
from psla_hf.hub.dataset_cards import label_card

SETTINGS = ("dataset", "threshold", "types", "soft", "iterations", "teacher", "teacher_fingerprint", "skip_sources")
SCORING = ("--batch-size", 4, "--clips-per-chunk", 2)  # of a teacher; saved scores take neither


@pytest.fixture
def clips(esc_folder):
    return load_esc(esc_folder, 1, quiet=True)["train"]


@pytest.fixture
def ontology(clips, tmp_path) -> Path:
    """Dogs above rain above roosters."""
    mids = vocabulary_of(clips).mids
    nodes = [{"id": mids[0], "child_ids": [mids[1]]}, {"id": mids[1], "child_ids": [mids[2]]}, {"id": mids[2]}]
    path = tmp_path / "ontology.json"
    path.write_text(json.dumps(nodes))
    return path


@pytest.fixture
def options(esc_folder, ontology) -> list:
    return ["--data-dir", esc_folder, "--ontology", ontology]


@pytest.fixture
def enhance(options):
    """Run the command in this process."""

    def call(*arguments) -> None:
        psla(["enhance", *options, *(SCORING if "--teacher" in arguments else ()), *arguments])

    return call


def rows_of(folder) -> tuple:
    label_set = LabelSet.open(folder)
    return label_set.ids, label_set.enhanced.values.tolist(), label_set.enhanced.offsets.tolist()


def test_a_teacher_enhances_and_its_scores_serve_again(enhance, saved_model, clips, tmp_path, capsys):
    enhance("--teacher", saved_model, "--output", tmp_path / "mean")
    assert "labels added to 24" in capsys.readouterr().out
    report = json.loads((tmp_path / "mean" / "report.json").read_text())
    assert report["labels"]["added"] > 0 and report["commit"] and set(SETTINGS) <= set(report)
    assert report["teacher"] == "model" and str(tmp_path) not in (tmp_path / "mean" / "report.json").read_text()
    example = report["most_changed"][0]["examples"][0]
    assert example["path"] == f"audio/{example['id']}.wav"
    enhanced = LabelSet.open(tmp_path / "mean").apply(clips)
    assert len(enhanced.labels.values) == report["labels"]["after"]

    scores = tmp_path / "mean.scores"
    written = {path: path.stat().st_mtime_ns for path in scores.glob("*.npy")}
    lower = ("--threshold", "5P", "--types", "II", "--soft", "--scores-dir", scores, "--output", tmp_path / "5P")
    enhance("--teacher", saved_model, *lower)
    assert written == {path: path.stat().st_mtime_ns for path in scores.glob("*.npy")} and len(written) == 12
    report = json.loads((tmp_path / "5P" / "report.json").read_text())
    assert (report["threshold"], report["types"], report["soft"]) == (5.0, ["II"], True)
    assert LabelSet.open(tmp_path / "5P").values.min() < 1

    rows = np.concatenate([np.load(path) for path in sorted(written)])
    np.savetxt(tmp_path / "scores.csv", rows.astype(np.float64), delimiter=",")
    for number, saved in enumerate((scores, tmp_path / "scores.csv")):
        enhance("--scores", saved, "--output", tmp_path / str(number))
        assert rows_of(tmp_path / str(number)) == rows_of(tmp_path / "mean")
    made = [json.loads((tmp_path / name / "report.json").read_text()) for name in ("mean", "0", "1")]
    assert [report["teacher"] for report in made] == ["model", "model", "whoever made the scores in scores.csv"]
    assert made[0]["teacher_fingerprint"] == made[1]["teacher_fingerprint"] and made[2]["teacher_fingerprint"] is None
    label_card({"mean": tmp_path / "mean", "saved": tmp_path / "0"}, "user/labels", "cc-by-4.0")
    assert not list(tmp_path.glob(".*"))


def test_a_run_that_is_killed_goes_on_in_two_processes(enhance, saved_model, options, tmp_path):
    enhance("--teacher", saved_model, "--output", tmp_path / "whole")
    common = [
        "-m",
        "psla_hf.commands",
        "enhance",
        *options,
        *SCORING,
        "--teacher",
        saved_model,
        "--output",
        tmp_path / "set",
    ]
    first = subprocess.Popen([sys.executable, *map(str, common)], start_new_session=True)
    chunks = tmp_path / "set.scores"
    while first.poll() is None and len(list(chunks.glob("*.npy"))) < 3:
        time.sleep(0.005)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert not (tmp_path / "set").exists()
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2"]
    done = subprocess.run([*launch, *map(str, common)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert rows_of(tmp_path / "set") == rows_of(tmp_path / "whole")
    assert done.stdout.count("Label set and report.md") == 1


def test_clips_without_saved_scores_are_told(enhance, tmp_path, clips, capsys):
    scores = np.ones((24, 3), np.float32)
    scores[[1, 5]] = np.nan
    np.save(tmp_path / "scores.npy", scores)
    saved = ("--scores", tmp_path / "scores.npy", "--output", tmp_path / "set")
    with pytest.raises(SystemExit) as stopped:
        enhance(*saved)
    assert stopped.value.code == 2
    assert f"2 of 24 clips have none (NaN), such as {clips[1]['id']}, {clips[5]['id']}" in capsys.readouterr().err
    enhance(*saved, "--on-error", "skip")
    assert "2 of 24 clips have no scores" in capsys.readouterr().out


def test_classes_that_propose_nothing_count_in_the_report(enhance, ontology, clips, tmp_path):
    np.save(tmp_path / "scores.npy", np.eye(3, dtype=np.float32)[labels_of(clips).values])
    enhance("--scores", tmp_path / "scores.npy", "--output", tmp_path / "all")
    mids = vocabulary_of(clips).mids
    enhance("--scores", tmp_path / "scores.npy", "--output", tmp_path / "less", "--skip-sources", mids[2])
    found = [
        json.loads((tmp_path / name / "report.json").read_text())["hierarchy"]["before"] for name in ("all", "less")
    ]
    assert found[0] == found[1] and found[0]["labels"] == 16


def nothing(tmp_path) -> list:
    return []


def occupied(tmp_path) -> list:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "file").write_text("")
    return []


def too_few(tmp_path) -> list:
    np.save(tmp_path / "scores.npy", np.ones((20, 3), np.float32))
    return []


def no_scores(tmp_path) -> list:
    np.save(tmp_path / "scores.npy", np.full((24, 3), np.nan, np.float32))
    return []


def a_gap(tmp_path) -> list:
    scores = np.ones((24, 3), np.float32)
    scores[7, 1] = np.nan
    np.save(tmp_path / "scores.npy", scores)
    return []


def unrelated(tmp_path) -> list:
    nodes = json.loads((tmp_path / "ontology.json").read_text())
    (tmp_path / "ontology.json").write_text(json.dumps([{"id": node["id"]} for node in nodes]))
    return []


def other_classes(tmp_path) -> list:
    (tmp_path / "ontology.json").write_text('[{"id": "cat"}]')
    return []


@pytest.mark.parametrize(
    ("prepare", "options_changed", "message"),
    [
        (occupied, [], "not empty"),
        (too_few, [], "got 20 rows (4 rows missing)"),
        (other_classes, [], "3 of 3 are not"),
        (unrelated, [], "relates none of the 3"),
        (no_scores, ["--on-error", "skip"], "24 of 24 clips have none"),
        (a_gap, [], "1 of 24 clips lack some (NaN), such as 3-1001-A-10, which lacks 1."),
        (nothing, ["--threshold", "most"], "expected mean, median or a percentile"),
        (nothing, ["--types", "I,III"], "['I', 'III']"),
        (nothing, ["--iterations", "0"], "at least one iteration"),
        (nothing, ["--scores", "nowhere.npy"], "there is no nowhere.npy"),
    ],
)
def test_what_a_user_gets_wrong_is_one_clear_line(enhance, tmp_path, capsys, prepare, options_changed, message):
    np.save(tmp_path / "scores.npy", np.ones((24, 3), np.float32))
    prepare(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        enhance("--scores", tmp_path / "scores.npy", "--output", tmp_path / "set", *options_changed)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
