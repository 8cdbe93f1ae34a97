"""Taggers as ONNX and OpenVINO graphs, in folders of their own. Knows no audio files and no data sets."""

import copy
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from psla_hf.extras import check_installed
from psla_hf.files import atomic_folder
from psla_hf.provenance import __version__

from .configuration_psla import PslaConfig, PslaEnsembleConfig
from .feature_extraction_psla import FRAME_MS, HOP_MS, PslaFeatureExtractor
from .folding import fold_batch_norms
from .graphs import AXES, GRAPH_FILES, GraphFormat, graph_inputs
from .modeling_psla import PslaTagging
from .pooling_psla import EPSILON, Pooled

__all__ = ["export_model"]


EXAMPLE_CLIPS, EXAMPLE_FRAMES = 2, 128  # what is traced; the graph takes any number of either

README = """`{file}` is a PSLA audio tagger: {inputs} in, {outputs} out, with the classes in the order of \
`config.json`. Load it with `psla_hf.AudioTagger.from_pretrained(folder, backend="{format}")`.
"""


class SpectrogramGraph(nn.Module):
    """Spectrograms `[B, frames, F]` to probabilities `[B, K]` and, where the model has them, frame scores."""

    def __init__(self, model: PslaTagging):
        super().__init__()
        self.model = model
        self.outputs = ["probabilities", "frame_scores"] if model.config.has_frame_scores else ["probabilities"]

    def forward(self, input_values: Tensor) -> tuple[Tensor, ...]:
        """Tag spectrograms."""
        pooled: Pooled = self.model.pool(input_values, per_frame="frame_scores" in self.outputs)
        probabilities = pooled.probability.clamp(EPSILON, 1 - EPSILON)
        return (probabilities,) if pooled.frame_scores is None else (probabilities, pooled.frame_scores)


class WaveformGraph(nn.Module):
    """The same from waveforms `[B, T]` and their numbers of samples `[B]`: `PslaFeatureExtractor` inside the graph.

    The extractor's own loops over clips and Python numbers cannot be traced; what it does to a frame is its own code.
    """

    def __init__(self, tagger: SpectrogramGraph, extractor: PslaFeatureExtractor):
        super().__init__()
        self.tagger, self.extractor = tagger, extractor

    def forward(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        """Tag waveforms."""
        return self.tagger(self.input_values(waveforms, lengths))

    def input_values(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """The extractor's features `[B, frames, F]`; samples behind a clip's length do not count."""
        extractor = self.extractor
        frame, hop = extractor.frame_size, extractor.hop_size
        samples = torch.arange(waveforms.shape[1])
        waveforms = torch.where(samples < lengths[:, None], waveforms, 0.0)
        lengths = lengths.clamp(min=frame)[:, None]
        means = (waveforms.double().sum(dim=1, keepdim=True) / lengths).float()
        size: Any = extractor.max_samples or torch.sym_max(waveforms.shape[1], frame)
        room = extractor.max_samples or frame
        waveforms = torch.cat([waveforms, waveforms.new_zeros(waveforms.shape[0], room)], dim=1)[:, :size]
        log_mel = extractor.log_mel_of_frames((waveforms - means).unfold(1, frame, hop))
        is_frame = torch.arange(log_mel.shape[1]) <= (lengths - frame) // hop
        return extractor.normalize(torch.where(is_frame[:, :, None], log_mel, 0.0))


def export_model(
    model: PslaTagging,
    extractor: PslaFeatureExtractor,
    folder: str | Path,
    format: GraphFormat = "onnx",
    front_end: bool = False,
    calibration: Sequence[np.ndarray] | None = None,
    overwrite: bool = False,
) -> None:
    """Export a tagger or an ensemble as a folder with its graph, its configuration and its extractor's.

    The graph takes any number of clips of any length and computes in float32 on its CPU what the model computes, within
    1e-4. Its file carries classes and sampling rate as metadata, for programs that read nothing else.

    Args:
        model: Left as it is.
        extractor: Its feature extractor.
        folder: Where to; it appears complete or not at all.
        format: `"onnx"`, for ONNX Runtime and others, or `"openvino"`.
        front_end: Take waveforms, and compute the spectrograms in the graph.
        calibration: Mono float32 waveforms `[T]` at the model's rate, like those to be tagged: weights and activations
            of the backbone become 8-bit integers, over the ranges that these clips reach. `None` keeps float32.
        overwrite: Replace a folder that is not empty.

    Raises:
        ImportError: A package of the extra onnx is missing, or for OpenVINO of the extra openvino.
        FileExistsError: The folder is not empty.
        ValueError: There are no calibration clips.
    """
    check_installed("onnx", "onnx", "onnxscript", "onnxruntime")
    if format == "openvino":
        check_installed("openvino", "openvino")
    with atomic_folder(folder, overwrite) as fresh:
        path = fresh / GRAPH_FILES["onnx"]
        program = traced(model, extractor, front_end)
        program.model.metadata_props.update(graph_facts(model.config, extractor))
        program.save(path)
        if calibration is not None:
            from .quantization import quantize

            quantize(path, (graph_inputs(extractor, front_end, [clip]) for clip in calibration), format)
        if format == "openvino":
            to_openvino(path)
        model.config.save_pretrained(fresh)
        extractor.save_pretrained(fresh)
        (fresh / "README.md").write_text(readme(model.config, extractor, format, front_end), encoding="utf-8")


def traced(model: PslaTagging, extractor: PslaFeatureExtractor, front_end: bool) -> Any:
    """The tagger as an ONNX program."""
    # The tables of the front end are cached: computed here, they are numbers; in the trace they would be symbols.
    example: tuple[Tensor, ...] = (
        extractor.normalize(extractor.log_mel(torch.zeros(EXAMPLE_CLIPS, EXAMPLE_FRAMES * extractor.hop_size))),
    )
    folded = copy.deepcopy(model).float().cpu().eval()
    fold_batch_norms(folded)  # whose ranges would else be quantized, too
    tagger = SpectrogramGraph(folded)
    graph: nn.Module = tagger
    inputs = ["input_values"]
    if front_end:
        inputs = ["waveforms", "lengths"]
        graph = WaveformGraph(tagger, extractor)
        lengths = torch.full((EXAMPLE_CLIPS,), EXAMPLE_FRAMES * extractor.hop_size)
        example = (torch.zeros(EXAMPLE_CLIPS, int(lengths[0])), lengths)
    axes = {axis: torch.export.Dim(axis) for name in inputs for axis in AXES[name]}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"torch|copyreg|onnxscript")  # about their own insides
        return torch.onnx.export(
            graph.eval(),
            example,
            dynamo=True,
            verbose=False,
            input_names=inputs,
            output_names=tagger.outputs,
            dynamic_shapes={name: {k: axes[axis] for k, axis in enumerate(AXES[name])} for name in inputs},
            custom_translation_table={
                torch.ops.aten.sigmoid.default: relatively_exact_sigmoid,
                torch.ops.aten._fft_r2c.default: fourier_product,
            },
        )


def relatively_exact_sigmoid(x: Any) -> Any:
    """The sigmoid in ONNX; of heads, whose tensors have less than four axes, as 1 / (1 + exp(-x)).

    ONNX Runtime's own has an absolute error of 1e-7. Attention is divided by its sum over time: where a class gets
    little of it at every step, that error is the whole of it.
    """
    from onnxscript import opset18 as op

    if len(x.shape) == 4:
        return op.Sigmoid(x)
    return op.Reciprocal(op.Add(op.Exp(op.Neg(x)), op.Constant(value_float=1.0)))


def fourier_product(frames: Any, dim: Any, normalization: Any, onesided: Any) -> Any:
    """The Fourier transform of real frames `[B, frames, n]` in ONNX, `[B, frames, n / 2 + 1, 2]`, as a matrix product.

    It is as fast as ONNX Runtime's DFT, and reading that ends OpenVINO 2026.4 by a segmentation fault.
    """
    from onnxscript import ir, opset18

    op: Any = opset18  # its annotations are those of the graph's values, not of what is passed
    bases = np.fft.rfft(np.eye(frames.shape[-1]))  # [n, n / 2 + 1]
    matrix = np.stack([bases.real, bases.imag], axis=2).astype(np.float32)
    product = op.MatMul(frames, op.Constant(value=ir.tensor(matrix.reshape(len(bases), -1))))
    return op.Reshape(product, op.Constant(value_ints=[0, 0, *matrix.shape[1:]]))


def graph_facts(config: PslaConfig | PslaEnsembleConfig, extractor: PslaFeatureExtractor) -> dict[str, str]:
    """What a program must know that has the graph's file alone, as JSON values by name."""
    facts = {
        "labels": config.label_names,
        "sampling_rate": extractor.sampling_rate,
        "max_length": extractor.max_length,
        "num_mel_bins": extractor.num_mel_bins,
        "mean": extractor.mean,
        "std": extractor.std,
        "frame_ms": FRAME_MS,
        "hop_ms": HOP_MS,
        "psla_hf": __version__,
    }
    return {name: json.dumps(value, ensure_ascii=False) for name, value in facts.items()}


def to_openvino(path: Path) -> None:
    """Replace an ONNX file by OpenVINO's two, beside it."""
    import onnx
    import openvino

    graph = openvino.Core().read_model(path)
    for entry in onnx.load(path, load_external_data=False).metadata_props:
        graph.set_rt_info(entry.value, ["psla", entry.key])
    openvino.save_model(graph, path.with_name(GRAPH_FILES["openvino"]), compress_to_fp16=False)
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()


def readme(
    config: PslaConfig | PslaEnsembleConfig, extractor: PslaFeatureExtractor, format: GraphFormat, front_end: bool
) -> str:
    """The line that says what is in the folder."""
    spectrograms = f"spectrograms `input_values` [B, frames, {extractor.num_mel_bins}] of `preprocessor_config.json`"
    sounds = f"`waveforms` [B, T] at {extractor.sampling_rate} Hz and their `lengths` [B] in samples"
    steps = f" and `frame_scores` [B, steps, {len(config.label_names)}]" if config.has_frame_scores else ""
    return README.format(
        file=GRAPH_FILES[format],
        format=format,
        inputs=sounds if front_end else spectrograms,
        outputs=f"`probabilities` [B, {len(config.label_names)}]{steps}",
    )
