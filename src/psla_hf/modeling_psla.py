"""The PSLA tagger: backbone, frequency mean, pooling over time, true logits. Knows no files, data sets or metrics."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.utils import ModelOutput

from .configuration_psla import PslaConfig

__all__ = ["PslaAudioClassifierOutput", "PslaForAudioClassification", "PslaModel"]

# The original clamps attention and clip probabilities to [EPSILON, 1 - EPSILON]. Below float32 this vanishes, so
# everything from the first sigmoid on is float32, also under autocast.
EPSILON = 1e-7

# How the three input channels of an ImageNet convolution become the one of a spectrogram.
FirstConvolution = Literal["sum", "mean", "random"]


@dataclass
class PslaAudioClassifierOutput(ModelOutput):
    """What `PslaForAudioClassification` returns.

    Attributes:
        loss: Scalar, if labels were given.
        logits: `[B, K]` float32; under multi-label their sigmoid is the clip's clamped probability.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None


class PslaPreTrainedModel(PreTrainedModel):
    """Configuration, initialisation and naming shared by the models."""

    config: PslaConfig
    base_model_prefix = "psla"
    main_input_name = "input_values"
    input_modalities = "audio"

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Give every kind of layer its own scale: backbones as timm does, heads as PSLA does.

        transformers calls this for each module after construction and for keys that a checkpoint lacks.
        """
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * module.kernel_size[0] * module.kernel_size[1] // module.groups
            init.normal_(module.weight, std=(2.0 / fan_out) ** 0.5)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            bound = module.in_features**-0.5  # torch's own default, which the original's four-head pooling uses
            init.uniform_(module.weight, -bound, bound)
            if module.bias is not None:
                init.uniform_(module.bias, -bound, bound)
        elif isinstance(module, PslaAttentionPooling):
            init.constant_(module.head_weight, 1.0 / module.num_heads)
        else:
            super()._init_weights(module)


class PslaModel(PslaPreTrainedModel):
    """Spectrograms `[B, frames, F]` to frame embeddings `[B, steps, C]`, one step per 32 frames.

    The spectrogram is a one-channel image whose height is the frequency axis; the last feature map is averaged over it.
    """

    def __init__(self, config: PslaConfig):
        super().__init__(config)
        self.backbone = timm.create_model(config.backbone, pretrained=False, in_chans=1, num_classes=0, global_pool="")
        self.hidden_size = int(self.backbone.num_features)  # type: ignore[arg-type]
        for module in self.backbone.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = config.batch_norm_momentum
        self.post_init()

    def forward(self, input_values: Tensor, return_dict: bool | None = None) -> BaseModelOutputWithPooling | tuple:
        """Embed spectrograms.

        Args:
            input_values: `[B, frames, F]` from `PslaFeatureExtractor`, any number of frames.
            return_dict: `False` gives a tuple.

        Returns:
            `last_hidden_state` `[B, steps, C]` and its mean over time, `pooler_output` `[B, C]`.
        """
        if input_values.dim() != 3 or input_values.shape[2] != self.config.num_mel_bins:
            raise ValueError(
                f"Expected input_values [B, frames, {self.config.num_mel_bins}], got {list(input_values.shape)}."
            )
        images = input_values.transpose(1, 2).unsqueeze(1)  # [B, 1, F, frames]
        feature_map = self.backbone.forward_features(images)  # type: ignore[operator]  # [B, C, F / 32, steps]
        hidden = feature_map.mean(dim=2).transpose(1, 2)
        output = BaseModelOutputWithPooling(last_hidden_state=hidden, pooler_output=hidden.mean(dim=1))
        return output.to_tuple() if return_dict is False else output

    def load_backbone(self, weights: Mapping[str, Tensor], first_convolution: FirstConvolution = "sum") -> None:
        """Load ImageNet weights named as timm names them; a classifier among them is left out.

        Args:
            weights: State dict of the timm model with three input channels.
            first_convolution: `"sum"` or `"mean"` of the three input channels, or `"random"`: keep this model's own
                first convolution, as the paper does.

        Raises:
            ValueError: The weights do not fit the backbone; the message lists what is missing or left over.
        """
        own = self.backbone.state_dict()
        weights = {name: tensor for name, tensor in weights.items() if not name.startswith(("classifier.", "fc."))}
        first = next(iter(own))
        if first in weights:
            weights[first] = {
                "sum": weights[first].sum(dim=1, keepdim=True),
                "mean": weights[first].mean(dim=1, keepdim=True),
                "random": own[first],
            }[first_convolution]
        missing = sorted(own.keys() - weights.keys())
        left_over = sorted(weights.keys() - own.keys())
        misshapen = sorted(k for k in own.keys() & weights.keys() if own[k].shape != weights[k].shape)
        if missing or left_over or misshapen:
            raise ValueError(
                f"The weights do not fit backbone {self.config.backbone!r}: {len(missing)} missing {missing[:4]}, "
                f"{len(left_over)} left over {left_over[:4]}, {len(misshapen)} of another shape {misshapen[:4]}."
            )
        self.backbone.load_state_dict(weights)


class PslaAttentionPooling(nn.Module):
    """Multi-head attention pooling of PSLA (section III-E): each head weighs frames per class.

    Per head, attention a and scores c are sigmoids of linear maps of a frame; a is divided by its sum over time, the
    head's output is the sum over time of a * c, and the heads are added with free weights that start at 1 / H. The
    result is a weighted sum of probabilities and can exceed 1.
    """

    def __init__(self, in_features: int, num_labels: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.attention = nn.Linear(in_features, num_heads * num_labels)
        self.scores = nn.Linear(in_features, num_heads * num_labels)
        if num_heads > 1:
            self.head_weight = nn.Parameter(torch.full((num_heads,), 1.0 / num_heads))
        else:
            self.register_buffer("head_weight", torch.ones(1), persistent=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """Frames `[B, steps, C]` to clip probabilities `[B, K]`, not clamped."""
        batch, steps, _ = hidden.shape
        by_head = (batch, steps, self.num_heads, -1)
        attention = self.attention(hidden).float().sigmoid().clamp(EPSILON, 1 - EPSILON).view(by_head)
        attention = attention / attention.sum(dim=1, keepdim=True)
        scores = self.scores(hidden).float().sigmoid().view(by_head)
        heads = (attention * scores).sum(dim=1)  # [B, H, K]
        return (heads * self.head_weight.float()[:, None]).sum(dim=1)


class PslaMeanPooling(nn.Module):
    """The mean over time of each frame's sigmoid probabilities."""

    def __init__(self, in_features: int, num_labels: int):
        super().__init__()
        self.scores = nn.Linear(in_features, num_labels)

    def forward(self, hidden: Tensor) -> Tensor:
        """Frames `[B, steps, C]` to clip probabilities `[B, K]`."""
        return self.scores(hidden).float().sigmoid().mean(dim=1)


class PslaLinearPooling(nn.Module):
    """The sigmoid of one linear layer on the features' mean over time."""

    def __init__(self, in_features: int, num_labels: int):
        super().__init__()
        self.scores = nn.Linear(in_features, num_labels)

    def forward(self, hidden: Tensor) -> Tensor:
        """Frames `[B, steps, C]` to clip probabilities `[B, K]`."""
        return self.scores(hidden.mean(dim=1)).float().sigmoid()


def make_pooling(config: PslaConfig, in_features: int) -> nn.Module:
    """The pooling that the configuration names."""
    num_labels = len(config.label_names)
    if config.pooling == "attention":
        return PslaAttentionPooling(in_features, num_labels, config.num_attention_heads)
    if config.pooling == "mean":
        return PslaMeanPooling(in_features, num_labels)
    return PslaLinearPooling(in_features, num_labels)


class PslaForAudioClassification(PslaPreTrainedModel):
    """A PSLA tagger: `PslaModel` and a pooling head whose sigmoid is the clip's probability per class."""

    # Trainer must not rescale the loss for gradient accumulation: it is a mean over clips and classes already.
    accepts_loss_kwargs = False

    def __init__(self, config: PslaConfig):
        super().__init__(config)
        self.psla = PslaModel(config)
        self.pooling = make_pooling(config, self.psla.hidden_size)
        self.post_init()

    @classmethod
    def from_imagenet(
        cls, config: PslaConfig, weights: Mapping[str, Tensor], first_convolution: FirstConvolution = "sum"
    ) -> "PslaForAudioClassification":
        """A new tagger with an ImageNet backbone and a fresh head.

        Args:
            config: The model's configuration.
            weights: timm-named ImageNet weights, for example from `psla_hf.conversion.imagenet_weights`.
            first_convolution: See `PslaModel.load_backbone`.
        """
        model = cls(config)
        model.psla.load_backbone(weights, first_convolution)
        return model

    def forward(
        self, input_values: Tensor, labels: Tensor | None = None, return_dict: bool | None = None
    ) -> PslaAudioClassifierOutput | tuple:
        """Tag spectrograms.

        Args:
            input_values: `[B, frames, F]` from `PslaFeatureExtractor`.
            labels: By `config.problem_type`: probabilities `[B, K]` in [0, 1] (multi-label, the default; soft labels
                welcome), class indices `[B]` or soft labels `[B, K]` (single-label), or targets `[B, K]` or `[B]`
                (regression).
            return_dict: `False` gives a tuple.
        """
        hidden = self.psla(input_values).last_hidden_state
        # logit(clamp(p)) is the inverse of the sigmoid that losses and pipelines apply.
        logits = torch.logit(self.pooling(hidden), eps=EPSILON)
        loss = None if labels is None else self._loss(logits, labels)
        output = PslaAudioClassifierOutput(loss=loss, logits=logits)
        return output.to_tuple() if return_dict is False else output

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss that `config.problem_type` names, the mean over the batch."""
        if self.config.problem_type == "single_label_classification":
            return F.cross_entropy(logits, labels)
        if self.config.problem_type == "regression":
            return F.mse_loss(logits.squeeze(), labels.float().squeeze())
        if labels.shape != logits.shape:
            raise ValueError(
                f"Expected multi-label targets {list(logits.shape)}, got {list(labels.shape)}. Class indices need "
                'problem_type="single_label_classification".'
            )
        return F.binary_cross_entropy_with_logits(logits, labels.float())
