"""The configurations of a PSLA model and of an ensemble. Know nothing of weights, audio or labels' meaning."""

from collections.abc import Sequence
from dataclasses import field
from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

__all__ = ["REMOTE_CODE", "PslaConfig", "PslaEnsembleConfig"]


# Where transformers finds the classes of a saved model when this package is not installed: every saved model carries
# the files. All entries, because transformers by itself would record only the class that was saved.
REMOTE_CODE = {
    "AutoConfig": "configuration_psla.PslaConfig",
    "AutoFeatureExtractor": "feature_extraction_psla.PslaFeatureExtractor",
    "AutoProcessor": "feature_extraction_psla.PslaFeatureExtractor",
    "AutoModel": "modeling_psla.PslaModel",
    "AutoModelForAudioClassification": "modeling_psla.PslaForAudioClassification",
}

ENSEMBLE_REMOTE_CODE = {
    "AutoConfig": "configuration_psla.PslaEnsembleConfig",
    "AutoFeatureExtractor": "feature_extraction_psla.PslaFeatureExtractor",
    "AutoProcessor": "feature_extraction_psla.PslaFeatureExtractor",
    "AutoModel": "modeling_psla_ensemble.PslaEnsembleModel",
    "AutoModelForAudioClassification": "modeling_psla_ensemble.PslaEnsembleForAudioClassification",
}

# What a member's configuration has of its own files and of the library, and an ensemble's once for all.
NOT_THE_MEMBERS = ("auto_map", "architectures", "dtype", "transformers_version")

ProblemType = Literal["regression", "single_label_classification", "multi_label_classification"]


class LabelNames:
    """What both configurations know of their classes."""

    @property
    def label_names(self) -> list[str]:
        """The classes' names, in index order."""
        id2label = getattr(self, "id2label", None) or {}
        return [str(id2label[k]) for k in sorted(id2label, key=int)]  # JSON makes words of numbers


@strict
class PslaConfig(LabelNames, PreTrainedConfig):
    """Configuration of `PslaModel` and `PslaForAudioClassification`.

    The defaults are the paper's best single model, EfficientNet-B2 with four attention heads (PSLA, Table XIII).

    Args:
        backbone: Name of a timm model whose last feature map is `[B, C, height, width]`.
        pooling: How frames become a clip's scores: `"attention"`, `"mean"` (sigmoid of each frame, averaged) or
            `"linear"` (features averaged over time, then one linear layer). A model refuses other words.
        num_attention_heads: Number of attention heads H; with 1 there is no head weight. Only for `"attention"`.
        num_mel_bins: Mel bins F of the input `[B, frames, F]`.
        static_padding_size: Only for `tf_` backbones. The original PSLA pads its strided convolutions as for a square
            image of this size (260 for B2, 224 for B0), whatever the input; its checkpoints need the same. `None` pads
            for the input at hand, as TensorFlow and timm do.
        batch_norm_momentum: Momentum of every batch normalization in torch's convention, the share of the new batch.
            The original uses 0.01; timm's and torch's default is 0.1.
        problem_type: As in transformers. Multi-label by default, so that `pipeline` applies a sigmoid.
        thresholds: From which score on each class counts as heard, K of them, as chosen on validation clips. Loaded
            with other classes than the saved ones, a configuration has none.

    Raises:
        ValueError: An argument is out of range. (Wrong types and unknown choices are refused by `strict`.)
    """

    model_type = "psla"

    backbone: str = "tf_efficientnet_b2"
    pooling: str = "attention"
    num_attention_heads: int = 4
    num_mel_bins: int = 128
    static_padding_size: int | None = None
    batch_norm_momentum: float = 0.01
    problem_type: ProblemType | None = "multi_label_classification"
    thresholds: list[float] | None = None
    auto_map: dict[str, str] = field(default_factory=lambda: dict(REMOTE_CODE))

    @property
    def has_frame_scores(self) -> bool:
        """The pooling has scores per frame."""
        return self.pooling != "linear"

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """As in transformers, except that thresholds of other classes are left out."""
        saved = super().from_dict(config_dict)
        loaded: Any = super().from_dict(config_dict, **kwargs)  # whose type has no pair
        config = loaded[0] if kwargs.get("return_unused_kwargs") else loaded
        if "thresholds" not in kwargs and config.label_names != saved.label_names:
            config.thresholds = None
        return loaded

    def __post_init__(self, **kwargs: Any) -> None:
        """Check ranges before the base class fills in the labels."""
        if self.num_attention_heads < 1:
            raise ValueError(f"num_attention_heads must be at least 1, got {self.num_attention_heads}.")
        if self.num_mel_bins < 32:
            raise ValueError(
                f"num_mel_bins must be at least 32 (the backbones halve the frequency axis five times), "
                f"got {self.num_mel_bins}."
            )
        if not 0.0 < self.batch_norm_momentum <= 1.0:
            raise ValueError(f"batch_norm_momentum must be in (0, 1], got {self.batch_norm_momentum}.")
        if self.thresholds is not None and not all(0.0 <= value <= 1.0 for value in self.thresholds):
            raise ValueError(f"thresholds must be from 0 to 1, got {self.thresholds}.")
        super().__post_init__(**kwargs)


@strict
class PslaEnsembleConfig(LabelNames, PreTrainedConfig):
    """Configuration of `PslaEnsembleModel` and `PslaEnsembleForAudioClassification`.

    The ensemble's own `id2label` is the order of its output; members may have the same classes in orders of their own.

    Args:
        members: The members' configurations, as dictionaries of what `PslaConfig` takes.
        problem_type: As in `PslaConfig`, and the same as the members'.
    """

    model_type = "psla_ensemble"

    members: list[dict[str, Any]] = field(default_factory=list)
    problem_type: ProblemType | None = "multi_label_classification"
    auto_map: dict[str, str] = field(default_factory=lambda: dict(ENSEMBLE_REMOTE_CODE))

    @classmethod
    def from_member_configs(
        cls, configs: Sequence[PslaConfig], label_names: Sequence[str] | None = None
    ) -> "PslaEnsembleConfig":
        """The configuration of an ensemble of these models.

        Args:
            configs: The members' configurations, at least one.
            label_names: The classes in the order of the ensemble's output; the first member's if omitted.

        Raises:
            ValueError: There is no member, or one has other classes, another number of mel bins or another problem
                type; the message names it and what differs.
        """
        if not configs:
            raise ValueError("Expected at least one member of an ensemble, got none.")
        names = list(label_names or configs[0].label_names)
        own = [{k: v for k, v in c.to_diff_dict().items() if k not in NOT_THE_MEMBERS} for c in configs]
        ensemble = cls(
            members=own,
            problem_type=configs[0].problem_type,
            id2label=dict(enumerate(names)),
            label2id={name: k for k, name in enumerate(names)},
        )
        ensemble.check_members([config.name_or_path or "" for config in configs])
        return ensemble

    @property
    def member_configs(self) -> list[PslaConfig]:
        """The members' configurations as objects."""
        return [PslaConfig(**member) for member in self.members]

    @property
    def has_frame_scores(self) -> bool:
        """Every member has scores per frame; asked for every window, it makes no configurations."""
        return all(member.get("pooling") != "linear" for member in self.members)

    def check_members(self, called: Sequence[str] = ()) -> None:
        """Refuse members that cannot be one model.

        Args:
            called: What to call the members in a message, besides their numbers.

        Raises:
            ValueError: As in `from_member_configs`.
        """
        configs = self.member_configs
        if not configs:
            raise ValueError("Expected a configuration with members. PslaEnsembleConfig.from_member_configs makes one.")
        for number, config in enumerate(configs):
            who = f"member {number + 1}" + (f" ({called[number]})" if called and called[number] else "")
            if config.num_mel_bins != configs[0].num_mel_bins:
                raise ValueError(
                    f"Expected members that share one front end: {who} takes {config.num_mel_bins} mel bins, the first "
                    f"one {configs[0].num_mel_bins}."
                )
            if config.problem_type not in (None, self.problem_type):
                raise ValueError(
                    f"Expected members of one problem_type, {self.problem_type}: that of {who} is "
                    f"{config.problem_type}."
                )
            _order(self.label_names, config.label_names, who)

    def label_orders(self) -> list[list[int] | None]:
        """For each member its indices of the ensemble's classes; none where it has them in the same order."""
        return [
            _order(self.label_names, config.label_names, f"member {number}")
            for number, config in enumerate(self.member_configs, start=1)
        ]


def _order(names: list[str], of_member: list[str], who: str) -> list[int] | None:
    """Where a member has each of the classes; none if it has them in the same order.

    For example the classes `["a", "b", "c"]` are at `[2, 0, 1]` in a member with `["b", "c", "a"]`.

    Raises:
        ValueError: It has other classes, or classes that share a name, which nothing tells apart.
    """
    if names == of_member:
        return None
    if sorted(names) != sorted(of_member):
        missing, extra = sorted(set(names) - set(of_member)), sorted(set(of_member) - set(names))
        raise ValueError(
            f"Expected the ensemble's {len(names)} classes in every member, {who} has {len(of_member)}: "
            f"{len(missing)} are missing {missing[:5]}, {len(extra)} are not the ensemble's {extra[:5]}."
        )
    if len(set(names)) < len(names):
        raise ValueError(f"Expected classes of different names: some share one, and {who} has another order of them.")
    place = {name: k for k, name in enumerate(of_member)}
    return [place[name] for name in names]
