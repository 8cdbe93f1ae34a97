"""A saved tagger and its extractor, whole, or refused with the name of the damaged file. Knows no audio."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, Union

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig
from transformers.utils import CONFIG_NAME, FEATURE_EXTRACTOR_NAME, cached_file

from psla_hf.places import local_path

from .configuration_psla import PslaConfig, PslaEnsembleConfig
from .feature_extraction_psla import PslaFeatureExtractor

if TYPE_CHECKING:
    from .modeling_psla import PslaForAudioClassification
    from .modeling_psla_ensemble import PslaEnsembleForAudioClassification

__all__ = ["SHIPPED", "Saved", "Tagger", "load_extractor", "load_saved", "read_config", "ready"]


Tagger: TypeAlias = Union["PslaForAudioClassification", "PslaEnsembleForAudioClassification"]

SHIPPED = Path(__file__).with_name("esc10")  # the tagger of ten sounds that comes with the package; see its README.md


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

    path = local_path(name_or_path, "a saved model")
    if path is not None:
        for file, what in ((CONFIG_NAME, "a saved model"), (FEATURE_EXTRACTOR_NAME, "its feature extractor")):
            if not (path / file).is_file():
                raise FileNotFoundError(f"Expected {what} ({file}) in {path}, a folder of save_pretrained.")
    place = path or name_or_path
    config = read_config(place)
    extractor = load_extractor(place)
    bins = {config.num_mel_bins} if isinstance(config, PslaConfig) else {m.num_mel_bins for m in config.member_configs}
    if bins != {extractor.num_mel_bins}:
        raise ValueError(
            f"Expected {FEATURE_EXTRACTOR_NAME} in {place} for spectrograms of {sorted(bins)} mel bins as in "
            f"{CONFIG_NAME}, it makes {extractor.num_mel_bins}. Save model and extractor again."
        )
    return ready(AutoModelForAudioClassification.from_pretrained(place, config=config), extractor)


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
    file, content = _read_object(place, CONFIG_NAME)
    kinds = (PslaConfig.model_type, PslaEnsembleConfig.model_type)
    if content.get("model_type") not in kinds:
        raise ValueError(f"Expected model_type {' or '.join(kinds)} in {file}, got {content.get('model_type')!r}.")
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
    file, content = _read_object(place, FEATURE_EXTRACTOR_NAME)
    kind, own = content.get("feature_extractor_type"), PslaFeatureExtractor.__name__
    if kind != own:
        raise ValueError(f"Expected feature_extractor_type {own} in {file}, got {kind!r}.")
    try:
        return PslaFeatureExtractor.from_pretrained(place)
    except (AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise _damaged(file, error) from error


def _read_object(place: str | Path, name: str) -> tuple[str, dict[str, Any]]:
    """A JSON file's path and its object."""
    file = cached_file(place, name)
    assert file is not None  # it raises
    try:
        content = json.loads(Path(file).read_bytes())
    except ValueError as error:  # of the encoding or of JSON
        raise _damaged(file, error) from error
    if not isinstance(content, dict):
        raise ValueError(f"Expected a JSON object in {file}, got {type(content).__name__}. Save the model again.")
    return file, content


def _damaged(file: str, error: Exception) -> ValueError:
    return ValueError(f"Could not read {file}: {' '.join(str(error).split())}. Save the model again.")
