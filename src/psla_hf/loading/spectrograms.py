"""Augmentations of spectrograms, as functions of tensors and of random draws passed in. Knows no data sets."""

import torch
from torch import Tensor

from psla_hf.models.feature_extraction_psla import PslaFeatureExtractor

from .augmentation import Augmentation
from .samples import Batch

__all__ = ["augmented_log_mel", "mask_spectrograms", "mix_frequency_styles"]


def augmented_log_mel(batch: Batch, extractor: PslaFeatureExtractor, augmentation: Augmentation) -> Tensor:
    """Unnormalized log-mel `[B, frames, F]` of a batch of training samples, restyled and masked."""
    log_mel = extractor.log_mel(batch.waveforms, batch.lengths)
    if batch.style is not None:
        rows, lengths = batch.style.rows, batch.style.lengths
        style = extractor.log_mel(batch.style.waveforms, lengths)
        frames, style_frames = (extractor.frames_of(samples) for samples in (batch.lengths[rows], lengths))
        log_mel[rows] = mix_frequency_styles(log_mel[rows], frames, style, style_frames, batch.style.weights)
    assert batch.mask_draws is not None  # of training samples
    return mask_spectrograms(log_mel, batch.mask_draws, augmentation.frequency_mask, augmentation.time_mask)


def mix_frequency_styles(
    log_mel: Tensor, frames: Tensor, style: Tensor, style_frames: Tensor, weights: Tensor
) -> Tensor:
    """Frequency MixStyle: each clip's mean and deviation per mel bin, mixed with another clip's.

    Args:
        log_mel: Unnormalized `[B, frames, F]`.
        frames: How many frames of each are not padding `[B]`; the padding stays as it is.
        style: Log-mel of the other clips `[B, frames', F]`.
        style_frames: Likewise `[B]`.
        weights: Share that each clip keeps of its own statistics `[B]`; 1 changes nothing.
    """
    own_mean, own_deviation, inside = _statistics(log_mel, frames)
    mean, deviation, _ = _statistics(style, style_frames)
    share = weights.to(log_mel)[:, None, None]
    mixed = (log_mel - own_mean) / own_deviation * (share * own_deviation + (1 - share) * deviation)
    return torch.where(inside, mixed + share * own_mean + (1 - share) * mean, log_mel)


def _statistics(log_mel: Tensor, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and deviation per bin over the frames that count `[B, 1, F]`, and which these are `[B, frames, 1]`."""
    frames = frames.to(log_mel.device)
    inside = (torch.arange(log_mel.shape[1], device=log_mel.device) < frames[:, None])[:, :, None]
    count = inside.sum(dim=1, keepdim=True).clamp(min=1)
    mean = (log_mel * inside).sum(dim=1, keepdim=True) / count
    variance = (((log_mel - mean) * inside) ** 2).sum(dim=1, keepdim=True) / count
    return mean, (variance + 1e-6).sqrt(), inside


def mask_spectrograms(log_mel: Tensor, draws: Tensor, frequency_mask: int, time_mask: int) -> Tensor:
    """One frequency mask and one time mask per clip, filled with 0 (in the log-mel, before normalization).

    The same law as torchaudio's `FrequencyMasking` and `TimeMasking`: a width from U(0, mask), then a start from
    U(0, size - width), both rounded down. Torchaudio's draw one mask for the whole batch; these differ per clip.

    Args:
        log_mel: Unnormalized `[B, frames, F]`, on any device.
        draws: `[B, 4]`, uniform in [0, 1): frequency width and start, time width and start.
        frequency_mask: Largest width in mel bins; 0 for none.
        time_mask: Largest width in frames; 0 for none.
    """
    draws = draws.to(log_mel.device)
    in_frequency = _band(log_mel.shape[2], frequency_mask, draws[:, 0], draws[:, 1])[:, None, :]
    in_time = _band(log_mel.shape[1], time_mask, draws[:, 2], draws[:, 3])[:, :, None]
    return log_mel.masked_fill(in_frequency | in_time, 0.0)


def _band(size: int, largest: int, width_draw: Tensor, start_draw: Tensor) -> Tensor:
    """Boolean `[B, size]`, true inside each row's band."""
    width = width_draw * min(largest, size)
    start = (start_draw * (size - width)).floor()
    position = torch.arange(size, device=width_draw.device)
    return (position >= start[:, None]) & (position < (start + width.floor())[:, None])
