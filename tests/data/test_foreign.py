"""Data sets of others: parquet without ids, `datasets` in memory and saved, FSD50K as on the Hub; splits never mix."""

import io
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

from psla_hf.data.foreign import as_clips
from psla_hf.data.load import load, load_splits, load_tagging_dataset
from psla_hf.data.schema import class_names
from psla_hf.data.shards.parquet import ShardedClips, ShardIndex
from psla_hf.data.shards.shard_files import find_shards
from psla_hf.data.summary import LoadOptions
from psla_hf.labels.vocabulary import Vocabulary
from psla_hf.loading.samples import SampleMaker

PLAIN = {"bytes": Value("binary"), "path": Value("string")}
NAMES = ["cat", "dog"]
SEVERAL = [["cat", "dog"], ["cat"], [], ["dog"]]
LABELS = {
    "classes": ([1, 0, 1, None], ClassLabel(names=NAMES), [["dog"], ["cat"], ["dog"], []]),
    "lists of classes": ([[1, 0], [0], [], [1]], List(ClassLabel(names=NAMES)), SEVERAL),
    "names": (["dog", "cat", "dog", None], Value("string"), [["dog"], ["cat"], ["dog"], []]),
    "names with commas between": (
        ["dog,cat", "cat", "nan", "dog"],
        Value("string"),
        [["cat", "dog"], ["cat"], [], ["dog"]],
    ),
    "lists of names": (
        [["dog", "cat"], ["cat"], [], ["dog"]],
        List(Value("string")),
        [["cat", "dog"], ["cat"], [], ["dog"]],
    ),
}


def wav() -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, np.zeros(800), 8000, format="WAV")
    return stream.getvalue()


def dataset(kind: str) -> Dataset:
    """Four clips without ids."""
    labels, feature, _ = LABELS[kind]
    rows = {"audio": [{"bytes": wav(), "path": f"{k}.wav"} for k in range(4)], "label": labels}
    return Dataset.from_dict(rows, features=Features({"audio": PLAIN, "label": feature}))


def names_of(clips) -> list[list[str]]:
    return [[clips.vocabulary.names[k] for k in clip["labels"]] for clip in clips]


@pytest.mark.parametrize("kind", LABELS)
def test_whatever_form_labels_have_they_are_the_same_by_every_way(kind, tmp_path):
    data, expected = DatasetDict(train=dataset(kind), test=dataset(kind)), LABELS[kind][2]
    data.save_to_disk(str(tmp_path / "saved"))
    for split, part in data.items():
        (tmp_path / "shards" / split).mkdir(parents=True)
        part.to_parquet(str(tmp_path / "shards" / split / "0000.parquet"), batch_size=3)
    for place in (data, tmp_path / "saved", tmp_path / "shards"):
        loaded = load("own", place, LoadOptions(quiet=True))
        assert names_of(loaded.train) == names_of(loaded.test) == expected
        assert list(loaded.train.vocabulary.names) == NAMES
        assert next(iter(loaded.train))["audio"]["bytes"] == wav()
        assert list(load_tagging_dataset(place, split="test", quiet=True)["labels"]) == [
            c["labels"] for c in loaded.test
        ]
    assert names_of(as_clips(data["train"])) == expected


def test_clips_without_ids_are_called_by_file_and_row(tmp_path):
    path = tmp_path / "data" / "train-00000-of-00001.parquet"
    path.parent.mkdir()
    dataset("classes").to_parquet(str(path), batch_size=3)
    ids = [f"data/train-00000-of-00001:{row}" for row in range(4)]
    index = ShardIndex.open([str(path), str(path)])
    clips = ShardedClips.of(index)
    assert len(index.group_sizes) == 4 and clips.ids == ids * 2
    assert [clip["id"] for clip in clips] == ids * 2
    assert [clip["id"] for clip in index.read(3, np.array([0]))] == ids[3:]
    assert list(load_tagging_dataset(path, quiet=True)["train"]["id"]) == ids
    assert [clip["id"] for clip in load_tagging_dataset(path, split="train", streaming=True, quiet=True)] == ids
    assert as_clips(dataset("classes")).ids == [f"all:{row}" for row in range(4)]


def test_audio_of_datasets_is_taken_without_its_decoder():
    data = dataset("classes").to_dict()
    table = pa.table({"audio": pa.array(data["audio"]), "label": pa.array(["dog"] * 4), "id": pa.array(range(4))})
    clips = as_clips(Dataset(table))
    assert clips.ids == ["0", "1", "2", "3"] and next(iter(clips))["audio"] == {"path": "0.wav", "bytes": wav()}


def test_how_clips_are_cut_into_files_and_splits_does_not_change_the_classes(tmp_path):
    """A mark that separates labels in one file or split does so in all."""
    texts = ["dog;cat", "cow", "Male speech, man speaking"]
    rows = {"audio": [{"bytes": wav(), "path": None}] * 3, "label": texts}
    for name, cuts in (("one", [0, 3]), ("two", [0, 2, 3]), ("three", [0, 1, 2, 3])):
        (tmp_path / name).mkdir()
        parts = [pa.table(rows).slice(begin, end - begin) for begin, end in pairwise(cuts)]
        for k, part in enumerate(parts):
            pq.write_table(part, tmp_path / name / f"train-{k}.parquet")
        splits = DatasetDict({f"split{k}": Dataset(part) for k, part in enumerate(parts)})
        loaded = [load_tagging_dataset(tmp_path / name, quiet=True)["train"]]
        loaded = [*loaded, *load_tagging_dataset(splits, quiet=True).values()]
        assert {tuple(class_names(clips)) for clips in loaded} == {("Male speech, man speaking", "cat", "cow", "dog")}
    pq.write_table(pa.table({**rows, "label": ["a|b", "a", "b"]}), tmp_path / "three" / "train-3.parquet")
    with pytest.raises(ValueError, match=r"line 0 of .*train-0\.parquet has ';' and 'a\|b' in line 0 of .*train-3\.p"):
        load_tagging_dataset(tmp_path / "three", quiet=True)


SOFT = [["dog", "cat"], [], ["cat"]], [[0.25, 1.0], [], [0.5]]
PARTS = {
    "segments": {"start": [0.0, 0.01, None], "end": [0.05, 0.1, None]},
    "segments in texts, and lengths of files": {
        "start": ["0", "0.01", None],
        "end": ["0.05", "0.1", None],
        "duration": [0.1] * 3,
    },
    "soft labels": {"label": SOFT[0], "label_values": SOFT[1]},
    "both": {"start": [0, None, 0], "end": [0.05, 0.1, None], "label": SOFT[0], "label_values": SOFT[1]},
}


@pytest.mark.parametrize("kind", PARTS)
def test_times_and_targets_are_the_same_by_every_way(kind, tmp_path):
    columns = {"id": list("abc"), "audio": [{"bytes": wav(), "path": None}] * 3, "label": ["dog", "cat", "cat"]}
    columns |= PARTS[kind]
    pq.write_table(pa.table(columns), tmp_path / "train.parquet", row_group_size=2)
    by_index = load_tagging_dataset(Dataset.from_dict(columns), quiet=True)
    by_index.to_parquet(str(tmp_path / "again.parquet"))
    index = ShardIndex.open([str(tmp_path / "train.parquet")], Vocabulary(("cat", "dog")))
    ways = [
        load_tagging_dataset(tmp_path / "train.parquet", split="train", quiet=True),
        load_tagging_dataset(tmp_path / "train.parquet", split="train", streaming=True, quiet=True),
        load_tagging_dataset(tmp_path / "again.parquet", quiet=True),
        ShardedClips.of(index),
    ]
    rows = [{**clip, "split": None} for clip in by_index]
    assert all([{**clip, "split": None} for clip in way] == rows and way.features == by_index.features for way in ways)
    if "start" in columns:
        assert [clip["start"] for clip in rows] == [None if x is None else float(x) for x in columns["start"]]
        assert [clip["end"] for clip in rows] == [None if x is None else float(x) for x in columns["end"]]
        heard = [len(SampleMaker(2, 8000).clip(clip).waveform) for clip in rows]
        lengths = [0.1 if clip["seconds"] is None else clip["seconds"] for clip in rows]
        assert heard == [round(8000 * seconds) for seconds in lengths] and heard[0] == 400
        assert ShardedClips.of(index).seconds == [clip["seconds"] for clip in rows]
    if "label_values" in columns:
        assert [clip["labels"] for clip in rows] == [[0, 1], [], [0]]
        assert [clip["label_values"] for clip in rows] == [[1.0, 0.25], [], [0.5]]
        hard = ShardedClips.of(index.with_labels(index.labels))
        assert all("label_values" not in clip for clip in hard)


def test_times_and_targets_that_cannot_be_meant_are_refused(tmp_path):
    path = str(tmp_path / "clips.parquet")
    columns = {"audio": [{"bytes": wav(), "path": None}] * 2, "label": [["dog"], ["dog", "cat"]]}
    for more, message in (
        ({"start": [0, 1]}, "start and end in .*, or neither, found .* Rename the one"),
        ({"start": [0, 2], "end": [1, 1]}, r"end after they start.* one goes from 2\.0 to 1\.0 s"),
        ({"start": [0.0, -1], "end": [1, 1]}, r"one goes from -1\.0 to 1\.0 s"),
        ({"start": [0.0, float("nan")], "end": [1, 1]}, "one goes from nan"),
        ({"start": ["0", "0:01"], "end": [1, 1]}, "times in seconds as numbers in .*, could not read"),
        ({"label_values": [[0.5], [0.5]]}, "label_values in .* one for each of a clip's labels"),
        ({"label_values": [[0.5], [0.5, 2]]}, "label_values in .* from 0 to 1"),
        ({"label_values": [[0.5], [0.5, None]]}, "label_values in .* from 0 to 1"),
        ({"label": [["dog"], ["dog", "dog"]], "label_values": [[0.5], [0.5, 1]]}, "labels, which are all different"),
    ):
        table = pa.table({**columns, **more})
        pq.write_table(table, path)
        with pytest.raises(ValueError, match=message):
            ShardIndex.open([path], Vocabulary(("cat", "dog")))
        with pytest.raises(ValueError, match=message):
            as_clips(Dataset(table))
    pq.write_table(pa.table({**columns, "start": [0, 1], "end": [1, 2]}), path)
    pq.write_table(pa.table(columns), tmp_path / "more.parquet")
    with pytest.raises(
        ValueError, match=r"the same of the columns .*clips\.parquet has \['end', 'start'\] and .* \[\]"
    ):
        ShardIndex.open([path, str(tmp_path / "more.parquet")], Vocabulary(("cat", "dog")))


@pytest.mark.parametrize("streaming", [False, True])
def test_times_that_are_null_are_counted_where_others_are_not(streaming, tmp_path):
    columns = {"audio": [{"bytes": wav(), "path": None}] * 3, "label": ["dog", "cat", "dog"]}
    times = {"start": [None, 0.01, 0.02], "end": pa.nulls(3, pa.float64())}
    pq.write_table(pa.table({**columns, **times}), tmp_path / "train.parquet")
    for place in (
        tmp_path / "train.parquet",
        Dataset.from_dict({**columns, "start": times["start"], "end": [None] * 3}),
    ):
        loaded = load_splits("own", place, LoadOptions(quiet=True, streaming=streaming), split="train")
        notes = list(loaded.summaries["train"].notes)
        assert "1 of 3 clips have no start: they start with their audio." in notes
        assert not any("no end" in note for note in notes)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0, None])
def test_a_length_that_is_none_is_unknown_by_every_way(seconds, tmp_path):
    data = Dataset.from_dict(
        {"audio": [{"path": None, "bytes": wav()}] * 2, "labels": [["dog"], ["cat"]], "seconds": [seconds, 1.0]}
    )
    data.to_parquet(tmp_path / "all.parquet")
    clips = as_clips(data)
    shards = ShardedClips.of(ShardIndex.open([str(tmp_path / "all.parquet")], clips.vocabulary))
    for found in (clips, shards):
        assert (found.seconds, found.hours) == ([None, 1.0], None)
        assert [clip["seconds"] for clip in found] == [None, 1.0]


def test_a_clip_whose_id_is_null_is_called_by_its_row(tmp_path):
    columns = {"id": ["a", None], "audio": [{"bytes": wav(), "path": None}] * 2, "label": ["dog", "cat"]}
    pq.write_table(pa.table(columns), tmp_path / "train.parquet")
    clips = load_tagging_dataset(tmp_path / "train.parquet", split="train", quiet=True)
    index = ShardIndex.open([str(tmp_path / "train.parquet")], Vocabulary(("cat", "dog")))
    assert list(clips["id"]) == ShardedClips.of(index).ids == ["a", f"{tmp_path.name}/train:1"]
    assert as_clips(Dataset.from_dict(columns)).ids == ["a", "all:1"]


def test_lists_of_a_fixed_size_are_lists(tmp_path):
    for values, names in (([0, 1, 1, 0], [[0, 1], [0, 1]]), (["dog", "cat"], [[1], [0]])):
        lists = pa.FixedSizeListArray.from_arrays(pa.array(values), len(values) // 2)
        table = pa.table({"audio": [{"bytes": wav(), "path": None}] * 2, "label": lists})
        pq.write_table(table, tmp_path / "train.parquet")
        index = ShardIndex.open([str(tmp_path / "train.parquet")], Vocabulary(("cat", "dog")))
        assert [clip["labels"] for clip in ShardedClips.of(index)] == names


def test_labels_that_cannot_be_meant_are_refused_by_their_file(tmp_path):
    path = str(tmp_path / "clips.parquet")
    audio = [{"bytes": b"", "path": "x.wav"}] * 2
    for labels, message in (
        ([[2**32], [0]], r"clips\.parquet: Expected class indices from 0 to 1, got \[4294967296\]"),
        ([[0, None], [1]], r"clips\.parquet, 1 of those in its lists are empty"),
        (["dog", "cow"], r"clips\.parquet: Expected names.* got 'cow'"),
    ):
        pq.write_table(pa.table({"audio": audio, "labels": labels}), path)
        with pytest.raises(ValueError, match=message):
            ShardIndex.open([path], Vocabulary(("cat", "dog")))
    pq.write_table(pa.table({"audio": audio, "labels": [[0, 1, 1], [0, 0, 1]]}), path)
    with pytest.raises(ValueError, match=r"0 or 1 for each of the 3 classes\. Write the indices of those that are 1"):
        ShardIndex.open([path], Vocabulary(("cat", "cow", "dog")))
    pq.write_table(pa.table({"audio": audio, "labels": [{"a": 1}] * 2}), path)
    with pytest.raises(ValueError, match=r"clips\.parquet: Unsupported cast from struct"):
        ShardIndex.open([path], Vocabulary(("cat", "dog")))
    pq.write_table(pa.table({"audio": audio, "labels": [3, 4]}), path)
    with pytest.raises(ValueError, match=r"does not say what its classes are\. Pass the vocabulary"):
        load_tagging_dataset(path, quiet=True)
    pq.write_table(pa.table({"audio": [b"RIFF"] * 2, "labels": ["dog"] * 2}), path)
    with pytest.raises(ValueError, match=r"audio \(a struct of bytes and path\) .* with audio as binary"):
        load_tagging_dataset(path, quiet=True)


def test_shards_of_several_splits_are_never_mixed(tmp_path):
    for name in ("train/0.parquet", "test/0.parquet", "more.parquet"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        dataset("classes").to_parquet(str(tmp_path / name))
    assert find_shards(tmp_path, "train") == [str(tmp_path / "train" / "0.parquet")]
    with pytest.raises(ValueError, match=r"one split in .*, found those of none, test, train\. Name the split"):
        find_shards(tmp_path, None)
    with pytest.raises(ValueError, match="found those of none, test, train"):
        load_tagging_dataset(tmp_path)
    (tmp_path / "more.parquet").unlink()
    assert {split: len(clips) for split, clips in load_tagging_dataset(tmp_path, quiet=True).items()} == {
        "train": 4,
        "test": 4,
    }
    assert class_names(load_tagging_dataset(tmp_path / "train", split="train", quiet=True)) == NAMES
    for name in ("balanced_train", "eval"):
        dataset("classes").to_parquet(str(tmp_path / "train" / f"{name}-00000-of-00001.parquet"))
    with pytest.raises(ValueError, match="found those of balanced_train, eval, train"):
        find_shards(tmp_path / "train", None)
