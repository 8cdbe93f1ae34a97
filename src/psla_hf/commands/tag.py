"""`psla tag`: the tags of audio files."""

from typing import Literal

from .arguments import MESSAGES, Messages, Whole


def tag(
    model: str,
    files: list[str],
    /,
    *,
    top_k: Whole | None = None,
    device: str = "cpu",
    backend: Literal["torch", "onnx", "openvino"] = "torch",
    messages: Messages = MESSAGES,
) -> None:
    """Tag audio files.

    Long sounds are tagged window by window: a tag's score is its highest.
    FFmpeg is not needed.

    For example:
        psla tag runs/esc10 dog.ogg rain.wav --top-k 3

    Args:
        model: Directory or Hub id of a saved tagger; or an exported folder.
        files: Audio files: wav, flac, ogg, mp3; any rate, channels and length.
        top_k: Tags per file; by default five, or all of fewer.
        device: Where to run, for example cuda.
        backend: What runs it: torch, or what psla export has made it for.
        messages: How much is printed.
    """
    from psla_hf.inference.tagger import AudioTagger
    from psla_hf.reports.tables import print_tags

    tagger = AudioTagger.from_pretrained(model, device=device, backend=backend)
    for file in files:
        print_tags(tagger(file, top_k="auto" if top_k is None else top_k), title=file)
