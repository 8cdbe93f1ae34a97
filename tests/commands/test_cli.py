"""Settings come from the recipe, then from a file, then from flags; what is no setting is refused."""

import sys
from dataclasses import dataclass

import pytest

from psla_hf.commands.arguments import parse_with_recipe, read_settings
from psla_hf.settings import setting
from psla_hf.training.recipes import get_recipe


@dataclass
class Run:
    """A script's own arguments."""

    recipe: str = setting("esc10", "which recipe")
    seed: int = setting(0, "seed")


@pytest.fixture
def parse(monkeypatch):
    def parse(*arguments: object):
        monkeypatch.setattr(sys, "argv", ["script", *map(str, arguments)])
        return parse_with_recipe(Run, "A script.")

    return parse


@pytest.fixture
def file(tmp_path):
    def write(content: str, name: str = "run.yaml"):
        (tmp_path / name).write_text(content, encoding="utf-8")
        return tmp_path / name

    return write


def test_a_flag_goes_before_the_file_and_the_file_before_the_recipe(parse, file):
    config = file("recipe: audioset_full\nepochs: 7\nlearning_rate: 3e-4\ntime_roll: yes\n")
    run, recipe = parse("--config", config, "--epochs", 2, "--seed", 5)
    assert run == Run("audioset_full", 5)
    assert recipe == get_recipe("audioset_full").replace(epochs=2, learning_rate=3e-4, time_roll=True)


def test_a_recipe_named_by_flag_goes_before_the_files(parse, file):
    run, recipe = parse("--config", file("recipe: audioset_full\nepochs: 7"), "--recipe", "fsd50k/no_mixup")
    assert run.recipe == "fsd50k/no_mixup"
    assert recipe == get_recipe("fsd50k").replace(mixup_rate=0.0, epochs=7)


def test_settings_that_only_fit_together_may_come_from_different_places(parse, file):
    _, recipe = parse("--config", file("gradient_accumulation: 3"), "--batch_size", 12)
    assert recipe.clips_per_step() == 4


@pytest.mark.parametrize(
    ("words", "need"),
    [
        (("--pooling", "mean", "--num_attention_heads", 2), "num_attention_heads 2 .*pooling attention"),
        (("--pretraining", "none", "--first_convolution", "random"), "first_convolution random .*pretraining"),
        (("--mixup_rate", 0, "--mixup_alpha", 3), "mixup_alpha 3.0 .*a mixup_rate"),
        (("--mixstyle_alpha", 0.1), "mixstyle_alpha 0.1 .*a mixstyle_rate"),
        (("--optimizer", "sgd", "--adam_beta2", 0.5), "adam_beta2 0.5 .*adam or adamw"),
    ],
    ids=lambda words: words[-2] if isinstance(words, tuple) else "",
)
def test_a_setting_without_effect_is_refused(parse, words, need):
    with pytest.raises(ValueError, match=need):
        parse(*words)


def test_without_a_word_the_recipe_is_the_scripts_default(parse):
    assert parse() == (Run(), get_recipe("esc10"))


def test_json_is_read_as_yaml_is(parse, file):
    text = '{"recipe": "esc50", "optimizer": "adamw", "channels_last": false}'
    assert parse("--config", file(text, "run.json"))[1] == get_recipe("esc50").replace(
        optimizer="adamw", channels_last=False
    )


@pytest.mark.parametrize(
    ("flags", "changes"),
    [
        (["--learning-rate", "0.5"], {"learning_rate": 0.5}),
        (["--learning_rate", "0.5"], {"learning_rate": 0.5}),
        (["--no_channels_last"], {"channels_last": False}),
        (["--no-balanced-sampling"], {"balanced_sampling": False}),
        (["--compile", "--sync_batch_norm"], {"compile": True, "sync_batch_norm": True}),
    ],
)
def test_flags_are_spelt_with_either_dash_and_switch_both_ways(parse, flags, changes):
    assert parse(*flags)[1] == get_recipe("esc10").replace(**changes)


def test_a_recipes_own_switch_holds_whatever_the_default_is(parse):
    assert parse("--recipe", "audioset_balanced")[1].input.balanced_sampling is False
    assert parse("--recipe", "audioset_balanced", "--balanced_sampling")[1].input.balanced_sampling is True


@pytest.mark.parametrize("flag", ["--epoch", "--learningrate", "--conf"])
def test_an_unknown_flag_is_refused_and_none_is_guessed(parse, flag):
    with pytest.raises(ValueError, match=flag):
        parse(flag, "3")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("learningrate: 1", "'learningrate' is no setting of a recipe. The nearest is 'learning_rate'"),
        ("seed: 1", "'seed' is no setting"),
        ("recipes: esc10", "The nearest is 'recipe'"),
        ("epochs: 2.5", "--epochs: invalid int value: '2.5'"),
        ("epochs: [1, 2]", r"a word, a number or a truth value as epochs, got \[1, 2\]"),
        ("backbone:", "as backbone, got None"),
        ("optimizer: lamb", "--optimizer: invalid choice: 'lamb'"),
        ("time_roll: often", "Truthy value expected: got often"),
        ("- epochs", "Expected a mapping of settings"),
        ("epochs: 1: 2", "Expected YAML or JSON"),
        ("", "Expected a mapping of settings"),
    ],
)
def test_what_is_no_setting_in_a_file_is_refused_by_name(file, content, said):
    path = file(content)
    with pytest.raises(ValueError, match=said) as caught:
        read_settings(path)
    assert path.name in str(caught.value)


def test_a_value_out_of_range_in_a_file_is_refused(parse, file):
    with pytest.raises(ValueError, match="Expected mixup_rate from 0 to 1, got 2"):
        parse("--config", file("mixup_rate: 2"))


def test_a_missing_file_is_named(parse, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.yaml"):
        parse("--config", tmp_path / "nowhere.yaml")
