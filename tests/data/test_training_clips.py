"""Clips are asked alike for their files, and name no place on this machine."""

from datasets import Dataset

from psla_hf.data.load import load_esc
from psla_hf.data.schema import tagging_features
from psla_hf.data.training_clips import audio_path
from psla_hf.labels.vocabulary import Vocabulary


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
            assert audio_path(clips, 0, root) == f"audio/{clips[0]['id']}.wav"
        assert audio_path(clips, 0, tmp_path / "elsewhere") == f"{clips[0]['id']}.wav"


def test_names_inside_a_table_and_addresses_stay(tmp_path):
    assert audio_path(clip_with("sub/a.flac", b"flac"), 0, tmp_path) == "sub/a.flac"
    assert audio_path(clip_with(None, b"flac"), 0, tmp_path) is None
    assert audio_path(clip_with("hf://datasets/me/clips/a.wav"), 0, tmp_path) == "hf://datasets/me/clips/a.wav"
