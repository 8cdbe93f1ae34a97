"""Recipes by name, the paper's and others, with the published figures they are measured against. Knows no data sets."""

from typing import Any

from .recipe import Recipe, Target

__all__ = ["ESC10", "PAPER_ARCHITECTURES", "RECIPES", "TARGETS", "VARIANTS", "get_recipe"]

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

# As their recipe, with clips of any loudness that begin anywhere, and twice as many updates of half as many clips. Not
# from the paper: the best of three settings that were tried on ESC-10, beside each fold by runs that did not hear it
# (studies/esc10_selection.py). For ESC-50 nothing was tried.
# psla train --recipe esc10/moved --data-dir DIR --fold 1 --output-dir OUT
MOVED: dict[str, dict[str, Any]] = {
    f"{name}/moved": {"gain_db": 12.0, "time_roll": True, "batch_size": 8, "warmup_steps": warmup_steps}
    for name, warmup_steps in (("esc10", 80), ("esc50", 400))
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
# those that are our own.
VARIANTS: dict[str, dict[str, Any]] = (
    DISTILLED
    | MOVED
    | {name: changes for name in ROWS for row, changes in (ABLATIONS | MODELS).items() if name.partition("/")[2] == row}
)


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
