"""One schema for every data set: classes in order, labels that can be replaced, a load that says what it found."""

import json

import numpy as np
import pytest
from datasets import Dataset

from psla_hf.data.schema import (
    check_class_order,
    class_names,
    labels_of,
    tagging_features,
    targets_of,
    vocabulary_of,
    with_labels,
    with_targets,
)
from psla_hf.data.summary import LoadSummary
from psla_hf.labels.vocabulary import ClipLabels, Vocabulary

VOCABULARY = Vocabulary(("Speech", "Dog", "Rain"), ("/m/09x0r", "/m/0bt9lr", "/m/06mb1"))


@pytest.fixture
def clips() -> Dataset:
    rows = [
        {"id": name, "audio": {"path": None, "bytes": b""}, "labels": k, "mids": k, "split": "train", "seconds": 1.0}
        for name, k in (("a", [1]), ("b", [0, 2]), ("c", []))
    ]
    return Dataset.from_list(rows, features=tagging_features(VOCABULARY))


def test_a_data_set_knows_its_classes_by_name_and_mid(clips, tmp_path):
    clips.to_parquet(str(tmp_path / "clips.parquet"))
    for data in (clips, Dataset.from_parquet(str(tmp_path / "clips.parquet")), clips.to_iterable_dataset()):
        assert vocabulary_of(data) == VOCABULARY
        assert class_names(data) == ["Speech", "Dog", "Rain"]
    assert clips.features["mids"].feature.int2str(clips[1]["mids"]) == ["/m/09x0r", "/m/06mb1"]


def test_labels_follow_a_selection(clips):
    np.testing.assert_array_equal(targets_of(clips), [[0, 1, 0], [1, 0, 1], [0, 0, 0]])
    np.testing.assert_array_equal(targets_of(clips.select([1, 0])), [[1, 0, 1], [0, 1, 0]])
    assert len(labels_of(clips.select([1, 0, 1]))) == 3


def test_other_targets_replace_labels_and_mids_and_must_fit(clips):
    targets = np.array([[1, 1, 0], [0, 0, 0], [0, 0, 1]])
    changed = with_targets(clips, targets)
    np.testing.assert_array_equal(targets_of(changed), targets)
    assert changed["mids"][:] == changed["labels"][:] and changed.features == clips.features
    with pytest.raises(ValueError, match=r"Expected targets \(3, 3\).* got \(2, 3\)"):
        with_targets(clips, targets[:2])
    with pytest.raises(ValueError, match="0/1 targets"):
        with_targets(clips, targets * 0.5)


def test_soft_labels_are_one_more_column_until_other_labels_come(clips):
    labels = ClipLabels.from_lists([[1, 2], [], [0]], 3)
    soft = with_labels(clips.select([2, 1, 0]), labels, np.array([1, 0.25, 0.5], np.float32))
    assert soft["id"][:] == ["c", "b", "a"]
    assert soft["labels"][:] == soft["mids"][:] == [[1, 2], [], [0]]
    assert soft["label_values"][:] == [[1, 0.25], [], [0.5]]
    assert with_labels(soft, labels).features == clips.features
    with pytest.raises(ValueError, match="a value for each of 3 labels, got 3 clips with 3 classes and 2 values"):
        with_labels(clips, labels, np.ones(2, np.float32))
    with pytest.raises(ValueError, match=r"labels of 3 clips with 3 classes.* got 2 clips with 3 classes"):
        with_labels(clips, labels.take(np.array([0, 1])))


def test_a_data_set_of_another_schema_is_refused():
    with pytest.raises(ValueError, match=r"tagging_features, got \['text'\]"):
        vocabulary_of(Dataset.from_dict({"text": ["a"]}))


def test_another_order_of_classes_is_refused_and_the_place_named():
    check_class_order(["a", "b"], ["a", "b"])
    with pytest.raises(ValueError, match="class 1 is 'c' in the data and 'b' in the model"):
        check_class_order(["a", "c"], ["a", "b"])
    with pytest.raises(ValueError, match=r"model's 2 classes .* got 3: the first ones agree"):
        check_class_order(["a", "b", "c"], ["a", "b"])


def test_a_summary_says_and_saves_what_was_found(tmp_path):
    summary = LoadSummary(
        source="Some set",
        splits={"train": 7},
        listed=10,
        class_counts={"Speech": 5, "Dog": 0, "Rain": 3},
        vocabulary=VOCABULARY.fingerprint,
        missing=("x", "y"),
        unreadable={"z": "no samples"},
        hours=1.5,
        notes=("A note.",),
    )
    text = str(summary)
    for fact in ("7 of 10", "1.50 hours", "2 missing", "x, y", "1 unreadable", "no samples", "2 of them", "A note."):
        assert fact in text
    summary.save(tmp_path / "deep" / "summary.json")
    saved = json.loads((tmp_path / "deep" / "summary.json").read_text(encoding="utf-8"))
    assert saved["found"] == 7 and saved["missing"] == ["x", "y"] and saved["class_counts"]["Rain"] == 3
