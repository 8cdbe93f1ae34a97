"""A run gets its parts by the data set's name, and an account of what was found."""

import numpy as np
import pytest
import soundfile

from psla_hf.data.load import load_run_data, load_test_clips
from psla_hf.data.toy import make_scenes, scene_ontology
from psla_hf.enhancement.algorithm import enhance_clip_labels
from psla_hf.enhancement.label_set import LabelSet, write_label_set
from psla_hf.files import atomic_folder


@pytest.fixture
def shards(tmp_path):
    """Prepared shards under the names of AudioSet's splits: 6, 5 and 4 scenes."""
    folder = tmp_path / "prepared" / "data"
    folder.mkdir(parents=True)
    for seed, (split, count) in enumerate((("balanced_train", 6), ("unbalanced_train", 5), ("eval", 4))):
        make_scenes(count, seed=seed)[0].to_parquet(str(folder / f"{split}-00000-of-00001.parquet"))
    return tmp_path / "prepared"


def test_audioset_trains_on_one_list_or_both_and_is_tested_on_eval(shards):
    balanced, full = (load_run_data(f"audioset_{size}", shards, quiet=True) for size in ("balanced", "full"))
    assert (len(balanced.train), len(balanced.test), balanced.validation) == (6, 4, None)
    assert (len(full.train), len(full.test)) == (11, 4)
    assert full.about["unbalanced_train"]["found"] == 5 and full.about["eval"]["missing"] == 0


def test_a_stream_is_its_shards(shards):
    data = load_run_data("audioset_full", shards, streaming=True, quiet=True)
    assert len(data.train.index.files) == 2 and len(data.train) == 11
    assert data.about["train"]["source"] == "AudioSet balanced_train, unbalanced_train (2 shards, streamed)"
    assert data.about["train"]["found"] == 11 and data.about["eval"]["found"] == 4


def test_esc_holds_a_fold_out(esc_folder):
    data = load_run_data("esc", esc_folder, fold=2, quiet=True)
    assert (len(data.train), len(data.test)) == (24, 6)
    assert data.about["esc"]["listed"] == 30 and data.about["esc"]["hours"] > 0


def test_own_data_have_the_splits_of_their_table(tmp_path):
    for name in "abcd":
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(800), 16000)
    table = "file,labels,split\na.wav,x,train\nb.wav,y,train\nc.wav,x;y,test\nd.wav,y,{}\n"
    (tmp_path / "clips.csv").write_text(table.format("validation"))
    data = load_run_data("own", tmp_path / "clips.csv", quiet=True)
    assert data.test.vocabulary.names == ("x", "y")
    assert (len(data.train), len(data.test), len(data.validation)) == (2, 1, 1)
    (tmp_path / "clips.csv").write_text(table.format("test").replace("train", "rest"))
    with pytest.raises(ValueError, match=r"splits train and test in .*clips.csv, found \['rest', 'test'\]"):
        load_run_data("own", tmp_path / "clips.csv", quiet=True)


def test_what_cannot_be_is_refused(esc_folder, tmp_path):
    with pytest.raises(ValueError, match="audioset_balanced, audioset_full, fsd50k, esc, own, got 'imagenet'"):
        load_run_data("imagenet", tmp_path)
    with pytest.raises(ValueError, match="Streaming is for what does not fit"):
        load_run_data("esc", esc_folder, streaming=True)
    with pytest.raises(ValueError, match="no vocabulary for ESC"):
        load_run_data("esc", esc_folder, vocabulary="classes.csv")
    with pytest.raises(ValueError, match="for ESC only, got fold 2"):
        load_test_clips("audioset_full", tmp_path, fold=2)


def test_the_part_to_test_on_is_the_same_by_itself(shards, esc_folder):
    assert load_test_clips("audioset_full", shards, quiet=True).ids == [f"scene-2-{i:05d}" for i in range(4)]
    whole = load_run_data("esc", esc_folder, fold=3, quiet=True)
    assert load_test_clips("esc", esc_folder, fold=3, quiet=True).ids == whole.test.ids
    with pytest.raises(ValueError, match="got 'imagenet'"):
        load_test_clips("imagenet", shards)


def test_own_shards_have_the_splits_of_their_names(tmp_path):
    for seed, split in ((1, "train"), (2, "test")):
        make_scenes(2 + seed, seed=seed)[0].to_parquet(str(tmp_path / f"{split}-0.parquet"))
    data = load_run_data("own", tmp_path, quiet=True)
    assert (len(data.train), len(data.test), data.validation) == (3, 4, None)
    make_scenes(2, seed=3)[0].to_parquet(str(tmp_path / "val-0.parquet"))
    assert len(load_run_data("own", tmp_path, quiet=True).validation) == 2


@pytest.mark.parametrize("streaming", [False, True], ids=["by index", "streamed"])
def test_clips_to_train_on_get_the_labels_of_a_set_made_for_them(shards, tmp_path, streaming):
    plain = load_run_data("audioset_full", shards, streaming=streaming, quiet=True)
    ids, given = plain.train.ids, plain.train.labels
    vocabulary, ontology = plain.test.vocabulary, scene_ontology()
    shuffled = np.random.default_rng(0).permutation(len(ids))

    def save(name: str, order: np.ndarray) -> LabelSet:
        labels = given.take(order)
        scores = np.tile(np.linspace(0, 1, len(order))[:, None], len(vocabulary))  # the later ones get labels
        made = enhance_clip_labels(labels, scores, ontology, vocabulary.mids)
        chosen = [ids[row] for row in order]
        with atomic_folder(tmp_path / name) as place:
            write_label_set(place, chosen, made, vocabulary)
        return LabelSet.open(tmp_path / name)

    label_set = save("all", shuffled)
    clips = label_set.apply(plain.train)
    place = {name: row for row, name in enumerate(label_set.ids)}
    expected = label_set.enhanced.take(np.array([place[name] for name in ids]))
    np.testing.assert_array_equal(clips.labels.values, expected.values)
    assert len(expected.values) > len(given.values)
    counts = {"clips": 11, "labels_before": len(given.values), "labels_after": len(expected.values)}
    assert label_set.in_figures() == {"name": "all", **counts, "soft": False}
    if streaming:
        assert [k for clip in clips for k in clip["labels"]] == expected.values.tolist()

    with pytest.raises(ValueError, match="1 missing"):
        save("few", shuffled[1:]).apply(plain.train)
