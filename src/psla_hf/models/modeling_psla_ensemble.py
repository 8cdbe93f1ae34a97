"""Several PSLA taggers as one model: the mean of their probabilities. Knows no audio, data sets or metrics."""

import copy
import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

from .configuration_psla import ProblemType, PslaEnsembleConfig
from .modeling_psla import PslaForAudioClassification, PslaModel, PslaPreTrainedModel, PslaTagging, chosen
from .pooling_psla import EPSILON, Pooled

__all__ = ["PslaEnsembleForAudioClassification", "PslaEnsembleModel"]


class PslaEnsemblePreTrainedModel(PslaPreTrainedModel):
    """Configuration and files shared by the ensembles; each member initialises itself."""

    config: PslaEnsembleConfig  # type: ignore[assignment]  # not a single model's
    base_model_prefix = ""
    remote_modules = (*PslaPreTrainedModel.remote_modules, "modeling_psla_ensemble")


class PslaEnsembleModel(PslaEnsemblePreTrainedModel):
    """Spectrograms `[B, frames, F]` to the members' embeddings, one beside the other: C is the sum of the members' C.

    What `AutoModel` loads of an ensemble. Members have embeddings of different sizes and meanings, so that there is no
    mean of them to take.
    """

    # The same weights as the tagger's, without its heads.
    _keys_to_ignore_on_load_unexpected = [r"^members\.\d+\.pooling\."]  # noqa: RUF012 - transformers declares it so

    def __init__(self, config: PslaEnsembleConfig):
        super().__init__(config)
        config.check_members()
        # Named as in the tagger, whose saved weights this loads.
        self.members = nn.ModuleList(nn.ModuleDict({"psla": PslaModel(member)}) for member in config.member_configs)
        self.hidden_size = sum(psla.hidden_size for psla in self._backbones())
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
            input_values: `[B, frames, F]` from `PslaFeatureExtractor`, any number of frames.
            attention_mask: Not used.
            output_hidden_states: Also return the members' feature maps, one member after the other.
            return_dict: `False` gives a tuple.

        Returns:
            `last_hidden_state` `[B, steps, C]`, on the time grid of the member with the most steps, and `pooler_output`
            `[B, C]`, each member's own mean over time.
        """
        with_maps = chosen(output_hidden_states, self.config.output_hidden_states)
        outputs = [psla(input_values, output_hidden_states=with_maps) for psla in self._backbones()]
        steps = max(output.last_hidden_state.shape[1] for output in outputs)
        output = BaseModelOutputWithPooling(
            last_hidden_state=torch.cat([on_grid(output.last_hidden_state, steps) for output in outputs], dim=2),
            pooler_output=torch.cat([output.pooler_output for output in outputs], dim=1),
            hidden_states=one_after_the_other([output.hidden_states for output in outputs]),
        )
        return output if chosen(return_dict, self.config.return_dict) else output.to_tuple()

    def _backbones(self) -> list[PslaModel]:
        return [member["psla"] for member in self.members]  # type: ignore[index]


class PslaEnsembleForAudioClassification(PslaEnsemblePreTrainedModel, PslaTagging):
    """Several taggers as one: its probabilities are the mean of the members' clamped ones, class by class.

    Members may differ in backbone, pooling and order of classes; they share the spectrogram, computed once. It trains
    as a single model does, through all of its members at once.
    """

    def __init__(self, config: PslaEnsembleConfig):
        super().__init__(config)
        config.check_members()
        self.members = nn.ModuleList(PslaForAudioClassification(member) for member in config.member_configs)
        self.label_orders = config.label_orders()
        self.post_init()

    @classmethod
    def from_members(
        cls, members: Sequence[PslaForAudioClassification], label_names: Sequence[str] | None = None
    ) -> "PslaEnsembleForAudioClassification":
        """An ensemble that holds these models themselves, in eval mode; one given twice is copied.

        Args:
            members: Taggers of the same classes, in any order of theirs. Their feature extractors must be alike, and
                are not looked at here: `psla_hf.aggregation` does.
            label_names: The classes in the order of the output; the first member's if omitted.

        Raises:
            ValueError: There is no member, one is an ensemble itself, or they do not go together; the message names the
                member and what differs.
        """
        for number, member in enumerate(members, start=1):
            if not isinstance(member, PslaForAudioClassification):
                raise ValueError(
                    f"Expected single taggers as members, member {number} is a {type(member).__name__}. Give an "
                    "ensemble's members instead of the ensemble."
                )
        config = PslaEnsembleConfig.from_member_configs([member.config for member in members], label_names)
        with torch.device("meta"):  # no memory for weights that are not used
            ensemble = cls(config)
        given: list[nn.Module] = []
        for member in members:
            given.append(copy.deepcopy(member) if any(member is other for other in given) else member)
        ensemble.members = nn.ModuleList(given)
        return ensemble.eval()

    def pool(self, input_values: Tensor, per_frame: bool = False, with_maps: bool = False) -> Pooled:
        """The mean of the members' probabilities.

        Per frame, scores are the mean of the members' on the time grid of the one with the most steps, linearly
        interpolated between the middles of the steps. The attentions are all members' heads, one member after the
        other, divided by the number of members; they say where each member listened. Their sum with the mean scores is
        the clip's probability only where members weigh time alike. Feature maps are all members' likewise.
        """
        return mean_of_members(self._pool_members(input_values, per_frame, with_maps))

    def _problem_type(self, labels: Tensor) -> ProblemType:
        """Likewise that of the members."""
        decided = super()._problem_type(labels)
        for member in self.config.members:
            member["problem_type"] = decided
        return decided

    def _pool_members(self, input_values: Tensor, per_frame: bool, with_maps: bool) -> list[Pooled]:
        """Each member's probabilities, clamped, with the classes in the ensemble's order."""
        pooled = []
        for member, order in zip(self.members, self.label_orders, strict=True):
            one = member.pool(input_values, per_frame, with_maps)  # type: ignore[operator]
            one = Pooled(one.probability.clamp(EPSILON, 1 - EPSILON), *one[1:])
            pooled.append(one if order is None else reordered(one, order))
        return pooled


def reordered(pooled: Pooled, order: list[int]) -> Pooled:
    """The same with its classes in another order: class k is what was class `order[k]`."""
    scores, attentions = pooled.frame_scores, pooled.attentions
    return Pooled(
        pooled.probability[..., order],
        None if scores is None else scores[..., order],
        None if attentions is None else attentions[..., order],
        pooled.hidden_states,
    )


def one_after_the_other(maps: Sequence[tuple[Tensor, ...] | None]) -> tuple[Tensor, ...] | None:
    """The members' feature maps in one tuple, if they are there."""
    return tuple(itertools.chain.from_iterable(filter(None, maps))) or None


def mean_of_members(members: Sequence[Pooled]) -> Pooled:
    """The mean probabilities, and the scores and weights per step on the finest of the members' time grids."""
    probability = torch.stack([member.probability for member in members]).mean(dim=0)
    scores = [member.frame_scores for member in members if member.frame_scores is not None]
    weights = [member.attentions for member in members if member.attentions is not None]
    maps = one_after_the_other([member.hidden_states for member in members])
    if not scores:
        return Pooled(probability, hidden_states=maps)
    steps = max(of_member.shape[1] for of_member in scores)
    frame_scores = torch.stack([on_grid(of_member, steps) for of_member in scores]).mean(dim=0)
    attentions = torch.cat([spread(of_member, steps) / len(members) for of_member in weights], dim=1)
    return Pooled(probability, frame_scores, attentions, maps)


def on_grid(series: Tensor, steps: int) -> Tensor:
    """A series `[B, any steps, C]` over the same time in so many steps, linear between the middles of its own."""
    if series.shape[1] == steps:
        return series
    return F.interpolate(series.transpose(1, 2), size=steps, mode="linear", align_corners=False).transpose(1, 2)


def spread(weights: Tensor, steps: int) -> Tensor:
    """Weights `[B, H, any steps, K]` over the same time in so many steps; their sum over time stays."""
    if weights.shape[2] == steps:
        return weights
    spread_out = on_grid(weights.flatten(0, 1), steps).unflatten(0, weights.shape[:2])
    return spread_out * (weights.sum(dim=2, keepdim=True) / spread_out.sum(dim=2, keepdim=True))
