"""Columns of people's own tables: found by their names, asked for by name, or refused with what to pass."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from psla_hf.data.load import load, load_splits, load_tagging_dataset
from psla_hf.data.sources import SOURCES
from psla_hf.data.summary import LoadOptions
from psla_hf.data.tables.columns import find_columns, normal_form


@pytest.mark.parametrize(
    ("header", "form"),
    [
        ("Begin Time (s)", "begintime"),
        ("start_time_seconds", "starttime"),
        ("\ufeffLabel ", "label"),
        ("Common Name", "commonname"),
        ("startTime", "starttime"),
        ("end_s", "end"),
        ("Offset [sec]", "offset"),
        ("classes", "classes"),
        ("onset_ms", "onsetms"),
        ("s", "s"),
    ],
)
def test_names_are_compared_without_case_spaces_and_seconds(header, form):
    assert normal_form(header) == form


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ("file label", {"path": "file", "labels": "label"}),
        ("File;Species", {"path": "File", "labels": "Species"}),
        ("file label category class", {"path": "file", "labels": "label"}),
        ("filename fold target category", {"path": "filename", "labels": "category"}),
        (
            "segment_id start_time_seconds end_time_seconds label",
            {"path": "segment_id", "start": "start_time_seconds", "end": "end_time_seconds", "labels": "label"},
        ),
        (
            "filename onset offset event_label",
            {"path": "filename", "start": "onset", "end": "offset", "labels": "event_label"},
        ),
        ("wav from to tags", {"path": "wav", "start": "from", "end": "to", "labels": "tags"}),
        ("wav begin duration tag", {"path": "wav", "start": "begin", "duration": "duration", "labels": "tag"}),
        ("wav start end duration tag", {"path": "wav", "start": "start", "end": "end", "labels": "tag"}),
        ("recording sound subset", {"path": "recording", "labels": "sound", "split": "subset"}),
        ("wav label duration offset end", {"path": "wav", "labels": "label"}),
    ],
)
def test_columns_are_found_by_their_names(columns, found):
    names = columns.split(";") if ";" in columns else columns.split()
    assert find_columns(names, {}, "clips.csv")[0] == found


@pytest.mark.parametrize(
    ("columns", "asked", "message"),
    [
        (["file", "what"], {}, r"column labels or label in clips\.csv.*found \['file', 'what'\].*label_column='what'"),
        (["file", "species", "tag"], {}, r"found 'species', 'tag' among .*label_column='species'"),
        ([], {}, r"column file_name or .* found \[\]"),
        (["where", "label"], {}, r"column file_name or .* found \['where', 'label'\].*file_column='where'"),
        (["audio", "clip", "label"], {}, r"found 'audio', 'clip' among .*file_column='audio'"),
        (["file", "label", "onset"], {}, r"end or duration beside 'onset' .*start_column=''"),
        (["file", "label", "begin", "offset"], {}, "end or duration beside 'begin'"),
        (["file", "label", "until"], {"end_column": "until"}, "a column start beside 'until'"),
        (["file", "label", "length"], {"end_column": "length"}, "a column start beside 'length'"),
        (
            ["file", "label", "start", "Duration", "duration (s)"],
            {},
            r"found 'Duration', 'duration \(s\)' .*end_column='Duration', which is taken as a duration",
        ),
        (["file", "label", "start", "length"], {}, r"beside 'start' .*Pass end_column, whose name says so .*length\)"),
        (["file", "label"], {"label_column": "lable"}, r"label_column to be a column .* Did you mean 'label'\?"),
        (["file", "label", "f"], {"fold_column": "f", "split_column": "f"}, "split_column or a fold_column, got both"),
        (["file", "label"], {"label_column": ""}, "Expected the name of a column as label_column"),
        (["file", "label", "set", "Subset"], {}, r"found 'set', 'Subset' .*split_column='set'"),
    ],
)
def test_what_may_mean_several_or_none_is_refused_with_what_to_pass(columns, asked, message):
    with pytest.raises(ValueError, match=message):
        find_columns(columns, asked, "clips.csv")


def test_what_is_asked_for_decides():
    columns = ["slice_file_name", "start", "end", "Fold", "class", "species", "site", "split"]
    asked = {"file_column": "slice_file_name", "start_column": "", "label_column": "Class", "fold_column": "fold"}
    found, notes = find_columns(columns, {**asked, "group_column": "site"}, "clips.csv")
    assert found == {"path": "slice_file_name", "labels": "class", "fold": "Fold", "group": "site"} and not notes


def test_our_own_names_are_taken_without_a_note_and_others_with_one():
    assert find_columns(["file", "label", "start", "end", "split"], {}, "clips.csv")[1] == []
    assert find_columns(["audio", "Label", "split"], {}, "clips.csv")[1] == [
        "Columns of clips.csv were taken by their names: audio as file, Label as labels."
    ]


def test_every_setting_is_one_of_the_source():
    assert {"file_column", "group_column", "negatives"} <= set(SOURCES["own"].settings)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with a.wav, b.wav and deep/c.wav of 4 s."""
    for name in ("a.wav", "b.wav", "deep/c.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, np.full(32000, 0.1), 8000)
    return tmp_path


def write(folder: Path, text: str, name: str = "clips.csv") -> Path:
    (folder / name).write_text(text)
    return folder / name


def notes_of(place: Path, **settings) -> list[str]:
    summaries = load_splits("own", place, LoadOptions(quiet=True), **settings).summaries
    return [note for summary in summaries.values() for note in summary.notes]


def test_a_duration_stands_for_an_end(folder):
    table = write(folder, "wav\tbegin_time\tduration\tspecies\na.wav\t1,5\t0,5\tdog\nb.wav\t1\t\tcat\n", "clips.tsv")
    clips = load_tagging_dataset(table, quiet=True)
    assert list(clips["start"]) == [1.5, 1] and list(clips["end"]) == [2, None]


@pytest.mark.parametrize(
    ("column", "end"), [("Duration", 3), ("duration (s)", 2.5), ("Length [s]", 3.5), ("until", 1.5), ("stop", 2)]
)
def test_the_end_that_is_asked_for_is_a_duration_by_its_name(folder, column, end):
    header = "file,label,start,Duration,duration (s),Length [s],until,stop"
    table = write(folder, f"{header}\na.wav,dog,1,2,1.5,2.5,1.5,2\n")
    assert list(load_tagging_dataset(table, end_column=column, quiet=True)["end"]) == [end]
    noted = f"Columns of clips.csv were taken by their names: {column} as duration."
    assert (noted in notes_of(table, end_column=column)) == (column[:3].lower() in ("dur", "len"))


def test_groups_are_a_column_of_the_listing_and_folds_are_its_splits(folder):
    table = write(folder, "file,label,site,part,split\na.wav,dog,north,1,train\nb.wav,cat,south,2,train\n")
    listing = SOURCES["own"].list_folder(table, group_column="site", fold_column="part")
    assert listing.clips["group"].to_pylist() == ["north", "south"]
    assert listing.clips["fold"].to_pylist() == ["1", "2"] and listing.splits == ["fold 1", "fold 2"]
    data = load_tagging_dataset(table, fold_column="part", quiet=True)
    assert list(data) == ["fold 1", "fold 2"] and list(data["fold 2"]["id"]) == ["b"]
    assert "group" not in SOURCES["own"].list_folder(table).clips.column_names


def test_splits_that_part_a_group_are_refused(folder):
    rows = "a.wav,dog,north,1,train\nb.wav,cat,north,2,test\ndeep/c.wav,cat,south,2,test\n"
    table = write(folder, "file,label,site,part,split\n" + rows)
    parted = r"1 of 2 groups are in several, such as 'north' in "
    for settings, splits in (({}, "train, test"), ({"fold_column": "part"}, "fold 1, fold 2"), ({"split": "test"}, "")):
        with pytest.raises(ValueError, match=parted + splits):
            load_tagging_dataset(table, group_column="site", quiet=True, **settings)
    with pytest.raises(ValueError, match=parted):
        load("own", table, LoadOptions(quiet=True), group_column="site")
    write(folder, "file,label,site,part,split\n" + rows.replace("2,test", "1,train", 1))
    data = load_tagging_dataset(table, group_column="site", quiet=True)
    assert {split: list(clips["id"]) for split, clips in data.items()} == {"train": ["a", "b"], "test": ["deep/c"]}


def test_clips_have_their_groups_with_splits_or_without(folder):
    table = write(folder, "file,label,site\na.wav,dog,north\nb.wav,cat,south\n")
    options = LoadOptions(quiet=True)
    groups = ["north", "south"]
    assert load_tagging_dataset(table, group_column="site", quiet=True)["group"] == groups
    assert load_splits("own", table, options, group_column="site").parts["all"].groups.names == groups
    assert "group" not in load_tagging_dataset(table, quiet=True).features


def test_a_clip_without_a_group_is_refused(folder):
    table = write(folder, "file,label,site\na.wav,dog,north\nb.wav,cat,\n")
    with pytest.raises(ValueError, match=r"Expected site in every row of .*clips\.csv, line 3"):
        load_tagging_dataset(table, group_column="site")


def test_columns_of_a_data_set_are_refused(folder):
    clips = load_tagging_dataset(write(folder, "file,label\na.wav,dog\n"), quiet=True)
    with pytest.raises(ValueError, match=r"Expected a table or a folder to go with .* columns, got Dataset"):
        load_tagging_dataset(clips, label_column="label")


def test_columns_of_no_table_are_refused(folder):
    (folder / "a.wav").unlink()
    (folder / "b.wav").unlink()
    with pytest.raises(ValueError, match=r"Expected tables in .* to go with label_column"):
        load_tagging_dataset(folder, label_column="species")


@pytest.mark.parametrize("name", ["c.wav", "c", "other/c.wav", "D:\\\\work\\\\c.wav", "c.flac"])
def test_a_file_that_lies_elsewhere_below_is_found_by_its_name(folder, name):
    table = write(folder, f"file,label\na.wav,dog\n{name},cat\n")
    assert list(load_tagging_dataset(table, quiet=True)["id"]) == ["a", "deep/c"]
    assert f"clips.csv: 1 files were found below {folder} by their names alone." in notes_of(table)


def test_a_name_of_several_files_is_refused(folder):
    (folder / "other").mkdir()
    (folder / "other" / "c.wav").write_bytes((folder / "a.wav").read_bytes())
    table = write(folder, "file,label\na.wav,dog\nc,cat\n")
    with pytest.raises(ValueError, match=r"'c' of a table .* found .*deep/c\.wav and .*other/c\.wav"):
        load_tagging_dataset(table)


@pytest.mark.parametrize("rows", ["deep/c.wav,dog\nlost/c.wav,cat", "one/c.wav,dog\ntwo/c.wav,cat\na.wav,cat"])
def test_one_file_is_never_found_for_two_names(folder, rows):
    table = write(folder, f"file,label\n{rows}\n")
    with pytest.raises(FileNotFoundError, match="listed clips are not in"):
        load_tagging_dataset(table)


def test_a_file_that_the_table_names_otherwise_is_not_found_again(folder):
    table = write(folder, "file,label\ndeep/../deep/c.wav,dog\nc,cat\n")
    with pytest.raises(FileNotFoundError, match="1 of 2 listed clips are not in"):
        load_tagging_dataset(table)


def test_audioset_with_strong_labels_loads_as_it_is(folder):
    header = "segment_id\tstart_time_seconds\tend_time_seconds\tlabel\n"
    table = write(folder, header + "a\t0.500\t1.25\t/m/01\nc\t1.000\t4.000\t/m/02\n", "audioset_strong.tsv")
    clips = load_tagging_dataset(table, quiet=True)
    assert list(clips["id"]) == ["a:0.500-1.250", "deep/c:1.000-4.000"]


def test_desed_loads_as_it_is(folder):
    (folder / "tables").mkdir()
    text = "filename\tonset\toffset\tevent_label\na.wav\t0.5\t1\tDog\na.wav\t2\t3\tSpeech\nb.wav\t\t\t\n"
    table = write(folder / "tables", text, "train.tsv")
    clips = load_tagging_dataset(table, audio_dir=folder, quiet=True)
    assert list(clips["id"]) == ["a:0.500-1.000", "a:2.000-3.000", "b"] and list(clips["labels"]) == [[0], [1], []]
