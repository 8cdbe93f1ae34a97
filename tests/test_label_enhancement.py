"""Algorithm 2 adds what the original adds, and nothing else."""

import numpy as np
import pytest

from psla_hf import Ontology, enhance_labels
from psla_hf.fidelity import golden_label_sets
from psla_hf.label_enhancement import class_thresholds

IDS = ["animal", "dog", "cat"]
ANIMALS = Ontology(children={"animal": ("dog", "cat"), "dog": (), "cat": ()}, names={})


def test_a_missing_parent_and_a_missing_child_are_added_where_the_teacher_is_sure():
    targets = np.array([[1, 1, 0], [0, 1, 0], [1, 0, 1], [1, 0, 0]], dtype=np.float32)
    scores = np.array([[0.5, 0.6, 0.9], [0.6, 0.8, 0.1], [0.5, 0.9, 0.5], [0.5, 0.9, 0.4]], dtype=np.float32)
    # thresholds: animal 0.5, dog 0.7, cat 0.5
    parents = enhance_labels(targets, scores, ANIMALS, IDS, types=["II"])
    np.testing.assert_array_equal(parents - targets, [[0, 0, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0]])
    children = enhance_labels(targets, scores, ANIMALS, IDS, types=["I"])
    np.testing.assert_array_equal(children - targets, [[0, 0, 1], [0, 0, 0], [0, 1, 0], [0, 1, 0]])
    both = enhance_labels(targets, scores, ANIMALS, IDS)
    np.testing.assert_array_equal(both, np.maximum(parents, children))


def test_a_class_that_no_clip_has_is_never_added():
    targets = np.array([[1, 0, 0]], dtype=np.float32)
    assert class_thresholds(targets, np.ones((1, 3)))[1:].tolist() == [np.inf, np.inf]
    np.testing.assert_array_equal(enhance_labels(targets, np.ones((1, 3)), ANIMALS, IDS), targets)


def test_thresholds_are_statistics_of_the_labelled_clips():
    targets = np.array([[1], [1], [1], [1], [0]], dtype=np.float32)
    scores = np.array([[0.1], [0.2], [0.3], [0.8], [1.0]])
    for threshold, expected in (("mean", 0.35), ("median", 0.25), (25, 0.175)):
        assert class_thresholds(targets, scores, threshold)[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": np.ones((1, 2))}, "one shape"),
        ({"types": ["III"]}, "III"),
        ({"ids": ["dog", "cat", "cow"]}, "cow"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    arguments = {"targets": np.ones((1, 3)), "scores": np.ones((1, 3)), "ontology": ANIMALS, "ids": IDS, **change}
    with pytest.raises(ValueError, match=message):
        enhance_labels(**arguments)


@pytest.mark.shared
def test_the_originals_fifteen_label_sets_are_reproduced(shared):
    same = golden_label_sets(shared)
    assert len(same) == 15
    assert all(same.values()), same
