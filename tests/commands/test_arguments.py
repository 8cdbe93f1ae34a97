"""Settings come from the recipe, then from a file, then from flags; what is no setting is refused by name."""

import pytest

from psla_hf.commands import main
from psla_hf.commands.arguments import spelled, with_flags
from psla_hf.commands.settings import given, read_settings, recipe_with
from psla_hf.commands.train import CONDUCT, Machine, Publishing
from psla_hf.training.recipes import get_recipe
from psla_hf.training.run.settings import RunSettings

NEEDED = ("--data-dir", "data", "--output-dir", "out")


@pytest.fixture
def parse():
    """The run's arguments and the recipe that a command line of `train` gives; errors as they are raised."""

    def parse(*words: object, needed: tuple[str, ...] = NEEDED):
        words = spelled(["train", *needed, *map(str, words)])
        main.WORDS.set(words)
        _, bound, _ = main.make_app(listing=False).parse_args(words, exit_on_error=False, print_error=False)
        arguments = {"conduct": RunSettings(**vars(bound.arguments.get("conduct", CONDUCT)))} | {
            name: value for name, value in bound.arguments.items() if name != "conduct"
        }
        return arguments, recipe_with(arguments["run"].recipe or "own_small", arguments.get("settings"))

    return parse


@pytest.fixture
def file(tmp_path):
    def write(content: str, name: str = "run.yaml"):
        (tmp_path / name).write_text(content, encoding="utf-8")
        return tmp_path / name

    return write


def test_a_flag_goes_before_the_file_and_the_file_before_the_recipe(parse, file):
    config = file("recipe: audioset_full\nepochs: 7\nlearning_rate: 3e-4\ntime_roll: yes\nseed: 5\nfold: 2")
    arguments, recipe = parse("--config", config, "--epochs", 2, "--fold", 3)
    assert (arguments["run"].recipe, arguments["conduct"].seed, arguments["data"].fold) == ("audioset_full", 5, 3)
    assert recipe == get_recipe("audioset_full").replace(epochs=2, learning_rate=3e-4, time_roll=True)


def test_a_recipe_named_by_flag_goes_before_the_files(parse, file):
    arguments, recipe = parse("--config", file("recipe: audioset_full\nepochs: 7"), "--recipe", "fsd50k/no_mixup")
    assert arguments["run"].recipe == "fsd50k/no_mixup"
    assert recipe == get_recipe("fsd50k").replace(mixup_rate=0.0, epochs=7)


def test_settings_that_only_fit_together_may_come_from_different_places(parse, file):
    _, recipe = parse("--config", file("gradient_accumulation: 3"), "--batch_size", 12)
    assert recipe.clips_per_step() == 4


def test_what_a_run_needs_may_come_from_the_file_too(parse, file):
    arguments, _ = parse("--config", file("data_dir: clips\noutput-dir: out\ncpu: true"), needed=())
    assert (arguments["data"].data_dir, arguments["run"].output_dir) == ("clips", "out")
    assert arguments["machine"] == Machine(cpu=True)


@pytest.mark.parametrize(
    ("words", "need"),
    [
        (("--pooling", "mean", "--num_attention_heads", 2), "num_attention_heads 2 .*pooling attention"),
        (("--pretraining", "none", "--first_convolution", "random"), "first_convolution random .*pretraining"),
        (("--mixup_rate", 0, "--mixup_alpha", 3), "mixup_alpha 3.0 .*a mixup_rate"),
        (("--mixstyle_alpha", 0.1), "mixstyle_alpha 0.1 .*a mixstyle_rate"),
        (("--optimizer", "sgd", "--adam_beta2", 0.5), "adam_beta2 0.5 .*adam or adamw"),
        (("--public",), "--public would have no effect: it needs --push-to-hub"),
        (("--tolerated_share", 0.5), "tolerated_share would have no effect: it needs on_error='redraw'"),
    ],
    ids=lambda words: words[-2] if isinstance(words, tuple) and len(words) > 1 else "",
)
def test_a_setting_without_effect_is_refused(parse, words, need):
    with pytest.raises(Exception, match=need):
        parse(*words)


def test_without_a_word_the_recipe_is_left_to_the_data(parse):
    arguments, recipe = parse()
    assert recipe == get_recipe("own_small") and (arguments["run"].recipe, arguments["conduct"].seed) == (None, 0)
    assert not {"settings", "machine", "publishing"} & set(arguments) and not Publishing().public


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("run.json", '{"recipe": "esc50", "optimizer": "adamw", "channels_last": false}'),
        ("run.yaml", "recipe: esc50\noptimizer: adamw\nchannels_last: no"),
        ("run.toml", 'recipe = "esc50"\noptimizer = "adamw"\nchannels_last = false'),
    ],
)
def test_a_file_is_yaml_json_or_toml(parse, file, name, text):
    recipe = parse("--config", file(text, name))[1]
    assert recipe == get_recipe("esc50").replace(optimizer="adamw", channels_last=False)


@pytest.mark.parametrize(
    ("flags", "changes"),
    [
        (["--learning-rate", "0.5"], {"learning_rate": 0.5}),
        (["--learning_rate", "0.5"], {"learning_rate": 0.5}),
        (["--learning_rate=0.5"], {"learning_rate": 0.5}),
        (["--learning-rate", "7", "--learning_rate", "0.5"], {"learning_rate": 0.5}),
        (["--no_channels_last"], {"channels_last": False}),
        (["--no-balanced-sampling"], {"balanced_sampling": False}),
        (["--balanced_sampling", "false"], {"balanced_sampling": False}),
        (["--balanced-sampling", "False", "--time_roll", "true"], {"balanced_sampling": False, "time_roll": True}),
        (["--balanced_sampling=0"], {"balanced_sampling": False}),
        (["--compile", "--sync_batch_norm"], {"compile": True, "sync_batch_norm": True}),
        (["--epochs", "1", "--compile", "1"], {"epochs": 1, "compile": True}),
    ],
    ids=" ".join,
)
def test_flags_are_spelt_with_either_dash_and_switch_both_ways(parse, flags, changes):
    assert parse(*flags)[1] == get_recipe("esc10").replace(**changes)


def test_every_setting_of_a_recipe_is_a_flag(parse):
    other = get_recipe("audioset_full")
    words = [word for name, value in other.settings().items() for word in (f"--{name}", value)]
    assert parse(*words)[1] == other


def test_a_recipes_own_switch_holds_whatever_the_default_is(parse):
    assert parse("--recipe", "audioset_balanced")[1].input.balanced_sampling is False
    assert parse("--recipe", "audioset_balanced", "--balanced_sampling")[1].input.balanced_sampling is True


@pytest.mark.parametrize(
    ("flag", "nearest"), [("--epoch", "--epochs"), ("--learningrate", "--learning-rate"), ("--conf", "--config")]
)
def test_an_unknown_flag_is_refused_and_none_is_guessed(parse, flag, nearest):
    with pytest.raises(Exception, match=f"{flag}.*Did you mean {nearest}"):
        parse(flag, "3")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("learningrate: 1", "'learningrate' is no setting. The nearest is 'learning_rate'"),
        ("recipes: esc10", "The nearest is 'recipe'"),
        ("epochs: 2.5", "--epochs.* a whole number, got '2.5'"),
        ("epochs: [1, 2]", r"a word, a number or a truth value as epochs, got \[1, 2\]"),
        ("backbone:", "as backbone, got None"),
        ("optimizer: lamb", '"lamb" for --optimizer from .*Choose from: "adam"'),
        ("time_roll: often", '--time-roll.*"often" into bool'),
        ("- epochs", "Expected a mapping of settings"),
        ("epochs: 1: 2", "Expected YAML, JSON or TOML"),
        ("", "Expected a mapping of settings"),
    ],
)
def test_what_is_no_setting_in_a_file_is_refused_by_name(parse, file, content, message):
    path = file(content)
    with pytest.raises(Exception, match=message) as caught:
        parse("--config", path)
    caught.value.verbose = False
    assert path.name in str(caught.value)


def test_a_value_out_of_range_in_a_file_is_refused(parse, file):
    with pytest.raises(ValueError, match="Expected mixup_rate from 0 to 1, got 2"):
        parse("--config", file("mixup_rate: 2"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.yaml"):
        read_settings(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["--debug", "tag", "a_b", "--top_k", "3"], ["tag", "a_b", "--top-k", "3", "--debug"]),
        (["tag", "-q", "a", "--", "--a_b"], ["tag", "a", "-q", "--", "--a_b"]),
        (["tag", "--device", "1"], ["tag", "--device", "1"]),
        (["aggregate", "average", "--greedy", "a"], ["aggregate", "average", "--greedy=validation", "a"]),
        (["aggregate", "average", "a", "--greedy", "test"], ["aggregate", "average", "a", "--greedy=test"]),
        (["train", "--labels=a_b"], ["train", "--labels=a_b"]),
    ],
    ids=lambda words: " ".join(words),
)
def test_only_what_is_spelt_otherwise_is_respelt(words, meant):
    assert spelled(words) == meant


@pytest.mark.parametrize(
    ("message", "flags", "line"),
    [
        ("Pass on_error='redraw'.", {"--on-error"}, "Pass on_error='redraw' (--on-error redraw)."),
        ("Or pass overwrite=True.", {"--overwrite"}, "Or pass overwrite=True (--overwrite)."),
        ("pass incomplete='drop'", {"--drop-incomplete"}, "pass incomplete='drop' (--drop-incomplete)"),
        ("pass incomplete='drop'", {"--drop-unreadable"}, "pass incomplete='drop' (--drop-unreadable)"),
        ("pass incomplete='drop'", {"--data-dir"}, "pass incomplete='drop'"),
        ("got 'a=b' of split=7", set(), "got 'a=b' of split=7"),
    ],
)
def test_the_flags_of_parameters_are_added(message, flags, line):
    assert with_flags(message, flags) == line


@pytest.mark.parametrize("words", [["--recipe=a", "--recipe", "b"], ["--recipe", "a", "--recipe=b"], ["--recipe=b"]])
def test_of_a_flag_that_is_given_again_the_last_value_counts(words):
    assert given(words, "--recipe") == "b" and given(words, "--config") is None
