"""Speed as ratios against a baseline in the same run, rounds taken in turn. Knows nothing of command lines."""

import statistics
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import psutil
import torch
import torchaudio
from torch.profiler import ProfilerActivity, profile
from transformers import ASTFeatureExtractor

from benchmarks.timing import seconds_per_clip
from psla_hf.models.feature_extraction_psla import PslaFeatureExtractor

__all__ = ["benchmark_features", "memory_sizes"]


@contextmanager
def memory_sizes() -> Iterator[list[int]]:
    """This process's resident bytes: before, then looked at a hundred times a second until the end of the block."""
    sizes, done = [psutil.Process().memory_info().rss], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            sizes.append(psutil.Process().memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield sizes
    finally:
        done.set()
        watcher.join()


def benchmark_features(
    num_clips: int = 32, seconds: float = 10.0, rounds: int = 9, device: str = "cpu"
) -> dict[str, dict]:
    """Clips per second of three ways to the same log-mel spectrograms.

    `PslaFeatureExtractor` on the whole batch, `ASTFeatureExtractor`, and a loop of the per-clip steps of the original
    (mean, Kaldi filterbank, padding, normalization). The two others know only the CPU.

    Args:
        num_clips: Clips in a batch.
        seconds: Length of a clip.
        rounds: How often each is timed, in turn, after one round that does not count.
        device: Where `PslaFeatureExtractor` computes.

    Returns:
        `clips_per_second` and `ratio` to PSLA's (median over the rounds of that round's ratio), by name; and for
        `PslaFeatureExtractor` the `time_shares` of the operations that take most of its time.
    """
    extractor, ast = PslaFeatureExtractor(), ASTFeatureExtractor(max_length=1056)
    rate = extractor.sampling_rate
    waves = [
        0.1 * np.random.default_rng(k).standard_normal(int(seconds * rate)).astype(np.float32) for k in range(num_clips)
    ]

    def kaldi_loop() -> int:
        for wave in waves:
            samples = torch.from_numpy(wave)
            log_mel = torchaudio.compliance.kaldi.fbank(
                (samples - samples.mean())[None], num_mel_bins=128, window_type="hanning", htk_compat=True, dither=0.0
            )
            log_mel = torch.nn.functional.pad(log_mel, (0, 0, 0, 1056 - len(log_mel)))
            (log_mel + 4.6476) / 4.5699
        return num_clips

    def psla() -> int:
        extractor(waves, sampling_rate=rate, return_tensors="pt", device=device)
        if device != "cpu":
            torch.accelerator.synchronize()
        return num_clips

    def ast_extractor() -> int:
        return len(ast(waves, sampling_rate=rate, return_tensors="pt")["input_values"])

    ways = {
        "PslaFeatureExtractor": psla,
        "ASTFeatureExtractor": ast_extractor,
        "Kaldi, clip by clip": kaldi_loop,
    }
    times = seconds_per_clip(ways, rounds)
    own = times["PslaFeatureExtractor"]
    results: dict[str, dict] = {
        name: {
            "clips_per_second": 1 / statistics.median(taken),
            "ratio": statistics.median(theirs / ours for theirs, ours in zip(taken, own, strict=True)),
        }
        for name, taken in times.items()
    }
    results["PslaFeatureExtractor"]["time_shares"] = _time_shares(psla)
    return results


def _time_shares(work: Callable[[], object], most: int = 8) -> dict[str, float]:
    """Which operations take how much of the CPU's time, the largest first."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        work()
    rows = sorted(profiler.key_averages(), key=lambda row: -row.self_cpu_time_total)
    total = sum(row.self_cpu_time_total for row in rows)
    return {row.key: row.self_cpu_time_total / total for row in rows[:most]}
