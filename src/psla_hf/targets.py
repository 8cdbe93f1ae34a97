"""Published figures to measure a run against, by the recipe's name, as data. Knows no settings and no results."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["TARGETS", "Target"]


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


ENHANCED = "The paper trains on labels enhanced with the mean as threshold."
ORIGINAL = "The paper trains on the original labels."
NOT_ENHANCED = "Only the labels differ: train the recipe itself on the original labels."


def ablated(ensemble: float, table: str, note: str) -> Target:
    """A row of an ablation, which are all measured by the checkpoint ensemble."""
    return Target("mAP", {"ensemble": ensemble}, f"PSLA, Table {table}", note)


def other_model(note: str, **figures: float) -> Target:
    """A row of the comparison of models."""
    return Target("mAP", figures, "PSLA, Table XIII", note)


# The paper's figures of aggregation stand without the number of their table where it is not certain.
TARGETS: dict[str, Target] = {
    "audioset_balanced": Target(
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
    "audioset_balanced/no_pretraining": ablated(0.2379, "XII", ENHANCED),
    "audioset_balanced/no_masking": ablated(0.3154, "XII", ENHANCED),
    "audioset_balanced/no_mixup": ablated(0.3181, "XII", ENHANCED),
    "audioset_balanced/no_label_enhancement": ablated(0.3229, "XII", NOT_ENHANCED),
    "audioset_balanced/mobilenetv2": other_model(ENHANCED, ensemble=0.2650, plain=0.1612),
    "audioset_balanced/efficientnet_b0_1_head": other_model(ENHANCED, ensemble=0.3350, plain=0.1529),
    "audioset_balanced/efficientnet_b2_mean": other_model(ENHANCED, ensemble=0.3317, plain=0.1903),
    "audioset_balanced/efficientnet_b2_1_head": other_model(ENHANCED, ensemble=0.3406, plain=0.1478),
    "audioset_balanced/resnet50_1_head": other_model(ENHANCED, ensemble=0.3180, plain=0.1635),
    "audioset_full": Target(
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
    "audioset_full/no_pretraining": ablated(0.4302, "XII", ORIGINAL),
    "audioset_full/no_balanced_sampling": ablated(0.3688, "XII", ORIGINAL),
    "audioset_full/no_masking": ablated(0.4430, "XII", ORIGINAL),
    "audioset_full/no_mixup": ablated(0.4493, "XII", ORIGINAL),
    "audioset_full/mobilenetv2": other_model(ORIGINAL, averaged=0.3940, ensemble=0.4058, plain=0.3032),
    "audioset_full/efficientnet_b0_1_head": other_model(ORIGINAL, averaged=0.4391, ensemble=0.4493, plain=0.3789),
    "audioset_full/efficientnet_b2_mean": other_model(ORIGINAL, averaged=0.4382, ensemble=0.4455, plain=0.3325),
    "audioset_full/efficientnet_b2_1_head": other_model(ORIGINAL, averaged=0.4414, ensemble=0.4556, plain=0.3818),
    "audioset_full/resnet50_1_head": other_model(ORIGINAL, averaged=0.4042, ensemble=0.4477, plain=0.3790),
    "fsd50k": Target(
        "mAP", {"single": 0.5535, "averaged": 0.5571, "ensemble": 0.5671}, "PSLA; ensemble in Table XIV", ENHANCED
    ),
    "fsd50k/no_pretraining": ablated(0.4524, "XIV", ENHANCED),
    "fsd50k/no_balanced_sampling": ablated(0.5626, "XIV", ENHANCED),
    "fsd50k/no_masking": ablated(0.5617, "XIV", ENHANCED),
    "fsd50k/no_mixup": ablated(0.5164, "XIV", ENHANCED),
    "fsd50k/no_label_enhancement": ablated(0.5583, "XIV", NOT_ENHANCED),
    "esc50": Target(
        "accuracy",
        {"humans": 0.813, "random_forest": 0.443, "imagenet_cnn": 0.915},
        "Piczak, ACM MM 2015; the CNN is ESResNet",
        "Over the five folds; not from PSLA.",
    ),
    "esc10": Target(
        "accuracy",
        {"humans": 0.957, "random_forest": 0.727, "imagenet_cnn": 0.970},
        "Piczak, ACM MM 2015; the CNN is ESResNet",
        "Over the five folds; not from PSLA.",
    ),
}
