"""Recipes are checked data; the schedule has the paper's epochs."""

from dataclasses import replace

import pytest

from psla_hf.recipes import RECIPES, Recipe, get_recipe


def test_the_default_schedule_is_the_papers_for_balanced_audioset():
    """Full rate to epoch 35, half to 40, a quarter from 41, where averaging begins."""
    recipe = Recipe()
    rates = {epoch: recipe.learning_rate_factor((epoch - 1) * 208, 208) for epoch in (6, 35, 36, 40, 41, 46)}
    assert rates == {6: 1.0, 35: 1.0, 36: 0.5, 40: 0.5, 41: 0.25, 46: 0.125}
    assert recipe.epochs - recipe.average_last + 1 == 41


def test_the_rate_rises_linearly_and_ends_at_the_papers_step():
    recipe = Recipe()
    assert recipe.learning_rate_factor(0, 208) == pytest.approx(0.001)
    assert recipe.learning_rate_factor(499, 208) == pytest.approx(0.5)
    assert recipe.learning_rate_factor(999, 208) == recipe.learning_rate_factor(1500, 208) == 1.0
    assert replace(recipe, warmup_steps=0).learning_rate_factor(0, 208) == 1.0


def test_an_unknown_recipe_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=f"no recipe 'esc99'.*{sorted(RECIPES)[0]}"):
        get_recipe("esc99")


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"learning_rate": -1.0},
        {"mixup_rate": 1.5},
        {"time_mask": -1},
        {"batch_size": 0},
        {"mixstyle_rate": 2.0},
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(get_recipe("esc10"), **wrong)
