"""`psla convert`: a checkpoint of the original PSLA becomes a model of this package."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .arguments import MESSAGES, Messages, Whole

AUDIOSET_FRAMES, FSD50K_FRAMES, FSD50K_CLASSES = 1056, 3000, 200


def convert(
    checkpoint: str,
    output_dir: str,
    /,
    *,
    labels: Path | None = None,
    max_length: Annotated[Whole | None, Parameter(show_default=False)] = None,
    messages: Messages = MESSAGES,
) -> None:
    r"""Convert an original PSLA checkpoint.

    For example:
        psla convert audioset.pth runs/audioset \
            --labels class_labels_indices.csv

    Args:
        checkpoint: The original's .pth file.
        output_dir: Folder for the converted model.
        labels: Table with index, mid and display_name; else LABEL_0, …
        max_length: Frames per clip; default: 3000 for FSD50K's 200 classes, else 1056.
    """
    from psla_hf.labels.vocabulary import Vocabulary
    from psla_hf.models.feature_extraction_psla import PslaFeatureExtractor
    from psla_hf.models.weights import convert_psla_checkpoint

    names = list(Vocabulary.from_csv(labels).names) if labels else None
    model = convert_psla_checkpoint(checkpoint, names)
    num_labels = len(model.config.label_names)
    frames = max_length or (FSD50K_FRAMES if num_labels == FSD50K_CLASSES else AUDIOSET_FRAMES)
    model.save_pretrained(output_dir)
    PslaFeatureExtractor(max_length=frames).save_pretrained(output_dir)
    config = model.config
    heads = f", {config.num_attention_heads} heads" if config.pooling == "attention" else ""
    print(f"{output_dir}: {config.backbone}, {config.pooling} pooling{heads}, {num_labels} classes, {frames} frames")
