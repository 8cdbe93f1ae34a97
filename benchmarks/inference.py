"""Tagging on a CPU, from files to probabilities: the original, AST, and every backend. Knows no command line."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import soundfile
import torch
import torchaudio
from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

from benchmarks.fidelity import OriginalTagger
from benchmarks.timing import seconds_per_clip
from psla_hf.audio import read_audio
from psla_hf.inference.backends import ExportedModel, clip_scores
from psla_hf.models.configuration_psla import PslaConfig
from psla_hf.models.export import export_model
from psla_hf.models.feature_extraction_psla import PslaFeatureExtractor
from psla_hf.models.modeling_psla import PslaForAudioClassification

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
    "B2, 4 heads": Architecture({}, ("efficientnet-b2", 4)),
    "B0, 1 head": Architecture({"backbone": "tf_efficientnet_b0", "num_attention_heads": 1}, ("efficientnet-b0", 1)),
}


def benchmark_inference(
    architectures: Mapping[str, Architecture] = ARCHITECTURES,
    ast: ASTConfig | None = None,
    num_clips: int = 4,
    seconds: float = 10.0,
    rounds: int = 9,
) -> dict[str, dict[str, float]]:
    """Clips per second from FLAC files at 16 kHz to probabilities, in one batch; weights are random.

    Args:
        architectures: Ours, by name.
        ast: For comparison; by default the one that was published.
        num_clips: Clips in the batch.
        seconds: Length of a clip.
        rounds: How often each way is timed, in turn, after one round that does not count.

    Returns:
        By way: the median of `clips_per_second`, its `slowest` and `fastest` round, and `ratio`, how many times as long
        the first way takes (median over the rounds of that round's ratio).
    """
    with tempfile.TemporaryDirectory() as place:
        files = list(write_clips(Path(place), num_clips, seconds))
        ways: dict[str, Callable[[Sequence[np.ndarray]], object]] = {}
        for name, architecture in architectures.items():
            ways |= {f"{name}: {way}": run for way, run in ways_of(architecture, Path(place) / name).items()}
        ways["AST"] = ast_way(ast or ASTConfig(id2label=LABELS))

        @torch.inference_mode()
        def from_files(run: Callable[[Sequence[np.ndarray]], object]) -> int:
            run([read_audio(file, RATE) for file in files])
            return len(files)

        times = seconds_per_clip({name: partial(from_files, run) for name, run in ways.items()}, rounds)
    first = next(iter(times.values()))
    return {
        name: {
            "clips_per_second": 1 / median(taken),
            "slowest": 1 / max(taken),
            "fastest": 1 / min(taken),
            "ratio": median(theirs / ours for theirs, ours in zip(first, taken, strict=True)),
        }
        for name, taken in times.items()
    }


def write_clips(folder: Path, num_clips: int, seconds: float) -> Iterator[Path]:
    """Files of noise."""
    for k in range(num_clips):
        path = folder / f"{k}.flac"
        soundfile.write(path, 0.1 * np.random.default_rng(k).standard_normal(int(seconds * RATE)), RATE)
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
    last = PslaForAudioClassification(model.config).eval()
    models = {"torch": model, "torch, channels last": last.to(memory_format=torch.channels_last), **models}
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


def ast_way(config: ASTConfig) -> Callable[[Sequence[np.ndarray]], torch.Tensor]:
    """An Audio Spectrogram Transformer as transformers has it."""
    model, extractor = ASTForAudioClassification(config).eval(), ASTFeatureExtractor(max_length=config.max_length)

    def run(clips: Sequence[np.ndarray]) -> torch.Tensor:
        return model(**extractor(list(clips), sampling_rate=RATE, return_tensors="pt")).logits.sigmoid()

    return run
