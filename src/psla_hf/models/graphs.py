"""What an exported folder holds: its graph's file, inputs and axes. Knows neither models nor what runs them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from .feature_extraction_psla import PslaFeatureExtractor

__all__ = ["AXES", "GRAPH_FILES", "GraphFormat", "exported_formats", "graph_inputs", "window_sizes"]


GraphFormat = Literal["onnx", "openvino"]

# What an exported folder's graph is called; weights may lie beside it (.onnx.data, .bin).
GRAPH_FILES: dict[GraphFormat, str] = {"onnx": "model.onnx", "openvino": "openvino_model.xml"}

# What a graph's inputs may be, and their axes of any size.
AXES: dict[str, tuple[str, ...]] = {
    "input_values": ("batch", "frames"),
    "waveforms": ("batch", "samples"),
    "lengths": ("batch",),
}


def exported_formats(folder: Path) -> list[GraphFormat]:
    """The formats of the graphs in a folder."""
    return [format for format, file in GRAPH_FILES.items() if (folder / file).is_file()]


def graph_inputs(extractor: PslaFeatureExtractor, front_end: bool, clips: Sequence[np.ndarray]) -> dict[str, Tensor]:
    """What a graph takes of these clips, by the names of its inputs.

    Args:
        extractor: The model's.
        front_end: The graph computes the spectrograms itself.
        clips: Mono float32 waveforms `[T]` at the extractor's rate.
    """
    if not front_end:
        return dict(extractor(clips, sampling_rate=extractor.sampling_rate, return_tensors="pt"))
    waveforms = nn.utils.rnn.pad_sequence([torch.as_tensor(clip) for clip in clips], batch_first=True)
    missing = window_sizes(extractor).get("samples", 0) - waveforms.shape[1]
    waveforms = nn.functional.pad(waveforms, (0, max(0, missing)))
    return {"waveforms": waveforms, "lengths": torch.tensor([len(clip) for clip in clips])}


def window_sizes(extractor: PslaFeatureExtractor) -> dict[str, int]:
    """Frames and samples of a model's window, or nothing where it has none."""
    if extractor.max_length is None or extractor.max_samples is None:
        return {}
    return {"frames": extractor.max_length, "samples": extractor.max_samples}
