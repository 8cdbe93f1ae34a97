"""Taggers that others use, from their published layers, with random weights: what they cost, not what they know."""

from collections.abc import Callable, Sequence
from functools import cache
from threading import Lock
from typing import NamedTuple

import numpy as np
import onnxruntime
import timm
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, relu
from torchaudio.functional import preemphasis
from torchaudio.transforms import MelSpectrogram
from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

from psla_hf.inference.backends import default_streams
from psla_hf.inference.overlap import in_streams

__all__ = ["Cnn14", "MobileNetTagger", "Way", "peers"]


class Way(NamedTuple):
    """A way to tag: it takes waveforms, each `[T]`, of a sampling rate in Hz."""

    rate: int
    run: Callable[[Sequence[np.ndarray]], object]


class Cnn14(nn.Module):
    """CNN14 of PANNs (Kong et al., IEEE/ACM TASLP 2020, Table I), with its 64 mel bands of 32 kHz.

    Args:
        num_labels: Classes K; 527 give its 80,753,615 parameters.
        channels: Of its six blocks, each of two convolutions.
    """

    RATE = 32000

    def __init__(self, num_labels: int, channels: Sequence[int] = (64, 128, 256, 512, 1024, 2048)):
        super().__init__()
        self.mel = MelSpectrogram(
            self.RATE, 1024, hop_length=320, f_min=50, f_max=14000, n_mels=64, norm="slaney", mel_scale="slaney"
        )
        self.norm = nn.BatchNorm2d(64)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, 3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
                nn.Conv2d(after, after, 3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            )
            for before, after in zip((1, *channels), channels, strict=False)
        )
        self.hidden = nn.Linear(channels[-1], channels[-1])
        self.classes = nn.Linear(channels[-1], num_labels)

    def forward(self, waveforms: Tensor) -> Tensor:
        """Waveforms `[B, T]` to probabilities `[B, K]`."""
        log_mel = 10 * self.mel(waveforms).clamp(min=1e-10).log10()  # [B, bands, frames]
        images = self.norm(log_mel[:, :, None])[:, None, :, 0].transpose(2, 3)  # [B, 1, frames, bands]
        for block in self.blocks[:-1]:
            images = avg_pool2d(block(images), 2)
        frames = self.blocks[-1](images).mean(dim=3)  # [B, C, steps]
        pooled = frames.amax(dim=2) + frames.mean(dim=2)
        return self.classes(relu(self.hidden(pooled))).sigmoid()


class MobileNetTagger(nn.Module):
    """EfficientAT's mn10 (Schmid et al., ICASSP 2023): MobileNetV3-Large on 128 mel bands of 32 kHz.

    Args:
        num_labels: Classes K; 527 give its 4.88 million parameters.
        architecture: timm's name of the network.
    """

    RATE = 32000

    def __init__(self, num_labels: int, architecture: str = "mobilenetv3_large_100"):
        super().__init__()
        self.mel = MelSpectrogram(self.RATE, 1024, 800, hop_length=320, n_mels=128)
        self.network = timm.create_model(architecture, in_chans=1, num_classes=num_labels)

    def spectrograms(self, waveforms: Tensor) -> Tensor:
        """Waveforms `[B, T]` to the network's images `[B, 1, bands, frames]`."""
        log_mel = (self.mel(preemphasis(waveforms)) + 1e-5).log()
        return ((log_mel + 4.5) / 5)[:, None]

    def forward(self, waveforms: Tensor) -> Tensor:
        """Waveforms `[B, T]` to probabilities `[B, K]`."""
        return self.network(self.spectrograms(waveforms)).sigmoid()


def peers(num_labels: int, ast: ASTConfig) -> dict[str, Way]:
    """AST of transformers, CNN14 and mn10 in torch, by name; these with channels last, too, and mn10 as a graph."""
    ways = {"AST": Way(16000, _ast(ast))}
    for name, make in (("PANNs CNN14", Cnn14), ("EfficientAT mn10", MobileNetTagger)):
        ways[name] = Way(make.RATE, _of_waveforms(make(num_labels).eval()))
        last = make(num_labels).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch has no types for it
        ways[f"{name}, channels last"] = Way(make.RATE, _of_waveforms(last))
    ways["EfficientAT mn10, ONNX Runtime"] = Way(MobileNetTagger.RATE, _as_graph(MobileNetTagger(num_labels).eval()))
    return ways


def _ast(config: ASTConfig) -> Callable[[Sequence[np.ndarray]], Tensor]:
    model, extractor = ASTForAudioClassification(config).eval(), ASTFeatureExtractor(max_length=config.max_length)

    def run(clips: Sequence[np.ndarray]) -> Tensor:
        return model(**extractor(list(clips), sampling_rate=16000, return_tensors="pt")).logits.sigmoid()

    return run


def _of_waveforms(model: nn.Module) -> Callable[[Sequence[np.ndarray]], Tensor]:
    """Clips of equal length, in one batch."""
    return lambda clips: model(torch.from_numpy(np.stack(clips)))


def _as_graph(tagger: MobileNetTagger) -> Callable[[Sequence[np.ndarray]], object]:
    """The network in ONNX Runtime, its clips beside each other as ours, one on each core.

    The graph is made when the first clip has come, for clips of its length.
    """
    streams = default_streams()
    making = Lock()

    @cache
    def session(frames: int) -> onnxruntime.InferenceSession:
        example = torch.zeros(1, 1, 128, frames)
        program = torch.onnx.export(tagger.network, (example,), dynamo=True, verbose=False)
        assert program is not None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(1, torch.get_num_threads() - streams + 1)  # as ours
        graph = program.model_proto.SerializeToString()
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    @torch.inference_mode()
    def score(clip: np.ndarray) -> np.ndarray:
        images = tagger.spectrograms(torch.from_numpy(clip)[None]).numpy()
        with making:  # once, by one of them
            graph = session(images.shape[3])
        [logits] = graph.run(None, {graph.get_inputs()[0].name: images})
        return logits

    return lambda clips: [logits for _, logits in in_streams(score, clips, streams)]
