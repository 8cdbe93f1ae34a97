"""Mixup keeps PSLA's rules; masks follow torchaudio's law, per clip. The golden mixup is tested with the features."""

import numpy as np
import torch
import torchaudio

from psla_hf.augmentation import mask_spectrograms, mix_labels, mix_waveforms


def test_a_mixture_has_the_first_clips_length_and_no_means():
    first, second = np.full(6, 3.0), np.array([1.0, -1.0, 1.0, -1.0])
    np.testing.assert_allclose(mix_waveforms(first, second, 0.75), [0.25, -0.25, 0.25, -0.25, 0, 0])
    assert len(mix_waveforms(second, first, 0.75)) == 4


def test_a_class_in_both_clips_stays_at_one():
    np.testing.assert_allclose(mix_labels(np.array([1, 1, 0]), np.array([1, 0, 1]), 0.7), [1, 0.7, 0.3])


def test_masks_of_no_width_change_nothing():
    log_mel = torch.randn(3, 20, 10)
    assert torch.equal(mask_spectrograms(log_mel, torch.rand(3, 4), 0, 0), log_mel)


def test_each_clip_has_one_band_of_each_kind_and_its_own():
    masked = mask_spectrograms(torch.ones(50, 40, 30), torch.rand(50, 4), 8, 12) == 0
    bins, frames = masked.all(dim=1), masked.all(dim=2)
    assert torch.equal(masked, bins[:, None, :] | frames[:, :, None])
    for bands in (bins, frames):
        edges = bands.int().diff(dim=1, prepend=torch.zeros(50, 1), append=torch.zeros(50, 1))
        assert ((edges == 1).sum(dim=1) <= 1).all()
        assert len({tuple(row.tolist()) for row in bands}) > 10
    assert bins.sum(dim=1).max() < 8 and frames.sum(dim=1).max() < 12


def test_masks_follow_torchaudios_law():
    """Share of clips in which each frame is masked: equal within four standard errors of 20,000 draws."""
    draws, size, largest = 20_000, 30, 12
    torch.manual_seed(0)
    ours = mask_spectrograms(torch.ones(draws, size, 1), torch.rand(draws, 4), 0, largest)[:, :, 0] == 0
    # iid_masks draws one mask per example: [batch, channel, frequency, time]
    masking = torchaudio.transforms.TimeMasking(largest, iid_masks=True)
    theirs = masking(torch.ones(draws, 1, 1, size))[:, 0, 0] == 0
    difference = (ours.float().mean(dim=0) - theirs.float().mean(dim=0)).abs()
    assert difference.max() < 4 * (2 * 0.25 / draws) ** 0.5
