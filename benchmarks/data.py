"""From encoded clips to batches that are ready for a device, against a plain loader. Knows no training."""

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import psutil
import soundfile
import torch
import torchaudio
from datasets import Dataset
from torch.utils.data import DataLoader

from benchmarks.timing import rates, seconds_per_clip
from psla_hf.data.schema import class_names
from psla_hf.data.shards.prepare import prepare
from psla_hf.loading.sampler import EpochSampler
from psla_hf.loading.samples import SampleMaker, TaggingDataset, collate
from psla_hf.loading.stream import TaggingStream
from psla_hf.models.feature_extraction_psla import PslaFeatureExtractor

__all__ = ["benchmark_data", "memory_while_streaming"]


BATCH = 20

CLIPS_PER_ROW_GROUP = 20  # so that the few clips of a benchmark fill some row groups


def benchmark_data(clips: Dataset, rounds: int = 5) -> dict[str, dict[str, float]]:
    """Clips per second of one core, from encoded audio to a batch of normalized spectrograms, without augmentation.

    The baseline loads clip by clip and does the original's steps: decode, average channels, resample, remove the mean,
    Kaldi's filterbank, pad, normalize, stack.

    Args:
        clips: Encoded clips, best of another sampling rate than 16 kHz.
        rounds: How often each way is timed, in turn, after one round that does not count.

    Returns:
        See `timing.rates`; the plain loader is the first way.
    """
    extractor = PslaFeatureExtractor(max_length=512)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            prepared, stream = _prepared(clips, Path(folder))
            ways: dict[str, Callable[[], Iterable]] = {
                "plain loader": lambda: _plain(clips, extractor),
                "as it is, map-style": lambda: _batches(_shuffled(clips), extractor),
                "prepared, map-style": lambda: _batches(_shuffled(prepared), extractor),
                "prepared, streamed": lambda: _batches(DataLoader(stream, BATCH, collate_fn=collate), extractor),
            }
            times = seconds_per_clip({name: partial(_consumed, way) for name, way in ways.items()}, rounds)
    finally:
        torch.set_num_threads(threads)
    return rates(times)


def _consumed(way: Callable[[], Iterable]) -> int:
    """The number of clips in all of its batches."""
    return BATCH * sum(1 for _ in way())


def memory_while_streaming(clips: Dataset, minutes: float) -> list[dict[str, float]]:
    """Stream prepared clips, epoch after epoch, and look at this process's memory every minute.

    Returns:
        `minute`, `clips` so far and resident `mb`, at each look.
    """
    extractor = PslaFeatureExtractor(max_length=512)
    looks: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        _, stream = _prepared(clips, Path(folder))
        started, seen = time.perf_counter(), 0
        for epoch in count():
            stream.seek(epoch)
            for _ in _batches(DataLoader(stream, BATCH, collate_fn=collate), extractor):
                seen += BATCH
                minute = (time.perf_counter() - started) / 60
                if minute >= len(looks):
                    size = psutil.Process().memory_info().rss / 1e6
                    looks.append({"minute": round(minute, 1), "clips": seen, "mb": round(size, 1)})
                if minute >= minutes:
                    return looks
    raise AssertionError("epochs do not end")


def _prepared(clips: Dataset, folder: Path) -> tuple[Dataset, TaggingStream]:
    """The clips as 16 kHz shards, by index and as a stream."""
    prepare(clips, folder, split="all", clips_per_shard=100, clips_per_row_group=CLIPS_PER_ROW_GROUP)
    files = sorted(map(str, (folder / "data").glob("*.parquet")))
    prepared = Dataset.from_parquet(files, cache_dir=str(folder / "cache"))
    return prepared, TaggingStream.open(files, _maker(clips), BATCH, balanced=False, block_groups=4)


def _maker(clips: Dataset) -> SampleMaker:
    return SampleMaker(len(class_names(clips)), PslaFeatureExtractor().sampling_rate)


def _shuffled(clips: Dataset) -> DataLoader:
    order = EpochSampler(len(clips), seed=0)
    return DataLoader(TaggingDataset(clips, _maker(clips)), BATCH, sampler=order, collate_fn=collate, drop_last=True)


def _batches(loader: DataLoader, extractor: PslaFeatureExtractor) -> Iterator[torch.Tensor]:
    for batch in loader:
        yield extractor.normalize(extractor.log_mel(batch.waveforms, batch.lengths.tolist()))


def _plain(clips: Dataset, extractor: PslaFeatureExtractor) -> Iterator[torch.Tensor]:
    """What a user would write from the paper: everything clip by clip."""
    spectrograms: list[torch.Tensor] = []
    frames = extractor.max_length or 0
    for index in np.random.default_rng(0).permutation(len(clips))[: len(clips) // BATCH * BATCH].tolist():
        samples, rate = soundfile.read(clips[index]["audio"]["path"], dtype="float32", always_2d=True)
        waveform = torch.from_numpy(samples).mean(dim=1)[None]
        waveform = torchaudio.functional.resample(waveform, rate, extractor.sampling_rate)
        log_mel = torchaudio.compliance.kaldi.fbank(
            waveform - waveform.mean(), num_mel_bins=128, window_type="hanning", htk_compat=True, dither=0.0
        )[:frames]
        log_mel = torch.nn.functional.pad(log_mel, (0, 0, 0, frames - len(log_mel)))
        spectrograms.append((log_mel - extractor.mean) / extractor.std)
        if len(spectrograms) == BATCH:
            yield torch.stack(spectrograms)
            spectrograms = []
