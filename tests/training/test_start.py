"""A run that begins from a tagger keeps of it what fits, says what, and is as exact as any other."""

import signal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from psla_hf.data.foreign import as_clips
from psla_hf.labels.vocabulary import Vocabulary
from psla_hf.models.configuration_psla import PslaConfig
from psla_hf.models.feature_extraction_psla import PslaFeatureExtractor
from psla_hf.models.modeling_psla import PslaForAudioClassification
from psla_hf.training.build import arrange_model, build_model, build_optimizer
from psla_hf.training.origins import has_seen
from psla_hf.training.run.settings import RunSettings
from psla_hf.training.start import Start
from psla_hf.training.trainer import RunInterruptedError, Trainer
from tests.conftest import TINY_BACKBONE
from tests.training.test_training import RECIPE, scenes  # noqa: F401 - a fixture

CLASSES = ("Dog", "Sea waves", "/m/rooster", "Piano")
DATA = Vocabulary(("Rooster", "snow", "sea_waves", "Dog"), ("/m/rooster", "/m/1", "/m/2", "/m/3"))


def start_of(pooling="attention", heads=4, names=CLASSES, **settings) -> Start:
    torch.manual_seed(3)
    config = PslaConfig(
        backbone=TINY_BACKBONE,
        pooling=pooling,
        num_attention_heads=heads,
        id2label=dict(enumerate(names)),
        thresholds=[0.3] * len(names),
        **settings,
    )
    extractor = PslaFeatureExtractor(max_length=77, mean=-4.0, std=3.0)
    return Start("a tagger", PslaForAudioClassification(config).eval(), extractor)


@pytest.mark.parametrize(("pooling", "heads"), [("attention", 4), ("attention", 1), ("mean", 1), ("linear", 1)])
def test_backbone_pooling_and_the_head_of_classes_of_the_same_name_or_mid_are_kept(pooling, heads):
    start = start_of(pooling, heads)
    recipe = RECIPE.replace(**start.settings)
    model = start.build(recipe, DATA, seed=0)
    own, theirs = model.state_dict(), start.model.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in own.items() if name.startswith("psla."))
    x = torch.randn(2, 48, 128)
    with torch.no_grad():
        new, old = model.eval()(x).logits, start.model(x).logits
    torch.testing.assert_close(new[:, [0, 2, 3]], old[:, [2, 1, 0]])
    assert not torch.equal(new[:, 1], old[:, 3])
    assert model.config.label_names == list(DATA.names) and model.config.thresholds is None
    facts = start.facts(DATA)
    assert facts["classes_kept"] == ["Rooster", "sea_waves", "Dog"] and facts["classes_new"] == ["snow"]
    assert "the head of 3 of the 4 classes; 1 are new" in start.in_words(DATA)


def test_what_is_fresh_follows_from_the_seed():
    start = start_of()
    recipe = RECIPE.replace(**start.settings)
    first, again, other = (start.build(recipe, DATA, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(tensor, again[name]) for name, tensor in first.items())
    assert {name for name, tensor in first.items() if not torch.equal(tensor, other[name])} == {
        "pooling.attention.weight",
        "pooling.attention.bias",
        "pooling.scores.weight",
        "pooling.scores.bias",
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_attention_heads": 2}, "Expected num_attention_heads=4, as the model from which the run begins has it"),
        ({"pooling": "mean"}, "Expected pooling='attention'.*Leave pooling out"),
        ({"backbone": "test_resnet"}, "Expected backbone="),
        ({"sampling_rate": 32000}, "Expected sampling_rate=16000"),
        ({"pretraining": "wheel"}, "Expected pretraining='none'"),
    ],
)
def test_another_architecture_is_refused_with_the_way_out(change, said):
    start = start_of()
    with pytest.raises(ValueError, match=said):
        start.build(RECIPE.replace(**{**start.settings, **change}), DATA, seed=0)


def test_a_run_keeps_the_front_end_and_says_where_it_began(scenes, tmp_path, accelerator):  # noqa: F811
    start = start_of(names=as_clips(scenes[0]).vocabulary.names[:2])
    recipe = RECIPE.replace(**start.settings, epochs=1)
    results = Trainer(recipe, *scenes, tmp_path / "run", accelerator, RunSettings(), start=start).train()
    assert results["init_from"]["fingerprint"] == start.fingerprint and results["imagenet_weights"] is None
    extractor = PslaFeatureExtractor.from_pretrained(tmp_path / "run")
    assert (extractor.mean, extractor.std, extractor.max_length) == (-4.0, 3.0, recipe.input.max_length)
    again = Start.open(str(tmp_path / "run"), results)
    assert again.facts(as_clips(scenes[0]).vocabulary)["classes_new"] == []


def test_a_run_that_is_resumed_from_elsewhere_is_refused(scenes, tmp_path, accelerator):  # noqa: F811
    start = start_of()
    recipe = RECIPE.replace(**start.settings)
    trainer = Trainer(recipe, *scenes, tmp_path, accelerator, RunSettings(), start=start)
    with pytest.raises(RunInterruptedError):
        trainer.train(report=lambda row: signal.raise_signal(signal.SIGTERM))
    with torch.no_grad():
        next(start.model.parameters()).add_(1)
    del start.__dict__["fingerprint"]
    with pytest.raises(ValueError, match="init_from was"):
        Trainer(recipe, *scenes, tmp_path, accelerator, RunSettings(resume=True), start=start).train()


def test_a_frozen_backbone_stays_to_the_bit(scenes, tmp_path, accelerator):  # noqa: F811
    recipe = RECIPE.replace(freeze="backbone", epochs=1)
    before = build_model(recipe, list(as_clips(scenes[0]).vocabulary.names), 0).state_dict()
    Trainer(recipe, *scenes, tmp_path, accelerator, RunSettings()).train()
    after = load_file(tmp_path / "model.safetensors")
    changed = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert changed and all(name.startswith("pooling.") for name in changed)


def test_the_head_alone_learns_in_its_warm_up(scenes, tmp_path, accelerator):  # noqa: F811
    recipe = RECIPE.replace(epochs=2, head_warmup_epochs=1)
    Trainer(recipe, *scenes, tmp_path, accelerator, RunSettings(keep_epochs=True)).train()
    first, second = (load_file(tmp_path / "epochs" / name / "model.safetensors") for name in ("001", "002"))
    parameters = dict(
        build_model(recipe, list(as_clips(scenes[0]).vocabulary.names), 0).psla.named_parameters(prefix="psla")
    )
    assert all(torch.equal(parameter, first[name]) for name, parameter in parameters.items())
    assert all(not torch.equal(parameter, second[name]) for name, parameter in parameters.items())


def test_each_layer_learns_slower_than_the_one_above_it(accelerator):
    recipe = RECIPE.replace(layer_decay=0.5)
    model = arrange_model(build_model(recipe, ["a", "b"], 0), recipe, accelerator)
    groups = build_optimizer(recipe, model).param_groups
    assert [group["scale"] for group in groups][-2:] == [0.5, 1.0]
    assert np.allclose(np.diff(np.log2([group["scale"] for group in groups])), 1)
    [stem] = [
        group
        for group in groups
        if any(parameter is model.psla.backbone.conv_stem.weight for parameter in group["params"])
    ]
    assert stem is groups[0]
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    warmed = build_optimizer(RECIPE.replace(head_warmup_epochs=1), model).param_groups
    assert [(group["scale"], group["is_backbone"]) for group in warmed] == [(1.0, True), (1.0, False)]
    [plain] = build_optimizer(RECIPE, model).param_groups
    assert len(plain["params"]) == len(list(model.parameters()))


def test_what_the_start_was_trained_on_counts_as_seen():
    tested = {"dataset": "esc", "fold": 1, "parts": {}}
    first = {"data": {"dataset": "esc", "fold": 2, "parts": {}}}
    run = {"data": {"dataset": "esc", "fold": 1, "parts": {}}, "init_from": {"origin": first}}
    assert has_seen(tested, run) and not has_seen(tested, {**run, "init_from": None})
