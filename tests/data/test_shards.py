"""Parquet and WebDataset shards of several makers come out in the one schema; their labels are known without audio."""

import io
import json
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from datasets import ClassLabel, Dataset, Features, List, Value

from psla_hf.data.shards.parquet import ShardedClips, ShardIndex, iterate_parquet
from psla_hf.data.shards.tars import iterate_tar
from psla_hf.data.toy import SCENE_CLASSES, SCENE_SECONDS, make_scenes
from psla_hf.labels.vocabulary import ClipLabels, Vocabulary

VOCABULARY = Vocabulary(("Speech", "Dog", "Rain"), ("/m/09x0r", "/m/0bt9lr", "/m/06mb1"))
LABELS = [["/m/0bt9lr"], ["/m/09x0r", "/m/06mb1"], ["/m/09x0r"], ["/m/06mb1"], ["/m/0bt9lr", "/m/09x0r"]]
INDICES = [[1], [0, 2], [0], [2], [0, 1]]


def flac(seed: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.random.default_rng(seed).uniform(-0.5, 0.5, 4800), 48000, format="FLAC")
    return file.getvalue()


AUDIO = [flac(seed) for seed in range(5)]


def write(path, **columns) -> str:
    pq.write_table(pa.table(columns), path, row_group_size=2)
    return str(path)


def audioset_like(path) -> str:
    """The columns of the AudioSet on the Hub: ids, FLAC, mids, and names that nobody here needs."""
    return write(
        path,
        video_id=[f"id{i}" for i in range(5)],
        audio=[{"bytes": data, "path": None} for data in AUDIO],
        labels=LABELS,
        human_labels=[["x"]] * 5,
    )


def test_mids_of_the_hubs_audioset_become_indices_in_the_vocabularys_order(tmp_path):
    index = ShardIndex.open([audioset_like(tmp_path / "0.parquet"), audioset_like(tmp_path / "1.parquet")], VOCABULARY)
    assert index.group_sizes.tolist() == [2, 2, 1, 2, 2, 1] and index.seconds is None
    np.testing.assert_array_equal(index.labels.class_counts(), [6, 4, 4])
    clip = index.read(4, np.array([1]))[0]
    assert clip == {
        "id": "id3",
        "audio": {"path": None, "bytes": AUDIO[3]},
        "labels": [2],
        "mids": [2],
        "split": None,
        "seconds": None,
    }
    clips = list(iterate_parquet(index.files, VOCABULARY))
    assert [c["labels"] for c in clips] == INDICES * 2


def test_a_stretch_of_clips_is_read_without_a_copy(tmp_path):
    index = ShardIndex.open([audioset_like(tmp_path / "0.parquet"), audioset_like(tmp_path / "1.parquet")], VOCABULARY)
    clips = ShardedClips(index, 0, 10)
    part = clips.select(range(1, 9)).select(range(2, 5))
    assert list(part) == list(clips)[3:6] and len(part) == 3
    assert part.column("id") == ["id3", "id4", "id0"] and part.column("split") == [None] * 3
    assert part.labels.multi_hot().tolist() == clips.labels.multi_hot()[3:6].tolist()


@pytest.mark.parametrize(
    ("column", "labels"),
    [
        ("label", [1, 0, 0, 2, 1]),
        ("category", ["Dog", "Speech", "Speech", "Rain", "Dog"]),
        ("mids", [["/m/0bt9lr"], ["/m/09x0r"], ["/m/09x0r"], ["/m/06mb1"], ["/m/0bt9lr"]]),
    ],
)
def test_other_makers_columns_are_understood(tmp_path, column, labels):
    audio = [{"bytes": data, "path": "a.flac"} for data in AUDIO]
    path = write(tmp_path / "0.parquet", filename=list("abcde"), audio=audio, **{column: labels})
    index = ShardIndex.open([path], VOCABULARY)
    assert index.labels.values.tolist() == [1, 0, 0, 2, 1]
    assert index.read(0)[1]["id"] == "b"


def test_prepared_shards_bring_their_classes_and_hours(tmp_path):
    clips, _ = make_scenes(10, seed=0)
    clips.to_parquet(str(tmp_path / "0.parquet"), batch_size=4)
    index = ShardIndex.open([str(tmp_path / "0.parquet")])
    assert index.vocabulary.names == SCENE_CLASSES and index.seconds == 10 * SCENE_SECONDS
    assert index.read(1) == [clips[i] for i in range(4, 8)]
    with pytest.raises(ValueError, match="not the vocabulary's, or not in its order"):
        ShardIndex.open([str(tmp_path / "0.parquet")], Vocabulary(SCENE_CLASSES[::-1]))


def test_files_that_are_written_anew_are_read_anew(tmp_path):
    for seed in (1, 2):
        clips, _ = make_scenes(2, seed=seed)
        clips.to_parquet(str(tmp_path / "0.parquet"))
        assert ShardIndex.open([str(tmp_path / "0.parquet")]).read(0) == list(clips)


def test_what_is_missing_or_unknown_says_so(tmp_path):
    path = audioset_like(tmp_path / "0.parquet")
    with pytest.raises(ValueError, match="at least one parquet file"):
        ShardIndex.open([])
    with pytest.raises(ValueError, match="Pass the vocabulary"):
        ShardIndex.open([path])
    with pytest.raises(ValueError, match=r"0\.parquet: Expected names, mids or indices .* got '/m/0bt9lr'"):
        ShardIndex.open([path], Vocabulary(("Speech", "Rain"), ("/m/09x0r", "/m/06mb1")))
    with pytest.raises(ValueError, match=r"one of \['labels'.* found \['video_id', 'audio'\]"):
        ShardIndex.open([write(tmp_path / "1.parquet", video_id=["a"], audio=[{"bytes": b"", "path": ""}])], VOCABULARY)


def write_tar(path, members: list[tuple[str, bytes]]) -> str:
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            about = tarfile.TarInfo(name)
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    return str(path)


def test_a_webdataset_is_consecutive_members_of_one_name(tmp_path):
    members = []
    for i in range(5):
        about = json.dumps({"video_id": f"id{i}", "labels": LABELS[i], "duration": 0.1}).encode()
        members += [(f"part/{i}.flac", AUDIO[i]), (f"part/{i}.json", about)]
    clips = list(iterate_tar([write_tar(tmp_path / "0.tar", members)], VOCABULARY, "train"))
    assert [clip["id"] for clip in clips] == [f"id{i}" for i in range(5)]
    assert [clip["labels"] for clip in clips] == INDICES
    assert clips[3]["audio"] == {"path": "part/3.flac", "bytes": AUDIO[3]}
    assert clips[3]["split"] == "train" and clips[3]["seconds"] == 0.1


def test_a_webdataset_clip_may_have_a_class_file_but_must_have_both_parts(tmp_path):
    path = write_tar(tmp_path / "0.tar", [("a.wav", AUDIO[0]), ("a.cls", b"2\n")])
    assert next(iterate_tar([path], VOCABULARY, "train"))["labels"] == [2]
    for members in ([("a.wav", AUDIO[0])], [("a.json", b'{"labels": ["Dog"]}')]):
        with pytest.raises(ValueError, match=r"Expected an audio file .* for a in .*0\.tar, found"):
            list(iterate_tar([write_tar(tmp_path / "0.tar", members)], VOCABULARY, "train"))


def test_labels_in_a_webdataset_are_written_as_in_parquet(tmp_path):
    for label, indices in (
        ("Dog;Rain", [1, 2]),
        ("Dog, Speech", [0, 1]),
        (["nan"], []),
        ([], []),
        (2, [2]),
        ([1], [1]),
    ):
        members = [("a.wav", AUDIO[0]), ("a.json", json.dumps({"id": None, "label": label}).encode())]
        clip = next(iterate_tar([write_tar(tmp_path / "0.tar", members)], VOCABULARY, "train"))
        assert clip["labels"] == indices and clip["id"] == "a"


@pytest.mark.parametrize("several", [False, True], ids=["one label", "a list"])
def test_classes_that_a_file_declares_are_checked_whatever_the_column_is_called(tmp_path, several):
    label = ClassLabel(names=["Rain", "Dog", "Speech"])
    features = Features(
        {
            "id": Value("string"),
            "audio": {"bytes": Value("binary"), "path": Value("string")},
            "label": List(label) if several else label,
        }
    )
    rows = [{"id": "a", "audio": {"bytes": b"", "path": None}, "label": [2] if several else 2}]
    Dataset.from_list(rows, features=features).to_parquet(str(tmp_path / "0.parquet"))
    files = [str(tmp_path / "0.parquet")]
    assert ShardIndex.open(files).vocabulary.names == ("Rain", "Dog", "Speech")
    with pytest.raises(ValueError, match="not the vocabulary's, or not in its order"):
        ShardIndex.open(files, VOCABULARY)


def test_hours_are_unknown_where_some_clips_do_not_say(tmp_path):
    clips, _ = make_scenes(3, seed=0)
    rows = clips.to_list()
    rows[1]["seconds"] = None
    Dataset.from_list(rows, features=clips.features).to_parquet(str(tmp_path / "0.parquet"))
    assert ShardIndex.open([str(tmp_path / "0.parquet")]).seconds is None


def test_shards_are_read_with_other_labels_as_they_are_told(tmp_path):
    files = [audioset_like(tmp_path / f"{n}.parquet") for n in range(2)]
    index = ShardIndex.open(files, VOCABULARY)
    labels = ClipLabels.from_lists([[n % 3] if n % 2 else [0, 2] for n in range(10)], 3)
    values = np.linspace(0.1, 1, len(labels.values), dtype=np.float32)
    hard, soft = index.with_labels(labels), index.with_labels(labels, values)
    assert len({index.version, hard.version, soft.version}) == 3  # what is cached for one is not for another
    for n, (clip, plain) in enumerate(zip(ShardedClips.of(soft), ShardedClips.of(hard), strict=True)):
        of_clip = slice(*labels.offsets[n : n + 2])
        assert clip["labels"] == clip["mids"] == plain["labels"] == labels.values[of_clip].tolist()
        np.testing.assert_array_equal(clip["label_values"], values[of_clip])
        assert "label_values" not in plain and clip["audio"]["bytes"] == AUDIO[n % 5]
    assert set(soft.features) - set(hard.features) == {"label_values"}
    with pytest.raises(ValueError, match="got labels of 9 clips and 3 classes"):
        index.with_labels(labels.take(np.arange(9)))
