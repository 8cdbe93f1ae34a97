"""What computes the scores of clips: torch, ONNX Runtime, OpenVINO. Knows no sound files, no windows and no tags."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property, partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers.utils import logging

from psla_hf.extras import check_installed
from psla_hf.files import reading
from psla_hf.models.feature_extraction_psla import PslaFeatureExtractor
from psla_hf.models.graphs import AXES, GRAPH_FILES, GraphFormat, exported_formats, graph_inputs, window_sizes
from psla_hf.models.saved import load_extractor, read_config

if TYPE_CHECKING:  # graphs do without torch's models, which take memory and time to import
    from psla_hf.models.modeling_psla import PslaTagging

__all__ = ["BackendName", "ExportedModel", "Scores", "clip_scores", "default_streams"]


logger = logging.get_logger(__name__)

BackendName = Literal["torch", "onnx", "openvino"]

# By itself OpenVINO computes in bfloat16 where the processor can: it is always told.
OPENVINO_PRECISIONS = {torch.float32: "f32", torch.bfloat16: "bf16"}

OPENVINO_STARTS = Lock()  # in one thread of the process

MOST_STREAMS = 4  # each takes memory for its feature maps


def default_streams() -> int:
    """How many windows a CPU takes beside each other: at most four, with equal shares of torch's threads."""
    threads = torch.get_num_threads()
    return max(streams for streams in range(1, MOST_STREAMS + 1) if threads % streams == 0)


class Graph(NamedTuple):
    """A compiled graph, which several threads may run."""

    inputs: list[str]
    run: Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]  # outputs of inputs, both by name


class Scores(NamedTuple):
    """What a tagger says of clips, on the CPU."""

    probabilities: Tensor  # [B, K]
    frame_scores: Tensor | None  # [B, steps, K]; none where the pooling has none


@torch.inference_mode()
def clip_scores(
    model: "PslaTagging | ExportedModel",
    extractor: PslaFeatureExtractor,
    clips: Sequence[np.ndarray],
    frames: int | None = None,
) -> Scores:
    """Score clips in one batch, whatever computes it.

    Args:
        model: A tagger in eval mode, which runs on its device, or an exported one.
        extractor: Its feature extractor.
        clips: Mono float32 waveforms `[T]` at the extractor's rate, of any lengths.
        frames: So many frames of the spectrograms alone; by default with the padding that fills the model's window.

    Raises:
        ValueError: Fewer frames are asked for of a graph that computes the spectrograms itself.
    """
    if isinstance(model, ExportedModel):
        inputs = graph_inputs(extractor, model.front_end, clips)
        if frames is not None:
            if model.front_end:
                raise ValueError("Expected a graph of spectrograms to slide short windows: export without front end.")
            inputs = {name: tensor[:, :frames].contiguous() for name, tensor in inputs.items()}
        outputs = model.run({name: tensor.numpy() for name, tensor in inputs.items()})
        return Scores(*(torch.from_numpy(outputs[name]) if name in outputs else None for name in Scores._fields))  # type: ignore[arg-type]
    features = extractor(clips, sampling_rate=extractor.sampling_rate, return_tensors="pt", device=model.device)
    values = features["input_values"][:, :frames]
    output = model(values, output_frame_scores=model.config.has_frame_scores)
    return Scores(output.logits.sigmoid().cpu(), None if output.frame_scores is None else output.frame_scores.cpu())


class ExportedModel:
    """The graph of an exported folder, on the CPU with as many threads as torch uses, all streams together.

    Clips as long as the model's window go through one by one, in a graph that is compiled for one such clip: both
    runtimes are faster where they know all shapes, and a clip's feature maps stay in the cache. Others go through as
    they come, in a graph for any shape, which is compiled for the first of them.

    Args:
        folder: Of `psla_hf.models.export.export_model`.
        format: The graph's.
        dtype: What OpenVINO computes in: float32, as by default, or bfloat16, the heads too; with a warning in float32
            where the processor has no bfloat16. ONNX Runtime computes in float32.
        streams: How many threads will run it at the same time, each with its share of torch's; by default
            `default_streams`.

    Attributes:
        config: The model's configuration, with its classes.
        front_end: The graph takes waveforms.
        streams: See above.

    Raises:
        FileNotFoundError: The folder has no graph of that format; the message names what there is.
        ImportError: What runs it is not installed.
        ValueError: A file is damaged; there are no streams; or it does not run in this precision, or computes the
            spectrograms, which need float32.
    """

    def __init__(self, folder: Path, format: GraphFormat, dtype: torch.dtype | None = None, streams: int | None = None):
        if streams is not None and streams < 1:
            raise ValueError(f"Expected streams of 1 or more, got {streams}.")
        path = folder / GRAPH_FILES[format]
        if not path.is_file():
            others, names = exported_formats(folder), [child.name for child in folder.iterdir() if child.name[0] != "."]
            advice = f"Pass backend={others[0]!r}." if others else "Export the model, or pass backend='torch'."
            raise FileNotFoundError(
                f"Expected {path.name}, which export_model writes, in {folder}, which has "
                f"{', '.join(sorted(names)) or 'nothing'}. {advice}"
            )
        self.config = read_config(folder)
        self._window = window_sizes(load_extractor(folder))
        precisions = tuple(OPENVINO_PRECISIONS) if format == "openvino" else (torch.float32,)
        if dtype not in (None, *precisions):
            known = " or ".join(map(str, precisions))
            raise ValueError(f"Expected dtype {known} with backend={format!r}, got {dtype}. Leave it out.")
        self.streams = streams or default_streams()
        self._opening = Lock()
        self._open: Callable[[Mapping[str, int]], Graph] = (
            partial(open_onnx, path, streams=self.streams)
            if format == "onnx"
            else partial(open_openvino, path, streams=self.streams, dtype=dtype or torch.float32)
        )
        self.front_end = "waveforms" in self._of_windows.inputs
        if self.front_end and dtype == torch.bfloat16:
            raise ValueError(
                f"Expected a graph that takes spectrograms for dtype {dtype}, which is too coarse to compute them: "
                "export without front end."
            )

    @cached_property
    def _of_windows(self) -> Graph:
        return self._open({"batch": 1, **self._window}) if self._window else self._of_any

    @cached_property
    def _of_any(self) -> Graph:
        return self._open({})

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs by name `[B, ...]`, of inputs by name as `graph_inputs` makes them."""
        sizes = {
            axis: size for name, array in inputs.items() for axis, size in zip(AXES[name], array.shape, strict=False)
        }
        batch = sizes.pop("batch")
        if not self._window or any(size != self._window[axis] for axis, size in sizes.items()):
            with self._opening:
                graph = self._of_any
            return graph.run(inputs)
        each = [self._of_windows.run({name: array[k : k + 1] for name, array in inputs.items()}) for k in range(batch)]
        return {name: np.concatenate([outputs[name] for outputs in each]) for name in each[0]}


def open_onnx(path: Path, sizes: Mapping[str, int], streams: int) -> Graph:
    """A graph in ONNX Runtime.

    Args:
        path: Its file.
        sizes: Of those of its axes (`AXES`) that are to have one.
        streams: See `ExportedModel`.
    """
    check_installed("onnx", "onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = max(1, torch.get_num_threads() - streams + 1)  # who runs it, and others for all
    for axis, size in sizes.items():
        options.add_free_dimension_override_by_name(axis, size)
    with reading(path, "an ONNX graph"):
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    outputs = [node.name for node in session.get_outputs()]
    return Graph(
        [node.name for node in session.get_inputs()],
        lambda inputs: dict(zip(outputs, session.run(outputs, inputs), strict=True)),
    )


def open_openvino(path: Path, sizes: Mapping[str, int], streams: int, dtype: torch.dtype) -> Graph:
    """A graph in OpenVINO, which computes in one of `OPENVINO_PRECISIONS`; other arguments as of `open_onnx`."""
    check_installed("openvino", "openvino")
    with OPENVINO_STARTS:
        core = _openvino_core()
    with reading(path, "an OpenVINO graph"):
        model = core.read_model(path)
    if sizes:
        shapes = {port.any_name: port.partial_shape for port in model.inputs}
        for name, shape in shapes.items():
            for k, axis in enumerate(AXES[name]):
                shape[k] = sizes[axis]
        model.reshape(shapes)
    settings = {
        "INFERENCE_PRECISION_HINT": OPENVINO_PRECISIONS[dtype],
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "NUM_STREAMS": streams,
    }
    graph = core.compile_model(model, "CPU", settings)
    if (found := graph.get_property("INFERENCE_PRECISION_HINT").get_type_name()) != OPENVINO_PRECISIONS[dtype]:
        logger.warning_once(f"OpenVINO computes in {found} on this processor, and not in {OPENVINO_PRECISIONS[dtype]}.")
    idle: SimpleQueue[Any] = SimpleQueue()  # requests, each of which one thread at a time may use

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        try:
            request = idle.get_nowait()
        except Empty:
            request = graph.create_infer_request()
        outputs = request.infer(inputs, share_outputs=False)
        idle.put(request)
        return {port.any_name: array for port, array in outputs.items()}

    return Graph([port.any_name for port in graph.inputs], run)


@cache
def _openvino_core() -> Any:
    """The process's one core, never let go.

    Each core gives its thread an alternate stack for signals and puts the one before back when it is deleted (OpenVINO
    2026.4): of two that do not end in reverse order the second puts back the freed stack of the first, and the next
    signal, such as a child's end, kills the process.

    The first look at a tensor's numbers sets up NumPy in OpenVINO. Of two threads that both look first one waits for
    the other with Python's lock in its hands, which that one needs: no thread goes on. So that is done here.
    """
    import openvino

    _ = openvino.Tensor(np.zeros(1, np.float32)).data
    return openvino.Core()
