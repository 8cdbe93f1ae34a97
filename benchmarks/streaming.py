"""How soon a sound that goes on is tagged: the time from a hop's last sample to its tags. Knows no command line."""

import time

import numpy as np
import torch

from psla_hf.inference.stream import StreamingTagger
from psla_hf.inference.tagger import AudioTagger
from psla_hf.models.configuration_psla import PslaConfig
from psla_hf.models.feature_extraction_psla import PslaFeatureExtractor
from psla_hf.models.folding import fold_batch_norms
from psla_hf.models.modeling_psla import PslaForAudioClassification
from psla_hf.training.recipes import PAPER_ARCHITECTURES

__all__ = ["MODELS", "benchmark_streaming"]

# Settings of `PslaConfig`, by name.
MODELS = {
    "B2, 4 heads": PAPER_ARCHITECTURES["EfficientNet-B2, 4 heads"][0],
    "B0, 1 head": PAPER_ARCHITECTURES["EfficientNet-B0, 1 head"][0],
    "Lite0, 1 head": {"backbone": "tf_efficientnet_lite0", "num_attention_heads": 1},
}

PIECE = 0.1  # seconds of a piece


def benchmark_streaming(
    models: dict[str, dict] = MODELS, seconds: float = 30.0, hop_seconds: float = 1.0, classes: int = 527
) -> dict[str, dict[str, float]]:
    """Feed noise of 48 kHz piece by piece, windows of 10 s and of 2.5 s.

    Args:
        models: Settings of `PslaConfig` by name; weights are random.
        seconds: Of sound, after the first window.
        hop_seconds: From one window's beginning to the next one's.
        classes: K.

    Returns:
        By model and window: `median` and `slowest` seconds from a hop's last piece to its tags, and `share`, how much
        of the time between two hops they are.
    """
    rate, found = 48000, {}
    for name, settings in models.items():
        config = PslaConfig(**{"num_labels": classes, **settings})
        model = PslaForAudioClassification(config).eval()
        fold_batch_norms(model)  # as `from_pretrained` does
        model.to(memory_format=torch.channels_last)
        tagger = AudioTagger(model, PslaFeatureExtractor(), "cpu")
        for window in (10.0, 2.5):
            streaming = StreamingTagger(tagger, rate, hop_seconds, window)
            sound = 0.1 * np.random.default_rng(0).standard_normal(int(rate * (window + seconds))).astype(np.float32)
            waits = []
            for piece in np.split(sound, range(int(PIECE * rate), len(sound), int(PIECE * rate))):
                started = time.perf_counter()
                if streaming.feed(piece):
                    waits.append(time.perf_counter() - started)
            middle = float(np.median(waits[1:]))  # the first window pays for what torch does once
            found[f"{name}, windows of {window:g} s"] = {
                "median": middle,
                "slowest": max(waits[1:]),
                "share": middle / hop_seconds,
            }
    return found
