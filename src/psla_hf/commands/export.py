"""`psla export`: a tagger as an ONNX or OpenVINO graph, or as a page that runs in the browser."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .arguments import MESSAGES, Messages, Switch

if TYPE_CHECKING:
    import numpy as np

CALIBRATION_CLIPS = 128


def export(
    model: str,
    /,
    *,
    format: Literal["onnx", "openvino", "web"] = "onnx",
    front_end: Switch = False,
    int8: Path | None = None,
    onnxruntime_web: Path | None = None,
    output: Path | None = None,
    overwrite: Switch = False,
    messages: Messages = MESSAGES,
) -> None:
    """Export a tagger as a graph, or as a page.

    On a CPU a graph is faster than torch; the page's runs in the browser.
    Needs pip install "psla-hf[onnx]", for OpenVINO "psla-hf[onnx,openvino]".

    For example:
        psla export runs/esc10 --output runs/esc10-onnx

    Args:
        model: Directory or Hub id of a saved tagger or ensemble.
        format: Of the graph; web is a page of plain files with an ONNX graph.
        front_end: Put the spectrograms inside the graph: waveforms in, not spectrograms.
        int8: Compute in 8-bit integers; a folder of audio like what is to be tagged, to measure ranges.
        onnxruntime_web: The npm package, unpacked, for web; default: npm fetches it.
        output: Folder for it; default: the model's name with the format behind.
        overwrite: Replace an output folder that is not empty.
        messages: How much is printed.
    """
    from psla_hf.files import check_output
    from psla_hf.inference.tagger import AudioTagger
    from psla_hf.models.export import export_model
    from psla_hf.models.saved import load_saved

    if onnxruntime_web is not None and format != "web":
        raise ValueError("--onnxruntime-web would have no effect: it needs --format web. Leave it out.")
    if front_end and format == "web":
        raise ValueError("--front-end would have no effect: with --format web it is always inside. Leave it out.")
    folder = output or Path(f"{Path(model).name}-{format}" + ("-int8" if int8 else ""))
    check_output(folder, overwrite)
    tagger = AudioTagger(*load_saved(model), device="cpu")
    clips = None if int8 is None else calibration_clips(int8, tagger.extractor.sampling_rate)
    if format == "web":
        from psla_hf.app.web import export_web

        export_web(tagger, folder, onnxruntime_web, clips, overwrite)
        print(f"{folder}: python -m http.server --directory {folder}")
        return
    export_model(tagger.model, tagger.extractor, folder, format, front_end, clips, overwrite)
    print(f"{folder}: psla tag {folder} FILE --backend {format}")


def calibration_clips(folder: Path, sampling_rate: int) -> "list[np.ndarray]":
    """Waveforms `[T]` of a folder's audio at this rate; of a large one, of files spread evenly over it."""
    from psla_hf.audio import read_audio
    from psla_hf.data.listing import check_folder
    from psla_hf.inference.tagger import files_in

    files = files_in(check_folder(folder, "a folder of audio"))
    taken = files[:: -(-len(files) // CALIBRATION_CLIPS)]
    print(f"calibration: {len(taken)} of the {len(files)} audio files in {folder}")
    return [read_audio(file, sampling_rate) for file in taken]
