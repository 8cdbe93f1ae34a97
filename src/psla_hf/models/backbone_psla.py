"""The convolutional backbone of a tagger, from timm, for spectrograms as images of one channel."""

from typing import Any

import timm
import torch
import torch.nn.functional as F
from timm.layers import Conv2dSame
from torch import Tensor, nn

from .configuration_psla import PslaConfig

__all__ = ["StaticallyPaddedConv2d", "make_backbone"]


def make_backbone(config: PslaConfig) -> nn.Module:
    """The timm model that the configuration names, for one-channel images and without a classifier.

    Raises:
        ValueError: timm has no such model, or its features are no map `[B, C, height, width]` of 1/32 of the image.
    """

    def create() -> Any:
        return timm.create_model(config.backbone, pretrained=False, in_chans=1, num_classes=0, global_pool="")

    frames = 64
    try:
        with torch.device("meta"):  # shapes without numbers
            trial = create().eval().forward_features(torch.empty(1, 1, config.num_mel_bins, frames))
    except (
        Exception
    ) as error:  # timm's models fail in ways of their own: unknown name, fixed image size, no such method
        raise ValueError(
            f"backbone {config.backbone!r} cannot be used: {error}. Expected a convolutional timm model that takes "
            "images of any size, such as tf_efficientnet_b2, resnet50 or mobilenetv2_100."
        ) from error
    backbone = create()
    expected = (1, backbone.num_features, -(-config.num_mel_bins // 32), frames // 32)
    if tuple(trial.shape) != expected:
        raise ValueError(
            f"backbone {config.backbone!r} cannot be used: expected features [B, C, F / 32, frames / 32] = {expected} "
            f"of a one-channel image, it gives {tuple(trial.shape)}."
        )
    if config.static_padding_size is not None:
        pad_statically(backbone, config.static_padding_size)
    return backbone


class StaticallyPaddedConv2d(nn.Conv2d):
    """A convolution after zero-padding by fixed amounts: `padded` is (left, right, top, bottom)."""

    padded: tuple[int, int, int, int]

    def forward(self, image: Tensor) -> Tensor:
        """Images `[B, C, height, width]`, padded and convolved."""
        return super().forward(F.pad(image, self.padded))


def pad_statically(backbone: nn.Module, image_size: int) -> None:
    """Give the strided convolutions the padding that TensorFlow's "same" has for a square image of `image_size`.

    For an input of n pixels, kernel k and stride s, "same" gives ceil(n / s) pixels and pads
    (ceil(n / s) - 1) * s + k - n in all, the odd one behind. For example in B2 (260) a 5x5 convolution with stride 2
    meets 65 pixels and pads (33 - 1) * 2 + 5 - 65 = 4, two on each side; an even number would have made it one and two.

    Args:
        backbone: A timm EfficientNet whose convolutions are in the order of execution.
        image_size: Height and width of the image, in pixels.

    Raises:
        ValueError: The backbone has no such convolutions.
    """
    strided = [(name, module) for name, module in backbone.named_modules() if isinstance(module, Conv2dSame)]
    if not strided:
        raise ValueError("static_padding_size is only for backbones with TensorFlow's padding: timm's names with tf_.")
    size = image_size
    for name, old in strided:
        stride, kernel = old.stride[0], old.kernel_size[0]
        reduced = -(-size // stride)
        total = max(0, (reduced - 1) * stride + kernel - size)
        new = StaticallyPaddedConv2d(
            old.in_channels, old.out_channels, kernel, stride, groups=old.groups, bias=old.bias is not None
        )
        new.padded = (total // 2, total - total // 2, total // 2, total - total // 2)
        parent, _, leaf = name.rpartition(".")
        setattr(backbone.get_submodule(parent), leaf, new)
        size = reduced
