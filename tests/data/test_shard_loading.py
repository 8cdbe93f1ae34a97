"""Shards of AudioSet, FSD50K and own data load like folders of files: by split, by index or streamed, accounted for."""

import io
import json
import subprocess
import sys
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from datasets import Dataset, IterableDataset

from psla_hf.data.load import load_audioset, load_fsd50k, load_splits, load_tagging_dataset
from psla_hf.data.schema import class_names, labels_of, targets_of
from psla_hf.data.shards.parquet import ShardedClips, ShardIndex
from psla_hf.data.shards.shard_files import find_shards
from psla_hf.data.sources import SOURCES
from psla_hf.data.toy import SCENE_CLASSES, make_scenes
from psla_hf.labels.vocabulary import Vocabulary
from psla_hf.loading.samples import SampleMaker
from psla_hf.loading.stream import TaggingStream
from tests import fake_hub

hub = fake_hub.hub
VOCABULARY = Vocabulary(("Speech", "Dog", "Rain"), ("/m/09x0r", "/m/0bt9lr", "/m/06mb1"))


def flac() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.random.default_rng(0).uniform(-0.5, 0.5, 4800), 48000, format="FLAC")
    return file.getvalue()


@pytest.fixture
def audioset(tmp_path):
    """The layout of the AudioSet on the Hub: a folder of parquet files per split."""
    for part, ids in (("bal_train", "ab"), ("unbal_train", "cde"), ("eval", "f")):
        (tmp_path / "data" / part).mkdir(parents=True)
        for name in ids:
            table = {
                "video_id": [f"{name}{i}" for i in range(3)],
                "audio": [{"bytes": flac(), "path": None}] * 3,
                "labels": [["/m/0bt9lr"], ["/m/06mb1", "/m/09x0r"], []],
                "human_labels": [["Dog"], ["Rain", "Speech"], []],
            }
            pq.write_table(pa.table(table), tmp_path / "data" / part / f"{name}.parquet")
    return tmp_path


def test_a_split_is_its_folder(audioset, capsys):
    clips = load_audioset(audioset, "balanced_train", vocabulary=VOCABULARY)
    assert clips["id"][:] == ["a0", "a1", "a2", "b0", "b1", "b2"]
    assert clips["labels"][:3] == [[1], [0, 2], []] and class_names(clips) == ["Speech", "Dog", "Rain"]
    assert "6 of 6 listed clips" in capsys.readouterr().out
    loaded = load_splits("audioset_full", audioset, splits=["balanced_train"], vocabulary=VOCABULARY)
    assert loaded.summaries["balanced_train"].class_counts == {"Speech": 2, "Dog": 2, "Rain": 2}
    assert len(load_audioset(audioset, "unbalanced_train", vocabulary=VOCABULARY, quiet=True)) == 9
    assert len(load_audioset(audioset / "data" / "eval", "eval", vocabulary=VOCABULARY, quiet=True)) == 3


def test_a_stream_has_the_same_clips_and_a_shard_per_file(audioset):
    by_index = load_audioset(audioset, "unbalanced_train", vocabulary=VOCABULARY, quiet=True)
    stream = load_audioset(audioset, "unbalanced_train", vocabulary=VOCABULARY, quiet=True, streaming=True)
    assert isinstance(stream, IterableDataset) and stream.num_shards == 3
    assert list(stream) == list(by_index) and stream.features == by_index.features


def test_shards_that_do_not_say_how_long_their_clips_are_have_no_lengths(audioset):
    files = [str(path) for path in sorted((audioset / "data" / "bal_train").glob("*.parquet"))]
    clips = ShardedClips.of(ShardIndex.open(files, VOCABULARY))
    assert clips.seconds == [None] * 6 and clips.ids[:3] == ["a0", "a1", "a2"]


def test_what_is_not_there_says_what_is(audioset, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"split 'val', with val or valid or validation as a folder.*bal_train"):
        load_fsd50k(audioset, "val", vocabulary=VOCABULARY)
    with pytest.raises(ValueError, match="balanced_train, unbalanced_train, eval, got 'train'"):
        load_audioset(audioset, "train", vocabulary=VOCABULARY)
    with pytest.raises(ValueError, match="Pass the vocabulary"):
        load_audioset(audioset, "eval")
    (tmp_path / "data" / "eval" / "x.tar").touch()
    with pytest.raises(ValueError, match="found both: pass one kind"):
        load_audioset(audioset, "eval", vocabulary=VOCABULARY)


def test_prepared_shards_need_no_vocabulary(tmp_path):
    (tmp_path / "data").mkdir()
    for seed, split in ((1, "train"), (2, "test")):
        clips, _ = make_scenes(6, seed=seed)
        clips.to_parquet(str(tmp_path / "data" / f"{split}-00000-of-00001.parquet"))
    for split, seed in (("train", 1), ("test", 2)):
        clips = load_tagging_dataset(tmp_path, split=split, quiet=True)
        assert isinstance(clips, Dataset) and class_names(clips) == list(SCENE_CLASSES)
        np.testing.assert_array_equal(targets_of(clips), targets_of(make_scenes(6, seed=seed)[0]))
    both = load_tagging_dataset(tmp_path, quiet=True)
    assert {split: len(clips) for split, clips in both.items()} == {"train": 6, "test": 6}
    assert len(load_fsd50k(tmp_path, "eval", quiet=True)) == 6


def test_tars_are_counted_by_index_and_say_that_they_are_not_when_streamed(tmp_path, capsys):
    with tarfile.open(tmp_path / "train-0.tar", "w") as archive:
        for i in range(3):
            about = json.dumps({"labels": ["/m/0bt9lr"], "duration": 0.125}).encode()
            for name, content in ((f"{i}.flac", flac()), (f"{i}.json", about)):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    clips = load_tagging_dataset(tmp_path, vocabulary=VOCABULARY, split="train")
    assert "3 of 3 listed clips, 0.00 hours (train 3)" in capsys.readouterr().out
    assert labels_of(clips).class_counts().tolist() == [0, 3, 0]
    stream = load_tagging_dataset(tmp_path, vocabulary=VOCABULARY, split="train", streaming=True)
    assert "not counted" in capsys.readouterr().out
    assert list(stream) == list(clips)
    with pytest.raises(ValueError, match="do not say what their classes are"):
        load_tagging_dataset(tmp_path, split="train")


def test_shards_are_streamed_from_the_hub(audioset, hub):
    repo = hub.repos.setdefault("datasets/me/audioset", {})
    for path in audioset.rglob("*.parquet"):
        repo[str(path.relative_to(audioset))] = path.read_bytes()
    code = """
from psla_hf.data.load import load_audioset
from psla_hf.labels.vocabulary import Vocabulary
clips = load_audioset("hf://datasets/me/audioset@main/data", "balanced_train", streaming=True, vocabulary=Vocabulary(
    ("Speech", "Dog", "Rain"), ("/m/09x0r", "/m/0bt9lr", "/m/06mb1")))
print(*[f"{clip['id']}:{len(clip['audio']['bytes'])}" for clip in clips])
"""
    done = subprocess.run([sys.executable, "-c", code], env=hub.env, capture_output=True, text=True, check=True)
    assert "6 of 6 listed clips" in done.stdout
    expected = [f"{name}{i}:{len(flac())}" for name in "ab" for i in range(3)]
    assert done.stdout.splitlines()[-1].split() == expected


def test_shards_that_are_written_anew_are_read_anew(tmp_path):
    for seed, count in ((1, 2), (2, 3)):
        make_scenes(count, seed=seed)[0].to_parquet(str(tmp_path / "train-0.parquet"))
        clips = load_tagging_dataset(tmp_path, split="train", quiet=True)
        assert clips["id"][:] == [f"scene-{seed}-{i:05d}" for i in range(count)]


def test_damage_between_the_footers_is_one_error_by_index_and_streamed(tmp_path):
    """What shows while the clips are read is not wrapped in an error of `datasets`."""
    path = tmp_path / "train.parquet"
    audio = [{"path": None, "bytes": np.random.default_rng(k).bytes(3000)} for k in range(200)]
    names = [["Dog"], ["Rain"], ["Rain"], ["Speech"]] * 50
    pq.write_table(pa.table({"id": range(200), "audio": audio, "label": names}), path, row_group_size=50)
    group, damaged = pq.read_metadata(path).row_group(1), bytearray(path.read_bytes())
    columns = {group.column(k).path_in_schema: group.column(k) for k in range(group.num_columns)}
    begin = columns["audio.bytes"].data_page_offset
    damaged[begin : begin + 40] = b"\xff" * 40
    path.write_bytes(damaged)
    index = ShardIndex.open([str(path)], VOCABULARY)
    for read in (
        lambda: load_tagging_dataset(path, vocabulary=VOCABULARY, quiet=True),
        lambda: TaggingStream.open(index, SampleMaker(3), 2, cache_dir=str(tmp_path)),
    ):
        with pytest.raises(ValueError, match=r"clips as parquet in .*train\.parquet, could not read it so"):
            read()


def test_a_tar_that_is_cut_short_or_has_no_classes_is_one_error(tmp_path):
    path = tmp_path / "train.tar"
    for labels, size, message in (
        (["Dog"], 700, r"clips as a tar in .*train\.tar, could not read it so"),
        (["Cow"], None, r"train\.tar, clip a: Expected names, mids or indices of the 3 classes, got 'Cow'"),
    ):
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as archive:
            for name, part in (("a.flac", flac()), ("a.json", json.dumps({"labels": labels}).encode())):
                member = tarfile.TarInfo(name)
                member.size = len(part)
                archive.addfile(member, io.BytesIO(part))
        path.write_bytes(content.getvalue()[:size])
        with pytest.raises(ValueError, match=message):
            load_tagging_dataset(path, vocabulary=VOCABULARY, quiet=True)


def test_what_folders_above_the_source_are_called_means_nothing(tmp_path):
    folder = tmp_path / "test" / "audioset"
    folder.mkdir(parents=True)
    for split in ("bal_train", "eval"):
        (folder / f"{split}-0.parquet").touch()
    assert find_shards(folder, "eval", SOURCES["audioset_full"].shard_names) == [str(folder / "eval-0.parquet")]
    (folder / "eval").mkdir()
    (folder / "eval" / "bal_train-1.parquet").touch()  # the file's own name comes first
    assert len(find_shards(folder, "eval", SOURCES["audioset_full"].shard_names)) == 1
    assert find_shards(folder / "eval", "balanced_train", SOURCES["audioset_full"].shard_names)
