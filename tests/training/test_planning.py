"""A plan's numbers are those of the run, and no setting leaves the plan as it was."""

import json
from dataclasses import asdict

import pytest
import torch

from psla_hf.loading.sampler import EpochSampler
from psla_hf.training.build import build_model, build_optimizer
from psla_hf.training.plan import Plan, activation_bytes, model_without_numbers
from psla_hf.training.recipe import Recipe
from psla_hf.training.recipes import TARGETS, get_recipe
from tests.conftest import TINY_BACKBONE

TINY = Recipe().replace(
    backbone=TINY_BACKBONE, pretraining="none", max_length=64, batch_size=8, warmup_steps=10, epochs=12
)
TINY = TINY.replace(halve_from_epoch=4, halve_every=2, average_last=5)
NUMBERS = {"num_train": 50, "num_test": 6, "num_classes": 3}

# Another value for each setting, and what in the plan it must change besides the settings themselves.
CHANGES = {
    "backbone": ("test_resnet", "memory"),
    "pooling": ("mean", "memory"),
    "num_attention_heads": (2, "memory"),
    "pretraining": ("timm", None),
    "first_convolution": ("sum", None),
    "batch_norm_momentum": (0.1, None),
    "sampling_rate": (32000, None),
    "max_length": (96, "memory"),
    "epochs": (13, "learning_rates"),
    "batch_size": (16, "updates_per_epoch"),
    "gradient_accumulation": (2, "memory"),
    "gradient_clipping": (1.0, None),
    "optimizer": ("sgd", "memory"),
    "learning_rate": (0.01, "learning_rates"),
    "warmup_steps": (20, "learning_rates"),
    "halve_from_epoch": (5, "learning_rates"),
    "halve_every": (3, "learning_rates"),
    "early_stopping": (2, None),
    "weight_decay": (0.0, None),
    "adam_beta1": (0.9, None),
    "adam_beta2": (0.99, None),
    "balanced_sampling": (False, None),
    "mixup_rate": (0.25, None),
    "mixup_alpha": (2.0, None),
    "gain_db": (3.0, None),
    "time_roll": (True, None),
    "mixstyle_rate": (0.5, None),
    "resampler_rate": (0.5, None),
    "mixstyle_alpha": (0.3, None),
    "frequency_mask": (0, None),
    "time_mask": (0, None),
    "average_last": (3, None),
    "batch_norm_of_average": ("reestimate", None),
    "report": ("best_on_validation", None),
    "compile": (True, None),
    "channels_last": (False, None),
    "sync_batch_norm": (True, None),
    "freeze": ("backbone", None),
    "layer_decay": (0.8, None),
    "head_warmup_epochs": (1, None),
    "distillation_weight": (0.5, None),
    "temperature": (2.0, None),
}


@pytest.fixture(scope="module")
def before():
    return Plan(TINY, **NUMBERS)


@pytest.mark.parametrize("name", Recipe().settings())
def test_every_setting_changes_the_plan(before, name):
    value, number = CHANGES[name]
    after = Plan(TINY.replace(**{name: value}), **NUMBERS)
    assert asdict(after) != asdict(before) and str(after) != str(before)
    if number is not None:
        assert getattr(after, number) != getattr(before, number)


def test_the_plan_of_full_audioset_has_the_papers_numbers():
    """1,953,082 clips in batches of 100, the rate's halvings, the epochs averaged, the parameters of Table XIII."""
    name = "audioset_full"
    made = Plan(get_recipe(name), num_train=1_953_082, num_test=20_371, num_classes=527, name=name)
    assert made.updates_per_epoch == 19_531
    assert made.learning_rates == pytest.approx([1e-4 / 2 ** max(0, (epoch - 6) // 5) for epoch in range(1, 31)])
    assert round(made.model.num_parameters() / 1e6, 2) == 13.64
    assert made.recipe.target == TARGETS[name]
    said = " ".join(str(made).split())
    assert "585,930: 19,531 an epoch, of 1,953,100 samples" in said
    assert "0.0001 at the end of epoch 10, 5e-05 at the end of epoch 15" in said
    assert "Averaged the weights of epochs 16 to 30" in said and "ensemble 0.4518" in said


def test_an_epoch_is_as_long_as_the_samplers(before):
    sampler = EpochSampler(NUMBERS["num_train"], seed=0, multiple_of=TINY.input.batch_size)
    assert len(sampler) == before.updates_per_epoch * TINY.input.batch_size


def test_the_rate_is_the_one_at_each_epochs_last_update(before):
    """Seven updates an epoch: the warm-up of ten ends in the second."""
    assert before.learning_rates[:3] == pytest.approx([0.7e-3, 1e-3, 1e-3])
    assert before.learning_rates[4] == before.learning_rates[5] == 0.5e-3


def test_accumulation_and_processes_share_the_batch_and_leave_the_updates(before):
    shared = Plan(TINY.replace(gradient_accumulation=2), **NUMBERS, num_processes=4)
    assert 8 * shared.memory["activations"] == before.memory["activations"]
    assert (shared.updates_per_epoch, shared.learning_rates) == (before.updates_per_epoch, before.learning_rates)
    with pytest.raises(ValueError, match="multiple of gradient_accumulation times processes, 3, got 8"):
        Plan(TINY, **NUMBERS, num_processes=3)


@pytest.mark.parametrize("backbone", [TINY_BACKBONE, "test_resnet"])
def test_activations_counted_without_numbers_are_those_on_a_cpu(backbone):
    recipe = TINY.replace(backbone=backbone)
    model = build_model(recipe, ["a", "b"], seed=0).train()
    assert activation_bytes(model_without_numbers(recipe, 2), 70) == activation_bytes(model, 70) > 0


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_parameters_gradients_and_optimizer_states_are_exact(optimizer):
    recipe = TINY.replace(optimizer=optimizer)
    model = build_model(recipe, ["a", "b", "c"], seed=0)
    made = build_optimizer(recipe, model)
    model(torch.randn(2, 64, 128), labels=torch.zeros(2, 3)).loss.backward()
    made.step()
    memory = Plan(recipe, **NUMBERS).memory
    assert memory["parameters"] == sum(parameter.nbytes for parameter in model.parameters())
    assert memory["gradients"] == sum(parameter.grad.nbytes for parameter in model.parameters())
    states = [value for state in made.state.values() for value in state.values() if value is not None]
    assert memory["optimizer_states"] == sum(value.nbytes for value in states)


def test_a_saved_model_has_the_planned_bytes(before, tmp_path):
    """But for safetensors' head, whose length its first eight bytes tell."""
    build_model(TINY, ["a", "b", "c"], seed=0).save_pretrained(tmp_path)
    content = (tmp_path / "model.safetensors").read_bytes()
    head = 8 + int.from_bytes(content[:8], "little")
    assert len(content) - head == before.files["model.safetensors"] == before.files["last_epoch/model.safetensors"]


def test_a_plan_is_plain_data_and_lists_what_is_worked_out_and_then_all_settings(before):
    json.dumps(asdict(before))
    titles = [line.split()[0] for line in str(before).splitlines() if not line.startswith(" ")]
    worked_out = ["Recipe", "Data", "Updates", "Rate", "Averaged", "Parameters", "Memory", "Files", "To"]
    assert titles == worked_out + [group.capitalize() for group in TINY.groups()]
    assert all(f"{name} {value}" in " ".join(str(before).split()) for name, value in TINY.settings().items())
    assert max(map(len, str(before).splitlines())) <= 120


def test_a_warm_up_longer_than_the_run_is_said(before):
    long = Plan(TINY.replace(warmup_steps=1000), **NUMBERS)
    assert "the warm-up does not end" in str(long) and "does not end" not in str(before)


def test_models_that_are_kept_are_planned_for(before):
    kept = Plan(TINY, **NUMBERS, keep_epochs=True).files
    assert kept[f"all {TINY.schedule.epochs} of epochs/"] == TINY.schedule.epochs * kept["model.safetensors"]
    assert not any("epochs/" in name for name in before.files)


def test_the_hours_of_the_data_are_in_the_plan_where_they_are_known(before):
    assert "(1.5 hours)" in str(Plan(TINY, **NUMBERS, train_hours=1.5)) and "hours)" not in str(before)


@pytest.mark.parametrize("name", ["num_train", "num_test", "num_classes", "num_processes"])
def test_impossible_numbers_are_refused(name):
    with pytest.raises(ValueError, match=f"Expected {name} of at least 1, got 0"):
        Plan(TINY, **NUMBERS | {name: 0})
