"""Speed as ratios against a baseline in the same run, rounds taken in turn. Knows nothing of command lines."""

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import psutil
import torch
import torchaudio
from torch.profiler import ProfilerActivity, profile
from transformers import ASTFeatureExtractor

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

    def kaldi_loop() -> None:
        for wave in waves:
            samples = torch.from_numpy(wave)
            log_mel = torchaudio.compliance.kaldi.fbank(
                (samples - samples.mean())[None], num_mel_bins=128, window_type="hanning", htk_compat=True, dither=0.0
            )
            log_mel = torch.nn.functional.pad(log_mel, (0, 0, 0, 1056 - len(log_mel)))
            (log_mel + 4.6476) / 4.5699

    def psla() -> None:
        extractor(waves, sampling_rate=rate, return_tensors="pt", device=device)
        if device != "cpu":
            torch.accelerator.synchronize()

    ways: dict[str, Callable[[], object]] = {
        "PslaFeatureExtractor": psla,
        "ASTFeatureExtractor": lambda: ast(waves, sampling_rate=rate, return_tensors="pt"),
        "Kaldi, clip by clip": kaldi_loop,
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - started)
    own = times["PslaFeatureExtractor"][1:]
    results: dict[str, dict] = {
        name: {
            "clips_per_second": num_clips / statistics.median(taken[1:]),
            "ratio": statistics.median(theirs / ours for theirs, ours in zip(taken[1:], own, strict=True)),
        }
        for name, taken in times.items()
    }
    results["PslaFeatureExtractor"]["time_shares"] = _time_shares(psla)
    return results


def _time_shares(work: Callable[[], None], most: int = 8) -> dict[str, float]:
    """Which operations take how much of the CPU's time, the largest first."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        work()
    rows = sorted(profiler.key_averages(), key=lambda row: -row.self_cpu_time_total)
    total = sum(row.self_cpu_time_total for row in rows)
    return {row.key: row.self_cpu_time_total / total for row in rows[:most]}
