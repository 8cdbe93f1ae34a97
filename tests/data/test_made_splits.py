"""Own data without splits are divided: seeded, by recording, and so that a table brings the same division back."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from psla_hf.commands.data import EvaluationData
from psla_hf.data.load import load, load_tagging_dataset
from psla_hf.data.summary import LoadOptions
from psla_hf.training.origins import check_held_out, has_seen
from tests.data.test_advice import noise

QUIET = LoadOptions(quiet=True)
NAMES = ('dog, "small"', "rain; heavy", "rooster")


@pytest.fixture
def folder(tmp_path):
    """Sixty recordings, each of two clips of half a second with its own class, in a table of times."""
    rows = []
    for k in range(60):
        soundfile.write(tmp_path / f"r{k}.wav", noise(k, 1.0), 16000)
        for start in (0.0, 0.5):
            rows.append({"file": f"r{k}.wav", "start": start, "end": start + 0.5, "labels": json.dumps([NAMES[k % 3]])})
    pd.DataFrame(rows).to_csv(tmp_path / "clips.csv", index=False)
    return tmp_path


def contents(loaded) -> dict:
    return {
        part: sorted((clip["id"], clip["start"], clip["end"], *clip["labels"]) for clip in clips)
        for part, clips in loaded.parts.items()
    }


def test_parts_are_made_by_recording_and_said(folder):
    loaded = load("own", folder / "clips.csv", QUIET)
    assert {part: len(clips) for part, clips in loaded.parts.items()} == {"train": 84, "validation": 18, "test": 18}
    paths = {part: {clip["audio"]["path"] for clip in clips} for part, clips in loaded.parts.items()}
    assert not paths["train"] & paths["test"] and not paths["train"] & paths["validation"]
    assert any("by recording, with seed 0: test 18, train 84" in note for note in loaded.summaries["train"].notes)
    made = loaded.facts()["made"]
    assert (made["seed"], made["folds"], len(made["digest"])) == (0, None, 64)
    assert contents(load("own", folder / "clips.csv", QUIET)) == contents(loaded)
    assert contents(load("own", folder / "clips.csv", QUIET, split_seed=1)) != contents(loaded)


def lost(path):
    """A file that is gone."""
    path.unlink()


def damaged(path):
    """A file that is no audio."""
    path.write_bytes(b"RIFF")


@pytest.mark.parametrize("settings", [{}, {"folds": 3}, {"parts": ["train"]}])
@pytest.mark.parametrize("harm", [lost, damaged])
def test_what_is_said_of_made_parts_are_the_clips_that_are_there(folder, harm, settings):
    for k in range(0, 60, 4):
        harm(folder / f"r{k}.wav")
    loaded = load("own", folder / "clips.csv", LoadOptions("drop", quiet=True), **settings)
    [said] = [note for summary in loaded.summaries.values() for note in summary.notes if "Splits were made" in note]
    found = Counter(split for clips in loaded.parts.values() for split in clips.column("split"))
    counts = ", ".join(f"{split} {found[split]}" for split in sorted(found))
    assert said == f"Splits were made, stratified, by recording, with seed 0: {counts}."
    assert sum(found.values()) == 90 or "parts" in settings


def test_the_table_brings_the_same_division_back(folder, tmp_path_factory, monkeypatch):
    with monkeypatch.context() as patch:
        patch.chdir(folder)
        loaded = load("own", "clips.csv", QUIET)
    table = tmp_path_factory.mktemp("elsewhere") / "splits.csv"
    loaded.made.save(table)
    again = load("own", table, QUIET)
    assert contents(again) == contents(loaded) and again.made is None
    assert all(clip["audio"]["path"].startswith(str(folder)) for clip in again.train)
    assert again.train.vocabulary == loaded.train.vocabulary


def test_folds_hold_out_one_after_the_other(folder, tmp_path):
    tested = []
    for fold in (1, 2, 3):
        loaded = load("own", folder / "clips.csv", QUIET, folds=3, fold=fold)
        assert loaded.fold == fold and loaded.validation is None and len(loaded.train) + len(loaded.test) == 120
        tested += loaded.test.ids
        loaded.made.save(tmp_path / f"{fold}.csv", fold)
        assert contents(load("own", tmp_path / f"{fold}.csv", QUIET)) == contents(loaded)
    assert len(set(tested)) == 120


@pytest.mark.parametrize("spelling", ["{}", "./{}", "sub/../{}", "{folder}/{}", "{folder}/sub/../{}"])
@pytest.mark.parametrize("table", ["clips.csv", "{folder}/clips.csv"])
def test_a_recording_is_in_one_part_however_its_path_is_spelled(folder, table, spelling, monkeypatch):
    (folder / "sub").mkdir()
    monkeypatch.chdir(folder)
    clips = pd.read_csv("clips.csv")
    spelled = [spelling.format(name, folder=folder) if k % 2 else name for k, name in enumerate(clips["file"])]
    clips.assign(file=spelled).to_csv("clips.csv", index=False)
    loaded = load("own", table.format(folder=folder), QUIET)
    files = {part: set(clips.files) for part, clips in loaded.parts.items()}
    assert not files["train"] & files["test"] and not files["train"] & files["validation"]
    assert len(set().union(*files.values())) == 60
    root = f"{folder}/" if table != "clips.csv" else ""
    names = {str(Path(name).with_suffix("")).removeprefix(root) for name in spelled}
    assert {clip.partition(":")[0] for part in loaded.parts.values() for clip in part.ids} == names


def test_up_from_a_link_is_where_the_link_leads(folder):
    """`link/..` is no name for the folder of the link."""
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "link").symlink_to(folder / "sub" / "deep")
    soundfile.write(folder / "sub" / "r0.wav", noise(0, 0.25), 16000)
    (folder / "links.csv").write_text("file,labels\nr0.wav,dog\nlink/../r0.wav,cat\n")
    assert list(load_tagging_dataset(folder / "links.csv", quiet=True)["seconds"]) == [1, 0.25]


def test_of_few_recordings_there_is_no_validation_part(folder):
    table = pd.read_csv(folder / "clips.csv").head(18)
    table.to_csv(folder / "few.csv", index=False)
    assert set(load("own", folder / "few.csv", QUIET).parts) == {"train", "test"}


def test_what_would_have_no_effect_is_refused(folder, esc_folder):
    table = pd.read_csv(folder / "clips.csv").assign(split=["train", "test"] * 60)
    table.to_csv(folder / "divided.csv", index=False)
    with pytest.raises(ValueError, match=r"split_seed would have no effect: divided\.csv has the splits train, test"):
        load("own", folder / "divided.csv", QUIET, split_seed=1)
    with pytest.raises(ValueError, match="split_seed and folds would have no effect on ESC-50"):
        load("esc", esc_folder, QUIET, folds=5)


def test_without_parts_the_data_stay_one(folder):
    assert len(load_tagging_dataset(folder / "clips.csv", quiet=True)) == 120


def test_a_test_on_other_made_splits_is_one_on_training_clips():
    def facts(**made) -> dict:
        parts = {part: {"splits": {part: 1}} for part in ("train", "test")}
        return {"dataset": "own", "parts": parts, **({"made": made} if made else {})}

    origin = {"data": facts(seed=0, folds=None)}
    assert not has_seen(facts(seed=0, folds=None), origin)
    assert has_seen(facts(seed=1, folds=None), origin)
    assert not has_seen(facts(), origin)


def shorter(folder):
    """The same table without its last recording."""
    pd.read_csv(folder / "clips.csv").head(118).to_csv(folder / "clips.csv", index=False)


def with_sites(folder):
    """The same table with a site for every four recordings."""
    table = pd.read_csv(folder / "clips.csv")
    table.assign(site=[f"site {k // 8}" for k in range(120)]).to_csv(folder / "clips.csv", index=False)


@pytest.mark.parametrize(("change", "settings"), [(shorter, {}), (with_sites, {"group_column": "site"})])
def test_the_same_seed_on_other_clips_or_groups_is_another_division(folder, change, settings):
    run = {"data": load("own", folder / "clips.csv", QUIET).facts()}
    assert not has_seen(load("own", folder / "clips.csv", QUIET).facts(), run)
    change(folder)
    tested = load("own", folder / "clips.csv", QUIET, parts=["test"], **settings).facts()
    with pytest.raises(ValueError, match=r"are others now: test on the table of the run's splits, its splits\.csv"):
        check_held_out(tested, {"m": run})
    del run["data"]["made"]["digest"]  # as older results
    assert not has_seen(tested, run)


def test_other_data_with_made_splits_are_not_those_trained_on(folder):
    run = {"data": load("own", folder / "clips.csv", QUIET).facts()}
    table = pd.read_csv(folder / "clips.csv").head(60)
    table.assign(labels=["frog", "toad"] * 30).to_csv(folder / "ponds.csv", index=False)
    assert not has_seen(load("own", folder / "ponds.csv", QUIET).facts(), run)
    table.assign(labels=[NAMES[2], "toad"] * 30).to_csv(folder / "ponds.csv", index=False)
    assert has_seen(load("own", folder / "ponds.csv", QUIET).facts(), run)


def test_what_to_pass_makes_the_division_of_the_run(folder):
    of_run = {"folds": 5, "fold": 2, "split_seed": 1}
    run = {"data": load("own", folder / "clips.csv", QUIET, **of_run).facts()}
    for otherwise in ({}, {"folds": 4}, {"folds": 5, "fold": 1}, {"folds": 5, "fold": 2}):
        with pytest.raises(ValueError, match=r"m held out fold 2 of 5 .*Pass folds=5, fold=2, split_seed=1, or"):
            check_held_out(load("own", folder / "clips.csv", QUIET, **otherwise).facts(), {"m": run})
    check_held_out(load("own", folder / "clips.csv", QUIET, **of_run).facts(), {"m": run})


def test_a_held_out_fold_is_that_of_data_with_folds_only(folder):
    """A command without folds makes none, and says which to pass."""
    run = {"data": load("own", folder / "clips.csv", QUIET, folds=5, fold=2).facts()}
    asked = EvaluationData(data_dir=str(folder / "clips.csv"))
    assert asked.load({"m": run}, quiet=True, folds=5).fold == 2
    with pytest.raises(ValueError, match="Pass folds=5, fold=2, split_seed=0"):
        asked.load({"m": run}, quiet=True)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"folds": 0}, "at least 2 folds, got 0"),
        ({"folds": 1}, "at least 2 folds, got 1"),
        ({"folds": -2}, "at least 2 folds, got -2"),
        ({"split_seed": -1}, "a split_seed of at least 0, got -1"),
    ],
)
def test_what_cannot_be_made_is_refused(folder, asked, message):
    with pytest.raises(ValueError, match=message):
        load("own", folder / "clips.csv", QUIET, **asked)


def test_a_table_may_begin_with_fold_0(folder):
    table = pd.read_csv(folder / "clips.csv")
    table.assign(fold=np.arange(len(table)) // 2 % 3).to_csv(folder / "folds.csv", index=False)
    asked = EvaluationData(data_dir=str(folder / "folds.csv"))
    settings = {"quiet": True, "fold_column": "fold"}
    run = {"data": load("own", folder / "folds.csv", QUIET, fold=0, fold_column="fold").facts()}
    assert asked.load({"m": run}, **settings).fold == 0  # which it held out
    assert replace(asked, fold=0).load({}, **settings).fold == 0
    assert asked.load({}, **settings).fold == 1
