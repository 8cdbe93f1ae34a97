"""Mixup keeps PSLA's rules; masks follow torchaudio's law, per clip. The golden mixup is tested with the features."""

from dataclasses import replace

import numpy as np
import torch
import torchaudio

from psla_hf import PslaFeatureExtractor
from psla_hf.loading.augmentation import Augmentation, mix_labels, mix_waveforms
from psla_hf.loading.samples import Batch, StyleBatch
from psla_hf.loading.spectrograms import augmented_log_mel, mask_spectrograms, mix_frequency_styles


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


def test_the_defaults_change_nothing():
    nothing = Augmentation()
    wave = np.arange(100, dtype=np.float32)
    for seed in range(20):
        draws = nothing.draw(seed)
        assert not draws.mix and not draws.restyle
        assert nothing.change_waveform(wave, draws) is wave


def test_draws_have_the_laws_of_their_names():
    draws = [Augmentation(mixup_rate=0.3, mixstyle_rate=0.7).draw(seed) for seed in range(4000)]
    assert abs(np.mean([d.mix for d in draws]) - 0.3) < 0.03
    assert abs(np.mean([d.restyle for d in draws]) - 0.7) < 0.03
    weights = np.array([d.mix_weight for d in draws])
    # Beta(10, 10): mean 1/2, variance 1/84.
    assert abs(weights.mean() - 0.5) < 0.01 and abs(weights.var() * 84 - 1) < 0.1
    for name, low, high in (("partner", 0, 1), ("style", 0, 1), ("roll", 0, 1), ("gain", -1, 1)):
        values = np.array([getattr(d, name) for d in draws])
        assert values.min() >= low and values.max() < high and abs(values.mean() - (low + high) / 2) < 0.05


def test_gain_stays_within_its_decibels_and_roll_keeps_every_sample():
    wave = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    louder, rolled = Augmentation(gain_db=6), Augmentation(time_roll=True)
    gains = [20 * np.log10(louder.change_waveform(wave, louder.draw(seed))[0] / wave[0]) for seed in range(200)]
    assert -6 <= min(gains) < -5 and 5 < max(gains) <= 6
    moved = rolled.change_waveform(wave, rolled.draw(1))
    assert moved.dtype == np.float32
    np.testing.assert_array_equal(np.sort(moved), np.sort(wave))
    assert (moved != wave).any()


def test_a_restyled_clip_has_the_mixed_statistics_and_padding_stays():
    torch.manual_seed(0)
    log_mel, style = torch.randn(2, 50, 8), 3 * torch.randn(2, 30, 8) + 5
    log_mel[1, 40:] = 0
    frames, style_frames = torch.tensor([50, 40]), torch.tensor([30, 30])
    same = mix_frequency_styles(log_mel, frames, style, style_frames, torch.ones(2))
    torch.testing.assert_close(same, log_mel, atol=1e-5, rtol=0)
    other = mix_frequency_styles(log_mel, frames, style, style_frames, torch.zeros(2))
    assert (other[1, 40:] == 0).all()
    torch.testing.assert_close(other[1, :40].mean(dim=0), style[1].mean(dim=0), atol=1e-3, rtol=0)
    torch.testing.assert_close(
        other[1, :40].std(dim=0, correction=0), style[1].std(dim=0, correction=0), atol=1e-3, rtol=0
    )


def test_only_the_rows_that_ask_for_it_are_restyled():
    extractor = PslaFeatureExtractor(max_length=98)
    waves = 0.1 * torch.randn(3, 16000)
    nobody: list[str] = []
    lengths = torch.tensor([16000] * 3)
    batch = Batch(waves, lengths, torch.zeros(3, 1), ["a", "b", "c"], nobody, nobody, nobody, torch.rand(3, 4))
    plain = augmented_log_mel(batch, extractor, Augmentation())
    style = StyleBatch(torch.tensor([1]), torch.randn(1, 8000), torch.tensor([8000]), torch.tensor([0.2]))
    restyled = augmented_log_mel(replace(batch, style=style), extractor, Augmentation())
    assert torch.equal(plain[[0, 2]], restyled[[0, 2]])
    assert restyled[1].mean() > plain[1].mean() + 1  # the other clip is twenty decibels louder
