"""Recipes: all settings of a run as data, with the published figures they are measured against. Knows no data sets."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any, Literal

from psla_hf.loading.augmentation import Augmentation
from psla_hf.settings import check, setting

__all__ = [
    "ESC10",
    "LAST_EPOCHS",
    "PAPER_ARCHITECTURES",
    "RECIPES",
    "TARGETS",
    "VARIANTS",
    "Recipe",
    "Target",
    "check_used",
    "get_recipe",
]


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
    adam_beta1: float = setting(0.95, "Adam's first decay; SGD's momentum", at_least=0, at_most=1)
    adam_beta2: float = setting(0.999, "Adam's second decay", at_least=0, at_most=1)
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


ENHANCED = "The paper trains on labels enhanced with the mean as threshold."

ORIGINAL = "The paper trains on the original labels."

NOT_ENHANCED = "Only the labels differ: train the recipe itself on the original labels."

# PSLA on AudioSet's balanced training set, at most 22,160 clips of 10 s (the paper has 20,785), 527 classes.
# The paper's settings: no balanced sampling, since the set is balanced; labels enhanced with the mean as threshold.
# Costs 60 epochs x 20,785 clips = 1.2 million clips.
# The paper's figures of aggregation stand without the number of their table where it is not certain, here and below.
# psla train --recipe audioset_balanced --data-dir DIR --output-dir OUT
AUDIOSET_BALANCED = Recipe().replace(
    dataset="audioset_balanced",
    balanced_sampling=False,
    target=Target(
        "mAP",
        {
            "single": 0.3162,
            "averaged": 0.3192,
            "ensemble": 0.3280,
            "three_seeds": 0.3446,
            "best_five": 0.3527,
            "all_settings": 0.3620,
            "plain": 0.1570,
        },
        "PSLA; ensemble in Tables XII and XIII, plain in Table XIII",
        f"{ENHANCED} All settings are 20 runs.",
    ),
)

# PSLA on all of AudioSet, at most 2,063,949 training clips (the paper has 1,953,082). The paper's settings; the labels
# are the original ones, as enhanced ones do not help on the evaluation set.
# Costs 30 epochs x 1,953,082 draws = 59 million clips.
# psla train --recipe audioset_full --data-dir DIR --output-dir OUT
AUDIOSET_FULL = Recipe().replace(
    dataset="audioset_full",
    learning_rate=1e-4,
    epochs=30,
    halve_from_epoch=10,
    average_last=15,
    target=Target(
        "mAP",
        {
            "single": 0.4397,
            "averaged": 0.4435,
            "ensemble": 0.4518,
            "three_seeds": 0.4641,
            "best_five": 0.4690,
            "all_settings": 0.4744,
            "plain": 0.3723,
        },
        "PSLA; ensemble in Tables XII and XIII, averaged and plain in Table XIII",
        f"{ORIGINAL} All settings are 10 runs.",
    ),
)

# PSLA on FSD50K: 36,796 clips of 0.3 to 30 s to train on (37,134 in the paper), 4,170 to validate, 10,231 to test on,
# 200 classes. The paper's settings; labels enhanced with the mean as threshold.
# Costs 40 epochs x 37,134 draws = 1.5 million clips of 30 s, three times as long as AudioSet's.
# psla train --recipe fsd50k --data-dir DIR --output-dir OUT
FSD50K = Recipe().replace(
    dataset="fsd50k",
    max_length=3000,
    batch_size=24,
    learning_rate=5e-4,
    epochs=40,
    halve_from_epoch=10,
    average_last=20,
    report="best_on_validation",
    target=Target(
        "mAP", {"single": 0.5535, "averaged": 0.5571, "ensemble": 0.5671}, "PSLA; ensemble in Table XIV", ENHANCED
    ),
)


def esc_target(humans: float, random_forest: float, imagenet_cnn: float) -> Target:
    """Figures of others on ESC; PSLA has none."""
    figures = {"humans": humans, "random_forest": random_forest, "imagenet_cnn": imagenet_cnn}
    source = "Piczak, ACM MM 2015; the CNN is ESResNet"
    return Target("accuracy", figures, source, "Over the five folds; not from PSLA.")


# PSLA's settings scaled to 320 five-second clips: EfficientNet-Lite0, whose ImageNet weights are on PyPI; masks that
# cover the same share of the shorter clip; a warm-up and a decay that fit into a few minutes on two CPU cores.
# Costs 20 epochs x 320 draws = 6,400 clips for each of the five folds.
# psla train --recipe esc10 --data-dir DIR --fold 1 --output-dir OUT
ESC10 = Recipe().replace(
    dataset="esc",
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
    target=esc_target(humans=0.957, random_forest=0.727, imagenet_cnn=0.970),
)

# ESC-10's settings on five times as many clips, 1,600, and classes, 50: as many epochs, hence five times the updates,
# and a warm-up over the same share of them, the first two epochs. Not from the paper, and not tuned.
# Costs 20 epochs x 1,600 draws = 32,000 clips for each of the five folds.
# psla train --recipe esc50 --data-dir DIR --fold 1 --output-dir OUT
ESC50 = ESC10.replace(warmup_steps=200, target=esc_target(humans=0.813, random_forest=0.443, imagenet_cnn=0.915))

# Own data of up to some ten thousand clips: ESC-10's settings, of which `choices.choose_recipe` fits to the data what
# depends on their number and length.
# psla train FOLDER_OR_TABLE --output-dir OUT
OWN_SMALL = ESC10.replace(dataset=None, target=None)

# Own data of more clips: the paper's settings for all of AudioSet.
OWN_LARGE = AUDIOSET_FULL.replace(dataset=None, target=None)

# Half a minute's training on half-second synthetic scenes, for `make demo`: small batches, so that there are some
# steps; masks that do not hide a whole sound; one rate to the end, so that there is something to average.
# Costs 6 epochs x 312 draws = 1,872 scenes.
SCENES = ESC10.replace(
    dataset=None,
    max_length=48,
    epochs=6,
    batch_size=8,
    warmup_steps=20,
    halve_from_epoch=6,
    frequency_mask=8,
    time_mask=8,
    average_last=3,
    target=None,
)

RECIPES: dict[str, Recipe] = {
    "audioset_balanced": AUDIOSET_BALANCED,
    "audioset_full": AUDIOSET_FULL,
    "fsd50k": FSD50K,
    "esc50": ESC50,
    "esc10": ESC10,
    "own_small": OWN_SMALL,
    "own_large": OWN_LARGE,
    "scenes": SCENES,
}

# What a row of an ablation leaves out. Enhanced labels come with the data, so no setting leaves them out.
ABLATIONS: dict[str, dict[str, Any]] = {
    "no_pretraining": {"pretraining": "none"},
    "no_balanced_sampling": {"balanced_sampling": False},
    "no_masking": {"frequency_mask": 0, "time_mask": 0},
    "no_mixup": {"mixup_rate": 0.0},
}

# The other models of Table XIII. The tags name ImageNet weights like the paper's (timm's default for EfficientNets is
# pretrained on more): AutoAugment's, torchvision's for ResNet-50, and for MobileNetV2 the only ones that timm has.
MODELS: dict[str, dict[str, Any]] = {
    "mobilenetv2": {"backbone": "mobilenetv2_100.ra_in1k", "pooling": "linear"},
    "efficientnet_b0_1_head": {"backbone": "tf_efficientnet_b0.aa_in1k", "num_attention_heads": 1},
    "efficientnet_b2_mean": {"pooling": "mean"},
    "efficientnet_b2_1_head": {"num_attention_heads": 1},
    "resnet50_1_head": {"backbone": "resnet50.tv_in1k", "num_attention_heads": 1},
}

# All models of Table XIII as settings of `PslaConfig`, and their numbers of parameters in millions at 527 classes.
PAPER_ARCHITECTURES: dict[str, tuple[dict[str, Any], float]] = {
    "MobileNetV2, fully connected": (MODELS["mobilenetv2"], 2.90),
    "EfficientNet-B0, 1 head": (MODELS["efficientnet_b0_1_head"], 5.36),
    "EfficientNet-B2, mean pooling": (MODELS["efficientnet_b2_mean"], 8.44),
    "EfficientNet-B2, 1 head": (MODELS["efficientnet_b2_1_head"], 9.19),
    "EfficientNet-B2, 4 heads": ({"num_attention_heads": 4}, 13.64),
    "ResNet-50, 1 head": (MODELS["resnet50_1_head"], 25.66),
}


def ablated(ensemble: float, table: str, note: str) -> Target:
    """A row of an ablation, which are all measured by the checkpoint ensemble."""
    return Target("mAP", {"ensemble": ensemble}, f"PSLA, Table {table}", note)


def other_model(note: str, **figures: float) -> Target:
    """A row of the comparison of models."""
    return Target("mAP", figures, "PSLA, Table XIII", note)


# Students: as their recipe, and nine parts of the loss on the teacher's scores, one on the labels. The share is that of
# EfficientAT (Schmid, Koutini and Widmer, ICASSP 2023; the default of its ex_audioset.py), where one small network
# learned what an ensemble of transformers knows: mAP 0.471 on AudioSet with 4.9 million parameters.
# psla train --recipe audioset_full/distilled --teacher-scores DIR --data-dir DIR --output-dir OUT
DISTILLED: dict[str, dict[str, Any]] = {
    f"{name}/distilled": {"distillation_weight": 0.9} for name in ("audioset_full", "esc10")
}

# Figures of the rows of the paper's tables, by the recipe and what the row leaves out or which model it is of.
ROWS: dict[str, Target] = {
    "audioset_balanced/no_pretraining": ablated(0.2379, "XII", ENHANCED),
    "audioset_balanced/no_masking": ablated(0.3154, "XII", ENHANCED),
    "audioset_balanced/no_mixup": ablated(0.3181, "XII", ENHANCED),
    "audioset_balanced/no_label_enhancement": ablated(0.3229, "XII", NOT_ENHANCED),
    "audioset_balanced/mobilenetv2": other_model(ENHANCED, ensemble=0.2650, plain=0.1612),
    "audioset_balanced/efficientnet_b0_1_head": other_model(ENHANCED, ensemble=0.3350, plain=0.1529),
    "audioset_balanced/efficientnet_b2_mean": other_model(ENHANCED, ensemble=0.3317, plain=0.1903),
    "audioset_balanced/efficientnet_b2_1_head": other_model(ENHANCED, ensemble=0.3406, plain=0.1478),
    "audioset_balanced/resnet50_1_head": other_model(ENHANCED, ensemble=0.3180, plain=0.1635),
    "audioset_full/no_pretraining": ablated(0.4302, "XII", ORIGINAL),
    "audioset_full/no_balanced_sampling": ablated(0.3688, "XII", ORIGINAL),
    "audioset_full/no_masking": ablated(0.4430, "XII", ORIGINAL),
    "audioset_full/no_mixup": ablated(0.4493, "XII", ORIGINAL),
    "audioset_full/mobilenetv2": other_model(ORIGINAL, averaged=0.3940, ensemble=0.4058, plain=0.3032),
    "audioset_full/efficientnet_b0_1_head": other_model(ORIGINAL, averaged=0.4391, ensemble=0.4493, plain=0.3789),
    "audioset_full/efficientnet_b2_mean": other_model(ORIGINAL, averaged=0.4382, ensemble=0.4455, plain=0.3325),
    "audioset_full/efficientnet_b2_1_head": other_model(ORIGINAL, averaged=0.4414, ensemble=0.4556, plain=0.3818),
    "audioset_full/resnet50_1_head": other_model(ORIGINAL, averaged=0.4042, ensemble=0.4477, plain=0.3790),
    "fsd50k/no_pretraining": ablated(0.4524, "XIV", ENHANCED),
    "fsd50k/no_balanced_sampling": ablated(0.5626, "XIV", ENHANCED),
    "fsd50k/no_masking": ablated(0.5617, "XIV", ENHANCED),
    "fsd50k/no_mixup": ablated(0.5164, "XIV", ENHANCED),
    "fsd50k/no_label_enhancement": ablated(0.5583, "XIV", NOT_ENHANCED),
}

# All published figures: the recipes' and the rows'.
TARGETS: dict[str, Target] = {
    **{name: recipe.target for name, recipe in RECIPES.items() if recipe.target is not None},
    **ROWS,
}

# Every variant that the paper has a figure for, and how it differs from its recipe: `audioset_full/no_mixup`; and
# the students.
VARIANTS: dict[str, dict[str, Any]] = DISTILLED | {
    name: changes for name in ROWS for row, changes in (ABLATIONS | MODELS).items() if name.partition("/")[2] == row
}


def get_recipe(name: str) -> Recipe:
    """The recipe or the variant of that name, such as `audioset_full` or `audioset_full/no_mixup`.

    Raises:
        ValueError: There is none; the message lists those there are, or says how to come by what is no setting.
    """
    if name in RECIPES:
        return RECIPES[name]
    base = name.partition("/")[0]
    if name in VARIANTS:
        return RECIPES[base].replace(**VARIANTS[name], target=TARGETS.get(name, RECIPES[base].target))
    if name in TARGETS:
        raise ValueError(f"{name!r} has no settings of its own. {TARGETS[name].note} Recipe: {base}.")
    raise ValueError(
        f"There is no recipe {name!r}. Recipes: {', '.join(sorted(RECIPES))}. Variants: {', '.join(sorted(VARIANTS))}."
    )
