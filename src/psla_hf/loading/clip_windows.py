"""All windows of clips, to score each clip as `AudioTagger` scores a sound. Knows no models and no sources."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset

from psla_hf.audio import audio_seconds
from psla_hf.data.foreign import as_clips
from psla_hf.data.schema import Clips, IndexedClips
from psla_hf.inference.windows import window_starts

from .samples import EncodedClip, Sample, SampleMaker

__all__ = ["ClipWindows"]


HEADER_THREADS = 16


class ClipWindows(torch.utils.data.Dataset):
    """Windows of N clips by number, those of a clip one after the other; a clip of up to a window is one.

    Windows lie side by side, and the last one ends with the clip, as `AudioTagger` has it.

    Args:
        clips: With `schema.tagging_features`; those in shards are read into memory.
        maker: What makes samples of them, and says how long a window is, and the longest clip that is one.

    Attributes:
        owners: Number of each window's clip, int64 `[W]`, rising.

    Raises:
        ValueError: There are no clips, or they are of another number of classes.
    """

    def __init__(self, clips: Clips | Dataset, maker: SampleMaker):
        clips = as_clips(clips)
        if maker.num_classes != len(clips.vocabulary):
            raise ValueError(f"Expected a data set of {maker.num_classes} classes, got {len(clips.vocabulary)}.")
        self.clips, self.maker = clips.dataset(), maker
        if not len(self.clips):
            raise ValueError("Expected clips to score, got a data set without any. Take another split.")
        starts: list[list[int]] = [[0]] * len(self.clips)
        if maker.window is not None:
            seconds = _looked_up(IndexedClips(self.clips).seconds, self.clips)
            lengths = np.maximum(1, np.rint(np.array(seconds) * maker.sampling_rate)).astype(int)
            starts = [window_starts(total, maker.window, longest=maker.longest) for total in lengths.tolist()]
        self.owners = np.repeat(np.arange(len(starts)), [len(of_clip) for of_clip in starts])
        self._first = np.concatenate([np.array(of_clip, np.int64) for of_clip in starts])

    def __len__(self) -> int:
        return len(self.owners)

    def __getitem__(self, number: int) -> Sample:
        owner = self.owners[number]
        neighbours = self.owners[max(0, number - 1) : number + 2]
        clip = self.clips[int(owner)]
        if (neighbours == owner).sum() == 1:
            return self.maker.clip(clip)
        return self.maker.window_of(clip, int(self._first[number]))


def _looked_up(known: Sequence[float | None], clips: Dataset) -> list[float]:
    """Length of each clip; where it is not known, by the header of its file."""
    unknown = [number for number, seconds in enumerate(known) if seconds is None]
    with ThreadPoolExecutor(HEADER_THREADS) as pool:
        found = dict(zip(unknown, pool.map(_header_seconds, map(clips.__getitem__, unknown)), strict=True))
    return [found[number] if seconds is None else seconds for number, seconds in enumerate(known)]


def _header_seconds(clip: EncodedClip) -> float:
    """Length of a clip's file from its start on; 0 where it has none, which shows by its name when it is decoded."""
    audio = clip["audio"]
    try:
        length = audio_seconds(audio["bytes"] if audio["bytes"] is not None else Path(audio["path"] or ""))
        return max(0.0, length - (clip.get("start") or 0.0))  # an end would have said how long it is
    except (OSError, ValueError):
        return 0.0
