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
from benchmarks.peers import Cnn14, Way, peers
from benchmarks.timing import rates, seconds_per_clip
from psla_hf.audio import read_audio
from psla_hf.inference.backends import ExportedModel
from psla_hf.inference.overlap import in_streams
from psla_hf.inference.tagger import AudioTagger
from psla_hf.models.configuration_psla import PslaConfig
from psla_hf.models.export import export_model
from psla_hf.models.feature_extraction_psla import PslaFeatureExtractor
from psla_hf.models.modeling_psla import PslaForAudioClassification
from psla_hf.training.recipes import PAPER_ARCHITECTURES

__all__ = ["Architecture", "benchmark_inference"]


NUM_CLASSES = 527
LABELS = {k: f"class {k}" for k in range(NUM_CLASSES)}
RATE = 16000

REPEATS = 3  # of the files, for ours: they are done in a moment

MODEL_ALONE = ("torch", "ONNX Runtime", "OpenVINO")


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
    num_clips: int = 8,
    seconds: float = 10.0,
    rounds: int = 9,
) -> dict[str, dict[str, float]]:
    """Clips per second from FLAC files to probabilities; weights are random.

    The files are of the rate that a model takes, so that nobody has to resample. Of ours, `AudioTagger` decodes and
    scores them, three times over, as it does by default; `model alone` is the same model on ready spectrograms. The
    others read and score four files at a time.

    Args:
        architectures: Ours, by name.
        ast: For comparison; by default the one that was published.
        num_clips: Files.
        seconds: Length of each.
        rounds: How often each way is timed, in turn, after one round that does not count.

    Returns:
        See `timing.rates`.
    """
    with tempfile.TemporaryDirectory() as place:
        files = {rate: list(write_clips(Path(place), num_clips, seconds, rate)) for rate in (RATE, Cnn14.RATE)}
        ways: dict[str, Callable[[], int]] = {}
        for name, architecture in architectures.items():
            if architecture.original is not None:
                original = OriginalTagger(*architecture.original, NUM_CLASSES).eval()
                ways[f"{name}: original"] = partial(by_fours, Way(RATE, partial(original_scores, original)), files)
            for kind, tagger in taggers_of(architecture, Path(place) / name).items():
                ways[f"{name}: {kind}"] = partial(tag_files, tagger, files[RATE] * REPEATS)
                if kind in MODEL_ALONE:
                    ways[f"{name}: {kind}, model alone"] = model_alone(tagger, files[RATE] * REPEATS)
        for name, way in peers(NUM_CLASSES, ast or ASTConfig(id2label=LABELS)).items():
            ways[name] = partial(by_fours, way, files)

        times = seconds_per_clip(ways, rounds)
    return rates(times)


@torch.inference_mode()
def by_fours(way: Way, files: Mapping[int, Sequence[Path]]) -> int:
    """Read and score the files of a way's rate; their number."""
    of_rate = files[way.rate]
    for k in range(0, len(of_rate), 4):
        way.run([read_audio(file, way.rate) for file in of_rate[k : k + 4]])
    return len(of_rate)


def tag_files(tagger: AudioTagger, files: Sequence[Path]) -> int:
    """Everything from files to scores; the number of files."""
    return sum(1 for _ in tagger.recordings(files))


def model_alone(tagger: AudioTagger, files: Sequence[Path]) -> Callable[[], int]:
    """What scores the files' spectrograms, which are ready, as the tagger does, and says how many."""
    extractor, model = tagger.extractor, tagger.model
    clips = [read_audio(file, RATE) for file in files]
    ready = [extractor([clip], sampling_rate=RATE, return_tensors="pt")["input_values"] for clip in clips]

    @torch.inference_mode()
    def score(values: torch.Tensor) -> object:
        if isinstance(model, ExportedModel):
            return model.run({"input_values": values.numpy()})
        return model(values, output_frame_scores=True)

    return lambda: sum(1 for _ in in_streams(score, ready, tagger.streams))


def write_clips(folder: Path, num_clips: int, seconds: float, rate: int) -> Iterator[Path]:
    """Files of noise."""
    for k in range(num_clips):
        path = folder / f"{rate}-{k}.flac"
        soundfile.write(path, 0.1 * np.random.default_rng(k).standard_normal(int(seconds * rate)), rate)
        yield path


def taggers_of(architecture: Architecture, folder: Path) -> dict[str, AudioTagger]:
    """Taggers with this architecture by what runs them; models and graphs go into the folder."""
    torch.manual_seed(0)
    model = PslaForAudioClassification(PslaConfig(id2label=LABELS, **architecture.settings)).eval()
    extractor = PslaFeatureExtractor()
    noise = [0.1 * np.random.default_rng(k).standard_normal(10 * RATE).astype(np.float32) for k in range(4)]
    for part in (model, extractor):
        part.save_pretrained(folder / "torch")
    taggers = {
        "torch, as trained": AudioTagger(model, extractor, "cpu"),
        "torch": AudioTagger.from_pretrained(folder / "torch", "cpu"),
        "torch, bf16": AudioTagger.from_pretrained(folder / "torch", "cpu", torch.bfloat16),
    }
    for name, format, front_end, calibration in (
        ("ONNX Runtime", "onnx", False, None),
        ("ONNX Runtime, front end too", "onnx", True, None),
        ("ONNX Runtime, int8", "onnx", False, noise),
        ("OpenVINO", "openvino", False, None),
        ("OpenVINO, int8", "openvino", False, noise),
    ):
        export_model(model, extractor, folder / name, format, front_end, calibration)  # type: ignore[arg-type]
        taggers[name] = AudioTagger.from_pretrained(folder / name, backend=format)  # type: ignore[arg-type]
    taggers["OpenVINO, bf16"] = AudioTagger.from_pretrained(
        folder / "OpenVINO", backend="openvino", dtype=torch.bfloat16
    )
    return taggers


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
