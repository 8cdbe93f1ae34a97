"""All settings of a run as one value, in groups, each with its range, and what a target is. Knows no data sets."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any, Literal

from psla_hf.loading.augmentation import Augmentation
from psla_hf.settings import check, setting

__all__ = ["LAST_EPOCHS", "DistillationSettings", "Recipe", "Target", "check_used"]


@dataclass(frozen=True)
class Target:
    """Figures to reach on a data set's evaluation clips, and where they are printed.

    Of PSLA's figures, `single` is one model's (for AudioSet the mean of the last five epochs, for FSD50K the epoch best
    on the validation set), `averaged` that of the averaged weights, `ensemble` that of all epochs of one run,
    `three_seeds`, `best_five` and `all_settings` those of several runs, and `plain` the same model's without PSLA.

    Attributes:
        metric: `"mAP"` or `"accuracy"`.
        figures: By what was measured.
        source: Who printed them, and where if the place is certain.
        note: What else must be so for a fair comparison.
    """

    metric: str
    figures: Mapping[str, float]
    source: str
    note: str = ""

    def __str__(self) -> str:
        listed = ", ".join(f"{what.replace('_', ' ')} {figure:.4f}" for what, figure in self.figures.items())
        return f"{self.metric} {listed} ({self.source})." + (f" {self.note}" if self.note else "")


LAST_EPOCHS = 5  # the paper's single figure on AudioSet is the mean over so many


PSLA_AUGMENTATION = Augmentation(mixup_rate=0.5, frequency_mask=48, time_mask=192)


@dataclass(frozen=True)
class ModelSettings:
    """Architecture, initialisation, and how the model is laid out on a device."""

    backbone: str = setting("tf_efficientnet_b2.aa_in1k", "timm backbone, with or without a pretrained tag")
    pooling: Literal["attention", "mean", "linear"] = setting("attention", "how frames become a clip's scores")
    num_attention_heads: int = setting(4, "heads of the attention pooling", at_least=1)
    pretraining: Literal["auto", "wheel", "timm", "none"] = setting(
        "auto", "ImageNet weights: an installed PyPI wheel, timm's from the Hub, whichever there is, or none"
    )
    first_convolution: Literal["sum", "mean", "random"] = setting(
        "random", "how the pretrained first convolution's three input channels become one"
    )
    batch_norm_momentum: float = setting(
        0.01, "share of the new batch in the running statistics", at_least=0, at_most=1
    )
    freeze: Literal["none", "backbone"] = setting(
        "none", "what does not learn: nothing, or the backbone, its BatchNorm's statistics included"
    )
    compile: bool = setting(False, "compile the model with torch.compile")
    channels_last: bool = setting(True, "keep images with the channels last in memory, which is faster")
    sync_batch_norm: bool = setting(False, "BatchNorm over the clips of all processes instead of each one's own")

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class InputSettings:
    """Which clips make an update, and how much of each."""

    sampling_rate: int = setting(
        16000,
        "rate in Hz that clips are resampled to, such as 32000 for what lies above 8 kHz",
        at_least=8000,
        at_most=96000,
    )
    max_length: int = setting(
        1056, "frames per clip, 10 ms each: shorter clips are padded, longer ones windowed", at_least=1
    )
    balanced_sampling: bool = setting(True, "draw clips by the inverse frequency of their classes")
    batch_size: int = setting(
        100, "clips per update of the weights, all processes and accumulated steps together", at_least=1
    )
    gradient_accumulation: int = setting(
        1, "steps whose gradients are added before an update, to save memory", at_least=1
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class OptimizerSettings:
    """What makes updates of gradients."""

    optimizer: Literal["adam", "adamw", "sgd"] = setting("adam", "what makes updates of gradients")
    learning_rate: float = setting(1e-3, "peak rate, after the warm-up", above=0)
    weight_decay: float = setting(5e-7, "L2 weight decay; with adamw decoupled from the gradient", at_least=0)
    adam_beta1: float = setting(0.95, "Adam's first decay; SGD's momentum", at_least=0, below=1)
    adam_beta2: float = setting(0.999, "Adam's second decay", at_least=0, below=1)
    layer_decay: float = setting(
        1.0, "each of the backbone's layers learns at this share of the rate of the one above it", above=0, at_most=1
    )
    head_warmup_epochs: int = setting(0, "first epochs in which the head alone learns", at_least=0)
    gradient_clipping: float = setting(0.0, "largest norm of the gradients; 0 for no limit", at_least=0)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ScheduleSettings:
    """How long the run is, and its learning rate over the epochs."""

    epochs: int = setting(60, "passes over as many draws as there are training clips", at_least=1)
    warmup_steps: int = setting(1000, "updates over which the rate rises linearly from 0", at_least=0)
    halve_from_epoch: int = setting(35, "the last epoch at the full rate; the next begins at half of it", at_least=0)
    halve_every: int = setting(5, "epochs from one halving to the next", at_least=1)
    early_stopping: int = setting(
        0, "stop after so many epochs without a better mAP on the validation part; 0 for never", at_least=0
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class AggregationSettings:
    """What is made of the epochs."""

    average_last: int = setting(20, "weights are averaged over this many last epochs", at_least=1)
    batch_norm_of_average: Literal["average", "reestimate"] = setting(
        "average", "the averaged model's BatchNorm statistics: averaged too, as PSLA does, or measured anew on clips"
    )
    report: Literal["last5", "best_on_validation"] = setting(
        "last5", "the single model's figure: mean of the last five epochs, or of the epoch best on the validation set"
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class DistillationSettings:
    """How much is learned from a teacher's scores, beside the labels."""

    distillation_weight: float = setting(
        0.0, "share of the loss that is on a teacher's scores; the rest is on the labels", at_least=0, at_most=1
    )
    temperature: float = setting(1.0, "divides the teacher's and the student's logits in that share", above=0)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Recipe:
    """Every setting of a training run, in groups; the defaults are the paper's for balanced AudioSet, but the sampling.

    A setting's name is of one group only: a variant is a `recipe.replace(epochs=2, mixup_rate=0)`. What depends on the
    data or the machine is no setting of a recipe.

    Attributes:
        dataset: Key of the data set that it was made for, if of one; no setting, and not compared.
        target: Published figures to measure a run on those data against; likewise.

    Raises:
        ValueError: A setting is out of range.
    """

    model: ModelSettings = ModelSettings()
    input: InputSettings = InputSettings()
    augmentation: Augmentation = PSLA_AUGMENTATION
    optimizer: OptimizerSettings = OptimizerSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    aggregation: AggregationSettings = AggregationSettings()
    distillation: DistillationSettings = DistillationSettings()
    dataset: str | None = field(default=None, compare=False)
    target: Target | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        self.clips_per_step()  # refuses a batch that cannot be shared

    def groups(self) -> dict[str, dict[str, Any]]:
        """The settings by group, as plain data."""
        return {group.name: asdict(getattr(self, group.name)) for group in fields(self) if group.compare}

    def settings(self) -> dict[str, Any]:
        """All settings by name, whatever their group."""
        return {name: value for group in self.groups().values() for name, value in group.items()}

    def replace(self, **changes: Any) -> "Recipe":
        """The recipe with other values of some settings, or with another `dataset` or `target`.

        Raises:
            ValueError: One is no setting, or out of range.
        """
        changed = {name: changes.pop(name, getattr(self, name)) for name in ("dataset", "target")}
        for group, settings in self.groups().items():
            own = {name: changes.pop(name) for name in settings if name in changes}
            changed[group] = replace(getattr(self, group), **own)
        for name in changes:
            nearest = get_close_matches(name, self.settings(), n=1, cutoff=0)[0]
            raise ValueError(f"{name!r} is no setting of a recipe. The nearest is {nearest!r}.")
        return replace(self, **changed)

    @property
    def first_averaged_epoch(self) -> int:
        """The first epoch, counted from 1, whose weights are averaged."""
        return max(1, self.schedule.epochs - self.aggregation.average_last + 1)

    def clips_per_step(self, num_processes: int = 1) -> int:
        """How many clips one process takes in one step, so that an update has `batch_size` of them in all.

        Raises:
            ValueError: The batch cannot be shared equally.
        """
        shares = self.input.gradient_accumulation * num_processes
        if self.input.batch_size % shares:
            raise ValueError(
                f"Expected batch_size to be a multiple of gradient_accumulation times processes, {shares}, got "
                f"{self.input.batch_size}: every step of every process has equally many clips."
            )
        return self.input.batch_size // shares

    def learning_rate_factor(self, step: int, steps_per_epoch: int) -> float:
        """The share of the peak rate at an update, here called step, counted from 0.

        Linear warm-up per step (the original moves it every 50 steps; the end point is the same), and half the rate
        from epoch `halve_from_epoch` + 1 on, half of that `halve_every` epochs later, and so on.
        """
        schedule, epoch = self.schedule, step // steps_per_epoch + 1
        halvings = max(0, 1 + (epoch - schedule.halve_from_epoch - 1) // schedule.halve_every)
        warmup = min(1.0, (step + 1) / schedule.warmup_steps) if schedule.warmup_steps else 1.0
        return warmup * 0.5**halvings


# Settings that have an effect only where another one has a certain value.
USED_ONLY: dict[str, tuple[str, Callable[[Recipe], bool]]] = {
    "num_attention_heads": ("pooling attention", lambda recipe: recipe.model.pooling == "attention"),
    "first_convolution": ("pretraining", lambda recipe: recipe.model.pretraining != "none"),
    "mixup_alpha": ("a mixup_rate", lambda recipe: recipe.augmentation.mixup_rate > 0),
    "mixstyle_alpha": ("a mixstyle_rate", lambda recipe: recipe.augmentation.mixstyle_rate > 0),
    "temperature": ("a distillation_weight", lambda recipe: recipe.distillation.distillation_weight > 0),
    "layer_decay": ("a backbone that learns", lambda recipe: recipe.model.freeze == "none"),
    "head_warmup_epochs": ("a backbone that learns", lambda recipe: recipe.model.freeze == "none"),
    "batch_norm_of_average": ("a backbone that learns", lambda recipe: recipe.model.freeze == "none"),
    "adam_beta2": ("adam or adamw", lambda recipe: recipe.optimizer.optimizer != "sgd"),
}


def check_used(recipe: Recipe, base: Recipe) -> None:
    """Refuse settings that were changed from those of a base and have no effect.

    Raises:
        ValueError: There is one; the message says what it needs.
    """
    settings, before = recipe.settings(), base.settings()
    for name, (need, is_used) in USED_ONLY.items():
        if settings[name] != before[name] and not is_used(recipe):
            raise ValueError(f"{name} {settings[name]} would have no effect: it needs {need}. Leave it out.")
