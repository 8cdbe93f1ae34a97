"""What a recipe says becomes objects that train, on one process or several."""

import pytest
import torch

from psla_hf.training.build import arrange_model, build_model, make_accelerator
from psla_hf.training.recipes import get_recipe
from tests.conftest import TINY_BACKBONE

RECIPE = get_recipe("scenes").replace(pretraining="none")


@pytest.mark.parametrize(("backbone", "unused"), [("test_convnext", 2), (TINY_BACKBONE, 0)])
def test_parameters_without_effect_are_frozen_and_nothing_else_happens(accelerator, backbone, unused):
    """Several processes would wait for the gradients of ConvNeXt's last normalisation, weight and bias, forever."""
    recipe = RECIPE.replace(backbone=backbone, channels_last=False)
    model = build_model(recipe, ["a", "b"], 0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    arrange_model(model.train(), recipe, accelerator)
    assert model.training
    assert sum(not parameter.requires_grad for parameter in model.parameters()) == unused
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    model(torch.randn(2, recipe.input.max_length, 128), labels=torch.ones(2, 2)).loss.backward()
    assert all((p.grad is not None) == p.requires_grad for p in model.parameters())


def test_a_tracker_that_is_not_there_is_an_error():
    with pytest.raises(ValueError, match="trackers that are installed, got swanlab"):
        make_accelerator(cpu=True, trackers=["swanlab"], project_dir="runs")
