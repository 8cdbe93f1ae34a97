"""Encoded clips become decoded samples and batches, augmented on the way. Knows no sources and no models."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor

from psla_hf.audio import SincFilter, is_cut_short, read_audio
from psla_hf.audio_files import SHORT_SECONDS
from psla_hf.audio_parts import read_part
from psla_hf.data.foreign import as_clips
from psla_hf.data.schema import Clips
from psla_hf.labels.scores import ScoreRows

from .augmentation import Augmentation, Draws, mix_labels, mix_waveforms

__all__ = [
    "Batch",
    "EncodedClip",
    "OnError",
    "Partners",
    "Sample",
    "SampleMaker",
    "StyleBatch",
    "TaggingDataset",
    "collate",
    "redraw_generator",
    "with_teacher",
]


OnError = Literal["raise", "redraw"]

MOST_REDRAWS = 20  # in a row: then it is not the clips

SHORTEST = 400  # samples, the front end's shortest clip

logger = logging.getLogger(__name__)


EncodedClip = dict[str, Any]  # in the schema of `data.schema.tagging_features`


class Partners(NamedTuple):
    """Further clips that a training sample takes something from, in the order of `Augmentation.partner_rates`.

    Attributes:
        mixup: The clip that is mixed into it, if any.
        style: The clip whose frequency response it takes over a part of, if any.
    """

    mixup: EncodedClip | None = None
    style: EncodedClip | None = None


@dataclass
class Sample:
    """A decoded clip, or a training sample that was made of one or more.

    Attributes:
        id: The clip's.
        waveform: Float32 `[T]`.
        labels: Float32 `[K]`: 0 and 1, or a clip's `label_values`, or those of a mixture.
        teacher: A teacher's scores `[K]`, mixed likewise; NaN where it has none.
        short: Whether a file ended before its headers say.
        redrawn: Ids of clips that did not decode and were replaced.
        mixed_in: Ids of the partners.
        mask_draws: Of a training sample: `Draws.mask`, float32 `[4]`.
        style: Waveform of the clip whose frequency response it is to take over a part of, float32 `[T']`.
        style_weight: Share of its own frequency response that it keeps.
    """

    id: str
    waveform: np.ndarray
    labels: np.ndarray
    teacher: np.ndarray | None = None
    short: bool = False
    redrawn: list[str] = field(default_factory=list)
    mixed_in: list[str] = field(default_factory=list)
    mask_draws: np.ndarray | None = None
    style: np.ndarray | None = None
    style_weight: float = 1.0

    def add_partner(self, partner: "Sample") -> None:
        """Record which clip a partner is, and what was odd about it."""
        self.mixed_in += [partner.id]
        self.short |= partner.short
        self.redrawn += partner.redrawn


Tensors = TypeVar("Tensors", bound="_Tensors")


class _Tensors:
    """A data class some of whose fields are tensors, or data classes of the same kind."""

    def to(self: Tensors, device: str | int | torch.device, non_blocking: bool = False) -> Tensors:
        """The same with its tensors on a device."""
        return self._each(lambda tensors: tensors.to(device, non_blocking=non_blocking))

    def pin_memory(self: Tensors) -> Tensors:
        """The same with its tensors in page-locked memory, which is copied to a GPU faster."""
        return self._each(lambda tensors: tensors.pin_memory())

    def _each(self: Tensors, change: Callable[[Any], Any]) -> Tensors:
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor | _Tensors)}
        return replace(self, **{name: change(value) for name, value in tensors.items()})  # type: ignore[type-var]


@dataclass(frozen=True)
class StyleBatch(_Tensors):
    """The clips whose frequency response S samples of a batch take over a part of.

    Attributes:
        rows: Which samples of the batch, int64 `[S]`.
        waveforms: Float32 `[S, T']`, zero-padded to the longest.
        lengths: True numbers of samples, int64 `[S]`.
        weights: Share of its own frequency response that each sample keeps `[S]`.
    """

    rows: Tensor
    waveforms: Tensor
    lengths: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Batch(_Tensors):
    """Samples of different length together.

    Attributes:
        waveforms: Float32 `[B, T]`, zero-padded to the longest.
        lengths: True numbers of samples, int64 `[B]`.
        labels: Float32 `[B, K]`.
        ids: The clips', B.
        short: Ids of those that are cut short.
        redrawn: Ids of clips that did not decode.
        mixed_in: Ids of the clips mixed into these.
        mask_draws: Of training samples, float32 `[B, 4]`.
        style: Where the frequency response of some is to change.
        teacher: A teacher's scores, float32 `[B, K]`, where clips come with them.
    """

    waveforms: Tensor
    lengths: Tensor
    labels: Tensor
    ids: list[str]
    short: list[str]
    redrawn: list[str]
    mixed_in: list[str]
    mask_draws: Tensor | None = None
    style: StyleBatch | None = None
    teacher: Tensor | None = None


@dataclass(frozen=True)
class SampleMaker:
    """Makes samples of encoded clips, and decides what happens to those that do not decode.

    Attributes:
        num_classes: K.
        sampling_rate: Rate of the waveforms in Hz.
        augmentation: Of training samples.
        window: Of a clip that is too long to be taken whole, a training sample is a window of so many samples, anywhere
            in it with the same chance. None for whole clips.
        longest: Samples of the longest clip that is taken whole; by default `window`.
        on_error: `"raise"` stops at the first clip that does not decode; `"redraw"` logs its id and draws another, but
            stops at so many in a row that it is not the clips. How many are too many of a run, the `Trainer` decides.

    Raises:
        ValueError: `on_error` is neither of the two.
    """

    num_classes: int
    sampling_rate: int = 16000
    augmentation: Augmentation = field(default_factory=Augmentation)
    on_error: OnError = "raise"
    window: int | None = None
    longest: int | None = None

    def __post_init__(self) -> None:
        """Refuse a misspelt choice before anything is read."""
        if self.on_error not in ("raise", "redraw"):
            raise ValueError(f"Expected on_error 'raise' or 'redraw', got {self.on_error!r}.")

    def clip(self, clip: EncodedClip, sinc: SincFilter | None = None) -> Sample:
        """The clip itself, decoded. One that does not decode is an error here, whatever the policy.

        Args:
            clip: In the schema.
            sinc: Filter by which it is resampled, if not by soxr's.

        Raises:
            ValueError: It does not decode.
        """
        return self._sample(clip, sinc)

    def window_of(self, clip: EncodedClip, first: int) -> Sample:
        """The clip's window that begins with the sample number `first`, decoded; only that part of the file is.

        Raises:
            ValueError: It does not decode.
        """
        assert self.window is not None
        return self._sample(clip, None, first, self.window)

    def silence(self, clip: EncodedClip) -> Sample:
        """A sample in place of a clip that does not decode: a short silence, which `redrawn` names."""
        return Sample(clip["id"], np.zeros(SHORTEST, np.float32), self._multi_hot(clip), redrawn=[clip["id"]])

    def training_sample(
        self, clip: EncodedClip, draws: Draws, partners: Partners, another: Callable[[], EncodedClip]
    ) -> Sample:
        """One sample, augmented.

        Args:
            clip: In the schema.
            draws: All the randomness, but whether there are partners, and which.
            partners: Those.
            another: Draws a clip in place of one that does not decode.

        Raises:
            ValueError: A clip does not decode, and none is to be drawn again; or too many in a row do not.
        """
        read = partial(self._clip_or_another, sinc=draws.sinc, another=another)
        own, of_mixup, of_style = draws.windows
        sample = read(clip, own)
        if partners.mixup is not None:
            partner = read(partners.mixup, of_mixup)
            sample.waveform = mix_waveforms(sample.waveform, partner.waveform, draws.mix_weight)
            sample.labels = mix_labels(sample.labels, partner.labels, draws.mix_weight)
            if sample.teacher is not None and partner.teacher is not None:
                sample.teacher = mix_labels(sample.teacher, partner.teacher, draws.mix_weight)
            sample.add_partner(partner)
        sample.waveform = self.augmentation.change_waveform(sample.waveform, draws)
        if partners.style is not None:
            partner = read(partners.style, of_style)
            sample.style, sample.style_weight = partner.waveform, draws.style_weight
            sample.add_partner(partner)
        sample.mask_draws = draws.mask
        return sample

    def _clip_or_another(
        self, clip: EncodedClip, place: float, sinc: SincFilter | None, another: Callable[[], EncodedClip]
    ) -> Sample:
        """The clip or its window at a place in [0, 1), decoded, or by policy that of another one."""
        failed: list[str] = []
        while True:
            try:
                sample = self._window_at(clip, place, sinc)
            except ValueError as error:
                failed.append(clip["id"])
                if self.on_error == "raise" or len(failed) > MOST_REDRAWS:
                    raise
                logger.warning("Drew another clip: %s", error)
                clip = another()
            else:
                sample.redrawn = failed
                return sample

    def _window_at(self, clip: EncodedClip, place: float, sinc: SincFilter | None) -> Sample:
        """A clip, or the window at a place in [0, 1) of one that is longer."""
        window, samples = self.window, round((clip["seconds"] or 0) * self.sampling_rate)
        longest = self.longest or window
        if window and longest and samples > longest:
            # A file may end before its header says: then what there is is decoded below.
            with suppress(ValueError):
                return self._sample(clip, sinc, int(place * (samples - window + 1)), window)
        sample = self._sample(clip, sinc)
        if window and longest and len(sample.waveform) > longest:  # of a length that nobody had looked up
            first = int(place * (len(sample.waveform) - window + 1))
            sample.waveform = sample.waveform[first : first + window]
        return sample

    def _sample(self, clip: EncodedClip, sinc: SincFilter | None, first: int = 0, count: int | None = None) -> Sample:
        waveform, short = self._decode(clip, sinc, first, count)
        return Sample(clip["id"], waveform, self._multi_hot(clip), clip.get("teacher"), short)

    def _decode(
        self, clip: EncodedClip, sinc: SincFilter | None, first: int = 0, count: int | None = None
    ) -> tuple[np.ndarray, bool]:
        """Waveform from the clip's sample `first` on, at most `count`, and whether the file is cut short."""
        path, data = clip["audio"]["path"], clip["audio"]["bytes"]
        start, end = clip.get("start"), clip.get("end")
        try:
            if data is None and path is None:
                raise ValueError("Expected audio as a path or as bytes, got neither.")
            if start is None and end is None and count is None:
                data = Path(path).read_bytes() if data is None else data
                waveform = read_audio(data, self.sampling_rate, sinc)
                return waveform, is_cut_short(data, len(waveform) / self.sampling_rate)
            begin = (start or 0.0) + first / self.sampling_rate
            stop = end if count is None else begin + count / self.sampling_rate
            waveform = read_part(path if data is None else data, self.sampling_rate, begin, stop, sinc)
            return waveform, stop is not None and len(waveform) / self.sampling_rate < stop - begin - SHORT_SECONDS
        except (OSError, ValueError) as error:
            raise ValueError(f"Clip {clip['id']!r} ({path or 'bytes'}): {error}") from error

    def _multi_hot(self, clip: EncodedClip) -> np.ndarray:
        labels = np.zeros(self.num_classes, dtype=np.float32)
        values = clip.get("label_values")
        labels[clip["labels"]] = 1 if values is None else values
        return labels


class TaggingDataset(torch.utils.data.Dataset):
    """A data set's clips as samples, by index.

    `dataset[index]` is the clip itself, see `SampleMaker`. `dataset[index, seed]`, as `EpochSampler` yields it, is one
    training sample; a second clip for mixup is drawn uniformly, and everything random follows from the seed.

    Args:
        clips: With `schema.tagging_features`; those in shards are read into memory.
        maker: What makes samples of them.
        weights: `[N]`, the law by which a clip is redrawn; `None` for uniformly.
    """

    def __init__(self, clips: Clips | Dataset, maker: SampleMaker, weights: np.ndarray | None = None):
        clips = as_clips(clips)
        if maker.num_classes != len(clips.vocabulary):
            raise ValueError(f"Expected a data set of {maker.num_classes} classes, got {len(clips.vocabulary)}.")
        self.clips, self._scores = clips.dataset(), clips.scores
        self.maker = maker
        self._law = None if weights is None else np.cumsum(weights) / np.sum(weights)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        if not isinstance(key, tuple):
            return self.maker.clip(self.clips[key])
        index, seed = key
        draws = self.maker.augmentation.draw(seed)
        partners = Partners(
            mixup=self._clip(int(draws.partner * len(self))) if draws.mix else None,
            style=self._clip(int(draws.style * len(self))) if draws.restyle else None,
        )
        another = partial(self._another, redraw_generator(seed))
        return self.maker.training_sample(self._clip(index), draws, partners, another)

    def _clip(self, index: int) -> EncodedClip:
        return with_teacher(self.clips[index], self._scores, index)

    def _another(self, rng: np.random.Generator) -> EncodedClip:
        place = rng.random()
        index = place * len(self) if self._law is None else np.searchsorted(self._law, place, side="right")
        return self._clip(min(int(index), len(self) - 1))


def with_teacher(clip: EncodedClip, scores: ScoreRows | None, number: int) -> EncodedClip:
    """The clip of that number with its row of a teacher's scores, where there are any."""
    return clip if scores is None else {**clip, "teacher": scores[number : number + 1][0].astype(np.float32)}


def redraw_generator(seed: int) -> np.random.Generator:
    """What draws clips in place of those of a sample that do not decode, by the sample's seed."""
    return np.random.default_rng([seed, 1])


def collate(samples: Sequence[Sample]) -> Batch:
    """Make samples of different length a batch."""
    waveforms, lengths = _pad([sample.waveform for sample in samples])
    masks = [sample.mask_draws for sample in samples if sample.mask_draws is not None]
    taught = [sample.teacher for sample in samples if sample.teacher is not None]
    return Batch(
        waveforms,
        lengths,
        labels=torch.from_numpy(np.stack([sample.labels for sample in samples]).astype(np.float32)),
        ids=[sample.id for sample in samples],
        short=[sample.id for sample in samples if sample.short],
        redrawn=[name for sample in samples for name in sample.redrawn],
        mixed_in=[name for sample in samples for name in sample.mixed_in],
        teacher=torch.from_numpy(np.stack(taught).astype(np.float32)) if taught else None,
        mask_draws=torch.from_numpy(np.stack(masks)) if masks else None,
        style=_styles(samples),
    )


def _styles(samples: Sequence[Sample]) -> StyleBatch | None:
    styles = {row: sample.style for row, sample in enumerate(samples) if sample.style is not None}
    if not styles:
        return None
    weights = torch.tensor([samples[row].style_weight for row in styles])
    return StyleBatch(torch.tensor(list(styles)), *_pad(list(styles.values())), weights)


def _pad(waveforms: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """`[B, T]`, zero-padded, and the true lengths `[B]`."""
    tensors = [torch.from_numpy(np.asarray(waveform, dtype=np.float32)) for waveform in waveforms]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True), torch.tensor([len(t) for t in tensors])
