"""A saved model is loaded whole, or refused with the damaged file's name: never with random weights."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForAudioClassification

from psla_hf import AudioTagger, PslaEnsembleForAudioClassification, PslaForAudioClassification, PslaModel
from tests.limits import limits

CONFIG, EXTRACTOR, WEIGHTS = "config.json", "preprocessor_config.json", "model.safetensors"
STEM, BIAS = "psla.backbone.conv_stem.weight", "pooling.scores.bias"


HUGE = b'{"a": {"dtype": "F32", "shape": [1000000000000], "data_offsets": [0, 4000000000000]}}'


def weights_changed(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def damage(file: Path) -> None:
        weights = load_file(file)
        change(weights)
        save_file(weights, file, {"format": "pt"})

    return damage


def settings_changed(**settings: object) -> Callable[[Path], None]:
    return lambda file: write(file, json.dumps(json.loads(file.read_text()) | settings))


def write(file: Path, content: str | bytes) -> None:
    file.write_bytes(content.encode() if isinstance(content, str) else content)


def cut_in_half(file: Path) -> None:
    write(file, file.read_bytes()[: file.stat().st_size // 2])


def flip_bytes(file: Path) -> None:
    content = file.read_bytes()
    write(file, content[:3] + bytes(byte ^ 0xFF for byte in content[3:12]) + content[12:])


DAMAGES = {
    "a weight missing": (WEIGHTS, weights_changed(lambda w: w.pop(STEM)), rf"1 missing \['{STEM}'\]"),
    "a statistic missing": (
        WEIGHTS,
        weights_changed(lambda w: w.pop("psla.backbone.bn1.running_mean")),
        r"1 missing \['psla.backbone.bn1.running_mean'\]",
    ),
    "a weight renamed": (
        WEIGHTS,
        weights_changed(lambda w: w.update({"pooling.cla.bias": w.pop(BIAS)})),
        rf"1 missing \['{BIAS}'\]; 1 left over \['pooling.cla.bias'\].*ignore_mismatched_sizes=True",
    ),
    "all weights renamed": (
        WEIGHTS,
        weights_changed(lambda w: [w.update({f"net.{name}": w.pop(name)}) for name in list(w)]),
        "missing .*left over",
    ),
    "a weight of another shape": (
        WEIGHTS,
        weights_changed(lambda w: w.update({BIAS: w[BIAS][:5].clone()})),
        rf"1 of another shape \['{BIAS}'\]",
    ),
    "weights with a header of 2^60 bytes": (
        WEIGHTS,
        lambda file: write(file, struct.pack("<Q", 2**60) + b"{}"),
        WEIGHTS,
    ),
    "weights of 4 TB": (WEIGHTS, lambda file: write(file, struct.pack("<Q", len(HUGE)) + HUGE), WEIGHTS),
    **{
        f"{file} {how}": (file, damage, file)
        for file in (WEIGHTS, CONFIG, EXTRACTOR)
        for how, damage in {
            "cut in half": cut_in_half,
            "with flipped bytes": flip_bytes,
            "empty": lambda file: write(file, b""),
            "missing": Path.unlink,
            "a list": lambda file: write(file, "[1, 2]"),
        }.items()
    },
    **{f"{file} null": (file, lambda file: write(file, "null"), "JSON object") for file in (CONFIG, EXTRACTOR)},
    "another model": (CONFIG, settings_changed(model_type="vit"), "model_type psla or psla_ensemble.*'vit'"),
    "a setting of another type": (CONFIG, settings_changed(num_attention_heads="four"), "num_attention_heads"),
    "a setting out of range": (CONFIG, settings_changed(num_mel_bins=3), "num_mel_bins"),
    "another extractor": (EXTRACTOR, settings_changed(feature_extractor_type="ASTFeatureExtractor"), "got 'AST"),
    "an extractor's setting of another type": (EXTRACTOR, settings_changed(std="wide"), EXTRACTOR),
    "an extractor that divides by nothing": (EXTRACTOR, settings_changed(std=0), EXTRACTOR),
    "an extractor of other bins": (EXTRACTOR, settings_changed(num_mel_bins=64), r"\[128\] mel bins .* makes 64"),
}


@pytest.mark.parametrize(("file", "damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_every_damaged_model_is_refused_in_one_line_with_the_file(saved_model, file, damage, message):
    damage(saved_model / file)
    with pytest.raises((ValueError, OSError), match=message) as refusal, limits():
        AudioTagger.from_pretrained(saved_model)
    said = str(refusal.value)
    assert str(saved_model) in said and file in said and "\n" not in said, said


@pytest.mark.parametrize("value", [float("nan"), 1e38])
def test_weights_that_give_no_numbers_are_no_fault_of_the_sound(saved_model, value):
    weights_changed(lambda w: w[STEM].fill_(value))(saved_model / WEIGHTS)
    with pytest.raises(ValueError, match=f"the weights of the model {saved_model} are damaged"):
        AudioTagger.from_pretrained(saved_model)(np.full(16000, 0.5), 16000)


@pytest.mark.parametrize("load", [PslaForAudioClassification, PslaModel, AutoModelForAudioClassification])
def test_no_class_loads_a_backbone_with_missing_weights(saved_model, load):
    weights_changed(lambda w: w.pop(STEM))(saved_model / WEIGHTS)
    for asked in ({}, {"num_labels": 5, "ignore_mismatched_sizes": True}):
        with pytest.raises(ValueError, match=r"1 missing \['(psla\.)?backbone.conv_stem.weight'\]"):
            load.from_pretrained(saved_model, **asked)


def test_a_backbone_alone_gets_a_head_only_where_one_is_asked_for(tiny_model, tmp_path):
    tiny_model.psla.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"5 missing \['pooling.*For a fresh head"):
        PslaForAudioClassification.from_pretrained(tmp_path)
    loaded = PslaForAudioClassification.from_pretrained(tmp_path, num_labels=7, ignore_mismatched_sizes=True)
    assert torch.equal(loaded.psla.backbone.conv_stem.weight, tiny_model.psla.backbone.conv_stem.weight)
    assert loaded(torch.zeros(1, 64, 128)).logits.isfinite().all()


def test_other_classes_without_a_word_of_a_fresh_head_are_refused(saved_model):
    with pytest.raises(ValueError, match=r"4 of another shape .*pooling.*For a fresh head"):
        PslaForAudioClassification.from_pretrained(saved_model, num_labels=5)


def test_a_sharded_model_with_a_shard_of_another_is_refused(tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path, max_shard_size="100KB")
    first, second, *_ = sorted(tmp_path.glob("*.safetensors"))
    write(first, second.read_bytes())
    with pytest.raises(ValueError, match=f"{first.name}.*missing"):
        PslaForAudioClassification.from_pretrained(tmp_path)


def test_an_ensemble_with_a_members_weight_missing_is_refused(tiny_model, tmp_path):
    PslaEnsembleForAudioClassification.from_members([tiny_model]).save_pretrained(tmp_path)
    weights_changed(lambda w: w.pop(f"members.0.{BIAS}"))(tmp_path / WEIGHTS)
    with pytest.raises(ValueError, match=r"1 missing \['members.0.pooling.scores.bias'\]"):
        PslaEnsembleForAudioClassification.from_pretrained(tmp_path)
