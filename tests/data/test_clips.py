"""Clips by index and in shards answer alike, and name no place on this machine."""

import hashlib
import pickle

import numpy as np
import pytest
from datasets import Dataset

from psla_hf.data.foreign import as_clips
from psla_hf.data.load import load_esc
from psla_hf.data.schema import Clips, tagging_features, targets_of, vocabulary_of
from psla_hf.data.shards.parquet import ShardedClips, ShardIndex
from psla_hf.data.toy import SCENE_SECONDS, make_scenes
from psla_hf.labels.vocabulary import ClipLabels, Vocabulary


def clip_with(path, data=None) -> Dataset:
    row = {
        "id": "a",
        "audio": {"path": path, "bytes": data},
        "labels": [],
        "mids": [],
        "split": "train",
        "seconds": 1.0,
    }
    return Dataset.from_list([row], features=tagging_features(Vocabulary(("dog",))))


def test_a_file_is_named_by_its_place_in_the_data(esc_folder, tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    relative = f"../{esc_folder.name}"
    for data_dir in (esc_folder, relative):
        clips = load_esc(data_dir, 1, quiet=True)["train"]
        for root in (esc_folder, relative):
            assert as_clips(clips).audio_path(0, root) == f"audio/{clips[0]['id']}.wav"
        assert as_clips(clips).audio_path(0, tmp_path / "elsewhere") == f"{clips[0]['id']}.wav"


def test_names_inside_a_table_and_addresses_stay(tmp_path):
    assert as_clips(clip_with("sub/a.flac", b"flac")).audio_path(0, tmp_path) == "sub/a.flac"
    assert as_clips(clip_with(None, b"flac")).audio_path(0, tmp_path) is None
    assert as_clips(clip_with("hf://datasets/me/clips/a.wav")).audio_path(0, tmp_path) == "hf://datasets/me/clips/a.wav"


def test_files_are_those_of_clips_whose_bytes_no_table_holds():
    assert as_clips(clip_with("/clips/a.wav")).files == ["/clips/a.wav"]
    assert as_clips(clip_with("sub/a.flac", b"flac")).files == as_clips(clip_with(None, b"flac")).files == [None]


@pytest.fixture(params=["by index", "in shards"])
def both(request, tmp_path) -> tuple[Clips, Dataset]:
    """The same twelve clips either way, and as a data set."""
    dataset, _ = make_scenes(12, seed=0)
    if request.param == "by index":
        return as_clips(dataset), dataset
    dataset.to_parquet(str(tmp_path / "train.parquet"), batch_size=5)
    return ShardedClips.of(ShardIndex.open([str(tmp_path / "train.parquet")])), dataset


def test_clips_by_index_and_in_shards_answer_alike(both):
    clips, dataset = both
    assert clips.ids == dataset["id"][:] and clips.column("split") == dataset["split"][:]
    assert clips.vocabulary == vocabulary_of(dataset) and clips.features == dataset.features
    np.testing.assert_array_equal(clips.labels.multi_hot(), targets_of(dataset))
    assert clips.hours == pytest.approx(12 * SCENE_SECONDS / 3600)
    assert clips.seconds == pytest.approx([SCENE_SECONDS] * 12) and clips.files == [None] * 12
    assert list(clips) == list(clips.dataset()) == list(dataset)
    assert as_clips(clips) is clips


def test_some_clips_are_numbered_from_the_first_of_them_and_travel_to_other_processes(both):
    clips, dataset = both
    some = clips.select(range(3, 9))
    assert some.fingerprint != clips.fingerprint == as_clips(clips).fingerprint
    for part in (some, pickle.loads(pickle.dumps(some))):
        assert len(part) == 6 and part.ids == dataset["id"][3:9]
        assert list(part.select(range(1, 3))) == [dataset[4], dataset[5]]
        np.testing.assert_array_equal(part.labels.multi_hot(), targets_of(dataset)[3:9])


def test_only_the_selected_rows_of_a_table_in_memory_are_pickled():
    clips = as_clips(make_scenes(40, seed=0)[0])
    assert len(pickle.dumps(clips.select(range(1)))) < len(pickle.dumps(clips)) / 10


def test_other_labels_are_read_and_change_the_fingerprint(both):
    clips, dataset = both
    labels = ClipLabels.from_multi_hot(1 - targets_of(dataset))
    changed = clips.with_labels(labels)
    np.testing.assert_array_equal(changed.labels.multi_hot(), 1 - targets_of(dataset))
    assert [clip["labels"] for clip in changed] == [np.flatnonzero(1 - row).tolist() for row in targets_of(dataset)]
    soft = clips.with_labels(labels, np.full(len(labels.values), 0.5, np.float32))
    assert len({clips.fingerprint, changed.fingerprint, soft.fingerprint}) == 3
    with pytest.raises(ValueError, match="Expected labels of 12 clips"):
        clips.with_labels(labels.take(np.arange(11)))


def test_the_fingerprint_of_the_same_data_is_that_of_earlier_versions():
    """Else a run that was begun before could not be resumed."""
    clips = as_clips(clip_with("a.wav"))
    digest = hashlib.sha256(b"a" + np.array([], np.int32).tobytes() + np.array([0, 0], np.int64).tobytes())
    assert clips.fingerprint == digest.hexdigest()


def test_what_has_no_features_of_ours_is_refused():
    with pytest.raises(ValueError, match=r"Expected the columns audio .* found \['text'\]"):
        as_clips(Dataset.from_dict({"text": ["a"]}))
