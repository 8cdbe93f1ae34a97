"""The PSLA tagger: backbone, frequency mean, pooling over time, true logits. Knows no audio, data sets or metrics."""

import json
import re
import shutil
from collections.abc import Mapping, Set
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Self

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.utils import ModelOutput, logging

from .backbone_psla import make_backbone
from .configuration_psla import ProblemType, PslaConfig
from .pooling_psla import EPSILON, Pooled, PslaAttentionPooling, UniformLinear, make_pooling

__all__ = [
    "FRAME_HOP_SECONDS",
    "PslaAudioClassifierOutput",
    "PslaForAudioClassification",
    "PslaModel",
    "PslaPreTrainedModel",
    "check_fit",
]


logger = logging.get_logger(__name__)

# A spectrogram frame begins every 10 ms and is 25 ms long.
FRAME_HOP_SECONDS = 0.010

FRAME_CENTER_SECONDS = 0.0125

# Weights that depend on the classes, of a tagger and of an ensemble's members.
HEAD = re.compile(r"(^|\.)pooling\.")

# How the three input channels of an ImageNet convolution become the one of a spectrogram.
FirstConvolution = Literal["sum", "mean", "random"]


@dataclass
class PslaAudioClassifierOutput(ModelOutput):
    """What `PslaForAudioClassification` returns.

    Attributes:
        loss: Scalar, if labels were given.
        logits: `[B, K]` float32; under multi-label their sigmoid is the clip's clamped probability.
        hidden_states: The backbone's feature maps `[B, C, F / r, frames / r]`, one after each reduction r.
        attentions: `[B, H, steps, K]`, each step's weight, head weights included. The sum over heads and steps of
            `attentions * frame_scores` is the clip's probability before the clamp.
        frame_scores: `[B, steps, K]`, the probability at each time step.
        frame_times: `[steps]`, the middle of each step in seconds.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: Tensor | None = None
    frame_scores: Tensor | None = None
    frame_times: Tensor | None = None


class PslaPreTrainedModel(PreTrainedModel):
    """Configuration, initialisation and naming shared by the models."""

    config: PslaConfig
    base_model_prefix = "psla"
    main_input_name = "input_values"
    input_modalities = "audio"
    # What a saved model carries for where this package is not installed: its Auto classes, and what these import.
    remote_modules: tuple[str, ...] = (
        "backbone_psla",
        "configuration_psla",
        "feature_extraction_psla",
        "modeling_psla",
        "pooling_psla",
        "waveforms_psla",
    )

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
        elif isinstance(module, UniformLinear):
            bound = (6.0 / module.in_features) ** 0.5
            init.uniform_(module.weight, -bound, bound)
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

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | PathLike | None,
        *args: Any,
        ignore_mismatched_sizes: bool = False,
        output_loading_info: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Load as any transformers model, except that weights which are not there are no random ones.

        Args:
            pretrained_model_name_or_path: A folder or a Hub id.
            args: As in transformers.
            ignore_mismatched_sizes: Start with a fresh head where the saved one has other classes or is missing.
            output_loading_info: Also return what was found, as in transformers.
            kwargs: As in transformers.

        Raises:
            ValueError: The file is damaged, or it lacks weights or has others; the message names them.
        """
        where = weight_files(pretrained_model_name_or_path)
        # With every mismatch allowed, so that they are named below together with what is missing.
        known: dict[str, Any] = {**kwargs, "ignore_mismatched_sizes": True, "output_loading_info": True}
        load: Any = super().from_pretrained  # whose type does not say that it returns a pair
        try:
            model, found = load(pretrained_model_name_or_path, *args, **known)
        except (SafetensorError, json.JSONDecodeError) as error:
            raise ValueError(f"Could not read the weights in {where}: {error}. Save the model again.") from error
        check_loaded(found, f"the weights in {where}", ignore_mismatched_sizes)
        return (model, found) if output_loading_info else model

    def save_pretrained(self, save_directory: str | PathLike, *args: Any, **kwargs: Any) -> None:
        """Save as any transformers model, and with it the files that `trust_remote_code=True` loads it from.

        Raises:
            ValueError: Its batch norms were folded into the convolutions.
        """
        self._check_not_folded("Save")
        super().save_pretrained(save_directory, *args, **kwargs)
        if self._auto_class is None:  # else this is remote code itself, and transformers has copied its files
            for module in self.remote_modules:
                shutil.copy(Path(__file__).with_name(f"{module}.py"), save_directory)

    def train(self, mode: bool = True) -> Self:
        """As of any module.

        Raises:
            ValueError: Its batch norms were folded into the convolutions, and it is to be trained.
        """
        if mode:
            self._check_not_folded("Train")
        return super().train(mode)

    def _check_not_folded(self, what_to_do: str) -> None:
        if any(getattr(module, "is_folded", False) for module in self.modules()):  # by psla_hf.models.folding
            raise ValueError(
                "Expected a model as it was trained, this one is an AudioTagger's, whose batch norms were folded into "
                f"the convolutions. {what_to_do} the model of psla_hf.models.saved.load_saved."
            )


class PslaModel(PslaPreTrainedModel):
    """Spectrograms `[B, frames, F]` to frame embeddings `[B, steps, C]`, one step per 32 frames.

    The spectrogram is a one-channel image whose height is the frequency axis; the last feature map is averaged over it.
    """

    def __init__(self, config: PslaConfig):
        super().__init__(config)
        self.backbone = make_backbone(config)
        self.hidden_size = int(self.backbone.num_features)  # type: ignore[arg-type]
        for module in self.backbone.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = config.batch_norm_momentum
        self.post_init()

    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> BaseModelOutputWithPooling | tuple:
        """Embed spectrograms.

        Args:
            input_values: `[B, frames, F]` from `PslaFeatureExtractor`, any number of frames; converted to the weights'
                precision.
            attention_mask: Not used: PSLA listens to padded frames too.
            output_hidden_states: Also return `hidden_states`, see `PslaAudioClassifierOutput`.
            return_dict: `False` gives a tuple.

        Returns:
            `last_hidden_state` `[B, steps, C]` and its mean over time, `pooler_output` `[B, C]`.
        """
        if input_values.dim() != 3 or input_values.shape[2] != self.config.num_mel_bins:
            raise ValueError(
                f"Expected input_values [B, frames, {self.config.num_mel_bins}], got {list(input_values.shape)}."
            )
        images = input_values.to(self.dtype).transpose(1, 2).unsqueeze(1)  # [B, 1, F, frames]
        maps = None
        if chosen(output_hidden_states, self.config.output_hidden_states):
            feature_map, maps = self.backbone.forward_intermediates(images)  # type: ignore[operator]
        else:
            feature_map = self.backbone.forward_features(images)  # type: ignore[operator]  # [B, C, F / 32, steps]
        hidden = feature_map.mean(dim=2).transpose(1, 2)
        output = BaseModelOutputWithPooling(
            last_hidden_state=hidden, pooler_output=hidden.mean(dim=1), hidden_states=maps and tuple(maps)
        )
        return output if chosen(return_dict, self.config.return_dict) else output.to_tuple()

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
        check_fit(own, weights, f"the weights for {self.config.backbone}")
        self.backbone.load_state_dict(weights)


def chosen(wanted: bool | None, configured: bool | None) -> bool:
    """What a call asks for, or else the configuration."""
    return bool(configured if wanted is None else wanted)


def check_fit(own: Mapping[str, Tensor], weights: Mapping[str, Tensor], what: str) -> None:
    """Refuse weights that differ from a model's `own` in a name or a shape.

    Raises:
        ValueError: They differ; the message lists what is missing or left over.
    """
    shared = own.keys() & weights.keys()
    problems = {
        "missing": own.keys() - weights.keys(),
        "left over": weights.keys() - own.keys(),
        "of another shape": {name for name in shared if own[name].shape != weights[name].shape},
    }
    refuse_misfits(problems, what)


def check_loaded(found: Mapping[str, Any], what: str, with_fresh_head: bool) -> None:
    """Refuse a model that transformers has loaded, some of its weights being random.

    Args:
        found: Its loading info.
        what: What to call the weights.
        with_fresh_head: Whether those of the head may be random.

    Raises:
        ValueError: Weights are missing or of another shape; the message lists them.
    """
    lacking = {
        "missing": set(found["missing_keys"]),
        "of another shape": {name for name, *_ in found["mismatched_keys"]},
    }
    if with_fresh_head:
        lacking = {problem: {name for name in names if not HEAD.search(name)} for problem, names in lacking.items()}
    names = set[str]().union(*lacking.values())
    if names:
        is_head = all(HEAD.search(name) for name in names)
        advice = " For a fresh head pass ignore_mismatched_sizes=True." if is_head else ""
        refuse_misfits({**lacking, "left over": set(found["unexpected_keys"])}, what, advice)


def refuse_misfits(problems: Mapping[str, Set[str]], what: str, advice: str = "") -> None:
    """Raise a ValueError that lists the names of weights under each problem, if there are any."""
    if any(problems.values()):
        listed = "; ".join(
            f"{len(names)} {problem} {sorted(names)[:5]}" for problem, names in problems.items() if names
        )
        raise ValueError(f"Expected {what} to fit the model: {listed}.{advice}")


def weight_files(place: str | PathLike | None) -> str:
    """What to call the weights of a folder or of a Hub id in an error."""
    found = sorted(map(str, Path(place).glob("*.safetensors"))) if place is not None else []
    return ", ".join(found) or str(place)


class PslaTagging(PslaPreTrainedModel):
    """The forward pass of single taggers and of ensembles: from the probabilities of `pool` to logits and loss."""

    # Trainer must not rescale the loss for gradient accumulation: it is a mean over clips and classes already.
    accepts_loss_kwargs = False

    def forward(
        self,
        input_values: Tensor,
        labels: Tensor | None = None,
        attention_mask: Tensor | None = None,
        output_frame_scores: bool = False,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> PslaAudioClassifierOutput | tuple:
        """Tag spectrograms.

        Args:
            input_values: `[B, frames, F]` from `PslaFeatureExtractor`.
            labels: By `config.problem_type`: probabilities `[B, K]` in [0, 1] (multi-label, the default; soft labels
                welcome), class indices `[B]` or `[B, 1]` or soft labels `[B, K]` (single-label), or targets `[B, K]`,
                with one class also `[B]` (regression). Without a problem type it is regression where there is one
                class, else single-label where labels are integers, else multi-label, from then on. Class indices of a
                multi-label model are clips with that one label.
            attention_mask: Not used: PSLA listens to padded frames too.
            output_frame_scores: Also return scores per frame, their attention and their times.
            output_attentions: Also return `attentions`.
            output_hidden_states: Also return `hidden_states`.
            return_dict: `False` gives a tuple.

        Raises:
            ValueError: Scores or attentions per frame are asked for, and a linear pooling has none; or the labels are
                none of these.
        """
        with_attentions = chosen(output_attentions, self.config.output_attentions)
        pooled = self.pool(
            input_values,
            per_frame=output_frame_scores or with_attentions,
            with_maps=chosen(output_hidden_states, self.config.output_hidden_states),
        )
        # logit(clamp(p)) is the inverse of the sigmoid that losses and pipelines apply.
        logits = torch.logit(pooled.probability, eps=EPSILON)
        scores = pooled.frame_scores if output_frame_scores else None
        output = PslaAudioClassifierOutput(
            loss=None if labels is None else tagging_loss(logits, labels, self._problem_type(labels)),
            logits=logits,
            hidden_states=pooled.hidden_states,
            attentions=pooled.attentions,
            frame_scores=scores,
            frame_times=None if scores is None else frame_times(scores.shape[1], input_values.shape[1], scores.device),
        )
        return output if chosen(return_dict, self.config.return_dict) else output.to_tuple()

    def _problem_type(self, labels: Tensor) -> ProblemType:
        """The configuration's; where it has none, what the first labels are, as transformers decides it."""
        if self.config.problem_type is None:
            is_indices = not labels.is_floating_point()
            several: ProblemType = "single_label_classification" if is_indices else "multi_label_classification"
            self.config.problem_type = "regression" if self.config.num_labels == 1 else several
        return self.config.problem_type

    def pool(self, input_values: Tensor, per_frame: bool = False, with_maps: bool = False) -> Pooled:
        """The probabilities before the clamp that `forward` makes its output of.

        Args:
            input_values: Spectrograms `[B, frames, F]`.
            per_frame: Also return the scores and attentions.
            with_maps: Also return the backbone's feature maps.
        """
        raise NotImplementedError


class PslaForAudioClassification(PslaTagging):
    """A PSLA tagger: `PslaModel` and a pooling head whose sigmoid is the clip's probability per class."""

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
            weights: timm-named ImageNet weights, for example from `psla_hf.models.weights.imagenet_weights`.
            first_convolution: See `PslaModel.load_backbone`.
        """
        model = cls(config)
        model.psla.load_backbone(weights, first_convolution)
        return model

    def pool(self, input_values: Tensor, per_frame: bool = False, with_maps: bool = False) -> Pooled:
        """The head's probabilities."""
        embedded = self.psla(input_values, output_hidden_states=with_maps, return_dict=True)
        probability, frame_scores, attentions, _ = self.pooling(embedded.last_hidden_state, per_frame=per_frame)
        return Pooled(probability, frame_scores, attentions, embedded.hidden_states)


def frame_times(steps: int, num_frames: int, device: torch.device) -> Tensor:
    """The middle, in seconds, of the span of spectrogram frames that each of the steps stands for."""
    middle = (torch.arange(steps, device=device) + 0.5) * (num_frames / steps) - 0.5  # in frames
    return middle * FRAME_HOP_SECONDS + FRAME_CENTER_SECONDS


def tagging_loss(logits: Tensor, labels: Tensor, problem_type: ProblemType) -> Tensor:
    """The loss that the problem type names, the mean over the batch.

    Args:
        logits: `[B, K]`.
        labels: As in `PslaTagging.forward`, on any device.
        problem_type: As in transformers.

    Raises:
        ValueError: The labels have another shape or type.
    """
    labels = labels.to(logits.device)
    batch, classes = logits.shape
    is_one_number = labels.shape in ((batch,), (batch, 1))
    is_indices = is_one_number and not labels.is_floating_point() and classes > 1
    if problem_type == "single_label_classification" and is_indices:
        return F.cross_entropy(logits, labels.view(-1).long())
    if problem_type == "multi_label_classification" and is_indices:
        logger.warning_once("Class indices in training a multi-label model: each clip has that one label, no others.")
        labels = F.one_hot(labels.view(-1).long(), classes)
    if is_one_number and classes == 1:
        labels = labels.view_as(logits)
    if labels.shape != logits.shape:
        indices = "" if problem_type == "regression" else f", or class indices, integers [{batch}]"
        raise ValueError(
            f"Expected targets {[batch, classes]} for problem_type={problem_type!r}{indices}, got {labels.dtype} "
            f"{list(labels.shape)}."
        )
    if problem_type == "single_label_classification":
        return F.cross_entropy(logits, labels.float())
    if problem_type == "regression":
        return F.mse_loss(logits, labels.float())
    return F.binary_cross_entropy_with_logits(logits, labels.float())
