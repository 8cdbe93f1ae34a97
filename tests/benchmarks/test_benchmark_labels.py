"""The benchmark of label enhancement compares two ways that add the same labels, at any size."""

from benchmarks.labels import benchmark_labels, commonest_first, random_forest
from psla_hf.labels.vocabulary import Vocabulary


def test_both_ways_agree_and_the_whole_is_measured():
    results = benchmark_labels(num_clips=3000, slice_clips=500)
    assert results["slice"]["psla_hf"]["ratio"] == 1 and results["slice"]["plain loop"]["labels_added"] > 0
    assert results["whole"]["clips"] == 3000 and results["whole"]["added"] > results["whole"]["labels"] / 10
    assert results["whole"]["mb_at_the_peak"] >= results["whole"]["mb_before"]


def test_general_classes_are_the_common_ones():
    forest = random_forest(100, seed=0)
    assert len(forest.children) == 100 and max(len(forest.ancestors(node)) for node in forest.children) > 1
    ordered = commonest_first(forest, Vocabulary(tuple(forest.children)))
    below = forest.ancestor_relation(ordered.mids).sum(axis=0)
    assert (below[:-1] >= below[1:]).all() and below[0] > 0
