"""Which augmentations there are, their random draws, and those of waveforms. Knows no data sets and no torch."""

from dataclasses import dataclass

import numpy as np

from psla_hf.audio import SincFilter
from psla_hf.settings import check, setting

__all__ = ["Augmentation", "Draws", "mix_labels", "mix_waveforms"]

# Resamplers in the wild: torchaudio's default has (6, 0.99), scipy's polyphase is wider, soxr's LQ ends near 0.7.
SINC_ZEROS = (4.0, 64.0)
SINC_ROLLOFF = (0.7, 0.999)


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
        sinc: Filter by which it is resampled, if not by soxr's.
        windows: Places of the window in the clip, in the partner and in the clip of that frequency response, where they
            are longer than a window.
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
    sinc: SincFilter | None = None
    windows: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Augmentation:
    """Which augmentations a training sample goes through, in this order; the defaults are none.

    PSLA has mixup and the two masks. Gain and time roll (as in EfficientAT: Schmid et al., ICASSP 2023) and frequency
    MixStyle (Schmid et al., DCASE 2022, after Zhou et al., ICLR 2021) were found to help CNNs later.

    Raises:
        ValueError: A value is out of range.
    """

    mixup_rate: float = setting(0.0, "share of samples that are mixed with another", at_least=0, at_most=1)
    mixup_alpha: float = setting(10.0, "the mixing weight follows Beta(alpha, alpha)", above=0)
    gain_db: float = setting(0.0, "largest gain of a sample, up or down, in decibels; not in PSLA", at_least=0)
    time_roll: bool = setting(False, "roll each sample in time by a random share of its length; not in PSLA")
    mixstyle_rate: float = setting(
        0.0, "share of samples that get a part of another's frequency response; not in PSLA", at_least=0, at_most=1
    )
    mixstyle_alpha: float = setting(0.4, "the weight of that follows Beta(alpha, alpha)", above=0)
    resampler_rate: float = setting(
        0.0, "share of samples that another filter resamples, drawn at random; not in PSLA", at_least=0, at_most=1
    )
    frequency_mask: int = setting(0, "largest width of the frequency mask in mel bins", at_least=0)
    time_mask: int = setting(0, "largest width of the time mask in frames", at_least=0)

    def __post_init__(self) -> None:
        check(self)

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
            sinc=self._sinc(*rng.random(3).tolist()),
            windows=tuple(rng.random(3).tolist()),
        )

    def _sinc(self, chance: float, zeros: float, rolloff: float) -> SincFilter | None:
        """A filter between the gentlest and the steepest that models meet, or none."""
        if chance >= self.resampler_rate:
            return None
        (least, most), (lowest, highest) = SINC_ZEROS, SINC_ROLLOFF
        return SincFilter(least * (most / least) ** zeros, lowest + (highest - lowest) * rolloff)

    def change_waveform(self, waveform: np.ndarray, draws: Draws) -> np.ndarray:
        """Gain and time roll of a (mixed) clip `[T]`."""
        if self.gain_db:
            waveform = waveform * np.float32(10 ** (self.gain_db * draws.gain / 20))
        if self.time_roll:
            waveform = np.roll(waveform, int(draws.roll * len(waveform)))
        return waveform


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
