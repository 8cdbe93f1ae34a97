"""From waveforms to normalized Kaldi log-mel spectrograms, batched, on any device. Knows no labels and no model."""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import BatchFeature, SequenceFeatureExtractor
from transformers.utils import PaddingStrategy, TensorType, logging

from .waveforms_psla import as_mono, resampled, unpack_sound

__all__ = ["PslaFeatureExtractor"]


logger = logging.get_logger(__name__)

FRAME_MS = 25

HOP_MS = 10

PREEMPHASIS = 0.97

LOW_HZ = 20.0

# A CPU computes few frames of few clips at a time: the intermediate arrays stay in its cache.
CPU_CHUNK_CLIPS = 2
CPU_CHUNK_FRAMES = 500

BANDS = 8  # of mel filters


@lru_cache(maxsize=16)
def mel_filters(num_mel_bins: int, fft_size: int, sampling_rate: int, device: torch.device) -> Tensor:
    """Kaldi's triangular mel filters from 20 Hz to Nyquist, as a matrix `[fft_size // 2 + 1, num_mel_bins]`.

    Cached here and not on the extractor, whose attributes all go into its saved configuration.
    """
    hz = torch.arange(fft_size // 2) * (sampling_rate / fft_size)  # up to Nyquist, which weighs nothing
    mels = 1127.0 * torch.log(1.0 + hz / 700.0)  # O'Shaughnessy's scale, as HTK and Kaldi have it
    lowest, highest = (1127.0 * math.log(1.0 + edge / 700.0) for edge in (LOW_HZ, sampling_rate / 2))
    width = (highest - lowest) / (num_mel_bins + 1)
    left, center, right = (lowest + (torch.arange(num_mel_bins) + k) * width for k in range(3))
    rising = (mels[:, None] - left) / (center - left)
    falling = (right - mels[:, None]) / (right - center)
    filters = torch.minimum(rising, falling).clamp_(min=0.0)
    return torch.nn.functional.pad(filters, (0, 0, 0, 1)).to(device)


@lru_cache(maxsize=16)
def mel_bands(num_mel_bins: int, fft_size: int, sampling_rate: int, device: torch.device) -> list[tuple[slice, Tensor]]:
    """The filters in bands of about `num_mel_bins / BANDS`, each with the bins of the spectrum that it weighs.

    Most bins weigh nothing in most filters: the matrix products together take a third of the time of the whole one.
    """
    bands = mel_filters(num_mel_bins, fft_size, sampling_rate, device).tensor_split(BANDS, dim=1)
    weighed = [band.any(dim=1).nonzero().flatten().tolist() for band in bands]
    bins = [slice(of_band[0], of_band[-1] + 1) if of_band else slice(0, 0) for of_band in weighed]
    return [(of_band, band[of_band].contiguous()) for of_band, band in zip(bins, bands, strict=True)]


@lru_cache(maxsize=16)
def hann_window(frame_size: int, device: torch.device) -> Tensor:
    """The symmetric Hann window `[frame_size]` (Kaldi's "hanning")."""
    return torch.hann_window(frame_size, periodic=False, device=device)


class PslaFeatureExtractor(SequenceFeatureExtractor):
    """Waveforms in, `input_values` `[B, frames, num_mel_bins]` out, as the original PSLA code computes them.

    Per clip: subtract the mean, Kaldi log-mel filterbank (25 ms symmetric Hann window, 10 ms hop, pre-emphasis 0.97,
    DC removal per frame, power spectrum, 20 Hz to Nyquist, natural log floored at float32 epsilon), zero-pad or cut to
    `max_length` frames *after* the log, then `(x - mean) / std`. A padded frame is therefore `-mean / std`, not 0.

    Args:
        sampling_rate: Sampling rate of the waveforms in Hz.
        num_mel_bins: Mel bins F.
        max_length: Frames to pad or cut to, 10 ms each; `None` pads to the longest clip of the batch.
        mean: Subtracted from the log-mel. The default is PSLA's for AudioSet.
        std: Divides the log-mel, once (AST's extractor divides by twice this).
        do_normalize: Whether to normalize at all.
        return_attention_mask: Whether to say which frames are padded. The model has no use for it.
        feature_size: Always `num_mel_bins`, whatever is passed: saved and read as `pad` of transformers expects it.
        padding_value: Likewise the value of a padded frame, `-mean / std`, or 0 without normalization.
        kwargs: What every feature extractor of transformers takes, such as `padding_side`, which `pad` uses.
    """

    model_input_names = ["input_values"]  # noqa: RUF012 - transformers declares it so

    def __init__(
        self,
        sampling_rate: int = 16000,
        num_mel_bins: int = 128,
        max_length: int | None = 1056,
        mean: float = -4.6476,
        std: float = 4.5699,
        do_normalize: bool = True,
        return_attention_mask: bool = False,
        feature_size: int | None = None,
        padding_value: float | None = None,
        **kwargs: Any,
    ):
        super().__init__(
            feature_size=num_mel_bins,
            sampling_rate=sampling_rate,
            padding_value=-mean / std if do_normalize else 0.0,
            return_attention_mask=return_attention_mask,
            **kwargs,
        )
        self.num_mel_bins = num_mel_bins
        self.max_length = max_length
        self.mean = mean
        self.std = std
        self.do_normalize = do_normalize
        # Where transformers finds this class when the package is not installed; the model brings the file along.
        own_class = "feature_extraction_psla.PslaFeatureExtractor"
        self.auto_map = {"AutoFeatureExtractor": own_class, "AutoProcessor": own_class}

    @property
    def frame_size(self) -> int:
        """Samples in a frame, 400 at 16 kHz."""
        return self.sampling_rate * FRAME_MS // 1000

    @property
    def hop_size(self) -> int:
        """Samples from one frame to the next, 160 at 16 kHz."""
        return self.sampling_rate * HOP_MS // 1000

    @property
    def max_samples(self) -> int | None:
        """Samples of a sound that fills `max_length` frames; none without a `max_length`."""
        return None if self.max_length is None else self.frame_size + (self.max_length - 1) * self.hop_size

    @property
    def longest_samples(self) -> int | None:
        """Samples of the longest sound of which `max_length` frames leave nothing out that makes a frame."""
        return None if self.max_samples is None else self.max_samples + self.hop_size - 1

    def num_frames(self, num_samples: int) -> int:
        """Whole frames in a clip of `num_samples`, at least one: 998 for ten seconds."""
        return 1 + max(0, num_samples - self.frame_size) // self.hop_size

    def frames_of(self, lengths: Tensor) -> Tensor:
        """`num_frames` of each of some clips, int64 `[B]`."""
        return 1 + (lengths - self.frame_size).clamp(min=0) // self.hop_size

    @torch.no_grad()
    def log_mel(
        self,
        waveforms: Tensor | Sequence[Tensor],
        lengths: Sequence[int] | Tensor | None = None,
        frames: int | None = None,
        device: str | torch.device | None = None,
    ) -> Tensor:
        """Unnormalized log-mel spectrograms, where masks belong.

        Args:
            waveforms: Float waveforms `[B, T]` in [-1, 1], padded behind, or B of any lengths, `[T]` each.
            lengths: True number of samples of each clip, `[B]`; those that are there if omitted. On a GPU nothing waits
                for them, if they are a tensor there and the number of frames is known.
            frames: To pad or cut to; by default `max_length`, or the longest clip's.
            device: Where to compute; by default where the waveforms are.

        Returns:
            Float32 `[B, frames, F]` on that device, zero behind each clip's last frame. A clip shorter than a frame
            counts as zero-padded to one. Autocast changes nothing of it: 16 bits are too few for powers.
        """
        if device is None:
            device = waveforms.device if isinstance(waveforms, Tensor) else waveforms[0].device
        device = torch.device(device)
        lengths = torch.as_tensor([len(wave) for wave in waveforms] if lengths is None else lengths, device=device)
        lengths = lengths.clamp(min=self.frame_size)
        frames = frames or self.max_length or self.num_frames(int(lengths.max()))
        features = torch.empty(len(waveforms), frames, self.num_mel_bins, dtype=torch.float32, device=device)
        chunk = CPU_CHUNK_CLIPS if device.type == "cpu" else len(waveforms)
        for start in range(0, len(waveforms), chunk):
            rows = slice(start, start + chunk)
            clips = waveforms[rows]
            together = clips if isinstance(clips, Tensor) else pad_sequence(list(clips), batch_first=True)
            with torch.autocast(device.type, enabled=False):
                self._write_log_mel(features[rows], together.to(device, torch.float32), lengths[rows])
        return features

    def _write_log_mel(self, features: Tensor, waveforms: Tensor, lengths: Tensor) -> None:
        """Write the log-mel of a few clips at once into `features` `[B, frames, F]`, and zeros behind each clip."""
        is_cpu, own = waveforms.device.type == "cpu", self.frames_of(lengths)
        if waveforms.shape[1] < self.frame_size:
            waveforms = torch.nn.functional.pad(waveforms, (0, self.frame_size - waveforms.shape[1]))
        means = _means(waveforms, lengths)
        # Nothing behind the last frame that is kept can reach the output, only the mean above.
        longest = int(lengths.max()) if is_cpu else waveforms.shape[1]
        needed = min(longest, (features.shape[1] - 1) * self.hop_size + self.frame_size)
        frames = (waveforms[:, :needed] - means[:, None]).unfold(1, self.frame_size, self.hop_size)

        chunk = CPU_CHUNK_FRAMES if is_cpu else frames.shape[1]
        for place, part in zip(features.split(chunk, dim=1), frames.split(chunk, dim=1), strict=False):
            self.log_mel_of_frames(part, out=place[:, : part.shape[1]])
        if is_cpu:
            for clip, count in zip(features, own.tolist(), strict=True):
                clip[count:] = 0.0
        else:
            steps = torch.arange(features.shape[1], device=features.device)
            features.masked_fill_((steps >= own[:, None])[:, :, None], 0.0)

    def log_mel_of_frames(self, frames: Tensor, out: Tensor | None = None) -> Tensor:
        """Unnormalized log-mel `[B, frames, F]`, in `out` if given, of float32 frames `[B, frames, frame_size]`."""
        # In place, and in exactly Kaldi's order of operations: before the Fourier transform a rounding of another kind
        # is amplified in bins close to silence. (Hence no fused multiply-add for the pre-emphasis.)
        frames = frames - frames.mean(dim=2, keepdim=True)
        previous = frames * PREEMPHASIS
        fft_size = 1 << (self.frame_size - 1).bit_length()
        padded = frames.new_empty(*frames.shape[:2], fft_size)
        padded[..., self.frame_size :] = 0.0
        emphasized = padded[..., : self.frame_size]
        torch.sub(frames[..., 1:], previous[..., :-1], out=emphasized[..., 1:])
        torch.sub(frames[..., 0], previous[..., 0], out=emphasized[..., 0])
        emphasized *= hann_window(self.frame_size, frames.device)
        spectrum = torch.fft.rfft(padded)
        power = spectrum.real.square().addcmul_(spectrum.imag, spectrum.imag)
        bands = mel_bands(self.num_mel_bins, fft_size, self.sampling_rate, frames.device)
        mel = torch.cat([power[..., bins] @ filters for bins, filters in bands], dim=-1)
        return torch.log(mel.clamp_(min=torch.finfo(torch.float32).eps), out=out)

    def normalize(self, log_mel: Tensor, do_normalize: bool | None = None, out: Tensor | None = None) -> Tensor:
        """`(log_mel - mean) / std`, padded frames included, as published checkpoints expect.

        Args:
            log_mel: Of any shape.
            do_normalize: `False` gives it back as it is; by default as the extractor was made.
            out: Where to write it, such as `log_mel` itself.
        """
        wanted = self.do_normalize if do_normalize is None else do_normalize
        return torch.sub(log_mel, self.mean, out=out).div_(self.std) if wanted else log_mel

    def __call__(
        self,
        raw_speech: np.ndarray | Tensor | Sequence,
        sampling_rate: int | None = None,
        return_tensors: str | TensorType | None = None,
        *,
        padding: bool | str | PaddingStrategy | None = None,
        max_length: int | None = None,
        truncation: bool | None = None,
        return_attention_mask: bool | None = None,
        do_normalize: bool | None = None,
        device: str | torch.device = "cpu",
        resample: bool = False,
        **kwargs: Any,
    ) -> BatchFeature:
        """Features of one clip or of a list of clips of any lengths.

        Args:
            raw_speech: One clip or many: a list of clips, or an array `[B, T]` as elsewhere in transformers. A clip is
                whatever `unpack_sound` and `as_mono` take: an array, a tensor or a list of floats, or a dictionary with
                its sampling rate. Of an array the longer axis is time: `[T, channels]` is one clip, `[channels, T]` one
                only inside a list, since by itself it is a batch.
            sampling_rate: Sampling rate of `raw_speech` in Hz. Pass it: it is checked.
            return_tensors: `"pt"` or `"np"`; lists of arrays if omitted.
            padding: `"max_length"`, `True` or `"longest"` of the batch, `False` or `"do_not_pad"`. By default to
                `max_length`, or to the longest where there is none.
            max_length: In samples, as elsewhere in transformers, in place of the extractor's own, which is in frames.
            truncation: Whether to cut clips that are longer. By default they are, with a warning.
            return_attention_mask: Also return `attention_mask`; by default as the extractor was made.
            do_normalize: Whether to normalize; by default as the extractor was made.
            device: Where to compute, for example `"cuda"`. The result stays there with `return_tensors="pt"`.
            resample: Convert audio of another sampling rate instead of refusing it.
            kwargs: What other feature extractors take is not used, with a warning.

        Returns:
            `BatchFeature` with `input_values` `[B, frames, num_mel_bins]`, and `attention_mask` `[B, frames]`, 1 for a
            clip's own frames, if it is wanted.

        Raises:
            ValueError: Wrong sampling rate, an empty clip, an odd shape or type, samples that are not finite, or an
                array or tensor is wanted of clips that are not padded to one length.

        Clips shorter than one frame (25 ms) are zero-padded to one frame; clips longer than the extractor's
        `max_length` are cut, with a warning (`psla_hf.AudioTagger` tags long audio in windows instead).
        """
        if kwargs:
            logger.warning_once(f"{type(self).__name__} does not use {', '.join(sorted(kwargs))}.")
        clips = [self._clip(*unpack_sound(sound, sampling_rate), resample) for sound in self._as_list(raw_speech)]
        limit = self.max_length if max_length is None else self.num_frames(max_length)
        if truncation is None:
            self._warn_of_cut(clips, limit)
        if truncation is not False and max_length is not None:
            clips = [clip[:max_length] for clip in clips]
        lengths = [clip.numel() for clip in clips]
        own = [self.num_frames(length) for length in lengths]
        if truncation is not False and limit is not None:
            own = [min(frames, limit) for frames in own]
        frames = self._padded_frames(own, padding, limit)
        log_mel = self.log_mel(clips, lengths, max(frames), device)
        features = {"input_values": self.normalize(log_mel, do_normalize, out=log_mel)}
        if self.return_attention_mask if return_attention_mask is None else return_attention_mask:
            steps = torch.arange(max(frames), device=log_mel.device)
            features["attention_mask"] = (steps < torch.tensor(own, device=log_mel.device)[:, None]).int()
        return _as_batch(features, frames, return_tensors)

    def _warn_of_cut(self, clips: list[Tensor], limit: int | None) -> None:
        longest = max(clip.numel() for clip in clips)
        if limit is not None and self.num_frames(longest) > limit:
            logger.warning_once(
                f"A clip of {longest / self.sampling_rate:.1f} s is longer than max_length={limit} "
                f"frames ({limit * HOP_MS / 1000:.2f} s): what lies behind is ignored. "
                "Use psla_hf.AudioTagger for long audio."
            )

    def _padded_frames(self, own: list[int], padding: Any, limit: int | None) -> list[int]:
        """Frames of each clip's features, of which `own` are not padded."""
        if padding is None:
            padding = "longest" if limit is None else "max_length"
        strategy = self._get_padding_strategies(padding, limit)
        if strategy == PaddingStrategy.DO_NOT_PAD:
            return own
        least = limit if strategy == PaddingStrategy.MAX_LENGTH and limit is not None else 0
        return [max(*own, least)] * len(own)

    def _as_list(self, raw_speech: np.ndarray | Tensor | Mapping | Sequence) -> list:
        """One clip or many, as a list of clips."""
        if isinstance(raw_speech, Mapping):
            return [raw_speech]
        if len(raw_speech) == 0:
            raise ValueError("Expected audio, got an empty array or list.")
        if isinstance(raw_speech, (np.ndarray, Tensor)):
            # More clips than samples are never meant: that is one clip with its channels behind.
            is_one_clip = raw_speech.ndim == 1 or (raw_speech.ndim == 2 and raw_speech.shape[0] > raw_speech.shape[1])
        else:
            is_one_clip = np.isscalar(raw_speech[0])
        return [raw_speech] if is_one_clip else list(raw_speech)

    def _clip(self, samples: np.ndarray | Tensor | Sequence, sampling_rate: int | None, resample: bool) -> Tensor:
        """One clip as float32 mono `[T]` at the extractor's rate."""
        mono = as_mono(samples)
        if sampling_rate is None:
            logger.warning_once(
                f"No sampling_rate was passed to {type(self).__name__}: taking the audio for {self.sampling_rate} Hz."
            )
        elif sampling_rate != self.sampling_rate:
            if not resample:
                raise ValueError(
                    f"Expected audio at {self.sampling_rate} Hz, got sampling_rate={sampling_rate}. Pass "
                    "resample=True, or resample it first."
                )
            return torch.from_numpy(resampled(mono.cpu().numpy(), sampling_rate, self.sampling_rate))
        return mono


def _means(waveforms: Tensor, lengths: Tensor) -> Tensor:
    """The mean of each clip's true samples, float32 `[B]`, of waveforms `[B, T]`.

    In float64, so that what a clip's features are does not depend on its batch, nor on how many threads share the sum;
    on a CPU clip by clip, which needs no masked copy.
    """
    if waveforms.device.type == "mps":  # which has no float64
        return _means(waveforms.cpu(), lengths.cpu()).to(waveforms.device)
    if waveforms.device.type == "cpu":
        sums = [own[:length].sum(dtype=torch.float64) for own, length in zip(waveforms, lengths.tolist(), strict=True)]
        return (torch.stack(sums) / lengths).float()
    behind = torch.arange(waveforms.shape[1], device=waveforms.device) >= lengths[:, None]
    return (waveforms.double().masked_fill_(behind, 0.0).sum(dim=1) / lengths).float()


def _as_batch(features: dict[str, Tensor], frames: list[int], return_tensors: str | TensorType | None) -> BatchFeature:
    """Features `[B, most frames, …]` as they are asked for, each row with its own number of frames."""
    is_ragged = len(set(frames)) > 1
    if return_tensors is None or is_ragged:
        if return_tensors is not None:
            raise ValueError(
                f"Expected clips of one length for return_tensors={return_tensors!r}, they have {min(frames)} to "
                f"{max(frames)} frames. Pass padding=True."
            )
        rows = {name: values.cpu().numpy() for name, values in features.items()}
        return BatchFeature(
            {name: [row[:count] for row, count in zip(values, frames, strict=True)] for name, values in rows.items()}
        )
    if return_tensors != TensorType.PYTORCH:
        arrays = {name: values.cpu().numpy() for name, values in features.items()}
        return BatchFeature(arrays, tensor_type=return_tensors)
    return BatchFeature(features)
