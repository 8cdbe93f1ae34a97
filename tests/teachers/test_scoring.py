"""Scores in chunks are the teacher's, whoever made them and however often it was broken off."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset

from psla_hf.data.load import load_esc
from psla_hf.data.schema import tagging_features, vocabulary_of
from psla_hf.data.shards.parquet import ShardedClips, ShardIndex
from psla_hf.data.shards.prepare import prepare
from psla_hf.evaluation import score_clips
from psla_hf.inference.tagger import AudioTagger
from psla_hf.labels.vocabulary import Vocabulary
from psla_hf.teachers.class_map import ClassMap
from psla_hf.teachers.scores import IDENTITY, MeanRows, open_scores, open_teachers
from psla_hf.teachers.scoring import score_training_clips
from psla_hf.teachers.teacher import TaggerTeacher, open_teacher


@pytest.fixture
def teacher(saved_model):
    return open_teacher(str(saved_model))


@pytest.fixture
def clips(esc_folder) -> Dataset:
    """Twenty-four clips."""
    return load_esc(esc_folder, 1, quiet=True)["train"]


@pytest.fixture
def score(teacher, clips, tmp_path, accelerator):
    def call(clips=clips, teacher=teacher, folder=tmp_path / "scores", **settings):
        settings = {"batch_size": 4, "clips_per_chunk": 7, **settings}
        return score_training_clips(teacher, clips, folder, accelerator, **settings)

    return call


def test_chunks_are_what_evaluation_scores(score, teacher, clips, accelerator):
    rows = score()
    assert rows.shape == (24, 3) and len(rows.files) == 4
    expected = score_clips(teacher.model, teacher.extractor, clips, accelerator)
    # Float16 has 11 bits; batches of other sizes round otherwise in float32.
    np.testing.assert_allclose(rows[0:24], expected, rtol=2**-10)


def test_of_a_clip_longer_than_the_window_the_highest_of_all_windows_counts(score, teacher, clips, accelerator):
    teacher.extractor.max_length = 20  # half a second has 48 frames
    rows = score(teacher=TaggerTeacher(teacher.model, teacher.extractor))[0:24]
    np.testing.assert_allclose(rows, score_clips(teacher.model, teacher.extractor, clips, accelerator), rtol=2**-10)
    first = AudioTagger(teacher.model, teacher.extractor)(clips[0]["audio"]["path"], top_k=None)
    assert max(tag["score"] for tag in first) == pytest.approx(rows[0].max(), rel=2**-9)


def test_what_is_finished_is_kept_and_the_rest_is_as_in_one_run(score, tmp_path):
    whole = score(folder=tmp_path / "other")[0:24]
    first = score()
    marked = np.full((7, 3), 0.25, np.float16)
    np.save(first.files[0], marked)  # a finished chunk, to be known again
    first.files[2].unlink()
    unfinished = f".{first.files[2].name}.unfinished-killed"
    shutil.copy(first.files[1], first.files[2].with_name(unfinished))  # a kill in the middle of writing
    again = score()[0:24]
    np.testing.assert_array_equal(again[:7], marked)
    np.testing.assert_array_equal(again[7:], whole[7:])


def test_shards_are_scored_like_the_clips_they_hold(score, clips, tmp_path):
    prepare(clips, tmp_path / "shards", split="train", clips_per_shard=10, clips_per_row_group=4)
    files = sorted(map(str, (tmp_path / "shards").rglob("*.parquet")))
    sharded = ShardedClips.of(ShardIndex.open(files))
    assert sorted(sharded.ids) == sorted(clips["id"][:])
    as_dataset = Dataset.from_parquet(files, cache_dir=str(tmp_path / "cache"))
    np.testing.assert_array_equal(score(sharded)[0:24], score(as_dataset, folder=tmp_path / "other")[0:24])


def test_scores_of_another_teacher_of_other_clips_or_settings_are_refused(score, teacher, clips, tmp_path):
    score()
    with pytest.raises(ValueError, match="clips was"):
        score(clips.select(range(23, -1, -1)))
    with pytest.raises(ValueError, match="number of clips was 24, is 20"):
        score(clips.select(range(20)))
    with pytest.raises(ValueError, match="clips per chunk was 7, is 8"):
        score(clips_per_chunk=8)
    identity = tmp_path / "scores" / IDENTITY
    noted = identity.read_text()
    identity.write_text(noted.replace('"precision": "no"', '"precision": "bf16"'))
    with pytest.raises(ValueError, match="precision was bf16, is no"):
        score()
    identity.write_text(noted)
    with torch.no_grad():
        next(teacher.model.parameters()).add_(1)
    with pytest.raises(ValueError, match="teacher was"):
        score()


def test_batches_are_compared_where_clips_are_padded_to_the_longest(score, teacher, tmp_path):
    score()
    score(batch_size=8)
    teacher.extractor.max_length = None
    any_length = TaggerTeacher(teacher.model, teacher.extractor)
    score(teacher=any_length, folder=tmp_path / "any length")
    with pytest.raises(ValueError, match="batch size was 4, is 8"):
        score(teacher=any_length, folder=tmp_path / "any length", batch_size=8)


def test_scores_that_are_no_numbers_stop_it(score, teacher, clips):
    with torch.no_grad():
        next(teacher.model.parameters()).fill_(float("nan"))
    with pytest.raises(ValueError, match=f"those of 4 of 4 are not, such as {clips[0]['id']}"):
        score(on_error="skip")


def test_a_fingerprint_is_of_weights_and_front_end(teacher):
    before = teacher.fingerprint
    assert teacher.fingerprint == before
    teacher.extractor.mean += 1
    assert teacher.fingerprint != before


def test_a_clip_that_does_not_decode_stops_or_stays_without_scores(score, clips, tmp_path):
    broken = clips[9]
    Path(broken["audio"]["path"]).write_bytes(b"not audio")
    with pytest.raises(ValueError, match=broken["id"]):
        score()
    finished = {path: path.stat().st_mtime_ns for path in (tmp_path / "scores").glob("*.npy")}
    assert len(finished) == 1
    rows = score(num_workers=1, on_error="skip")[0:24]
    assert finished.items() <= {path: path.stat().st_mtime_ns for path in (tmp_path / "scores").glob("*.npy")}.items()
    np.testing.assert_array_equal(np.isnan(rows).any(axis=1), np.arange(24) == 9)


def test_classes_that_the_teacher_does_not_know_have_no_scores(score, clips, tmp_path):
    others = Dataset.from_list([clips[0]], features=tagging_features(Vocabulary(("dog", "rain", "cat"))))
    scores = score(others)[0:1]
    assert np.isfinite(scores[0, :2]).all() and np.isnan(scores[0, 2])
    strangers = Dataset.from_list([clips[0]], features=tagging_features(Vocabulary(("frog", "snow", "cat"))))
    with pytest.raises(ValueError, match="it knows none: the nearest to 'frog' is"):
        score(strangers, folder=tmp_path / "strangers")


def test_parts_of_jobs_that_know_nothing_of_each_other_are_the_whole(score, clips, tmp_path):
    whole = score()[0:24]
    assert score(folder=tmp_path / "parts", part=(2, 3)) is None
    assert score(folder=tmp_path / "other disk", part=(1, 3)) is None
    with pytest.raises(ValueError, match="17 rows missing"):
        open_scores(tmp_path / "parts", clips["id"][:], 3, tmp_path)
    for file in (tmp_path / "other disk").glob("*.npy"):
        shutil.copy(file, tmp_path / "parts")
    np.testing.assert_array_equal(score(folder=tmp_path / "parts", part=(3, 3))[0:24], whole)
    with pytest.raises(ValueError, match="Expected a part from 1 to 3, got 4 of 3"):
        score(part=(4, 3))


def test_the_highest_scores_alone_are_kept(score, clips, tmp_path):
    whole = score()[0:24]
    rows = score(folder=tmp_path / "highest", top_k=2)
    kept = rows[0:24]
    lowest = np.argmin(whole, axis=1)
    assert (kept[np.arange(24), lowest] == 0).all()
    np.testing.assert_array_equal(np.sort(kept, axis=1)[:, 1:], np.sort(whole, axis=1)[:, 1:])
    opened = open_scores(tmp_path / "highest", clips["id"][:], 3, tmp_path)
    np.testing.assert_array_equal(opened[5:9], kept[5:9])
    with pytest.raises(ValueError, match="Expected top_k from 1 to 3"):
        score(folder=tmp_path / "more", top_k=4)


def test_unknown_classes_and_clips_without_scores_stay_so_where_the_highest_alone_are_kept(score, clips, tmp_path):
    others = clips.cast(tagging_features(Vocabulary(("dog", "cat", "rain"))))
    Path(clips[9]["audio"]["path"]).write_bytes(b"not audio")
    kept = score(others, top_k=1, on_error="skip")[0:24]
    assert np.isnan(kept[9]).all()
    assert np.isnan(np.delete(kept, 9, axis=0)[:, 1]).all()
    assert ((np.delete(kept, 9, axis=0)[:, [0, 2]] > 0).sum(axis=1) == 1).all()


def test_of_several_teachers_the_mean_of_those_that_have_a_score(score, clips, tmp_path):
    first = score()[0:24].astype(np.float32)
    other = 1 - first
    other[3], other[:, 2] = np.nan, np.nan
    np.save(tmp_path / "other.npy", other)
    vocabulary = vocabulary_of(clips)
    paths = [tmp_path / "scores", tmp_path / "other.npy"]
    rows, unscored, about = open_teachers(paths, clips["id"][:], vocabulary, tmp_path)
    assert isinstance(rows, MeanRows) and rows.shape == (24, 3) and not len(unscored)
    expected = np.full((24, 3), 0.5)
    expected[3], expected[:, 2] = first[3], first[:, 2]
    np.testing.assert_allclose(rows[0:24], expected, rtol=1e-6)
    assert about["teacher"] == "model and whoever made the scores in other.npy"


def test_a_map_of_classes_is_compared(score, teacher, clips):
    score()
    swapped = ClassMap.of(teacher.classes, vocabulary_of(clips), {"dog": ["rain", "rooster"]})
    with pytest.raises(ValueError, match="class map was"):
        score(class_map=swapped)
