"""The configuration of a PSLA model. Knows nothing of weights, audio or labels' meaning."""

from dataclasses import field
from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

__all__ = ["PslaConfig"]

# Where transformers finds the classes of a saved model when this package is not installed: every saved model carries
# the three files. All four entries, because transformers by itself would record only the class that was saved.
REMOTE_CODE = {
    "AutoConfig": "configuration_psla.PslaConfig",
    "AutoFeatureExtractor": "feature_extraction_psla.PslaFeatureExtractor",
    "AutoModel": "modeling_psla.PslaModel",
    "AutoModelForAudioClassification": "modeling_psla.PslaForAudioClassification",
}


@strict
class PslaConfig(PreTrainedConfig):
    """Configuration of `PslaModel` and `PslaForAudioClassification`.

    The defaults are the paper's best single model, EfficientNet-B2 with four attention heads (PSLA, Table XIII).

    Args:
        backbone: Name of a timm model whose last feature map is `[B, C, height, width]`.
        pooling: How frames become a clip's scores: `"attention"`, `"mean"` (sigmoid of
            each frame, averaged) or `"linear"` (features averaged over time, then one linear layer).
        num_attention_heads: Number of attention heads H; with 1 there is no head weight. Only for `"attention"`.
        num_mel_bins: Mel bins F of the input `[B, frames, F]`.
        static_padding_size: Only for `tf_` backbones. The original PSLA pads its strided convolutions as for a square
            image of this size (260 for B2, 224 for B0), whatever the input; its checkpoints need the same. `None` pads
            for the input at hand, as TensorFlow and timm do.
        batch_norm_momentum: Momentum of every batch normalization in torch's convention, the share of the new batch.
            The original uses 0.01; timm's and torch's default is 0.1.
        problem_type: As in transformers. Multi-label by default, so that `pipeline` applies a sigmoid.

    Raises:
        ValueError: An argument is out of range. (Wrong types and unknown choices are refused by `strict`.)
    """

    model_type = "psla"

    backbone: str = "tf_efficientnet_b2"
    pooling: Literal["attention", "mean", "linear"] = "attention"
    num_attention_heads: int = 4
    num_mel_bins: int = 128
    static_padding_size: int | None = None
    batch_norm_momentum: float = 0.01
    problem_type: Literal["regression", "single_label_classification", "multi_label_classification"] | None = (
        "multi_label_classification"
    )
    auto_map: dict[str, str] = field(default_factory=lambda: dict(REMOTE_CODE))

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
        super().__post_init__(**kwargs)

    @property
    def label_names(self) -> list[str]:
        """The classes' names, in index order."""
        id2label = self.id2label or {}
        return [str(id2label[k]) for k in sorted(id2label)]  # type: ignore[index]
