"""An ESC folder becomes the schema, a clip becomes a sample, samples become a batch; what is wrong says so."""

import numpy as np
import pandas as pd
import pytest
import torch

from psla_hf.data import TaggingDataset, class_names, collate, load_esc, targets_of
from psla_hf.synthetic import SCENE_CLASSES, make_scenes, scene_ontology

RATE = 16000


def test_a_fold_is_held_out_and_classes_are_in_the_official_order(esc_folder):
    data = load_esc(esc_folder, fold=2)
    assert {split: len(clips) for split, clips in data.items()} == {"train": 24, "test": 6}
    assert class_names(data["train"]) == ["dog", "rain", "rooster"]
    assert all(clip["id"].startswith("2-") for clip in data["test"])
    assert data["test"][2]["labels"] == [2]
    np.testing.assert_array_equal(targets_of(data["test"]).sum(axis=0), [2, 2, 2])


@pytest.mark.shared
def test_esc10_by_itself_is_understood(shared):
    data = load_esc(shared / "esc10", fold=1, subset="esc10")
    assert {split: len(clips) for split, clips in data.items()} == {"train": 320, "test": 80}
    assert len(class_names(data["train"])) == 10
    assert len(TaggingDataset(data["test"], RATE)[0]["waveform"]) == pytest.approx(5 * RATE, abs=RATE // 100)


def test_missing_folder_table_column_clip_and_fold_each_have_their_message(esc_folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="no directory"):
        load_esc(tmp_path / "nowhere", 1)
    with pytest.raises(FileNotFoundError, match=r"esc50\.csv or esc10\.csv"):
        load_esc(tmp_path, 1)
    with pytest.raises(ValueError, match="fold 1 to 5, got 6"):
        load_esc(esc_folder, 6)
    with pytest.raises(ValueError, match="ten classes of ESC-10, got 2"):
        load_esc(esc_folder, 1, subset="esc10")
    (esc_folder / "audio" / "1-1000-A-0.wav").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 30 listed clips .* 1-1000-A-0\.wav"):
        load_esc(esc_folder, 1)
    table = esc_folder / "meta" / "esc50.csv"
    pd.read_csv(table).rename(columns={"category": "class"}).to_csv(table, index=False)
    with pytest.raises(ValueError, match=r"missing \['category'\], found \['filename', 'fold', 'target', 'class'"):
        load_esc(esc_folder, 1)


def test_an_unreadable_clip_names_itself(esc_folder):
    (esc_folder / "audio" / "1-1000-A-0.wav").write_bytes(b"RIFF, but not really")
    with pytest.raises(ValueError, match="Clip '1-1000-A-0': Could not decode"):
        TaggingDataset(load_esc(esc_folder, 1)["test"], RATE)[0]


def test_a_sample_follows_from_its_seed_alone(esc_folder):
    data = TaggingDataset(load_esc(esc_folder, 1)["train"], RATE, mixup_rate=0.5)
    for seed in range(6):
        first, again = data[3, seed], data[3, seed]
        np.testing.assert_array_equal(first["waveform"], again["waveform"])
        np.testing.assert_array_equal(first["mask_draws"], again["mask_draws"])
    assert len({data[3, seed]["labels"].tobytes() for seed in range(20)}) > 2


def test_mixup_rate_is_the_share_of_mixed_samples_and_partners_are_uniform(esc_folder):
    clips = load_esc(esc_folder, 1)["train"]
    always, never = (TaggingDataset(clips, RATE, mixup_rate=rate) for rate in (1.0, 0.0))
    mixed = np.stack([always[0, seed]["labels"] for seed in range(60)])
    np.testing.assert_allclose(mixed.sum(axis=1), 1, rtol=1e-5)
    # The clip is a dog, and a third of the partners are too; the others leave it half the weight, give or take.
    assert 0.2 < (mixed[:, 0] == 1).mean() < 0.5
    np.testing.assert_array_equal(never[0, 1]["waveform"], never[0]["waveform"])
    np.testing.assert_array_equal(never[0, 1]["labels"], [1, 0, 0])


def test_other_targets_replace_the_labels_and_must_fit(esc_folder):
    clips = load_esc(esc_folder, 1)["test"]
    assert TaggingDataset(clips, RATE, targets=np.ones((6, 3)))[0]["labels"].tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match=r"Expected targets \(6, 3\).* got \(5, 3\)"):
        TaggingDataset(clips, RATE, targets=np.ones((5, 3)))


def test_clips_of_different_length_make_one_batch_with_their_lengths():
    def sample(size: int) -> dict:
        return {"id": str(size), "waveform": np.ones(size, np.float32), "labels": np.array([1.0, 0.0], np.float32)}

    batch = collate([sample(3), sample(5)])
    assert batch["waveforms"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert batch["lengths"].tolist() == [3, 5]
    assert torch.equal(batch["labels"], torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    assert batch["ids"] == ["3", "5"]
    assert "mask_draws" not in batch


def test_scenes_are_the_same_again_and_their_labels_follow_the_ontology():
    clips, truth = make_scenes(20, seed=3, missing_labels=0.4)
    again, _ = make_scenes(20, seed=3, missing_labels=0.4)
    assert clips[7] == again[7]
    parents = scene_ontology().ancestor_relation(SCENE_CLASSES)
    assert ((truth @ parents > 0) <= (truth > 0)).all()  # a true child's parents are true
    given = targets_of(clips)
    assert (given <= truth).all() and (given.sum(axis=1) >= 1).all() and given.sum() < truth.sum()
    waveform = TaggingDataset(clips, RATE)[0]["waveform"]
    assert waveform.shape == (RATE,) and 0.01 < np.abs(waveform).max() <= 1
