"""Taggers made faster for inference, once and for all. Knows no audio and no files."""

from itertools import pairwise

from timm.layers import BatchNormAct2d
from timm.models import EfficientNet
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval

from .saved import Tagger

__all__ = ["fold_batch_norms"]


def fold_batch_norms(model: Tagger) -> None:
    """Put the batch norms of EfficientNets into the convolutions before them: one pass over the feature maps less.

    Outputs change by rounding only. It happens in place, and the model is for inference from then on: it can be neither
    trained nor saved. Other backbones stay as they are: it is not certain which of their layers follows which.

    Args:
        model: A tagger or an ensemble of them, in eval mode.
    """
    for backbone in model.modules():
        if isinstance(backbone, EfficientNet):
            for module in backbone.modules():
                _fold_children(module)
            backbone.is_folded = True  # type: ignore[assignment]  # no module; PslaPreTrainedModel asks for it


def _fold_children(parent: nn.Module) -> None:
    """Fold the batch norms among a module's own layers, which timm's EfficientNets register as they run them."""
    for (convolution_name, convolution), (norm_name, norm) in pairwise(list(parent.named_children())):
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            dtype = convolution.weight.dtype  # in a lower precision every factor would be rounded
            setattr(parent, convolution_name, fuse_conv_bn_eval(convolution.float(), norm.float()).to(dtype))
            setattr(parent, norm_name, norm.act if isinstance(norm, BatchNormAct2d) else nn.Identity())
