"""The card of a converted original: where it is from, and no figure that was not measured. Loads no weights."""

from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData

from psla_hf.files import read_json
from psla_hf.models.saved import load_extractor, read_config
from psla_hf.reports.markdown import markdown_origin, render
from psla_hf.training.run.folder import CONVERSION_FILE

from .model_card import CARDS, longest_seconds

__all__ = ["converted_card"]


LICENSE = "bsd-3-clause"  # the original's


def converted_card(folder: str | Path, repo_id: str | None = None, license: str | None = None) -> ModelCard:
    """The card of what `psla convert` wrote.

    Args:
        folder: With the model, its extractor and `conversion.json`.
        repo_id: Where the model is to be found on the Hub, for the examples; by default the folder's name.
        license: Of the weights, as the Hub names it; by default the original's.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: One is damaged.
    """
    folder = Path(folder)
    content, config, extractor = read_json(folder / CONVERSION_FILE), read_config(folder), load_extractor(folder)
    repo_id = repo_id or folder.resolve().name
    name = repo_id.split("/")[-1]
    card_data = ModelCardData(
        license=license or LICENSE,
        library_name="transformers",
        pipeline_tag="audio-classification",
        tags=["audio-tagging", "psla"],
        model_name=name,
    )
    return ModelCard(
        render(
            CARDS,
            "converted.md.jinja",
            {
                "card_data": card_data.to_yaml(),
                "name": name,
                "repo_id": repo_id,
                "classes": config.label_names,
                "seconds": longest_seconds(extractor),
                "frame_scores": config.has_frame_scores,
                "checkpoints": content["checkpoints"],
                "origin": markdown_origin(content),
                "trained_on": [],
            },
        )
    )
