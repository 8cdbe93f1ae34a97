"""A run learns, repeats itself to the bit, and leaves models that load."""

import json
from dataclasses import replace

import pytest
import torch
from datasets import Dataset
from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

from psla_hf.assembly import build_model
from psla_hf.recipes import get_recipe
from psla_hf.schema import targets_of, with_targets
from psla_hf.synthetic import make_scenes
from psla_hf.training import Trainer

from .conftest import TINY_BACKBONE

RECIPE = replace(
    get_recipe("scenes"), backbone=TINY_BACKBONE, pretraining="none", epochs=3, batch_size=8, warmup_steps=2
)


@pytest.fixture(scope="module")
def scenes():
    return make_scenes(24, seed=1)[0], make_scenes(20, seed=2)[0]


def run(recipe, scenes, path, accelerator, **options) -> dict:
    return Trainer(recipe, *scenes, path, accelerator, **options).train()


def test_a_run_leaves_models_that_load_and_results_that_say_how(scenes, tmp_path, accelerator):
    rows = []
    trainer = Trainer(RECIPE, *scenes, tmp_path / "run", accelerator, seed=3)
    results = trainer.train(report=rows.append)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()] == rows
    assert json.loads((tmp_path / "run" / "results.json").read_text()) == results
    assert results["seed"] == 3 and results["clips"] == {"train": 24, "test": 20}
    assert set(results["results"]) == {"single", "last_epoch", "averaged", "ensemble"}
    for path in (tmp_path / "run", tmp_path / "run" / "last_epoch"):
        model = AutoModelForAudioClassification.from_pretrained(path)
        assert not model.training
        assert model.config.id2label[0] == "tone"
        assert AutoFeatureExtractor.from_pretrained(path).max_length == RECIPE.max_length


@pytest.mark.parametrize("num_workers", [0, 2])
def test_the_same_seed_gives_the_same_bits_whatever_the_workers(scenes, tmp_path, accelerator, num_workers):
    first = run(RECIPE, scenes, tmp_path / "a", accelerator, seed=1)
    second = run(RECIPE, scenes, tmp_path / "b", accelerator, seed=1, num_workers=num_workers)
    assert first["results"] == second["results"]
    a, b = (AutoModelForAudioClassification.from_pretrained(tmp_path / name).state_dict() for name in "ab")
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_the_average_of_one_epoch_is_that_epoch_and_of_more_it_is_not(scenes, tmp_path, accelerator):
    one = run(replace(RECIPE, average_last=1), scenes, tmp_path / "one", accelerator)["results"]
    assert one["averaged"] == one["last_epoch"]
    two = run(replace(RECIPE, average_last=2), scenes, tmp_path / "two", accelerator)["results"]
    assert two["last_epoch"] == one["last_epoch"]
    assert two["averaged"] != two["last_epoch"]


def test_other_labels_train_another_model(scenes, tmp_path, accelerator):
    own = run(RECIPE, scenes, tmp_path / "own", accelerator)
    relabelled = with_targets(scenes[0], 1 - targets_of(scenes[0]))
    other = run(RECIPE, (relabelled, scenes[1]), tmp_path / "other", accelerator)
    assert own["epochs"][0]["loss"] != other["epochs"][0]["loss"]


def test_a_full_directory_is_refused_unless_it_may_be_overwritten(scenes, tmp_path, accelerator):
    (tmp_path / "precious.txt").write_text("x")
    with pytest.raises(FileExistsError, match="is not empty"):
        Trainer(RECIPE, *scenes, tmp_path, accelerator)
    assert Trainer(RECIPE, *scenes, tmp_path, accelerator, overwrite=True).output_dir == tmp_path


def test_what_a_broken_off_run_left_is_no_hindrance(scenes, tmp_path, accelerator):
    Trainer(RECIPE, *scenes, tmp_path / "run", accelerator)
    assert Trainer(RECIPE, *scenes, tmp_path / "run", accelerator)


def test_a_broken_clip_stops_a_run_unless_it_may_be_redrawn_and_then_it_is_counted(scenes, tmp_path, accelerator):
    rows = scenes[0].to_list()
    rows[5]["audio"]["bytes"] = b"not audio"
    broken = Dataset.from_list(rows, features=scenes[0].features)
    with pytest.raises(ValueError, match="Clip 'scene-1-00005'"):
        run(RECIPE, (broken, scenes[1]), tmp_path / "raise", accelerator)
    results = run(RECIPE, (broken, scenes[1]), tmp_path / "redraw", accelerator, on_error="redraw", tolerated_share=0.1)
    assert sum(row["redrawn"] for row in results["epochs"]) > 0
    assert {row["short"] for row in results["epochs"]} == {0}


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_clips(scenes, tmp_path, accelerator):
    trainer = Trainer(RECIPE, *scenes, tmp_path / "run", accelerator)
    with torch.no_grad():
        trainer.model.pooling.scores.weight.fill_(float("nan"))
    with pytest.raises(ValueError, match=r"loss is not finite in epoch 1, batch 1.*scene-1-"):
        trainer.train()


def test_initialisation_follows_from_the_seed_and_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    first, same, other = (build_model(RECIPE, ["a", "b"], seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    name = "psla.backbone.conv_stem.weight"
    assert torch.equal(first[name], same[name]) and not torch.equal(first[name], other[name])
