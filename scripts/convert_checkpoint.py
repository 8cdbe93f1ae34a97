"""Convert an original PSLA checkpoint: python scripts/convert_checkpoint.py CHECKPOINT OUTPUT_DIR --labels CSV."""

import argparse

from psla_hf.commands.arguments import command_line
from psla_hf.labels.vocabulary import Vocabulary
from psla_hf.models.feature_extraction_psla import PslaFeatureExtractor
from psla_hf.models.weights import convert_psla_checkpoint

AUDIOSET_FRAMES, FSD50K_FRAMES, FSD50K_CLASSES = 1056, 3000, 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", help="the original's .pth file")
    parser.add_argument("output_dir", help="folder for the converted model")
    parser.add_argument("--labels", help="class_labels_indices.csv with index, mid and display_name; else LABEL_0, …")
    parser.add_argument(
        "--max-length", type=int, help="frames per clip; default 3000 for FSD50K's 200 classes, else 1056"
    )
    arguments = parser.parse_args()

    names = list(Vocabulary.from_csv(arguments.labels).names) if arguments.labels else None
    model = convert_psla_checkpoint(arguments.checkpoint, names)
    num_labels = len(model.config.label_names)
    frames = arguments.max_length or (FSD50K_FRAMES if num_labels == FSD50K_CLASSES else AUDIOSET_FRAMES)
    model.save_pretrained(arguments.output_dir)
    PslaFeatureExtractor(max_length=frames).save_pretrained(arguments.output_dir)
    config = model.config
    heads = f", {config.num_attention_heads} heads" if config.pooling == "attention" else ""
    print(
        f"{arguments.output_dir}: {config.backbone}, {config.pooling} pooling{heads}, {num_labels} classes, "
        f"{frames} frames"
    )


if __name__ == "__main__":
    with command_line():
        main()
