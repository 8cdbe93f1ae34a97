"""Training settings as data, with the figures they are to be measured against. Knows nothing of how they run."""

from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from .augmentation import Augmentation

__all__ = ["PAPER_ARCHITECTURES", "RECIPES", "Recipe", "get_recipe", "required", "setting"]


def setting(default: Any, help: str) -> Any:
    """A field with a default, and the sentence that `--help` shows."""
    return field(default=default, metadata={"help": help})


def required(help: str) -> Any:
    """A field without a default, and the sentence that `--help` shows."""
    return field(metadata={"help": help})


@dataclass(frozen=True)
class Recipe:
    """Every setting of a training run; the defaults are the paper's for balanced AudioSet, but for the sampling.

    A variant is a `dataclasses.replace`. What depends on the data or the machine is no setting of a recipe.

    Raises:
        ValueError: A setting is out of range.
    """

    backbone: str = setting("tf_efficientnet_b2.aa_in1k", "timm backbone, with or without a pretrained tag")
    pooling: Literal["attention", "mean", "linear"] = setting("attention", "how frames become a clip's scores")
    num_attention_heads: int = setting(4, "heads of the attention pooling")
    pretraining: Literal["auto", "wheel", "timm", "none"] = setting(
        "auto", "ImageNet weights: an installed PyPI wheel, timm's from the Hub, whichever there is, or none"
    )
    first_convolution: Literal["sum", "mean", "random"] = setting(
        "random", "how the pretrained first convolution's three input channels become one"
    )
    batch_norm_momentum: float = setting(0.01, "share of the new batch in the running statistics")
    max_length: int = setting(1056, "frames per clip, 10 ms each: shorter clips are padded, longer ones cut")
    epochs: int = setting(60, "passes over as many draws as there are training clips")
    batch_size: int = setting(100, "clips per step, all processes together")
    learning_rate: float = setting(1e-3, "peak rate, after the warm-up")
    warmup_steps: int = setting(1000, "steps over which the rate rises linearly from 0")
    halve_from_epoch: int = setting(35, "the last epoch at the full rate; the next begins at half of it")
    halve_every: int = setting(5, "epochs from one halving to the next")
    weight_decay: float = setting(5e-7, "Adam's L2 weight decay")
    adam_beta1: float = setting(0.95, "Adam's first decay")
    adam_beta2: float = setting(0.999, "Adam's second decay")
    balanced_sampling: bool = setting(True, "draw clips by the inverse frequency of their classes")
    mixup_rate: float = setting(0.5, "share of samples that are mixed with another")
    mixup_alpha: float = setting(10.0, "the mixing weight follows Beta(alpha, alpha)")
    gain_db: float = setting(0.0, "largest gain of a sample, up or down, in decibels; not in PSLA")
    time_roll: bool = setting(False, "roll each sample in time by a random share of its length; not in PSLA")
    mixstyle_rate: float = setting(0.0, "share of samples that get a part of another's frequency response; not in PSLA")
    mixstyle_alpha: float = setting(0.4, "the weight of that follows Beta(alpha, alpha)")
    frequency_mask: int = setting(48, "largest width of the frequency mask in mel bins")
    time_mask: int = setting(192, "largest width of the time mask in frames")
    average_last: int = setting(20, "weights are averaged over this many last epochs")

    @property
    def augmentation(self) -> Augmentation:
        """Its settings of augmentation, together."""
        return Augmentation(**{setting.name: getattr(self, setting.name) for setting in fields(Augmentation)})

    def __post_init__(self) -> None:
        """Refuse what no run could mean."""
        positive = (
            "max_length",
            "epochs",
            "batch_size",
            "learning_rate",
            "halve_every",
            "average_last",
            "mixup_alpha",
            "mixstyle_alpha",
        )
        not_negative = ("warmup_steps", "halve_from_epoch", "weight_decay", "gain_db", "frequency_mask", "time_mask")
        for name in (*positive, *not_negative):
            value = getattr(self, name)
            if value < 0 or (value == 0 and name in positive):
                raise ValueError(f"Expected {name} {'above' if name in positive else 'of at least'} 0, got {value}.")
        for name in ("mixup_rate", "mixstyle_rate", "adam_beta1", "adam_beta2"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"Expected {name} from 0 to 1, got {getattr(self, name)}.")

    def learning_rate_factor(self, step: int, steps_per_epoch: int) -> float:
        """The share of the peak rate at a step, counted from 0.

        Linear warm-up per step (the original moves it every 50 steps; the end point is the same), and half the rate
        from epoch `halve_from_epoch` + 1 on, half of that `halve_every` epochs later, and so on.
        """
        epoch = step // steps_per_epoch + 1
        halvings = max(0, 1 + (epoch - self.halve_from_epoch - 1) // self.halve_every)
        warmup = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        return warmup * 0.5**halvings


# PSLA's settings scaled to 320 five-second clips: EfficientNet-Lite0, whose ImageNet weights are on PyPI; masks that
# cover the same share of the shorter clip; a warm-up and a decay that fit into a few minutes on two CPU cores.
# To be measured against, in accuracy over the five folds: humans 95.7 %, a random forest 72.7 % (Piczak, ACM MM 2015);
# ImageNet-pretrained CNNs about 97 % (ESResNet).
ESC10 = Recipe(
    backbone="tf_efficientnet_lite0",
    first_convolution="sum",
    batch_norm_momentum=0.1,
    max_length=512,
    epochs=20,
    batch_size=16,
    learning_rate=1e-3,
    warmup_steps=40,
    halve_from_epoch=10,
    halve_every=2,
    time_mask=96,
    average_last=8,
)

# Half a minute's training on one-second synthetic scenes, for `make demo`: small batches, so that there are some steps.
SCENES = replace(
    ESC10,
    max_length=96,
    epochs=4,
    batch_size=8,
    warmup_steps=20,
    halve_from_epoch=2,
    halve_every=1,
    frequency_mask=16,
    time_mask=16,
    average_last=2,
)

# The models of Table XIII, and its numbers of parameters in millions, at 527 classes.
PAPER_ARCHITECTURES: dict[str, tuple[dict, float]] = {
    "MobileNetV2, fully connected": ({"backbone": "mobilenetv2_100", "pooling": "linear"}, 2.90),
    "EfficientNet-B0, 1 head": ({"backbone": "tf_efficientnet_b0", "num_attention_heads": 1}, 5.36),
    "EfficientNet-B2, mean pooling": ({"backbone": "tf_efficientnet_b2", "pooling": "mean"}, 8.44),
    "EfficientNet-B2, 1 head": ({"backbone": "tf_efficientnet_b2", "num_attention_heads": 1}, 9.19),
    "EfficientNet-B2, 4 heads": ({"backbone": "tf_efficientnet_b2", "num_attention_heads": 4}, 13.64),
    "ResNet-50, 1 head": ({"backbone": "resnet50", "num_attention_heads": 1}, 25.66),
}

RECIPES: dict[str, Recipe] = {"esc10": ESC10, "scenes": SCENES}


def get_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        ValueError: There is none; the message lists those there are.
    """
    if name not in RECIPES:
        raise ValueError(f"There is no recipe {name!r}. Recipes: {', '.join(sorted(RECIPES))}.")
    return RECIPES[name]
