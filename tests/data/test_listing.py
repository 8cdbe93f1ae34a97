"""What a list names is checked, accounted for and returned: missing and unreadable clips, summaries, streams, size."""

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from psla_hf.data.listing import Listing, clip_table, load_listing
from psla_hf.data.load import load, load_esc, load_splits, load_tagging_dataset
from psla_hf.data.schema import labels_of, tagging_features, vocabulary_of
from psla_hf.data.sources.published import numbered_listing
from psla_hf.data.summary import LoadOptions, LoadSummary
from psla_hf.labels.vocabulary import Vocabulary


@pytest.fixture
def broken(tmp_path) -> Path:
    """A list of five clips of 0.5 s: one is missing, one holds no audio, one no samples."""
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, np.zeros(4000), 8000)
    (tmp_path / "c.wav").write_bytes(b"RIFF, but not really")
    soundfile.write(tmp_path / "d.wav", np.zeros(0), 8000)
    path = tmp_path / "clips.csv"
    path.write_text(
        "file,labels,split\na.wav,dog;cat,train\nb.wav,,train\nc.wav,dog,train\nd.wav,dog,test\ne.wav,dog,test\n"
    )
    return path


def test_dropped_clips_are_all_named_with_their_reason(broken, tmp_path):
    data = load_splits("own", broken, LoadOptions("drop"))
    assert data.train.ids == ["a", "b"] and data.test.ids == []
    LoadSummary.joined(list(data.summaries.values())).save(tmp_path / "summary.json")
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["missing"] == ["e"]
    assert set(summary["unreadable"]) == {"c", "d"}
    assert "Could not decode" in summary["unreadable"]["c"] and "holds no samples" in summary["unreadable"]["d"]
    assert summary["listed"] == 5 and summary["found"] == 2
    assert summary["splits"] == {"train": 2, "test": 0}
    assert summary["class_counts"] == {"cat": 1, "dog": 1}
    assert summary["hours"] == pytest.approx(1 / 3600)
    assert summary["notes"] == ["1 clips have no label."]
    assert summary["vocabulary"] == Vocabulary(("cat", "dog")).fingerprint


def test_incomplete_lists_are_refused_where_they_are_to_be(broken):
    with pytest.raises(FileNotFoundError, match=r"1 of 5 listed clips .*e\.wav.* pass incomplete='drop'"):
        load_tagging_dataset(broken)
    (broken.parent / "e.wav").write_bytes((broken.parent / "a.wav").read_bytes())
    with pytest.raises(ValueError, match=r"2 of 5 clips .* unreadable.* Could not decode .*c\.wav.*incomplete='drop'"):
        load_tagging_dataset(broken)
    with pytest.raises(ValueError, match="Expected incomplete='drop' or 'raise', got 'ignore'"):
        load_tagging_dataset(broken, incomplete="ignore")


def test_nothing_found_shows_what_is_listed_and_what_is_there(broken, tmp_path):
    broken.write_text("file,labels\nx.wav,dog\ny.wav,cat\n")
    with pytest.raises(FileNotFoundError, match=r"None of the 2 clips .*x\.wav.* There is audio.*'a\.wav', 'b\.wav'"):
        load_tagging_dataset(broken, incomplete="drop")
    for audio in tmp_path.glob("*.wav"):
        audio.unlink()
    with pytest.raises(FileNotFoundError, match=r"There is no audio, only \['clips\.csv'\]"):
        load_tagging_dataset(broken, incomplete="drop")
    (tmp_path / "audio").mkdir()
    with pytest.raises(FileNotFoundError, match="The folder is empty"):
        load_tagging_dataset(broken, audio_dir=tmp_path / "audio", incomplete="drop")


def test_nothing_readable_is_an_error_even_if_incomplete_lists_are_fine(broken):
    broken.write_text("file,labels\nc.wav,dog\n")
    with pytest.raises(ValueError, match=r"1 of 1 clips .* are unreadable"):
        load_tagging_dataset(broken, incomplete="drop")


def test_without_headers_lengths_are_unknown_and_the_summary_says_so(broken, capsys):
    data = load_tagging_dataset(broken, incomplete="drop", read_headers=False)
    assert list(data["train"]["id"]) == ["a", "b", "c"] and set(data["train"]["seconds"]) == {None}
    printed = capsys.readouterr().out
    assert "Headers were not read" in printed and "hours" not in printed.splitlines()[0]


def test_what_is_printed_is_what_can_be_had_and_saved(esc_folder, tmp_path, capsys):
    load_esc(esc_folder, 1)
    printed = capsys.readouterr().out
    data = load("esc", esc_folder, LoadOptions(quiet=True))
    assert printed == "".join(f"{data.summaries[part]}\n" for part in ("train", "test"))
    assert "esc50: 24 of 24 listed clips" in printed and "esc50: 6 of 6 listed clips" in printed
    joined = LoadSummary.joined([data.summaries["test"], data.summaries["train"]])
    joined.save(tmp_path / "summary.json")
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["found"] == summary["listed"] == 30
    assert summary["splits"] == {f"fold {fold}": 6 for fold in range(1, 6)}
    assert summary["class_counts"] == {"dog": 10, "rain": 10, "rooster": 10}
    load_esc(esc_folder, 1, quiet=True)
    assert capsys.readouterr() == ("", "")


def test_loading_leaves_nothing_in_the_cache(esc_folder, cache):
    load_esc(esc_folder, 1)
    assert not cache.exists()


def test_a_stream_has_the_same_rows_and_features_as_the_list(esc_folder):
    listed, streamed = (load_esc(esc_folder, 3, streaming=streaming) for streaming in (False, True))
    for part in ("train", "test"):
        assert list(streamed[part]) == list(listed[part])
        assert streamed[part].features == listed[part].features == tagging_features(vocabulary_of(listed[part]))


def test_two_hundred_thousand_clips_are_loaded_column_by_column(tmp_path):
    size = 200_000
    ids = [f"clip{i}" for i in range(size)]
    labels = [[i % 527, 527 + i % 3] for i in range(size)]
    table = clip_table(
        ids, [f"/clips/{name}.wav" for name in ids], [i % 4 > 0 for i in range(size)], labels, ["s"] * size
    )
    vocabulary = Vocabulary(tuple(f"class {k}" for k in range(530)))
    listing = Listing("many clips", tmp_path, vocabulary, table, "As they come.")
    start = time.perf_counter()
    clips = load_listing(listing, LoadOptions("drop", read_headers=False, quiet=True))["s"][0].dataset()
    assert time.perf_counter() - start < 10  # about half a second; row by row it takes a minute
    assert len(clips) == size * 3 // 4
    assert clips[0] == {
        "id": "clip1",
        "audio": {"path": "/clips/clip1.wav", "bytes": None},
        "labels": [1, 528],
        "mids": [1, 528],
        "split": "s",
        "seconds": None,
    }
    assert labels_of(clips).class_counts().sum() == 2 * len(clips)


def test_a_class_number_with_two_names_is_refused(tmp_path):
    table = pd.DataFrame({"fold": ["1", "2"], "number": ["0", "0"], "name": ["dog", "cat"]})
    with pytest.raises(ValueError, match=r"one name for each class.*dog.*cat"):
        numbered_listing("pets", tmp_path, table, [tmp_path / "a.wav", tmp_path / "b.wav"], {}, "")


def with_folds(esc_folder, folds):
    """The table of ESC-50 with other cells in its first rows' column of folds."""
    table = pd.read_csv(esc_folder / "meta" / "esc50.csv", dtype=str)
    table["fold"] = [*folds, *table["fold"][len(folds) :]]
    table.to_csv(esc_folder / "meta" / "esc50.csv", index=False)
    return esc_folder


def test_a_fold_is_one_however_it_is_spelled(esc_folder):
    table = pd.read_csv(esc_folder / "meta" / "esc50.csv", dtype=str)
    spelled = [form.format(fold) for form, fold in zip(("{} ", " {}", "0{}"), table["fold"], strict=False)]
    before = load_esc(esc_folder, 1, quiet=True)
    after = load_esc(with_folds(esc_folder, spelled), 1, quiet=True)
    assert {part: list(after[part]) for part in after} == {part: list(before[part]) for part in before}


@pytest.mark.parametrize("fold", ["", "x", "1.5", "-1"])
def test_what_is_no_fold_is_refused(esc_folder, fold):
    with pytest.raises(ValueError, match=rf"Expected numbers of folds in the table of esc50 in .*, got \['{fold}'\]"):
        load_esc(with_folds(esc_folder, [fold]), 1)
