"""Exported graphs in 8-bit integers. Knows no audio: calibration is batches of a graph's inputs."""

import itertools
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from torch import Tensor

__all__ = ["quantize"]


def quantize(path: Path, calibration: Iterable[dict[str, Tensor]]) -> None:
    """Make the convolutions of an ONNX file compute in 8-bit integers; its metadata stays.

    Weights have a scale for each output channel, activations the range that calibration reaches. What is no
    convolution stays float32, the front end and the head among it.

    Args:
        path: The file, which is replaced.
        calibration: Inputs by name; each is one batch.

    Raises:
        ValueError: There is no batch.
    """
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    batches = iter(calibration)
    first = next(batches, None)
    if first is None:
        raise ValueError("Expected at least one clip for calibration, got none.")

    class Reader(quantization.CalibrationDataReader):
        """The batches one by one, as onnxruntime asks for them."""

        def __init__(self, batches: Iterator[dict[str, Tensor]]):
            self.batches = batches

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.batches, None)
            return None if batch is None else {name: tensor.numpy() for name, tensor in batch.items()}

    with tempfile.TemporaryDirectory(dir=path.parent) as place:
        prepared = Path(place) / path.name
        quant_pre_process(path, prepared, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared,
            path,
            Reader(itertools.chain([first], batches)),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
