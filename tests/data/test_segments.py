"""Segments of files: where they begin and end, which labels they have, and what lies between them."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from psla_hf.audio import read_audio
from psla_hf.data.load import load_splits, load_tagging_dataset
from psla_hf.data.schema import IndexedClips, class_names, tagging_features, vocabulary_of
from psla_hf.data.shards.prepare import prepare
from psla_hf.data.summary import LoadOptions
from psla_hf.data.tables.segments import seconds_of_cell
from psla_hf.loading.clip_windows import ClipWindows
from psla_hf.loading.samples import SampleMaker, TaggingDataset

RATE = 8000


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with a.wav and b.wav of 10 s, whose samples say the second they lie in."""
    for name in "ab":
        soundfile.write(tmp_path / f"{name}.wav", np.repeat(np.arange(10) / 16, RATE), RATE)
    return tmp_path


def load(folder: Path, *rows: str, **arguments):
    """The clips of a table of segments."""
    (folder / "clips.csv").write_text("\n".join(["file,start,end,label", *rows]) + "\n")
    return load_tagging_dataset(folder / "clips.csv", quiet=True, **arguments)


def notes_of(folder: Path, *rows: str, **arguments) -> list[str]:
    (folder / "clips.csv").write_text("\n".join(["file,start,end,label", *rows]) + "\n")
    options = LoadOptions("drop", quiet=True)
    return list(load_splits("own", folder / "clips.csv", options, **arguments).summaries["all"].notes)


def labels(clips) -> dict[str, list[str]]:
    names = class_names(clips)
    return {clip: [names[k] for k in of_clip] for clip, of_clip in zip(clips["id"], clips["labels"], strict=True)}


def test_a_segment_is_a_clip_with_its_times_and_its_length(folder):
    clips = load(folder, "a.wav,1.5,4,dog", "a.wav,7,,cat", "b.wav,,,dog")
    assert clips.features == tagging_features(vocabulary_of(clips), segments=True)
    assert list(clips["id"]) == ["a:1.500-4.000", "a:7.000-end", "b"]
    assert list(clips["start"]) == [1.5, 7, None] and list(clips["end"]) == [4, None, None]
    assert list(clips["seconds"]) == [2.5, 3, 10]


def test_lengths_follow_from_the_times_where_headers_are_not_read(folder):
    clips = load(folder, "a.wav,1.5,4,dog", "a.wav,7,,cat", read_headers=False)
    assert list(clips["seconds"]) == [2.5, None]


def test_the_fingerprint_changes_with_the_times(folder):
    first, again, other = (IndexedClips(load(folder, f"a.wav,1,{end},dog", "b.wav,,,cat")) for end in (4, 4, 4.0001))
    assert first.fingerprint == again.fingerprint != other.fingerprint


@pytest.mark.parametrize(
    ("header", "rows", "said"),
    [
        ("file,start,end,label", ["a.wav,1,4,dog", "b.wav,1,4,cat"], []),
        ("file,start,end,label", ["a.wav,,,dog", "b.wav,,,cat"], []),
        ("file,start,end,label", ["a.wav,1,,dog", "b.wav,2,,cat"], []),
        (
            "file,start,end,label",
            ["a.wav,1,4,dog", "a.wav,7,,dog", "b.wav,,nan,cat"],
            ["1 of 3 cells of the column start", "2 of 3 cells of the column end"],
        ),
        ("file,onset,offset,label", ["a.wav,,4,dog", "b.wav,1,4,cat"], ["1 of 2 cells of the column onset"]),
        ("file,start,duration,label", ["a.wav,1,,dog", "b.wav,1,4,cat"], ["1 of 2 cells of the column duration"]),
    ],
)
def test_cells_of_times_that_are_blank_are_counted_where_others_are_not(folder, header, rows, said):
    (folder / "clips.csv").write_text("\n".join([header, *rows]) + "\n")
    summary = load_splits("own", folder / "clips.csv", LoadOptions(quiet=True)).summaries["all"]
    found = [note for note in summary.notes if "blank" in note]
    assert [note.partition(" of clips.csv are blank: these clips ")[0] for note in found] == said
    assert all(note.endswith("with their files.") for note in found)


@pytest.mark.parametrize(
    ("cell", "decimal_comma", "seconds"),
    [
        ("12.5", False, 12.5),
        (" 3 ", False, 3),
        (12.5, False, 12.5),
        ("12,5", True, 12.5),
        ("1:02.5", False, 62.5),
        ("1:02,5", True, 62.5),
        ("1:02:03", False, 3723),
        ("", False, None),
        (None, False, None),
        (float("nan"), False, None),
    ],
)
def test_times_may_be_written_in_many_ways(cell, decimal_comma, seconds):
    assert seconds_of_cell(cell, decimal_comma) == seconds


@pytest.mark.parametrize(
    ("cell", "decimal_comma"), [("12,5", False), ("1:75", False), ("1:61:00", False), ("soon", False), (True, False)]
)
def test_what_is_no_time_is_refused(cell, decimal_comma):
    with pytest.raises(ValueError, match=r"Expected seconds as 12\.5, or 1:02.5"):
        seconds_of_cell(cell, decimal_comma)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "a.wav,4,4,dog",
            r"segment of .*a\.wav that ends .* got start 4 and end 4 in .*clips\.csv, line 3",
        ),
        ("a.wav,2,2.0001,dog", r"ends after it starts, by 0\.000125 s or more, .* got start 2 and end 2\.0001 in"),
        ("a.wav,9.99999,,dog", r"inside .*a\.wav, which is 10\.000 s long"),
        ("a.wav,9.99999,10.05,dog", r"inside .*a\.wav, which is 10\.000 s long"),
        ("a.wav,-1,4,dog", r"segment of .*a\.wav .* at 0 or later, got start -1 and end 4 in .*clips\.csv, line 3"),
        ("a.wav,soon,4,dog", r"clips\.csv, line 3: Expected seconds as .* got 'soon'"),
        ("a.wav,10,,dog", r"inside .*a\.wav, which is 10\.000 s long, got 10 to 10 s \(clips\.csv, line 3\)"),
        ("a.wav,9,10.2,dog", r"inside .*a\.wav, which is 10\.000 s long, got 9 to 10\.2 s \(clips\.csv, line 3\)"),
    ],
)
def test_impossible_segments_are_refused_with_their_file_and_row(folder, row, message):
    with pytest.raises(ValueError, match=message):
        load(folder, "b.wav,0,1,cat", row)


def test_segments_beyond_the_file_are_dropped_where_incomplete_lists_are_fine(folder):
    (folder / "clips.csv").write_text("file,start,end,label\na.wav,9,11,dog\nb.wav,1,2,cat\n")
    data = load_splits("own", folder / "clips.csv", LoadOptions("drop", quiet=True))
    assert data.parts["all"].ids == ["b:1.000-2.000"]
    assert list(data.summaries["all"].unreadable) == ["a:9.000-11.000"]


def test_an_end_a_little_beyond_the_file_is_the_files(folder):
    rows = "a.wav,8,10.1,dog", "b.wav,1,2,cat"
    assert list(load(folder, *rows)["end"]) == [10, 2]
    assert "1 segments end up to 0.1 s after their files; they end with these." in notes_of(folder, *rows)


def test_an_end_without_a_column_for_it_is_missed(folder):
    (folder / "clips.csv").write_text("file,start,label\na.wav,1,dog\n")
    with pytest.raises(ValueError, match="Expected a column end"):
        load_tagging_dataset(folder / "clips.csv")


def test_rows_of_one_segment_are_one_clip_with_all_their_labels(folder):
    rows = "a.wav,1,2,dog", "a.wav,1.0,2,cat", "a.wav,1,2,dog", "b.wav,1,2,cat"
    assert labels(load(folder, *rows)) == {"a:1.000-2.000": ["cat", "dog"], "b:1.000-2.000": ["cat"]}
    assert "2 rows repeat a segment; it has the labels of all its rows." in notes_of(folder, *rows)


def test_no_start_is_the_beginning(folder):
    rows = "a.wav,,4,dog", "a.wav,0,4,cat", "b.wav,,,dog", "b.wav,0,,cat"
    assert labels(load(folder, *rows)) == {"a:0.000-4.000": ["cat", "dog"], "b": ["cat", "dog"]}


def test_segments_less_than_a_thousandth_apart_have_ids_of_their_own(folder):
    rows = "a.wav,1.0001,4,dog", "a.wav,1.0004,4,cat", "a.wav,1.0006,4,dog", "b.wav,1.0001,4,dog"
    clips = load(folder, *rows)
    assert list(clips["id"]) == ["a:1.0001-4.0", "a:1.0004-4.0", "a:1.001-4.000", "b:1.000-4.000"]


def test_ids_of_rows_that_repeat_a_segment_are_counted(folder):
    rows = ["a.wav,1,2,dog,one", "a.wav,1,2,cat,two", "a.wav,1,2,rain,one", "b.wav,1,2,cat,three"]
    (folder / "ids.csv").write_text("\n".join(["file,start,end,label,id", *rows]) + "\n")
    [loaded] = load_splits("own", folder / "ids.csv", LoadOptions(quiet=True)).summaries.values()
    assert loaded.listed == 2 and "1 ids of rows that repeat a segment are not used: ['two']." in loaded.notes


def test_rows_of_one_segment_in_two_splits_are_refused(folder):
    (folder / "clips.csv").write_text("file,start,end,label,split\na.wav,1,2,dog,train\na.wav,1,2,cat,test\n")
    with pytest.raises(ValueError, match=r"clips\.csv, line 2 and clips\.csv, line 3 say different ones of .*a\.wav"):
        load_tagging_dataset(folder / "clips.csv")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (("a.wav,0,4,dog", "a.wav,3,5,rain"), [["dog", "rain"], ["dog", "rain"]]),
        (("a.wav,0,4,dog", "a.wav,3.1,5,rain"), [["dog"], ["rain"]]),
        (("a.wav,0,4,dog", "b.wav,0,4,rain"), [["dog"], ["rain"]]),
        (("a.wav,0,4,dog", "a.wav,4,5,rain"), [["dog"], ["rain"]]),
        (("a.wav,,,dog", "a.wav,4,5,rain"), [["dog", "rain"], ["dog", "rain"]]),
        (
            ("a.wav,0,9,dog", "a.wav,1,2,cat", "a.wav,3,4,rain"),
            [["cat", "dog", "rain"], ["cat", "dog"], ["dog", "rain"]],
        ),
    ],
)
def test_a_segment_has_the_labels_of_what_overlaps_it_by_half_of_the_shorter(folder, rows, expected):
    assert list(labels(load(folder, *rows)).values()) == expected
    changed = sum(len(names) > 1 for names in expected)
    noted = f"{changed} segments also have labels of others that overlap them by half or more."
    assert (noted in notes_of(folder, *rows)) == (changed > 0)


def test_what_no_row_covers_becomes_clips_without_labels(folder):
    rows = "a.wav,4,5,dog", "a.wav,4.5,6.5,cat"
    clips = load(folder, *rows, negatives=3)
    without = {
        clip: (start, end)
        for clip, names, start, end in zip(clips["id"], clips["labels"], clips["start"], clips["end"], strict=True)
        if not names
    }
    assert without == {"a:0.000-3.000": (0, 3), "a:3.000-4.000": (3, 4), "a:6.500-9.500": (6.5, 9.5)}
    noted = "3 clips of at most 3 s without labels are what no row covers of the files."
    assert noted in notes_of(folder, *rows, negatives=3)


def test_negatives_need_segments_and_a_length(folder):
    with pytest.raises(ValueError, match=r"negatives of at least 1 s, got 0\.5"):
        load(folder, "a.wav,1,2,dog", negatives=0.5)
    (folder / "clips.csv").write_text("file,label\na.wav,dog\n")
    with pytest.raises(ValueError, match="Expected segments with a start and an end for negatives"):
        load_tagging_dataset(folder / "clips.csv", negatives=5)


def test_segments_are_prepared_as_clips_of_their_own(folder):
    clips = load(folder, "a.wav,1,4,dog", "a.wav,8,,cat")
    manifest = prepare(clips, folder / "prepared", split="train")
    assert manifest["splits"]["train"]["clips"] == 2
    assert manifest["splits"]["train"]["hours"] == pytest.approx(5 / 3600, abs=1e-6)
    prepared = load_tagging_dataset(folder / "prepared", split="train", quiet=True)
    assert "start" not in prepared.features and list(prepared["seconds"]) == [3, 2]
    decoded = [read_audio(audio["bytes"], RATE) for audio in prepared["audio"]]
    assert [samples[100] * 16 for samples in decoded] == pytest.approx([1, 8], abs=0.01)


def test_a_segment_is_heard_from_its_start_to_its_end(folder):
    clips = load(folder, "a.wav,1,4,dog", "a.wav,8,,cat")
    dataset = TaggingDataset(clips, SampleMaker(len(class_names(clips)), RATE))
    heard = [np.rint(dataset[k].waveform[::RATE] * 16).tolist() for k in range(2)]
    assert heard == [[1, 2, 3], [8, 9]]


def test_windows_of_a_segment_lie_inside_it_where_headers_were_not_read(folder):
    clips = load(folder, "a.wav,4,,dog", "a.wav,1,3,cat", read_headers=False)
    windows = ClipWindows(clips, SampleMaker(len(class_names(clips)), RATE, window=2 * RATE))
    assert windows.owners.tolist() == [0, 0, 0, 1]
    assert [round(windows[k].waveform[100] * 16) for k in range(4)] == [4, 6, 8, 1]
