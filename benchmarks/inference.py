"""Tagging on a CPU, from files to probabilities: the original, peers, and every backend. Knows no command line."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import torchaudio
from transformers import ASTConfig

from benchmarks.fidelity import OriginalTagger
from benchmarks.peers import Way, peers
from benchmarks.timing import rates, seconds_per_clip
from psla_hf.audio import read_audio
from psla_hf.inference.backends import ExportedModel, clip_scores
from psla_hf.models.configuration_psla import PslaConfig
from psla_hf.models.export import export_model
from psla_hf.models.feature_extraction_psla import PslaFeatureExtractor
from psla_hf.models.modeling_psla import PslaForAudioClassification
from psla_hf.training.recipes import PAPER_ARCHITECTURES

__all__ = ["Architecture", "benchmark_inference"]


NUM_CLASSES = 527
LABELS = {k: f"class {k}" for k in range(NUM_CLASSES)}
RATE = 16000


@dataclass(frozen=True)
class Architecture:
    """One of ours, and what it is compared with.

    Args:
        settings: Of `PslaConfig`.
        original: `OriginalTagger`'s backbone and number of heads, where it has this architecture.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    original: tuple[str, int] | None = None


ARCHITECTURES = {
    "B2, 4 heads": Architecture(PAPER_ARCHITECTURES["EfficientNet-B2, 4 heads"][0], ("efficientnet-b2", 4)),
    "B0, 1 head": Architecture(PAPER_ARCHITECTURES["EfficientNet-B0, 1 head"][0], ("efficientnet-b0", 1)),
}


def benchmark_inference(
    architectures: Mapping[str, Architecture] = ARCHITECTURES,
    ast: ASTConfig | None = None,
    num_clips: int = 4,
    seconds: float = 10.0,
    rounds: int = 9,
) -> dict[str, dict[str, float]]:
    """Clips per second from FLAC files to probabilities, in one batch; weights are random.

    The files are of the rate that a model takes, so that nobody has to resample.

    Args:
        architectures: Ours, by name.
        ast: For comparison; by default the one that was published.
        num_clips: Clips in the batch.
        seconds: Length of a clip.
        rounds: How often each way is timed, in turn, after one round that does not count.

    Returns:
        See `timing.rates`.
    """
    with tempfile.TemporaryDirectory() as place:
        ways: dict[str, Way] = {}
        for name, architecture in architectures.items():
            ours = ways_of(architecture, Path(place) / name)
            ways |= {f"{name}: {way}": Way(RATE, run) for way, run in ours.items()}
        ways |= peers(NUM_CLASSES, ast or ASTConfig(id2label=LABELS))
        heard = {way.rate for way in ways.values()}
        files = {rate: list(write_clips(Path(place), num_clips, seconds, rate)) for rate in heard}

        @torch.inference_mode()
        def from_files(way: Way) -> int:
            way.run([read_audio(file, way.rate) for file in files[way.rate]])
            return num_clips

        times = seconds_per_clip({name: partial(from_files, way) for name, way in ways.items()}, rounds)
    return rates(times)


def write_clips(folder: Path, num_clips: int, seconds: float, rate: int) -> Iterator[Path]:
    """Files of noise."""
    for k in range(num_clips):
        path = folder / f"{rate}-{k}.flac"
        soundfile.write(path, 0.1 * np.random.default_rng(k).standard_normal(int(seconds * rate)), rate)
        yield path


def ways_of(architecture: Architecture, folder: Path) -> dict[str, Callable[[Sequence[np.ndarray]], object]]:
    """What turns waveforms into probabilities with this architecture, by name; graphs go into the folder."""
    torch.manual_seed(0)
    model = PslaForAudioClassification(PslaConfig(id2label=LABELS, **architecture.settings)).eval()
    extractor = PslaFeatureExtractor()
    noise = [0.1 * np.random.default_rng(k).standard_normal(10 * RATE).astype(np.float32) for k in range(4)]
    models: dict[str, Any] = {}
    for name, format, front_end, calibration in (
        ("ONNX Runtime", "onnx", False, None),
        ("ONNX Runtime, front end too", "onnx", True, None),
        ("ONNX Runtime, int8", "onnx", False, noise),
        ("OpenVINO", "openvino", False, None),
        ("OpenVINO, int8", "openvino", False, noise),
    ):
        export_model(model, extractor, folder / name, format, front_end, calibration)  # type: ignore[arg-type]
        models[name] = ExportedModel(folder / name, format)  # type: ignore[arg-type]
    models["OpenVINO, bf16"] = ExportedModel(folder / "OpenVINO", "openvino", torch.bfloat16)
    last, half = (
        PslaForAudioClassification(model.config).eval().to(dtype=dtype, memory_format=torch.channels_last)
        for dtype in (None, torch.bfloat16)
    )
    models = {"torch": model, "torch, channels last": last, "torch, channels last, bf16": half, **models}
    ways: dict[str, Any] = {name: partial(clip_scores, model, extractor) for name, model in models.items()}
    if architecture.original is not None:
        ways = {"original": partial(original_scores, OriginalTagger(*architecture.original, NUM_CLASSES).eval())} | ways
    return ways


def original_scores(model: OriginalTagger, clips: Sequence[np.ndarray], frames: int = 1056) -> torch.Tensor:
    """The original's steps, clip by clip to its spectrograms: Kaldi's filterbank, padded, normalized."""
    spectrograms = []
    for clip in clips:
        samples = torch.from_numpy(clip)
        log_mel = torchaudio.compliance.kaldi.fbank(
            (samples - samples.mean())[None], num_mel_bins=128, window_type="hanning", htk_compat=True, dither=0.0
        )[:frames]
        spectrograms.append((torch.nn.functional.pad(log_mel, (0, 0, 0, frames - len(log_mel))) + 4.6476) / 4.5699)
    return model(torch.stack(spectrograms))
