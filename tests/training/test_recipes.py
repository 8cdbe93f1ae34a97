"""Recipes are checked data with the paper's figures; a variant differs from its recipe in its own fields alone."""

import subprocess
import sys

import pytest

from psla_hf.training.recipe import Recipe
from psla_hf.training.recipes import (
    ABLATIONS,
    DISTILLED,
    MODELS,
    MOVED,
    PAPER_ARCHITECTURES,
    RECIPES,
    TARGETS,
    VARIANTS,
    get_recipe,
)

OURS = DISTILLED | MOVED  # the paper has none of these

# What the paper's three data sets have in common.
COMMON = {
    "backbone": "tf_efficientnet_b2.aa_in1k",
    "pooling": "attention",
    "num_attention_heads": 4,
    "pretraining": "auto",
    "first_convolution": "random",
    "batch_norm_momentum": 0.01,
    "warmup_steps": 1000,
    "halve_every": 5,
    "mixup_rate": 0.5,
    "mixup_alpha": 10.0,
    "frequency_mask": 48,
    "time_mask": 192,
    "optimizer": "adam",
    "adam_beta1": 0.95,
    "adam_beta2": 0.999,
    "weight_decay": 5e-7,
    "gradient_clipping": 0.0,
    "gain_db": 0.0,
    "time_roll": False,
    "mixstyle_rate": 0.0,
    "batch_norm_of_average": "average",
}
OWN = {
    "audioset_balanced": {
        "max_length": 1056,
        "batch_size": 100,
        "learning_rate": 1e-3,
        "epochs": 60,
        "halve_from_epoch": 35,
        "first_averaged_epoch": 41,
        "balanced_sampling": False,
        "report": "last5",
    },
    "audioset_full": {
        "max_length": 1056,
        "batch_size": 100,
        "learning_rate": 1e-4,
        "epochs": 30,
        "halve_from_epoch": 10,
        "first_averaged_epoch": 16,
        "balanced_sampling": True,
        "report": "last5",
    },
    "fsd50k": {
        "max_length": 3000,
        "batch_size": 24,
        "learning_rate": 5e-4,
        "epochs": 40,
        "halve_from_epoch": 10,
        "first_averaged_epoch": 21,
        "balanced_sampling": True,
        "report": "best_on_validation",
    },
}


@pytest.mark.parametrize("name", OWN)
def test_a_recipe_has_the_papers_settings(name):
    recipe = get_recipe(name)
    settings = recipe.settings() | {"first_averaged_epoch": recipe.first_averaged_epoch}
    assert {setting: settings[setting] for setting in COMMON | OWN[name]} == COMMON | OWN[name]


def test_esc50_is_esc10_with_a_warm_up_over_the_same_share_of_the_updates():
    esc10, esc50 = get_recipe("esc10"), get_recipe("esc50")
    assert esc50.replace(warmup_steps=esc10.schedule.warmup_steps) == esc10
    assert esc50.schedule.warmup_steps / 1600 == esc10.schedule.warmup_steps / 320


def test_the_default_schedule_is_the_papers_for_balanced_audioset():
    """Full rate to epoch 35, half to 40, a quarter from 41, where averaging begins."""
    recipe = Recipe()
    rates = {epoch: recipe.learning_rate_factor((epoch - 1) * 208, 208) for epoch in (6, 35, 36, 40, 41, 46)}
    assert rates == {6: 1.0, 35: 1.0, 36: 0.5, 40: 0.5, 41: 0.25, 46: 0.125}
    assert recipe.first_averaged_epoch == 41
    assert recipe == get_recipe("audioset_balanced").replace(balanced_sampling=True)


def test_the_rate_rises_linearly_and_ends_at_the_papers_step():
    recipe = Recipe()
    assert recipe.learning_rate_factor(0, 208) == pytest.approx(0.001)
    assert recipe.learning_rate_factor(499, 208) == pytest.approx(0.5)
    assert recipe.learning_rate_factor(999, 208) == recipe.learning_rate_factor(1500, 208) == 1.0
    assert recipe.replace(warmup_steps=0).learning_rate_factor(0, 208) == 1.0


def test_a_short_run_is_averaged_from_its_first_epoch():
    assert Recipe().replace(epochs=3).first_averaged_epoch == 1


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_differs_from_its_recipe_in_exactly_its_rows_fields(name):
    base, _, row = name.partition("/")
    recipe, variant = RECIPES[base].settings(), get_recipe(name).settings()
    changed = {field: value for field, value in variant.items() if value != recipe[field]}
    assert changed == ((ABLATIONS | MODELS)[row] if name not in OURS else OURS[name])
    assert get_recipe(name).target == (RECIPES[base].target if name in OURS else TARGETS[name])


def test_every_row_of_the_papers_tables_is_a_variant_with_its_figure():
    audioset_full = {f"audioset_full/{row}" for row in (*ABLATIONS, *MODELS)}
    audioset_balanced = {
        f"audioset_balanced/{row}" for row in (*ABLATIONS, *MODELS) if row != "no_balanced_sampling"
    }  # nothing to leave out there
    assert set(VARIANTS) - set(OURS) == audioset_full | audioset_balanced | {f"fsd50k/{row}" for row in ABLATIONS}
    assert TARGETS["audioset_full/no_balanced_sampling"].figures == {"ensemble": 0.3688}
    assert TARGETS["fsd50k/no_mixup"].source == "PSLA, Table XIV"
    assert TARGETS["audioset_balanced/resnet50_1_head"].figures == {"ensemble": 0.3180, "plain": 0.1635}


def test_every_recipe_of_published_data_has_a_target():
    assert set(RECIPES) - set(TARGETS) == {"scenes", "own_small", "own_large"}
    assert {name.partition("/")[0] for name in TARGETS} <= set(RECIPES)


@pytest.mark.parametrize("name", ["audioset_balanced", "audioset_full", "fsd50k"])
def test_what_psla_leaves_out_or_aggregates_less_scores_lower(name):
    """As the paper's own figures do; a digit gone astray would show."""
    figures = TARGETS[name].figures
    assert figures["single"] < figures["averaged"] < figures["ensemble"]
    rows = [target for variant, target in TARGETS.items() if variant.startswith(f"{name}/no_")]
    assert all(target.figures["ensemble"] < figures["ensemble"] for target in rows)


def test_the_models_of_table_xiii_are_the_recipes_own_and_its_variants():
    own = {"num_attention_heads": 4}
    assert [changes for changes, _ in PAPER_ARCHITECTURES.values() if changes != own] == list(MODELS.values())
    assert Recipe().model.num_attention_heads == own["num_attention_heads"]


@pytest.mark.parametrize("name", ["esc99", "esc10/no_mixup", "audioset_full/", "fsd50k/resnet50_1_head"])
def test_an_unknown_recipe_is_refused_with_those_there_are(name):
    with pytest.raises(ValueError, match=f"no recipe '{name}'.*audioset_balanced, .*Variants: .*fsd50k/no_mixup"):
        get_recipe(name)


@pytest.mark.parametrize("base", ["audioset_balanced", "fsd50k"])
def test_a_row_that_is_no_setting_says_what_to_do(base):
    with pytest.raises(ValueError, match=f"on the original labels. Recipe: {base}"):
        get_recipe(f"{base}/no_label_enhancement")


def test_the_batch_is_shared_equally_or_refused():
    recipe = Recipe().replace(batch_size=96, gradient_accumulation=4)
    assert recipe.clips_per_step() == 24 and recipe.clips_per_step(num_processes=8) == 3
    with pytest.raises(ValueError, match="multiple of gradient_accumulation times processes, 20, got 96"):
        recipe.clips_per_step(num_processes=5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"adam_beta1": -0.1},
        {"adam_beta1": 1.0},
        {"adam_beta2": 1.0},
        {"num_attention_heads": 0},
        {"batch_norm_momentum": 1.1},
        {"mixup_alpha": 0},
        {"gain_db": -1.0},
        {"average_last": 0},
        {"learning_rate": -1.0},
        {"mixup_rate": 1.5},
        {"time_mask": -1},
        {"batch_size": 0},
        {"mixstyle_rate": 2.0},
        {"gradient_accumulation": 0},
        {"gradient_accumulation": 3},
        {"gradient_clipping": -1.0},
        {"optimizer": "lamb"},
        {"batch_norm_of_average": "none"},
        {"report": "best"},
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        get_recipe("esc10").replace(**wrong)


def test_a_settings_name_is_of_one_group_only():
    recipe = Recipe()
    names = [name for group in recipe.groups().values() for name in group]
    assert len(set(names)) == len(names) == len(recipe.settings())
    assert not set(names) & (set(recipe.groups()) - {"optimizer"})


def test_a_replacement_touches_what_it_names_in_whatever_group_and_keeps_the_target():
    recipe = get_recipe("esc10")
    other = recipe.replace(epochs=2, mixup_rate=0)
    assert other.settings() == recipe.settings() | {"epochs": 2, "mixup_rate": 0}
    assert other.target == recipe.target and recipe.replace(target=None).target is None
    with pytest.raises(ValueError, match=r"'epoch' is no setting of a recipe\. The nearest is 'epochs'"):
        recipe.replace(epoch=2)


def test_recipes_are_there_without_torch():
    """A command's help lists their settings, and is not to take seconds."""
    code = "import sys, psla_hf.training.recipes; print({'torch', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
