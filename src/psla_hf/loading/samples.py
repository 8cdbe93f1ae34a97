"""Encoded clips become decoded samples and batches, augmented on the way. Knows no sources and no models."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from datasets import Dataset

from psla_hf.audio import is_cut_short, read_audio
from psla_hf.data.schema import Clips, as_clips

from .augmentation import Augmentation, mix_labels, mix_waveforms

__all__ = ["FIRST_DRAWS", "OnError", "SampleMaker", "TaggingDataset", "collate"]


OnError = Literal["raise", "redraw"]

MOST_REDRAWS = 20  # in a row: then it is not the clips

SHORTEST = 400  # samples, the front end's shortest clip

FIRST_DRAWS = 1000  # the tolerated share is taken of no fewer draws than these

logger = logging.getLogger(__name__)


class SampleMaker:
    """Makes samples of encoded clips, and decides what happens to those that do not decode.

    A sample has `id`, `waveform` float32 `[T]` and `labels` float32 `[K]`, 0 and 1 or a clip's `label_values`; `short`,
    whether the file ended before its headers say; and `redrawn`, the ids of clips that did not decode and were
    replaced. A training sample also has `mask_draws` `[4]` and, if its frequency response is to change, `style`: a
    second waveform and a weight.

    Args:
        num_classes: K.
        sampling_rate: Rate of the waveforms in Hz.
        augmentation: Of training samples.
        on_error: `"raise"` stops at the first clip that does not decode; `"redraw"` logs its id and draws another.
        tolerated_share: With `"redraw"`, stop when more than this share of the draws (of at least 1,000) has failed.
    """

    def __init__(
        self,
        num_classes: int,
        sampling_rate: int,
        augmentation: Augmentation | None = None,
        on_error: OnError = "raise",
        tolerated_share: float = 0.01,
    ):
        if on_error not in ("raise", "redraw"):
            raise ValueError(f"Expected on_error 'raise' or 'redraw', got {on_error!r}.")
        self.num_classes = num_classes
        self.sampling_rate = sampling_rate
        self.augmentation = augmentation or Augmentation()
        self.on_error = on_error
        self.tolerated_share = tolerated_share
        self._draws = self._failures = 0

    def clip(self, clip: dict[str, Any]) -> dict[str, Any]:
        """The clip itself, decoded. One that does not decode is an error here, whatever the policy.

        Raises:
            ValueError: It does not decode.
        """
        return self._sample(clip, *self._decode(clip))

    def silence(self, clip: dict[str, Any]) -> dict[str, Any]:
        """A sample in place of a clip that does not decode: a short silence, which `redrawn` names."""
        return {**self._sample(clip, np.zeros(SHORTEST, np.float32), short=False), "redrawn": [clip["id"]]}

    def _sample(self, clip: dict[str, Any], waveform: np.ndarray, short: bool) -> dict[str, Any]:
        return {
            "id": clip["id"],
            "waveform": waveform,
            "labels": self._multi_hot(clip),
            "short": short,
            "redrawn": [],
            "mixed_in": [],
        }

    def training_sample(
        self,
        clip: dict[str, Any],
        seed: int,
        second: Callable[[int, float], dict[str, Any]],
        another: Callable[[np.random.Generator], dict[str, Any]],
        needs: tuple[bool, bool] | None = None,
    ) -> dict[str, Any]:
        """One sample, augmented; everything random in it follows from the seed.

        Args:
            clip: In the schema.
            seed: The sample's own.
            second: Gets the second clip that mixup (0) or MixStyle (1) asks for, by its place in [0, 1).
            another: Draws a clip in place of one that does not decode.
            needs: Whether there are second clips for mixup and for MixStyle, where that was decided elsewhere.
        """
        draws = self.augmentation.draw(seed)
        mix, restyle = needs or (draws.mix, draws.restyle)
        rng = np.random.default_rng([seed, 1])
        sample = self._clip_or_another(clip, rng, another)
        if mix:
            partner = self._clip_or_another(second(0, draws.partner), rng, another)
            sample["waveform"] = mix_waveforms(sample["waveform"], partner["waveform"], draws.mix_weight)
            sample["labels"] = mix_labels(sample["labels"], partner["labels"], draws.mix_weight)
            _take_notes(sample, partner)
        sample["waveform"] = self.augmentation.change_waveform(sample["waveform"], draws)
        if restyle:
            style = self._clip_or_another(second(1, draws.style), rng, another)
            sample["style"] = (style["waveform"], draws.style_weight)
            _take_notes(sample, style)
        sample["mask_draws"] = draws.mask
        return sample

    def _clip_or_another(
        self,
        clip: dict[str, Any],
        rng: np.random.Generator,
        another: Callable[[np.random.Generator], dict[str, Any]],
    ) -> dict[str, Any]:
        """The clip decoded, or by policy another one."""
        failed: list[str] = []
        while True:
            self._draws += 1
            try:
                sample = self.clip(clip)
                break
            except ValueError as error:
                failed.append(clip["id"])
                self._failures += 1
                if self.on_error == "raise" or len(failed) > MOST_REDRAWS:
                    raise
                if self._failures > self.tolerated_share * max(self._draws, FIRST_DRAWS):
                    raise ValueError(
                        f"{self._failures} of {self._draws} clips drawn did not decode, more than the tolerated share "
                        f"of {self.tolerated_share:.1%} (of at least {FIRST_DRAWS} draws). The last one: {error}"
                    ) from error
                logger.warning("Drew another clip: %s", error)
                clip = another(rng)
        return {**sample, "redrawn": failed}

    def _decode(self, clip: dict[str, Any]) -> tuple[np.ndarray, bool]:
        """Waveform, and whether the file is cut short."""
        path, data = clip["audio"]["path"], clip["audio"]["bytes"]
        try:
            if data is None and path is None:
                raise ValueError("Expected audio as a path or as bytes, got neither.")
            data = Path(path).read_bytes() if data is None else data
            waveform = read_audio(data, self.sampling_rate)
            return waveform, is_cut_short(data, len(waveform) / self.sampling_rate)
        except (OSError, ValueError) as error:
            raise ValueError(f"Clip {clip['id']!r} ({path}): {error}") from error

    def _multi_hot(self, clip: dict[str, Any]) -> np.ndarray:
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
        self.clips = clips.dataset()
        self.maker = maker
        self._law = None if weights is None else np.cumsum(weights) / np.sum(weights)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        if not isinstance(key, tuple):
            return self.maker.clip(self.clips[key])
        index, seed = key
        return self.maker.training_sample(
            self.clips[index], seed, lambda kind, place: self.clips[int(place * len(self))], self._another
        )

    def _another(self, rng: np.random.Generator) -> dict[str, Any]:
        place = rng.random()
        index = place * len(self) if self._law is None else np.searchsorted(self._law, place, side="right")
        return self.clips[min(int(index), len(self) - 1)]


def _take_notes(sample: dict[str, Any], second: dict[str, Any]) -> None:
    """Which the second clip is, and what was odd about it, is told with the sample."""
    sample["mixed_in"] = [*sample["mixed_in"], second["id"]]
    sample["short"] |= second["short"]
    sample["redrawn"] = sample["redrawn"] + second["redrawn"]


def collate(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Make samples of different length a batch.

    Returns:
        `waveforms` float32 `[B, T]`, zero-padded to the longest; `lengths` `[B]`, the true numbers of samples; `labels`
        float32 `[B, K]`; `ids`; `mixed_in`, those of the clips mixed into these; `short`, the ids of samples that are
        cut short; `redrawn`, those of clips that did not decode. For training samples also `mask_draws` `[B, 4]`, and,
        where some are to be restyled, `style` with their `rows` in the batch, `waveforms`, `lengths` and `weights`.
    """
    waveforms, lengths = _pad([sample["waveform"] for sample in samples])
    batch: dict[str, Any] = {
        "waveforms": waveforms,
        "lengths": lengths,
        "labels": torch.from_numpy(np.stack([sample["labels"] for sample in samples]).astype(np.float32)),
        "ids": [sample["id"] for sample in samples],
        "short": [sample["id"] for sample in samples if sample["short"]],
        "redrawn": [name for sample in samples for name in sample["redrawn"]],
        "mixed_in": [name for sample in samples for name in sample["mixed_in"]],
    }
    if "mask_draws" in samples[0]:
        batch["mask_draws"] = torch.from_numpy(np.stack([sample["mask_draws"] for sample in samples]))
    rows = [row for row, sample in enumerate(samples) if "style" in sample]
    if rows:
        waveforms, lengths = _pad([samples[row]["style"][0] for row in rows])
        weights = torch.tensor([samples[row]["style"][1] for row in rows])
        batch["style"] = {"rows": torch.tensor(rows), "waveforms": waveforms, "lengths": lengths, "weights": weights}
    return batch


def _pad(waveforms: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """`[B, T]`, zero-padded, and the true lengths `[B]`."""
    tensors = [torch.from_numpy(np.asarray(waveform, dtype=np.float32)) for waveform in waveforms]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True), torch.tensor([len(t) for t in tensors])
