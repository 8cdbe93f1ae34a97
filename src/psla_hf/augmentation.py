"""Mixup and time-frequency masks as functions of tensors and of random draws passed in. Knows no data sets."""

import numpy as np
import torch
from torch import Tensor

__all__ = ["mask_spectrograms", "mix_labels", "mix_waveforms"]


def mix_waveforms(first: np.ndarray, second: np.ndarray, weight: float) -> np.ndarray:
    """Mixup of two waveforms: `weight` times the first plus `1 - weight` times the second.

    Each loses its own mean first; then the second is zero-padded or cut to the first's length. (The mixture's own
    mean is removed by the feature extractor, as for any clip.)

    Args:
        first: `[T]`.
        second: `[T']`.
        weight: The first's share, from 0 to 1.

    Returns:
        The mixture `[T]`.
    """
    mixed = weight * (first - first.mean())
    shared = min(len(first), len(second))
    mixed[:shared] += (1 - weight) * (second[:shared] - second.mean())
    return mixed


def mix_labels(first: np.ndarray, second: np.ndarray, weight: float) -> np.ndarray:
    """Labels `[K]` of the mixture: weighted alike, so that a class in both clips stays at 1."""
    return weight * first + (1 - weight) * second


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
