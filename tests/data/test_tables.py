"""Own data: tables and folders as people have them, labels as people write them; what is ambiguous is refused."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from psla_hf.data.load import load, load_splits, load_tagging_dataset
from psla_hf.data.schema import class_names, vocabulary_of
from psla_hf.data.summary import LoadOptions
from psla_hf.labels.vocabulary import Vocabulary

CLASSES = Vocabulary(("Speech", "Male speech, man speaking", "Dog"), ("/m/09x0r", "/m/05zppz", "/m/0bt9lr"))


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with the clips a.wav, b.wav and c.wav."""
    for name in "abc":
        write_clip(tmp_path / "data" / f"{name}.wav")
    return tmp_path / "data"


def write_clip(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(800), 8000)


def labels_of_cells(folder: Path, cells: list, **arguments) -> list[list[str]]:
    """The names of the classes that the loader finds for a.wav, b.wav, … with these labels, in JSON lines."""
    lines = [{"file": f"{name}.wav", "labels": cell} for name, cell in zip("abc", cells, strict=False)]
    (folder / "clips.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    clips = load_tagging_dataset(folder / "clips.jsonl", **arguments)
    return [[class_names(clips)[k] for k in of_clip] for of_clip in clips["labels"]]


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        (["Dog;Speech", "Dog", ""], [["Speech", "Dog"], ["Dog"], []]),
        (
            ["Dog|Speech", "Male speech, man speaking", "Dog|"],
            [["Speech", "Dog"], ["Male speech, man speaking"], ["Dog"]],
        ),
        (["Dog , Speech", "Male speech, man speaking"], [["Speech", "Dog"], ["Male speech, man speaking"]]),
        (["/m/0bt9lr,/m/09x0r", "/m/05zppz", "2"], [["Speech", "Dog"], ["Male speech, man speaking"], ["Dog"]]),
        ([["Dog", "/m/09x0r"], [1], []], [["Speech", "Dog"], ["Male speech, man speaking"], []]),
        (['["Dog", 0]', "[]", 1], [["Speech", "Dog"], [], ["Male speech, man speaking"]]),
        (["Male speech, man speaking;Dog", "Speech"], [["Male speech, man speaking", "Dog"], ["Speech"]]),
    ],
)
def test_labels_of_a_vocabulary_may_be_written_in_many_ways(folder, cells, names):
    assert labels_of_cells(folder, cells, vocabulary=CLASSES) == names


def test_one_column_has_one_separator(folder):
    assert labels_of_cells(folder, ["a, loud|b", "a, loud"]) == [["a, loud", "b"], ["a, loud"]]
    with pytest.raises(ValueError, match=r"Clip 'b': .*got 'Dog,Bark'.* JSON lists"):
        labels_of_cells(folder, ["Dog;Speech", "Dog,Bark"], vocabulary=CLASSES)


def test_a_given_separator_overrides_what_would_be_found(folder):
    cells = ["Male speech, man speaking/Dog", "Speech"]
    names = labels_of_cells(folder, cells, vocabulary=CLASSES, separator="/")
    assert names == [["Male speech, man speaking", "Dog"], ["Speech"]]
    with pytest.raises(ValueError, match=r"Clip 'a': .*'Male speech'"):
        labels_of_cells(folder, ["Male speech, man speaking"], vocabulary=CLASSES, separator=",")
    with pytest.raises(ValueError, match=r"Clip 'a': .*'Male speech'.* another separator"):
        labels_of_cells(folder, ["Male speech, man speaking,Dog"], vocabulary=CLASSES)


def test_without_a_vocabulary_the_names_that_occur_are_the_classes_in_alphabetical_order(folder):
    assert labels_of_cells(folder, ["wind;bird", "rain, heavy", ""]) == [["bird", "wind"], ["rain, heavy"], []]
    assert labels_of_cells(folder, ["wind", "808", ["a"]]) == [["wind"], ["808"], ["a"]]
    with pytest.raises(ValueError, match=r"Expected names of classes in .*only numbers. Pass a vocabulary"):
        labels_of_cells(folder, ["0", 1, [2]])
    with pytest.raises(ValueError, match=r"got no labels. Pass a vocabulary"):
        labels_of_cells(folder, ["", []])


@pytest.mark.parametrize("cell", [[["nested"]], "['quoted as in Python']", {"dog": 1}, 0.5, '{"dog": 1}'])
def test_what_is_no_label_names_its_clip(folder, cell):
    with pytest.raises(ValueError, match=r"Clip 'a': .*xpected"):
        labels_of_cells(folder, [cell], vocabulary=CLASSES)


@pytest.mark.parametrize("column", ["file_name", "file", "path", "filename", "fname", "wav"])
@pytest.mark.parametrize("labels", ["labels", "label"])
def test_a_csv_may_name_its_columns_in_usual_ways(folder, column, labels):
    (folder / "clips.csv").write_bytes(f'{column},{labels},id\r\na.wav,"x,y",first\r\nb.wav,y,second\r\n'.encode())
    clips = load_tagging_dataset(folder / "clips.csv")
    assert [(clip["id"], clip["labels"], clip["split"]) for clip in clips] == [
        ("first", [0, 1], "all"),
        ("second", [1], "all"),
    ]
    assert clips[0]["audio"]["path"] == str(folder / "a.wav")


def test_audio_may_lie_elsewhere_and_ids_are_paths_without_their_ending(folder, tmp_path):
    write_clip(tmp_path / "far" / "take.2.wav")
    write_clip(folder / "deep" / "a.wav")
    table = tmp_path / "lists" / "clips.csv"
    table.parent.mkdir()
    table.write_text(f"file,label\na.wav,x\ndeep/a.wav,x\n{tmp_path / 'far' / 'take.2.wav'},y\n")
    clips = load_tagging_dataset(table, audio_dir=folder)
    assert list(clips["id"]) == ["a", "deep/a", (tmp_path / "far" / "take.2").as_posix()]
    with pytest.raises(FileNotFoundError, match=r"no directory .*holds the audio"):
        load_tagging_dataset(table, audio_dir=tmp_path / "nowhere")


def test_splits_of_a_table_agree_about_the_classes(folder):
    table = folder / "clips.csv"
    table.write_text("file,labels,split\na.wav,rain,test\nb.wav,dog,train\nc.wav,rain,train\n")
    data = load_tagging_dataset(table)
    assert {split: list(clips["id"]) for split, clips in data.items()} == {"test": ["a"], "train": ["b", "c"]}
    test = load_tagging_dataset(table, split="test")
    assert class_names(test) == class_names(data["train"]) == ["dog", "rain"]
    assert test[0] == data["test"][0]
    with pytest.raises(ValueError, match=r"splits of .*got 'validation'. It has \['test', 'train'\]"):
        load_tagging_dataset(table, split="val")
    table.write_text("file,labels\na.wav,rain\n")
    with pytest.raises(ValueError, match="no column split and no folders by split: leave split out"):
        load_tagging_dataset(table, split="train")


def test_a_folder_of_classes_and_folders_by_split_of_them_are_understood(tmp_path):
    for name in ("rain, heavy/1.wav", "dog/1.flac", "animal/cat/1.wav"):
        write_clip(tmp_path / "flat" / name)
    clips = load_tagging_dataset(tmp_path / "flat")
    assert class_names(clips) == ["cat", "dog", "rain, heavy"]
    assert [(clip["id"], clip["labels"]) for clip in clips] == [
        ("animal/cat/1", [0]),
        ("dog/1", [1]),
        ("rain, heavy/1", [2]),
    ]

    for name in ("train/dog/1.wav", "train/rain/1.wav", "test/rain/1.wav"):
        write_clip(tmp_path / "split" / name)
    data = load_tagging_dataset(tmp_path / "split")
    assert {split: list(clips["id"]) for split, clips in data.items()} == {
        "train": ["train/dog/1", "train/rain/1"],
        "test": ["test/rain/1"],
    }
    assert data["test"][0]["labels"] == [1]  # a class that only train has counts


def test_a_folder_with_metadata_is_what_its_table_says(tmp_path):
    for part in ("train", "test"):
        write_clip(tmp_path / "data" / part / "a.wav")
        write_clip(tmp_path / "data" / part / "b.wav")
        (tmp_path / "data" / part / "metadata.jsonl").write_text('{"file_name": "a.wav", "labels": ["x", "y"]}')
    data = load_tagging_dataset(tmp_path / "data")
    assert {split: list(clips["id"]) for split, clips in data.items()} == {"train": ["train/a"], "test": ["test/a"]}
    (tmp_path / "data" / "metadata.csv").write_text("file_name,labels\ntrain/b.wav,x\n")
    assert list(load_tagging_dataset(tmp_path / "data")["train"]["id"]) == ["train/b", "train/a"]
    (tmp_path / "data" / "metadata.jsonl").touch()
    with pytest.raises(ValueError, match=r"Expected one of .* found several"):
        load_tagging_dataset(tmp_path / "data")


def test_a_folder_that_is_neither_says_what_was_expected(folder, tmp_path):
    with pytest.raises(ValueError, match=r"one folder per class; found audio outside of these, for example a\.wav"):
        load_tagging_dataset(folder)
    write_clip(folder / "train" / "dog" / "a.wav")  # a clip beside the folders by split is not left out either
    with pytest.raises(ValueError, match="found audio outside"):
        load_tagging_dataset(folder)
    with pytest.raises(ValueError, match=r"Expected metadata\.csv or .* in .* to go with audio_dir, found none"):
        load_tagging_dataset(folder, audio_dir=tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="found no audio"):
        load_tagging_dataset(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="Expected a table of clips or a folder, there is no"):
        load_tagging_dataset(tmp_path / "nowhere.csv")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("clips.xml", "a.wav dog", r"Expected a table \.csv, \.tsv, \.txt, \.jsonl, \.parquet, or a folder, got"),
        ("clips.csv", "where,labels\na.wav,x\n", r"column file_name or file or .* found \['where', 'labels'\]"),
        ("clips.csv", "file,what\na.wav,x\n", r"column labels or label .* found \['file', 'what'\]"),
        ("clips.csv", "file,labels\na.wav,x\n,y\n", "Expected file in every row of .*, line 3 has none"),
        ("clips.csv", "file,labels,split\na.wav,x,\n", "Expected split in every row"),
        ("clips.csv", "file,labels\na.wav,rain, heavy\n", "2 fields of the header .* in double quotes"),
        ("clips.csv", "file,labels\na.wav,x\na.wav,y\n", r"every clip once, .* more than once: \['a'\]"),
        ("clips.csv", "file,labels\n", "got no labels"),
        ("clips.jsonl", '{"file": "a.wav", "labels": "x"}\nno json\n', "in line 2 in .*clips"),
        ("clips.jsonl", '{"file": "a.wav", "labels": "x"}\n7\n', "in line 2 in .*clips"),
        (
            "clips.jsonl",
            '{"file": "a.wav", "labels": "x"}\n{"file": "b.wav"}\n',
            "Expected labels in every row .*line 2",
        ),
    ],
)
def test_what_is_wrong_with_a_table_says_so(folder, name, content, message):
    (folder / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        load_tagging_dataset(folder / name)


def test_a_vocabulary_may_be_a_table_of_classes(folder, tmp_path):
    table = tmp_path / "vocabulary.csv"
    table.write_text("0,Speech,/m/09x0r\n1,Dog,/m/0bt9lr\n")
    (folder / "clips.csv").write_text("file,labels\na.wav,1\n")
    clips = load_tagging_dataset(folder / "clips.csv", vocabulary=table)
    assert vocabulary_of(clips) == Vocabulary(("Speech", "Dog"), ("/m/09x0r", "/m/0bt9lr"))
    assert clips[0]["labels"] == [1]
    with pytest.raises(FileNotFoundError, match=r"Expected .*absent\.csv, found none"):
        load_tagging_dataset(folder / "clips.csv", vocabulary=tmp_path / "absent.csv")


@pytest.mark.parametrize(
    "content",
    [
        b"file,labels\na.wav,dog\nb.wav,cat\n",
        b"\xef\xbb\xbffile,labels\r\na.wav,dog\r\nb.wav,cat\r\n",
        "file,labels\na.wav,dog\nb.wav,cat\n".encode("utf-16"),
        b"file\tlabels\na.wav\tdog\nb.wav\tcat\n",
        b"file;labels\na.wav;dog\nb.wav;cat\n",
        b"file,labels,\na.wav,dog,\nb.wav,cat,,\n\n",
        b"# my table\n# of two\nfile, labels\n# here\na.wav, dog\nb.wav,cat\n",
        b'file,labels\ra.wav,"dog"\rb.wav,"cat"\r',
        b"#file,labels\n# here\na.wav,dog\nb.wav,cat\n",
        b"\n# File\tLabels\na.wav\tdog\nb.wav\tcat\n",
        b"# file, labels\nfile,labels\na.wav,dog\nb.wav,cat\n",
    ],
    ids=[
        *("plain", "BOM", "UTF-16", "tabs", "semicolons", "commas at the end", "comments", "old Mac"),
        *("#header", "# header", "both"),
    ],
)
def test_a_csv_is_read_however_a_program_writes_it(folder, content):
    (folder / "clips.csv").write_bytes(content)
    clips = load_tagging_dataset(folder / "clips.csv")
    assert [(clip["id"], clip["labels"]) for clip in clips] == [("a", [1]), ("b", [0])]
    assert class_names(clips) == ["cat", "dog"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,labels\na.wav,b\xe4r\n".encode("cp1252"), r"UTF-8 in .*clips\.csv, line 2 has the byte 0xe4"),
        ("file,labels\na.wav,x\n".encode("utf-16-le"), r"clips\.csv, line 1 has the byte 0x00"),
        (b"file,labels\na.wav,x\nb.wav,x,y\n", r"2 fields .*clips\.csv, line 3 has 3"),
        (b"file,labels\na.wav,x\nb.wav\n", r"clips\.csv, line 3 has 1"),
        (b'file,labels\na.wav,"x\nb.wav,y\n', r"clips\.csv, line 3 has none that end"),
        (b"file,labels,labels\na.wav,x,y\n", r"clips\.csv once, these are repeated: \['labels'\]"),
        (b"# only\n# comments\n", "it is empty"),
        (b"", "it is empty"),
    ],
)
def test_a_csv_that_cannot_be_meant_is_refused_by_its_line(folder, content, message):
    (folder / "clips.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_tagging_dataset(folder / "clips.csv")


def test_clips_of_splits_that_are_in_no_part_are_counted(folder):
    rows = ["a.wav,x,train", "b.wav,y,test", "c.wav,x,holdout", "d.wav,y,holdout", "e.wav,y,night"]
    for name in "de":
        write_clip(folder / f"{name}.wav")
    (folder / "clips.csv").write_text("\n".join(["file,label,split", *rows]) + "\n")
    noted = "3 listed clips of the splits holdout, night are in no part."
    loaded = load("own", folder / "clips.csv", LoadOptions(quiet=True))
    assert set(loaded.parts) == {"train", "test"}
    assert all(noted in summary.notes for summary in loaded.summaries.values())
    assert noted in load("own", folder / "clips.csv", LoadOptions(quiet=True), parts=["test"]).summaries["test"].notes
    data = load_tagging_dataset(folder / "clips.csv", quiet=True)
    assert noted in load("own", data, LoadOptions(quiet=True)).summaries["train"].notes
    del data["holdout"], data["night"]
    assert not load("own", data, LoadOptions(quiet=True)).summaries["train"].notes


def notes_of(place, **settings) -> list[str]:
    summaries = load_splits("own", place, LoadOptions(quiet=True), **settings).summaries
    return [note for summary in summaries.values() for note in summary.notes]


def test_what_is_not_used_or_taken_for_another_is_noted_once(folder):
    table = folder / "clips.csv"
    table.write_text("file,label,fold,pitch,split\na.wav,dog,1,0,Train\nb.wav,cat,2,1,test \nc.wav,nan,2,1,train\n")
    data = load_tagging_dataset(table)
    assert {split: list(clips["labels"]) for split, clips in data.items()} == {"train": [[1], []], "test": [[0]]}
    assert notes_of(table) == [
        "Columns of clips.csv that are not used: fold, pitch.",
        "Splits of clips.csv that are one of ['test', 'train']: ['Train', 'test '].",
        "Labels of clips.csv that name no class: {'nan': 1}.",
        "1 clips have no label.",
    ]
    assert len(load_tagging_dataset(table, split="TRAIN")) == 2


@pytest.mark.parametrize("none", ["nan", "NaN", "None", "", " ", "null", None, []])
def test_what_stands_for_nothing_is_no_class(folder, none):
    assert labels_of_cells(folder, ["dog", none, "cat"]) == [["dog"], [], ["cat"]]


def test_a_class_may_be_called_none_where_the_vocabulary_says_so(folder):
    classes = Vocabulary(("dog", "none"))
    assert labels_of_cells(folder, ["dog", "none"], vocabulary=classes) == [["dog"], ["none"]]


@pytest.mark.parametrize("cells", [["dog|cat", "dog;cat"], ["dog;cat|bee", "cat"], ["dog;cat", "x", "dog,cat"]])
def test_marks_that_are_mixed_are_refused_with_their_lines(folder, cells):
    with pytest.raises(ValueError, match=r"one mark between labels in .*clips\.jsonl, .* in line \d .* in line \d"):
        labels_of_cells(folder, cells)


def test_a_table_may_be_parquet(folder):
    table = pd.DataFrame({"file": ["a.wav", "b.wav"], "labels": [["dog"], ["cat", "dog"]]})
    for name, place in (
        ("metadata.parquet", "metadata.parquet"),
        ("metadata.parquet", "."),
        ("b.parquet", "b.parquet"),
    ):
        table.to_parquet(folder / name)
        assert list(load_tagging_dataset(folder / place)["labels"]) == [[1], [0, 1]]
