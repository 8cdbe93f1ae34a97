"""A saved tagger and its extractor, whole, or refused with the name of the damaged file. Knows no audio."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, Union

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig
from transformers.utils import (
    CONFIG_NAME,
    FEATURE_EXTRACTOR_NAME,
    SAFE_WEIGHTS_INDEX_NAME,
    SAFE_WEIGHTS_NAME,
    WEIGHTS_INDEX_NAME,
    WEIGHTS_NAME,
    cached_file,
)

from psla_hf.files import read_json, reading
from psla_hf.places import local_path

from .configuration_psla import PslaConfig, PslaEnsembleConfig
from .feature_extraction_psla import PslaFeatureExtractor
from .graphs import exported_formats

if TYPE_CHECKING:
    from .modeling_psla import PslaForAudioClassification
    from .modeling_psla_ensemble import PslaEnsembleForAudioClassification

__all__ = [
    "SHIPPED",
    "Saved",
    "Tagger",
    "check_weights",
    "load_extractor",
    "load_saved",
    "read_config",
    "read_object",
    "read_settings",
    "ready",
    "saved_folder",
]


Tagger: TypeAlias = Union["PslaForAudioClassification", "PslaEnsembleForAudioClassification"]

SHIPPED = Path(__file__).with_name("esc10")  # the tagger of ten sounds that comes with the package; see its README.md


# What the files of a saved model are, and what to do where one is not there.
FILES = {
    CONFIG_NAME: ("a saved model", "Name a folder of save_pretrained."),
    FEATURE_EXTRACTOR_NAME: ("its feature extractor", "Save it there with save_pretrained, or export the model again."),
}

# Of which a saved model has one.
WEIGHT_FILES = (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME, WEIGHTS_NAME, WEIGHTS_INDEX_NAME)


class Saved(NamedTuple):
    """What a saved tagger consists of, in eval mode and with the channels last, which a CPU is faster with."""

    model: Any  # a `Tagger`, whose two kinds differ in attributes
    extractor: PslaFeatureExtractor


def load_saved(name_or_path: str | Path) -> Saved:
    """The model and the feature extractor of a folder or of a Hub id.

    Raises:
        FileNotFoundError: A path is given (`local_path` says when) and holds no model, or no feature extractor.
        OSError: The Hub or its cache has no such thing.
        ValueError: A file is damaged or of another kind of model, weights are missing, or model and extractor do not
            belong together.
    """
    from transformers import AutoModelForAudioClassification  # with all of torch's models, which graphs do without

    place = saved_folder(name_or_path) or name_or_path
    config, extractor = read_settings(place)
    return ready(AutoModelForAudioClassification.from_pretrained(place, config=config), extractor)


def read_settings(
    place: str | Path, weights: bool = True
) -> tuple[PslaConfig | PslaEnsembleConfig, PslaFeatureExtractor]:
    """The configuration and the feature extractor of a folder or of a Hub id, whose weights are not read.

    Args:
        place: See `load_saved`.
        weights: A folder must have them, too.

    Raises:
        OSError: Something is missing.
        ValueError: A file is damaged or of another kind of model, or model and extractor do not belong together.
    """
    folder = saved_folder(place)
    config, extractor = read_config(place), load_extractor(place)
    bins = {config.num_mel_bins} if isinstance(config, PslaConfig) else {m.num_mel_bins for m in config.member_configs}
    if bins != {extractor.num_mel_bins}:
        raise ValueError(
            f"Expected {FEATURE_EXTRACTOR_NAME} in {place} for spectrograms of {sorted(bins)} mel bins as in "
            f"{CONFIG_NAME}, it makes {extractor.num_mel_bins}. Save model and extractor again."
        )
    if folder is not None and weights:
        check_weights(folder)
    return config, extractor


def saved_folder(name_or_path: str | Path) -> Path | None:
    """The folder that is named by a path; none for a Hub id.

    Raises:
        FileNotFoundError: There is no such folder; the message names what there is.
        NotADirectoryError: It is a file.
    """
    path = local_path(name_or_path, "a saved model")
    if path is not None and not path.is_dir():
        raise NotADirectoryError(f"Expected the folder of a saved model, {path} is a file. Name the folder.")
    return path


def check_weights(folder: Path) -> None:
    """Refuse a folder without weights of torch, or with a part of them only; none are read.

    Raises:
        FileNotFoundError: Files are missing; the message names what there is instead.
        ValueError: The index of several files is damaged.
    """
    if not any((folder / name).is_file() for name in WEIGHT_FILES):
        formats = exported_formats(folder)
        found = (
            f"it holds an exported model. Name the model that it was exported from, or tag with backend={formats[0]!r}."
            if formats
            else "there are none. Save the model again."
        )
        raise FileNotFoundError(f"Expected weights of torch ({SAFE_WEIGHTS_NAME}) in {folder}, {found}")
    index = folder / SAFE_WEIGHTS_INDEX_NAME
    if index.is_file() and not (folder / SAFE_WEIGHTS_NAME).is_file():
        content = read_json(index)
        with reading(index, "an index of weights"):
            parts = sorted(set(content["weight_map"].values()))
        missing = [name for name in parts if not (folder / name).is_file()]
        if missing:
            raise FileNotFoundError(
                f"Expected the {len(parts)} files of weights that {index} lists, {len(missing)} are missing, such as "
                f"{missing[0]}. Save the model again."
            )


def ready(model: Tagger, extractor: PslaFeatureExtractor) -> Saved:
    """What was loaded, in eval mode and with the channels last."""
    placed: Any = model.eval()  # whose `to` transformers wraps without types
    return Saved(placed.to(memory_format=torch.channels_last), extractor)


def read_config(place: str | Path) -> PslaConfig | PslaEnsembleConfig:
    """The configuration of a folder or of a Hub id.

    Raises:
        OSError: There is none.
        ValueError: Its file is damaged, or of another kind of model.
    """
    file, content = read_object(place, CONFIG_NAME)
    kinds = (PslaConfig.model_type, PslaEnsembleConfig.model_type)
    if content.get("model_type") not in kinds:
        raise ValueError(
            f"Expected model_type {' or '.join(kinds)} in {file}, got {content.get('model_type')!r}. Name a tagger of "
            "this package."
        )
    try:
        return AutoConfig.from_pretrained(place)
    except (AttributeError, KeyError, StrictDataclassError, TypeError, ValueError) as error:
        raise _damaged(file, error) from error


def load_extractor(place: str | Path) -> PslaFeatureExtractor:
    """The feature extractor of a folder or of a Hub id.

    Raises:
        OSError: There is none.
        ValueError: Its file is damaged, or of another extractor.
    """
    file, content = read_object(place, FEATURE_EXTRACTOR_NAME)
    kind, own = content.get("feature_extractor_type"), PslaFeatureExtractor.__name__
    if kind != own:
        raise ValueError(f"Expected feature_extractor_type {own} in {file}, got {kind!r}.")
    try:
        return PslaFeatureExtractor.from_pretrained(place)
    except (AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise _damaged(file, error) from error


def read_object(place: str | Path, name: str) -> tuple[str, dict[str, Any]]:
    """The path of a saved model's JSON file and its object, of any model of transformers.

    Raises:
        OSError: There is none.
        ValueError: It is damaged, or no object.
    """
    folder = saved_folder(place)
    file = cached_file(place, name) if folder is None else str(folder / name)
    if file is None or (folder is not None and not (folder / name).is_file()):
        what, advice = FILES[name]
        raise FileNotFoundError(f"Expected {what} ({name}) in {place}, there is none. {advice}")
    try:
        content = json.loads(Path(file).read_bytes())
    except ValueError as error:  # of the encoding or of JSON
        raise _damaged(file, error) from error
    if not isinstance(content, dict):
        raise ValueError(f"Expected a JSON object in {file}, got {type(content).__name__}. Save the model again.")
    return file, content


def _damaged(file: str, error: Exception) -> ValueError:
    return ValueError(f"Could not read {file}: {' '.join(str(error).split())}. Save the model again.")
