"""Splits that are made: every class in every part as far as it goes, no group in two, the same for the same seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from psla_hf.data.splitting import make_folds, make_splits
from psla_hf.labels.vocabulary import ClipLabels

SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}


def labels_of(lists: list[list[int]], num_classes: int) -> ClipLabels:
    return ClipLabels.from_lists(lists, num_classes)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.lists(st.integers(0, 4), max_size=3, unique=True), st.integers(0, 9)), min_size=10),
    st.integers(0, 5),
)
def test_no_group_is_in_two_splits_and_the_seed_decides(clips, seed):
    lists, groups = [sorted(labels) for labels, _ in clips], [str(group) for _, group in clips]
    labels = labels_of(lists, 5)
    if len(set(groups)) < 3:
        with pytest.raises(ValueError, match="at least 3 groups"):
            make_splits(labels, groups, SHARES, seed)
        return
    splits = make_splits(labels, groups, SHARES, seed)
    assert splits == make_splits(labels, groups, SHARES, seed)
    for group in set(groups):
        assert len({split for split, own in zip(splits, groups, strict=True) if own == group}) == 1
    assert set(splits) <= set(SHARES)


def test_every_class_has_its_share_everywhere():
    rng = np.random.default_rng(0)
    lists = [[k % 10] if k % 3 else sorted({k % 10, int(rng.integers(10))}) for k in range(600)]
    splits = np.array(make_splits(labels_of(lists, 10), [str(k) for k in range(600)], SHARES, 0))
    for split, share in SHARES.items():
        assert np.mean(splits == split) == pytest.approx(share, abs=0.02)
        for k in range(10):
            of_class = np.array([k in labels for labels in lists])
            assert np.mean(splits[of_class] == split) == pytest.approx(share, abs=0.06)


def test_a_class_of_three_recordings_is_in_all_three_parts():
    lists = [[0]] * 100 + [[1]] * 3
    splits = make_splits(labels_of(lists, 2), [str(k) for k in range(103)], SHARES, 0)
    assert len(set(splits[100:])) == 3


def test_clips_without_labels_are_shared_out_too():
    splits = make_splits(labels_of([[]] * 50 + [[0]] * 50, 1), [str(k) for k in range(100)], SHARES, 0)
    assert splits[:50].count("test") == pytest.approx(7.5, abs=2)


def test_folds_are_alike_and_seeds_differ():
    labels = labels_of([[k % 3] for k in range(90)], 3)
    groups = [str(k // 2) for k in range(90)]
    folds = make_folds(labels, groups, 5, 0)
    assert sorted(set(folds)) == [f"fold {k}" for k in range(1, 6)]
    assert all(abs(folds.count(fold) - 18) <= 4 for fold in set(folds))
    assert folds != make_folds(labels, groups, 5, 1)
    with pytest.raises(ValueError, match="at least 2 folds"):
        make_folds(labels, groups, 1, 0)
