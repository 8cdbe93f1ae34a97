"""A sound as it is handed over, in any form, as float32 mono: what comes before a spectrogram."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from transformers.utils import logging

__all__ = ["MAX_CHANNELS", "as_mono", "as_samples", "mix_down", "resampled", "scale_to_float", "unpack_sound"]


logger = logging.get_logger(__name__)

MAX_CHANNELS = 64

# The mean of channels in opposite phase is silence: below this share of the loudest channel the mean is suspicious.
CANCELLED = 0.1


def unpack_sound(
    sound: np.ndarray | Tensor | Sequence | Mapping, sampling_rate: int | None = None
) -> tuple[np.ndarray | Tensor | Sequence, int | None]:
    """Samples and their rate in Hz, of the forms in which transformers and datasets hand sounds around.

    Args:
        sound: Samples, or a dictionary `{"array": samples, "sampling_rate": rate}` or with `"raw"` for the samples.
        sampling_rate: Of the samples; with a dictionary it must be the same, if it is passed.

    Raises:
        ValueError: The dictionary lacks something, or the two rates differ.
    """
    if not isinstance(sound, Mapping):
        return sound, sampling_rate
    samples = next((sound[key] for key in ("array", "raw") if sound.get(key) is not None), None)
    own_rate = sound.get("sampling_rate")
    if samples is None or own_rate is None:
        raise ValueError(
            f'Expected a dictionary {{"array": samples, "sampling_rate": rate}}, got one with {sorted(sound)}.'
        )
    if sampling_rate is not None and sampling_rate != own_rate:
        raise ValueError(f"Expected one sampling rate, the dictionary says {own_rate} and the call {sampling_rate}.")
    return samples, own_rate


def as_mono(samples: np.ndarray | Tensor | Sequence, name: str = "A sound") -> Tensor:
    """One sound as float32 `[T]` in [-1, 1], whatever its type and the order of its axes.

    Args:
        samples: `[T]`, `[channels, T]` or `[T, channels]`, up to 64 channels, the longer axis being time: an array, a
            tensor or nested lists. Channels are averaged; int16, int32 and uint8 PCM is scaled to [-1, 1].
        name: See `mix_down`.

    Raises:
        ValueError: It is empty, of another shape or type, or has samples that are not finite.
    """
    mono = scale_to_float(as_samples(samples))
    if mono.dim() == 2 and min(mono.shape) <= MAX_CHANNELS:
        mono = mix_down(mono if mono.shape[0] <= mono.shape[1] else mono.T, name)
    if mono.dim() != 1:
        raise ValueError(
            f"Expected a clip of shape [T], [channels, T] or [T, channels] with up to {MAX_CHANNELS} channels, "
            f"got {list(mono.shape)}."
        )
    if mono.numel() == 0:
        raise ValueError("Expected audio, got a clip without samples. Drop empty clips first.")
    # A finite sum shows it, in a tenth of the time; one that is not may be an overflow.
    if not (torch.isfinite(mono.sum()) or torch.isfinite(mono).all()):
        raise ValueError("Expected finite samples, got NaN or infinity. Check how the clip was decoded.")
    return mono


def as_samples(samples: np.ndarray | Tensor | Sequence) -> Tensor:
    """Samples in any form as a tensor of the same numbers, arrays that run backwards or have foreign bytes too.

    Raises:
        ValueError: They are no numbers.
    """
    if isinstance(samples, np.ndarray):
        samples = samples.astype(samples.dtype.newbyteorder("="), copy=min(samples.strides, default=0) < 0)
    try:
        return torch.as_tensor(samples).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"Expected samples as an array, a tensor or a list of numbers, got {samples!r:.80}."
        ) from error


def mix_down(channels: Tensor, name: str = "A sound") -> Tensor:
    """The mean `[T]` of channels `[channels, T]`, with a warning where they cancel each other.

    Args:
        channels: Float.
        name: What the warning, which comes once for each, calls the sound.
    """
    if len(channels) == 1:
        return channels[0].clone()
    mono = channels.mean(dim=0)
    loudest = channels.square().mean(dim=1).max().sqrt() if channels.numel() else 0.0
    if mono.square().mean().sqrt() < CANCELLED * loudest:
        logger.warning_once(
            f"{name}: the mean of the channels is far quieter than the channels are, they cancel each other. Pass one "
            "channel, or turn the phase of one, if that is not meant."
        )
    return mono


def resampled(samples: np.ndarray, rate: int, wanted_rate: int) -> np.ndarray:
    """Float32 samples `[T]` at another rate in Hz, by soxr's high quality as everywhere in psla_hf.

    Raises:
        ImportError: soxr is not installed, as may be where only a saved model's own code is.
    """
    try:
        import soxr
    except ImportError as error:
        raise ImportError("Resampling needs soxr. Install it (pip install soxr), or resample first.") from error
    return soxr.resample(samples, rate, wanted_rate)


def scale_to_float(samples: Tensor) -> Tensor:
    """Samples as float32; PCM integers are divided by their type's range, so that full scale is 1."""
    if samples.is_floating_point():
        return samples.float()
    if samples.dtype == torch.uint8:  # eight-bit PCM is unsigned, with silence at 128
        return (samples.float() - 128) / 128
    if samples.dtype in (torch.int16, torch.int32):
        return samples.float() / -float(torch.iinfo(samples.dtype).min)
    raise ValueError(f"Expected float, int16, int32 or uint8 samples, got {samples.dtype}. Scale them to [-1, 1].")
