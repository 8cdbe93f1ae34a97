"""Algorithm 2 adds what the original adds, and nothing else; in memory or from a file, whatever the chunks."""

from itertools import pairwise

import numpy as np
import pytest

from benchmarks.fidelity import golden_label_sets
from psla_hf import Ontology, enhance_labels
from psla_hf.enhancement.algorithm import check_enhancement, class_thresholds, enhance_clip_labels
from psla_hf.labels import scores as scores_of_clips
from psla_hf.labels.vocabulary import ClipLabels, Vocabulary
from psla_hf.teachers.scores import MeanRows, NpyRows

ANIMALS = Ontology(children={"animal": ("dog", "cat"), "dog": (), "cat": ()}, names={})
CHAIN = Ontology(children={"sound": ("animal",), "animal": ("dog",), "dog": ()}, names={})
TARGETS = np.array([[1, 1, 0], [0, 1, 0], [1, 0, 1], [1, 0, 0]], dtype=np.float32)
# Thresholds: animal 0.5, dog 0.7, cat 0.5.
SCORES = np.array([[0.5, 0.6, 0.9], [0.6, 0.8, 0.1], [0.5, 0.9, 0.5], [0.5, 0.9, 0.4]], dtype=np.float32)


@pytest.fixture
def random_case():
    """Sixty clips of twelve classes, two of which no clip has, over a graph in which some have two parents."""
    rng = np.random.default_rng(3)
    ids = [f"class {k}" for k in range(12)]
    children = {ids[k]: tuple(ids[j] for j in range(k + 1, 12) if rng.random() < 0.25) for k in range(12)}
    targets = (rng.random((60, 12)) < 0.2).astype(np.float32)
    targets[:, 4:6] = 0
    return targets, rng.random((60, 12), np.float32), Ontology(children, {}), ids


def test_a_missing_parent_and_a_missing_child_are_added_where_the_teacher_is_sure():
    parents = enhance_labels(TARGETS, SCORES, ANIMALS, types=["II"])
    np.testing.assert_array_equal(parents - TARGETS, [[0, 0, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0]])
    children = enhance_labels(TARGETS, SCORES, ANIMALS, types=["I"])
    np.testing.assert_array_equal(children - TARGETS, [[0, 0, 1], [0, 0, 0], [0, 1, 0], [0, 1, 0]])
    both = enhance_labels(TARGETS, SCORES, ANIMALS)
    np.testing.assert_array_equal(both, np.maximum(parents, children))


def test_columns_may_have_any_order():
    order = [2, 0, 1]
    ids = ["cat", "animal", "dog"]
    enhanced = enhance_labels(TARGETS[:, order], SCORES[:, order], ANIMALS, ids=ids)
    np.testing.assert_array_equal(enhanced, enhance_labels(TARGETS, SCORES, ANIMALS)[:, order])


def test_it_is_what_the_matrices_say(random_case):
    targets, scores, ontology, ids = random_case
    related = ontology.child_relation(ids) | ontology.ancestor_relation(ids)
    thresholds = np.array([own.mean() if len(own) else np.inf for own in map(own_scores(targets, scores), range(12))])
    expected = np.where((targets @ related > 0) & (scores > thresholds), 1, targets)
    np.testing.assert_array_equal(enhance_labels(targets, scores, ontology), expected)


def own_scores(targets, scores):
    return lambda k: scores[targets[:, k] > 0, k].astype(np.float64)


def test_chunks_change_nothing(random_case, monkeypatch):
    targets, scores, ontology, ids = random_case
    labels = ClipLabels.from_multi_hot(targets)
    whole = enhance_clip_labels(labels, scores, ontology, ids, iterations=3)
    monkeypatch.setattr(scores_of_clips, "CHUNK_CLIPS", 7)
    pieces = enhance_clip_labels(labels, scores, ontology, ids, iterations=3)
    assert len(whole) > 0
    for field in ("clips", "classes", "scores", "kinds", "thresholds"):
        np.testing.assert_array_equal(getattr(whole, field), getattr(pieces, field))
    np.testing.assert_array_equal(whole.proposed_by.values, pieces.proposed_by.values)


def papers_loop(targets, scores, ontology, ids, types, iterations) -> dict[tuple[int, int], tuple[int, list[int]]]:
    """Algorithm 2 with means as thresholds: by clip and added class, the types and the labels that propose it."""
    relations = {
        1: lambda k, j: "I" in types and ids[j] in ontology.children[ids[k]],
        2: lambda k, j: "II" in types and ids[j] in ontology.ancestors(ids[k]),
    }
    every, added = range(len(ids)), {}
    means = {k: scores[targets[:, k], k].mean() for k in every if targets[:, k].any()}
    for clip, own in enumerate(targets):
        labels = {k for k in every if own[k]}
        for _ in range(iterations):
            new = {}
            for j in means.keys() - labels:
                bits = {k: sum(bit for bit, relates in relations.items() if relates(k, j)) for k in sorted(labels)}
                proposers = [k for k in bits if bits[k]]
                if proposers and scores[clip, j] > means[j]:
                    new[clip, j] = (int(np.bitwise_or.reduce([bits[k] for k in proposers])), proposers)
            added |= new
            labels |= {j for _, j in new}
    return dict(sorted(added.items()))


@pytest.mark.parametrize("seed", range(12))
def test_it_is_the_papers_loop_over_clips_and_labels(seed):
    rng = np.random.default_rng(seed)
    classes, clips = rng.integers(2, 14), rng.integers(1, 40)
    ids = [f"class {k}" for k in range(classes)]
    children = {ids[k]: tuple(ids[j] for j in range(k + 1, classes) if rng.random() < 0.3) for k in range(classes)}
    targets, scores = rng.random((clips, classes)) < rng.random(), rng.random((clips, classes))
    types, rounds = [("I",), ("II",), ("I", "II")][seed % 3], 1 + seed % 4
    ontology, labels = Ontology(children, {}), ClipLabels.from_multi_hot(targets)
    result = enhance_clip_labels(labels, scores, ontology, ids, types=types, iterations=rounds)
    expected = papers_loop(targets, scores, ontology, ids, types, rounds)
    assert list(zip(result.clips.tolist(), result.classes.tolist(), strict=True)) == list(expected)
    assert result.kinds.tolist() == [kinds for kinds, _ in expected.values()]
    proposers = [result.proposed_by.values[a:b].tolist() for a, b in pairwise(result.proposed_by.offsets)]
    assert proposers == [proposers for _, proposers in expected.values()]
    np.testing.assert_array_equal(result.scores, scores[result.clips, result.classes].astype(np.float32))


def test_every_added_label_has_its_reasons(random_case):
    targets, scores, ontology, ids = random_case
    labels = ClipLabels.from_multi_hot(targets)
    result = enhance_clip_labels(labels, scores, ontology, ids, "median")
    relations = {1: ontology.child_relation(ids), 2: ontology.ancestor_relation(ids)}
    for place, (clip, k) in enumerate(zip(result.clips, result.classes, strict=True)):
        proposers = result.proposed_by.values[slice(*result.proposed_by.offsets[place : place + 2])]
        own = np.flatnonzero(targets[clip])
        assert result.scores[place] == scores[clip, k] > result.thresholds[k]
        assert proposers.tolist() == [j for j in own if relations[1][j, k] or relations[2][j, k]]
        assert result.kinds[place] == sum(bit for bit, related in relations.items() if related[own, k].any())
    np.testing.assert_array_equal(
        result.enhanced().multi_hot(), enhance_labels(targets, scores, ontology, "median", ids=ids)
    )


def test_soft_labels_are_the_teachers_scores():
    soft = enhance_labels(TARGETS, SCORES, ANIMALS, soft=True)
    np.testing.assert_array_equal(soft, np.where(enhance_labels(TARGETS, SCORES, ANIMALS) > TARGETS, SCORES, TARGETS))
    assert enhance_labels(TARGETS.astype(bool), SCORES, ANIMALS, soft=True).dtype == np.float32
    result = enhance_clip_labels(ClipLabels.from_multi_hot(TARGETS), SCORES, ANIMALS, list(ANIMALS.children))
    np.testing.assert_array_equal(result.values(), soft[soft > 0])


def test_in_a_second_round_what_was_added_proposes():
    targets = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    scores = np.full((3, 3), 0.5)
    scores[0, 1:] = 0.9  # the clip labelled sound is a dog, and dogs are no children of sounds
    assert enhance_labels(targets, scores, CHAIN, types=["I"])[0].tolist() == [1, 1, 0]
    twice = enhance_labels(targets, scores, CHAIN, types=["I"], iterations=2)
    assert twice[0].tolist() == [1, 1, 1]
    np.testing.assert_array_equal(enhance_labels(targets, scores, CHAIN, types=["I"], iterations=9), twice)


def test_a_class_that_proposes_nothing_can_still_be_proposed():
    silent = ANIMALS.without_relations(["dog"])
    assert enhance_labels(TARGETS, SCORES, silent, types=["II"])[1].tolist() == [0, 1, 0]
    assert enhance_labels(TARGETS, SCORES, silent, types=["I"])[3].tolist() == [1, 1, 0]


def test_a_class_that_no_clip_has_is_never_added():
    targets = np.array([[1, 0, 0]], dtype=np.float32)
    labels = ClipLabels.from_multi_hot(targets)
    assert class_thresholds(labels, np.ones((1, 3)))[1:].tolist() == [np.inf, np.inf]
    np.testing.assert_array_equal(enhance_labels(targets, np.ones((1, 3)), ANIMALS), targets)


@pytest.mark.parametrize(("threshold", "expected"), [("mean", 0.35), ("median", 0.25), (25, 0.175), (0, 0.1)])
def test_thresholds_are_statistics_of_the_labelled_clips(threshold, expected):
    labels = ClipLabels.from_lists([[0], [0], [0], [0], []], 1)
    scores = np.array([[0.1], [0.2], [0.3], [0.8], [1.0]])
    assert class_thresholds(labels, scores, threshold)[0] == pytest.approx(expected)


def test_thresholds_count_a_repeated_label_once_and_need_a_score_for_each():
    scores = np.array([[0.1], [0.4]])
    assert class_thresholds(ClipLabels.from_lists([[0, 0, 0], [0]], 1), scores)[0] == pytest.approx(0.25)
    with pytest.raises(ValueError, match=r"2 clips for 1 classes, got the shape \(1, 1\)"):
        class_thresholds(ClipLabels.from_lists([[0], [0]], 1), scores[:1])


@pytest.mark.parametrize(
    ("classes", "how", "message"),
    [
        (
            Vocabulary(("Dog", "Cow"), ("dog", "/m/cow")),
            {},
            r"1 of 2 are not: Cow \(/m/cow\)\. Its ids .*without_relations",
        ),
        (Vocabulary(("dog", "cat")), {}, "relates none of the 2"),
        (Vocabulary(("sound", "dog")), {"types": ["I"]}, "by type I, it relates none"),
        (Vocabulary(("animal", "dog")), {"iterations": 0}, "at least one iteration"),
    ],
)
def test_what_can_add_nothing_is_refused_without_scores(classes, how, message):
    ontology = CHAIN if "sound" in classes.names else ANIMALS
    with pytest.raises(ValueError, match=message):
        check_enhancement(ontology, classes, **how)
    check_enhancement(ANIMALS, Vocabulary(("dog", "animal")))


def test_a_clip_without_scores_gets_no_labels_and_moves_no_threshold():
    labels = ClipLabels.from_multi_hot(TARGETS)
    ids = list(ANIMALS.children)
    scores = SCORES.copy()
    scores[2] = np.nan
    with pytest.raises(ValueError, match="clip 2"):
        enhance_clip_labels(labels, scores, ANIMALS, ids)
    others = np.array([0, 1, 3])
    left = enhance_clip_labels(labels.take(others), SCORES[others], ANIMALS, ids)
    result = enhance_clip_labels(labels, scores, ANIMALS, ids, allow_unscored=True)
    assert result.unscored.tolist() == [2]
    np.testing.assert_array_equal(result.thresholds, left.thresholds)
    np.testing.assert_array_equal(result.enhanced().multi_hot()[others], left.enhanced().multi_hot())
    scores[0, 1] = np.inf
    with pytest.raises(ValueError, match="clip 0"):
        enhance_clip_labels(labels, scores, ANIMALS, ids, allow_unscored=True)


def test_a_mean_may_lack_single_scores_where_a_teacher_skipped_the_clip_and_others_do_not_know_the_class(tmp_path):
    """What is there of the clip still counts: without the missing score the result is that of all scores."""
    skips, knows_two = SCORES.copy(), SCORES.copy()
    skips[1], knows_two[:, 2] = np.nan, np.nan
    for name, scores in (("skips", skips), ("knows two", knows_two)):
        np.save(tmp_path / f"{name}.npy", scores)
    mean = MeanRows([NpyRows([tmp_path / f"{name}.npy"]) for name in ("skips", "knows two")])
    assert np.isnan(mean[0:4]).nonzero() == (1, 2)
    labels, ids = ClipLabels.from_multi_hot(TARGETS), list(ANIMALS.children)
    result = enhance_clip_labels(labels, mean, ANIMALS, ids, allow_unscored=True)
    assert not len(result.unscored)
    expected = enhance_clip_labels(labels, SCORES, ANIMALS, ids)
    np.testing.assert_array_equal(result.enhanced().multi_hot(), expected.enhanced().multi_hot())
    with pytest.raises(ValueError, match="clip 1"):
        enhance_clip_labels(labels, mean, ANIMALS, ids)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": np.ones((1, 2))}, "one shape"),
        ({"targets": np.ones(3), "scores": np.ones(3)}, "one shape"),
        ({"types": ["III"]}, "III"),
        ({"types": []}, "types"),
        ({"ids": ["dog", "cat", "cow"]}, "1 of 3 are not: \\['cow'\\]"),
        ({"ids": ["dog", "cat", "dog"]}, "3 ids of 2 classes"),
        ({"ids": ["dog", "cat"]}, "\\[N, 2\\]"),
        ({"scores": np.array([[1, np.inf, 1]])}, "finite"),
        ({"targets": np.array([[1, 0.5, 1]])}, "0/1"),
        ({"threshold": 101}, "101"),
        ({"threshold": ["dog", "cat", "animal"]}, "percentile"),
        ({"iterations": 0}, "at least one"),
        (
            {"targets": np.array([[1, 0, 0], [0, 1, 1]]), "scores": np.array([[1, 7, 7], [1, 2, 2]]), "soft": True},
            "to 7",
        ),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    arguments = {"targets": np.ones((1, 3)), "scores": np.ones((1, 3)), "ontology": ANIMALS, **change}
    with pytest.raises(ValueError, match=message):
        enhance_labels(**arguments)


@pytest.mark.shared
def test_the_originals_fifteen_label_sets_are_reproduced(shared):
    same = golden_label_sets(shared)
    assert len(same) == 15
    assert all(same.values()), same
