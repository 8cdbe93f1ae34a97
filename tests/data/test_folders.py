"""Folders of clips are read as `audiofolder` of `datasets` reads them; what is passed over is counted and named."""

import os
from pathlib import Path

import datasets
import numpy as np
import pytest
import soundfile
from datasets.data_files import SPLIT_KEYWORDS

from psla_hf.data.load import load_splits, load_tagging_dataset
from psla_hf.data.schema import class_names
from psla_hf.data.splits import SPLIT_NAMES, split_of_folder, split_of_text
from psla_hf.data.summary import LoadOptions


def write_clips(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, np.zeros(800), 8000)
    return folder


def found(place: Path) -> dict[str, dict[str, str]]:
    """The class of each clip by its file, by split."""
    data = load_tagging_dataset(place, quiet=True)
    splits = data if isinstance(data, dict) else {"train": data}
    names = class_names(next(iter(splits.values())))
    return {
        split: {os.path.relpath(clip["audio"]["path"], place): names[clip["labels"][0]] for clip in clips}
        for split, clips in splits.items()
    }


def of_audiofolder(place: Path) -> dict[str, dict[str, str]]:
    """The same as `datasets` finds it; streamed and not encoded, as both need torchcodec."""
    data = datasets.load_dataset("audiofolder", data_dir=str(place.resolve()), streaming=True)
    return {
        str(split): {os.path.relpath(row["audio"], place.resolve()): row["label"] for _, row in clips._ex_iterable}
        for split, clips in data.items()
    }


LAYOUTS = {
    "classes": ("dog/1.wav", "cat/1.wav", "cat/2.flac"),
    "splits of classes": ("train/dog/1.wav", "train/cat/2.wav", "test/dog/3.wav", "test/cat/4.wav"),
    "other names of splits": ("training/dog/1.wav", "training/cat/2.wav", "dev/dog/3.wav", "eval/cat/4.wav"),
    "splits with more to their names": ("my-train/dog/1.wav", "train_2/cat/2.wav", "valid 1/dog/3.wav"),
    "splits deeper": ("data/train/dog/1.wav", "data/train/cat/2.wav", "data/validation/cat/3.wav"),
    "classes deeper": ("sounds/of/dog/1.wav", "sounds/of/cat/2.wav"),
    "hidden beside": ("dog/1.wav", "cat/1.wav", "dog/.cut.wav", ".cache/x/3.wav", "__pycache__/a/4.wav"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_is_what_audiofolder_makes_of_it(layout, tmp_path):
    write_clips(tmp_path / "data", *LAYOUTS[layout])
    assert found(tmp_path / "data") == of_audiofolder(tmp_path / "data")


def test_the_names_of_splits_are_those_of_datasets():
    assert {split: sorted(names) for split, names in SPLIT_NAMES.items()} == {
        str(split): sorted(names) for split, names in SPLIT_KEYWORDS.items()
    }


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *[("Train", "train"), ("TEST", "test"), ("train_data", "train"), ("x-dev.1", "validation")],
        *[("trainer", None), ("contest", None), ("dog", None), ("evaluations", None), ("latest", None)],
    ],
)
def test_a_folder_is_a_split_by_a_whole_word_in_any_case(name, split):
    assert split_of_folder(name) == split
    assert split_of_text(" Training ") == "train" and split_of_text("train_data") == "train_data"


@pytest.mark.shared
@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("af2", {"train": {"Train/dog/a.wav": "dog", "Train/cat/b.wav": "cat"}, "test": {"Test/dog/c.wav": "dog"}}),
        (
            "af3",
            {
                "train": {"train_data/dog/a.wav": "dog", "train_data/cat/b.wav": "cat"},
                "test": {"test_data/dog/c.wav": "dog"},
            },
        ),
        (
            "af4",
            {
                "train": {"data/train/dog/a.wav": "dog", "data/train/cat/b.wav": "cat"},
                "test": {"data/test/dog/c.wav": "dog"},
            },
        ),
        ("af6", {"train": {"train/0001.wav": "dog", "train/0002.wav": "cat"}, "test": {"test/0003.wav": "dog"}}),
        (
            "gtzan_au",
            {
                "train": {f"genres/{name}/{name}.0000{k}.au": name for name in ("blues", "jazz") for k in range(2)}
                | {"genres/rock/rock.00000.wav": "rock"}
            },
        ),
    ],
)
def test_the_cases_have_their_classes_and_splits(shared, case, expected):
    assert found(shared / "cases" / "folders" / case) == expected


def notes(place: Path) -> list[str]:
    summaries = load_splits("own", place, LoadOptions(quiet=True)).summaries.values()
    return [note for summary in summaries for note in summary.notes]


def test_what_is_passed_over_is_counted_and_named(tmp_path):
    write_clips(tmp_path, "dog/1.wav", "cat/1.wav", "_background_noise_/hum.wav", ".git/x.wav", "dog/._1.wav")
    for name in ("dog/a.sph.zip", "dog/b.doc", "cat/c.doc", "cat/d.doc", "labels.csv", "testing_list.txt"):
        (tmp_path / name).touch()
    (tmp_path / "dog" / "round.wav").symlink_to("round.wav")
    (tmp_path / "dog" / "nowhere.wav").symlink_to("absent.wav")
    (tmp_path / "cat" / "up").symlink_to(tmp_path)
    Path(os.fsdecode(os.fsencode(tmp_path / "cat") + b"/\xff\xfe.wav")).write_bytes(b"RIFF")
    assert notes(tmp_path) == [
        "4 files are no audio by their endings and were passed over: cat/c.doc, cat/d.doc, dog/a.sph.zip, ….",
        "2 tables beside the audio were not used: labels.csv, testing_list.txt.",
        "3 files with names that are no text, or links to none, were passed over: cat/\\xff\\xfe.wav, "
        "dog/nowhere.wav, dog/round.wav.",
        "1 folders of noise were passed over: _background_noise_.",
    ]
    assert found(tmp_path) == {"train": {"dog/1.wav": "dog", "cat/1.wav": "cat"}}


def test_what_is_odd_about_classes_is_noted(tmp_path):
    assert notes(write_clips(tmp_path / "one", "dog/1.wav")) == ["There is one class only, dog."]
    assert notes(write_clips(tmp_path / "test among", "dog/1.wav", "test/1.wav")) == [
        "The folder test next to audio is taken as a class, not as a split."
    ]
    assert notes(write_clips(tmp_path / "deep", "dog/1.wav", "animal/cat/1.wav")) == [
        "The folders of classes lie at different depths; the one next to a file is its class."
    ]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train/1.wav", "test/2.wav"), "folders called like splits, test, train, without one of its class"),
        (("dog/train/1.wav", "dog/test/2.wav"), "folders called like splits, test, train, without one of its class"),
        (("train/dog/1.wav", "more/cat/2.wav"), r"train/dog/1\.wav is in one and .*more/cat/2\.wav is not"),
        (("train/dog/1.wav", "train/cat/1.wav", "test/2.wav"), r"test/2\.wav is not"),
        (("dog/1.wav", "2.wav"), r"found audio outside of these, for example 2\.wav"),
        ((), "found no audio"),
    ],
)
def test_folders_that_mix_what_they_mean_are_refused(tmp_path, names, message):
    (tmp_path / "data").mkdir()
    with pytest.raises(ValueError, match=message):
        load_tagging_dataset(write_clips(tmp_path / "data", *names))


def test_each_table_in_a_folder_is_of_the_files_beside_it(tmp_path):
    write_clips(tmp_path, "train/1.wav", "train/2.wav", "Test/1.wav", "Test/sub/2.wav", "extra/9.wav")
    (tmp_path / "train" / "metadata.csv").write_text("file_name,label\n1.wav,dog\n2.wav,cat\n")
    (tmp_path / "Test" / "metadata.jsonl").write_text(
        '{"file_name": "1.wav", "label": "dog"}\n{"file_name": "sub/2.wav", "label": "dog"}\n'
    )
    assert found(tmp_path) == {
        "test": {"Test/1.wav": "dog", "Test/sub/2.wav": "dog"},
        "train": {"train/1.wav": "dog", "train/2.wav": "cat"},
    }
    assert notes(tmp_path) == ["1 audio files are in no table: extra/9.wav."]


def test_a_link_in_a_circle_in_a_table_is_one_missing_clip(tmp_path):
    write_clips(tmp_path, "a.wav")
    (tmp_path / "b.wav").symlink_to("b.wav")
    (tmp_path / "clips.csv").write_text("file,labels\na.wav,dog\nb.wav,dog\n")
    loaded = load_splits("own", tmp_path / "clips.csv", LoadOptions("drop", quiet=True))
    assert loaded.parts["all"].ids == ["a"] and loaded.summaries["all"].missing == ["b"]
