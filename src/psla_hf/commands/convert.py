"""`psla convert`: checkpoints of the original PSLA become a model of this package."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .arguments import MESSAGES, Messages, Switch, Whole

AUDIOSET_FRAMES, FSD50K_FRAMES, FSD50K_CLASSES = 1056, 3000, 200


def convert(
    checkpoint: str,
    output_dir: str,
    /,
    *,
    labels: Path | None = None,
    max_length: Annotated[Whole | None, Parameter(show_default=False)] = None,
    overwrite: Switch = False,
    messages: Messages = MESSAGES,
) -> None:
    r"""Convert original PSLA checkpoints.

    For example a file, and a folder or archive of some, which become one
    ensemble:
        psla convert audioset.pth runs/audioset \
            --labels class_labels_indices.csv
        psla convert checkpoints runs/ensemble

    Args:
        checkpoint: A .pth file, a folder or .zip of some, or their https address.
        output_dir: Folder for the converted model.
        labels: Table with index, mid and display_name; else LABEL_0, …
        max_length: Frames per clip; default: 3000 for FSD50K's 200 classes, else 1056.
        overwrite: Replace an output folder that is not empty.
    """
    from psla_hf.files import atomic_folder, check_output, digest, write_json
    from psla_hf.hub.converted_card import converted_card
    from psla_hf.labels.vocabulary import Vocabulary
    from psla_hf.models.feature_extraction_psla import PslaFeatureExtractor
    from psla_hf.models.originals import convert_originals, original_files
    from psla_hf.provenance import provenance
    from psla_hf.training.run.folder import CARD_FILE, CONVERSION_FILE

    if max_length is not None and max_length < 1:
        raise ValueError(f"Expected --max-length of 1 frame or more, got {max_length}.")
    check_output(output_dir, overwrite)
    names = list(Vocabulary.from_csv(labels).names) if labels else None
    with original_files(checkpoint, quiet=messages.quiet) as files:
        model = convert_originals(files, names)
        about = [{"file": file.name, "bytes": file.stat().st_size, "sha256": digest(file)} for file in files]
    num_labels = len(model.config.label_names)
    frames = max_length or (FSD50K_FRAMES if num_labels == FSD50K_CLASSES else AUDIOSET_FRAMES)
    with atomic_folder(output_dir, overwrite) as folder:
        model.save_pretrained(folder)
        PslaFeatureExtractor(max_length=frames).save_pretrained(folder)
        write_json({**provenance(), "checkpoints": about}, folder / CONVERSION_FILE)
        converted_card(folder).save(folder / CARD_FILE)
    print(f"{output_dir}: {in_words(model.config, len(files))}, {num_labels} classes, {frames} frames")


def in_words(config: object, members: int) -> str:
    """What kind of model it is."""
    from psla_hf.models.configuration_psla import PslaConfig

    if not isinstance(config, PslaConfig):
        return f"an ensemble of {members}"
    heads = f", {config.num_attention_heads} heads" if config.pooling == "attention" else ""
    return f"{config.backbone}, {config.pooling} pooling{heads}"
