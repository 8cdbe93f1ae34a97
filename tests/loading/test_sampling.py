"""The order of clips follows the law, and is a pure function of seed, epoch and position."""

import numpy as np
import pytest
from scipy.stats import chisquare

from psla_hf.labels.vocabulary import ClipLabels
from psla_hf.loading.sampler import EpochSampler, balanced_weights, process_batches

# 40 clips of a long tail: class 0 in all, class 1 in ten, class 2 in two.
LABELS = ClipLabels.from_lists([[0] + [1] * (i < 10) + [2] * (i < 2) for i in range(40)], 3)


def draw(sampler: EpochSampler, epoch: int) -> list[tuple[int, int]]:
    sampler.set_epoch(epoch)
    return list(sampler)


def test_weights_of_the_docstring():
    np.testing.assert_allclose(balanced_weights(ClipLabels.from_lists([[0], [0], [0, 1]], 2)), [1 / 3, 1 / 3, 4 / 3])


def test_a_clip_without_labels_is_never_drawn_and_a_set_without_any_is_refused():
    assert balanced_weights(ClipLabels.from_lists([[], [0]], 2))[0] == 0
    with pytest.raises(ValueError, match="at least one labelled clip"):
        balanced_weights(ClipLabels.from_lists([[], [], []], 2))


def test_draws_follow_the_weights():
    """Counts over 400 epochs against the expected ones; with this seed the p-value is fixed; a wrong law's is 0."""
    weights = balanced_weights(LABELS)
    sampler = EpochSampler(40, seed=0, weights=weights)
    counts = np.bincount([index for epoch in range(400) for index, _ in draw(sampler, epoch)], minlength=40)
    assert chisquare(counts, weights / weights.sum() * counts.sum()).pvalue > 0.01


def test_without_weights_every_clip_comes_once():
    assert sorted(index for index, _ in draw(EpochSampler(40, seed=0), 3)) == list(range(40))


@pytest.mark.parametrize("weights", [None, balanced_weights(LABELS)], ids=["permutation", "balanced"])
def test_order_is_a_pure_function_of_seed_and_epoch(weights):
    sampler, again = EpochSampler(40, 5, weights), EpochSampler(40, 5, weights)
    draw(again, 1)  # what was drawn before leaves no trace
    assert draw(sampler, 2) == draw(again, 2)
    assert draw(sampler, 2) != draw(sampler, 3)
    assert draw(sampler, 2) != draw(EpochSampler(40, 6, weights), 2)


def test_every_sample_has_a_seed_of_its_own():
    sampler = EpochSampler(40, 0, balanced_weights(LABELS))
    seeds = {seed for epoch in range(5) for _, seed in draw(sampler, epoch)}
    assert len(seeds) == 200


def test_weights_of_another_data_set_are_refused():
    with pytest.raises(ValueError, match="39 of them, got 40"):
        EpochSampler(39, 0, balanced_weights(LABELS))


@pytest.mark.parametrize("weights", [None, balanced_weights(LABELS)], ids=["permutation", "balanced"])
def test_an_epoch_is_a_whole_number_of_batches_and_can_begin_anywhere(weights):
    sampler = EpochSampler(40, 0, weights, multiple_of=16)
    whole = draw(sampler, 1)
    assert len(whole) == len(sampler) == 48
    if weights is None:
        assert {index for index, _ in whole[:40]} == set(range(40))
    sampler.set_epoch(1, start=32)
    assert list(sampler) == whole[32:] and len(sampler) == 16


def test_processes_share_every_batch():
    sampler = EpochSampler(40, 0, multiple_of=8)
    alone = list(process_batches(sampler, 8))
    shares = [list(process_batches(sampler, 8, rank, 2)) for rank in range(2)]
    assert [first + second for first, second in zip(*shares, strict=True)] == alone
    assert len(process_batches(sampler, 8, 1, 2)) == len(alone) == 5


def test_clips_that_the_law_never_draws_are_counted(caplog):
    balanced_weights(ClipLabels.from_lists([[0], [], [1], []], 2))
    assert "2 of 4 clips have no labels" in caplog.text
    caplog.clear()
    balanced_weights(ClipLabels.from_lists([[0], [1]], 2))
    assert not caplog.text
