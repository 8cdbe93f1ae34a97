"""The tagger that comes with the package, for whoever names none."""

import glob
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import STDIN

if TYPE_CHECKING:
    from psla_hf.inference.tagger import AudioTagger

__all__ = ["names_a_sound", "shipped_tagger"]

logger = logging.getLogger(__name__)

WEIGHTS = (".pth", ".pt", ".ckpt", ".safetensors", ".onnx", ".xml")  # files that somebody takes for a model


def names_a_sound(word: str) -> bool:
    """Whether a word stands for sounds and not for a model.

    So do standard input, files that are no weights, what ends as audio files do, patterns that are no path, and folders
    with audio and no model in them.
    """
    from psla_hf.audio import AUDIO_SUFFIXES
    from psla_hf.models.graphs import exported_formats

    path = Path(os.path.expanduser(word))  # noqa: PTH111 - which leaves ~nobody as it is
    if path.is_dir():
        is_model = (path / "config.json").exists() or bool(exported_formats(path))
        names = (name for _, _, files in os.walk(path) for name in files)
        return not is_model and any(Path(name).suffix.lower() in AUDIO_SUFFIXES for name in names)
    suffix, is_pattern = path.suffix.lower(), not path.exists() and glob.has_magic(word)
    is_file = path.exists() and suffix not in WEIGHTS  # or a pipe
    return word == STDIN or is_file or is_pattern or suffix in AUDIO_SUFFIXES


def shipped_tagger(**options: Any) -> "AudioTagger":
    """The tagger that comes with the package, once it has been said what it knows.

    Args:
        **options: Of `AudioTagger.from_pretrained`.
    """
    from psla_hf.inference.tagger import AudioTagger

    tagger = AudioTagger.from_pretrained(**options)
    logger.warning(
        "No model is named: the tagger that comes with psla-hf listens. It knows %d sounds, %s, and nothing else.",
        len(tagger.labels),
        ", ".join(sorted(tagger.labels)),
    )
    return tagger
