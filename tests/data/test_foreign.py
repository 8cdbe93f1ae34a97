"""Data sets of others: parquet without ids, `datasets` in memory and saved, FSD50K as on the Hub; splits never mix."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

from psla_hf.data.foreign import as_clips
from psla_hf.data.load import load, load_tagging_dataset
from psla_hf.data.schema import class_names
from psla_hf.data.shards.parquet import ShardedClips, ShardIndex
from psla_hf.data.shards.shard_files import find_shards
from psla_hf.data.summary import LoadOptions
from psla_hf.labels.vocabulary import Vocabulary

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
