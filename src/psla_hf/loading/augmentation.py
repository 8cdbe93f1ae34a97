"""Mixup, masks and their like as functions of tensors and of random draws passed in. Knows no data sets."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from psla_hf.models.feature_extraction_psla import PslaFeatureExtractor

if TYPE_CHECKING:
    from .samples import Batch

__all__ = ["Augmentation", "Draws", "mask_spectrograms", "mix_frequency_styles", "mix_labels", "mix_waveforms"]


@dataclass(frozen=True)
class Draws:
    """All the randomness of one training sample; shares and places are uniform in [0, 1).

    Attributes:
        mix: Whether it is mixed with a partner.
        partner: Place of the partner in the data set.
        mix_weight: The sample's own share in the mixture.
        mask: Frequency mask's width and start, time mask's width and start `[4]`.
        gain: Share of the largest gain, in [-1, 1).
        roll: Share of the clip's length.
        restyle: Whether it takes over a part of another clip's frequency response.
        style: Place of that clip in the data set.
        style_weight: Share of its own frequency response that the sample keeps.
    """

    mix: bool
    partner: float
    mix_weight: float
    mask: np.ndarray
    gain: float
    roll: float
    restyle: bool
    style: float
    style_weight: float


@dataclass(frozen=True)
class Augmentation:
    """Which augmentations a training sample goes through, in this order; the defaults are none.

    PSLA has mixup and the two masks. Gain and time roll (as in EfficientAT: Schmid et al., ICASSP 2023) and frequency
    MixStyle (Schmid et al., DCASE 2022, after Zhou et al., ICLR 2021) were found to help CNNs later.

    Attributes:
        mixup_rate: Share of samples that are mixed with a partner drawn uniformly.
        mixup_alpha: α of the mixing weight's distribution Beta(α, α).
        gain_db: Largest gain, up or down, in decibels.
        time_roll: Roll the clip in time by a random share of its length.
        mixstyle_rate: Share of samples whose frequency response is mixed with another clip's.
        mixstyle_alpha: α of that weight's distribution.
        frequency_mask: Largest width of the frequency mask in mel bins.
        time_mask: Largest width of the time mask in frames.
    """

    mixup_rate: float = 0.0
    mixup_alpha: float = 10.0
    gain_db: float = 0.0
    time_roll: bool = False
    mixstyle_rate: float = 0.0
    mixstyle_alpha: float = 0.4
    frequency_mask: int = 0
    time_mask: int = 0

    @property
    def partner_rates(self) -> tuple[float, float]:
        """Share of samples that need a second clip, for mixup and for MixStyle."""
        return self.mixup_rate, self.mixstyle_rate

    def draw(self, seed: int) -> Draws:
        """A sample's randomness from its seed.

        Every draw is made whatever is switched on, so that no setting shifts the randomness of another.
        """
        rng = np.random.default_rng(seed)
        mix, partner, gain, roll, restyle, style = rng.random(6).tolist()
        return Draws(
            mix=mix < self.mixup_rate,
            partner=partner,
            mask=rng.random(4, dtype=np.float32),
            gain=2 * gain - 1,
            roll=roll,
            restyle=restyle < self.mixstyle_rate,
            style=style,
            mix_weight=float(rng.beta(self.mixup_alpha, self.mixup_alpha)),
            style_weight=float(rng.beta(self.mixstyle_alpha, self.mixstyle_alpha)),
        )

    def change_waveform(self, waveform: np.ndarray, draws: Draws) -> np.ndarray:
        """Gain and time roll of a (mixed) clip `[T]`."""
        if self.gain_db:
            waveform = waveform * np.float32(10 ** (self.gain_db * draws.gain / 20))
        if self.time_roll:
            waveform = np.roll(waveform, int(draws.roll * len(waveform)))
        return waveform

    def spectrograms(self, batch: "Batch", extractor: PslaFeatureExtractor) -> Tensor:
        """Unnormalized log-mel `[B, frames, F]` of a batch from `samples.collate`, restyled and masked."""
        log_mel = extractor.log_mel(batch.waveforms, batch.lengths.tolist())
        if batch.style is not None:
            rows, lengths = batch.style.rows, batch.style.lengths
            style = extractor.log_mel(batch.style.waveforms, lengths.tolist())
            frames, style_frames = (
                torch.tensor([extractor.num_frames(length) for length in samples.tolist()])
                for samples in (batch.lengths[rows], lengths)
            )
            log_mel[rows] = mix_frequency_styles(log_mel[rows], frames, style, style_frames, batch.style.weights)
        assert batch.mask_draws is not None  # of training samples
        return mask_spectrograms(log_mel, batch.mask_draws, self.frequency_mask, self.time_mask)


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
