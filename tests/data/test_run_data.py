"""A run gets its parts by the data set's name, and an account of what was found."""

import json

import numpy as np
import pytest
import soundfile

from psla_hf.data.load import load, load_splits
from psla_hf.data.shards.prepare import prepare
from psla_hf.data.summary import LoadOptions
from psla_hf.data.toy import make_scenes, scene_ontology
from psla_hf.enhancement.algorithm import enhance_clip_labels
from psla_hf.enhancement.label_set import LabelSet, write_label_set
from psla_hf.files import atomic_folder

QUIET, STREAMED = LoadOptions(quiet=True), LoadOptions(streaming=True, quiet=True)


@pytest.fixture
def shards(tmp_path):
    """Prepared shards under the names of AudioSet's splits: 6, 5 and 4 scenes."""
    folder = tmp_path / "prepared" / "data"
    folder.mkdir(parents=True)
    for seed, (split, count) in enumerate((("balanced_train", 6), ("unbalanced_train", 5), ("eval", 4))):
        make_scenes(count, seed=seed)[0].to_parquet(str(folder / f"{split}-00000-of-00001.parquet"))
    return tmp_path / "prepared"


def test_audioset_trains_on_one_list_or_both_and_is_tested_on_eval(shards):
    balanced, full = (load(f"audioset_{size}", shards, QUIET) for size in ("balanced", "full"))
    assert (len(balanced.train), len(balanced.test), balanced.validation) == (6, 4, None)
    assert (len(full.train), len(full.test)) == (11, 4)
    assert full.summaries["train"].splits == {"balanced_train": 6, "unbalanced_train": 5}
    assert full.summaries["train"].found == 11 and not full.summaries["test"].missing


def test_a_stream_is_its_shards(shards):
    data = load("audioset_full", shards, STREAMED)
    assert len(data.train.index.files) == 2 and len(data.train) == 11
    assert data.summaries["train"].source == "AudioSet balanced_train, unbalanced_train (2 shards, streamed)"
    assert data.summaries["train"].splits == {"balanced_train": 6, "unbalanced_train": 5}
    assert data.summaries["train"].found == 11 and data.summaries["test"].found == 4


def test_esc_holds_a_fold_out(esc_folder):
    data = load("esc", esc_folder, QUIET, fold=2)
    assert (len(data.train), len(data.test)) == (24, 6)
    assert sum(summary.listed for summary in data.summaries.values()) == 30
    assert all(summary.hours > 0 for summary in data.summaries.values())


def test_own_data_have_the_splits_of_their_table(tmp_path):
    for name in "abcd":
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(800), 16000)
    table = "file,labels,split\na.wav,x,train\nb.wav,y,train\nc.wav,x;y,test\nd.wav,y,{}\n"
    (tmp_path / "clips.csv").write_text(table.format("validation"))
    data = load("own", tmp_path / "clips.csv", QUIET)
    assert data.test.vocabulary.names == ("x", "y")
    assert (len(data.train), len(data.test), len(data.validation)) == (2, 1, 1)
    (tmp_path / "clips.csv").write_text(table.format("test").replace("train", "rest"))
    with pytest.raises(ValueError, match=r"splits train and test in .*clips.csv, found \['rest', 'test'\]"):
        load("own", tmp_path / "clips.csv", QUIET)


def test_what_cannot_be_is_refused(esc_folder, tmp_path):
    with pytest.raises(ValueError, match=r"audioset_balanced, audioset_full, fsd50k, esc, .*own, got 'imagenet'"):
        load("imagenet", tmp_path)
    with pytest.raises(ValueError, match="Streaming is for what does not fit"):
        load("esc", esc_folder, STREAMED)
    with pytest.raises(ValueError, match=r"no other settings for ESC-50 than subset, got .*vocabulary"):
        load("esc", esc_folder, vocabulary="classes.csv")
    with pytest.raises(ValueError, match=r"Expected fold 1, .* no.*, got 2 for AudioSet"):
        load("audioset_full", tmp_path, fold=2)
    with pytest.raises(ValueError, match=r"settings for FSD50K than vocabulary, got .*'subset': 'esc10'"):
        load("fsd50k", tmp_path, subset="esc10")
    with pytest.raises(ValueError, match=r"Expected parts of ESC-50, train, test, got \['validation'\]"):
        load("esc", esc_folder, parts=["validation"])


def test_the_part_to_test_on_is_the_same_by_itself(shards, esc_folder):
    assert load("audioset_full", shards, QUIET, parts=["test"]).test.ids == [f"scene-2-{i:05d}" for i in range(4)]
    whole = load("esc", esc_folder, QUIET, fold=3)
    assert load("esc", esc_folder, QUIET, fold=3, parts=["test"]).test.ids == whole.test.ids
    with pytest.raises(ValueError, match="got 'imagenet'"):
        load("imagenet", shards, parts=["test"])


def test_own_shards_have_the_splits_of_their_names(tmp_path):
    for seed, split in ((1, "train"), (2, "test")):
        make_scenes(2 + seed, seed=seed)[0].to_parquet(str(tmp_path / f"{split}-0.parquet"))
    data = load("own", tmp_path, QUIET)
    assert (len(data.train), len(data.test), data.validation) == (3, 4, None)
    make_scenes(2, seed=3)[0].to_parquet(str(tmp_path / "val-0.parquet"))
    assert len(load("own", tmp_path, QUIET).validation) == 2


@pytest.mark.parametrize("streaming", [False, True], ids=["by index", "streamed"])
def test_clips_to_train_on_get_the_labels_of_a_set_made_for_them(shards, tmp_path, streaming):
    plain = load("audioset_full", shards, LoadOptions(streaming=streaming, quiet=True))
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


def test_the_facts_of_a_run_are_figures_that_json_has(esc_folder, shards):
    facts = load("esc", esc_folder, QUIET, fold=2, subset="audioset").facts()
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert (facts["dataset"], facts["fold"], facts["subset"]) == ("esc", 2, "audioset")
    assert {part: figures["found"] for part, figures in facts["parts"].items()} == {"train": 24, "test": 6}
    assert facts["parts"]["test"]["splits"] == {"fold 2": 6} and facts["parts"]["test"]["missing"] == 0
    assert load("audioset_full", shards, QUIET).facts().keys() == {"dataset", "parts"}


@pytest.mark.parametrize("streaming", [False, True], ids=["by index", "streamed"])
def test_a_prepared_set_with_folds_is_loaded_like_its_folder(esc_folder, tmp_path, streaming):
    folds = load_splits("esc", esc_folder, QUIET)
    assert list(folds.parts) == [f"fold {fold}" for fold in range(1, 6)]
    for fold, clips in folds.parts.items():
        prepare(clips, tmp_path / "prepared", split=fold.replace(" ", "_"))
    plain, prepared = (
        load("esc", folder, LoadOptions(streaming=streaming and folder != esc_folder, quiet=True), fold=4)
        for folder in (esc_folder, tmp_path / "prepared")
    )
    for part in ("train", "test"):
        assert prepared.parts[part].ids == plain.parts[part].ids
        assert prepared.summaries[part].splits == plain.summaries[part].splits


def test_which_subset_it_is_survives_being_prepared(esc_folder, tmp_path):
    (esc_folder / "meta" / "esc50.csv").rename(esc_folder / "esc10.csv")
    loaded = load_splits("esc", esc_folder, LoadOptions(quiet=True))
    for part, clips in loaded.parts.items():
        prepare(clips, tmp_path / "out", split=part.replace(" ", "_"), subset=loaded.subset)
    for place in (esc_folder, tmp_path / "out", tmp_path / "out" / "data"):
        assert load("esc", place, LoadOptions(quiet=True), fold=2).facts()["subset"] == "esc10"
