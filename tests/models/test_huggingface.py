"""A saved model's life in transformers: pipeline, Trainer, and remote code where this package is not installed."""

import copy
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from packaging.version import Version
from transformers import (
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForAudioClassification,
    AutoProcessor,
    Trainer,
    TrainingArguments,
    pipeline,
)

from psla_hf import AudioTagger, PslaEnsembleForAudioClassification, PslaFeatureExtractor
from tests.conftest import CODE_FILES

RATE = 16000
# transformers 5.20, the newest for Python 3.10, applies a softmax whatever the model's problem type; 5.23 looks at it.
OLD_PIPELINE = Version(transformers.__version__) < Version("5.23")
ASK_FOR_SIGMOID = {"function_to_apply": "sigmoid"} if OLD_PIPELINE else {}


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(int(seconds * RATE))).astype(np.float32)


@pytest.fixture
def tagger(saved_model):
    return pipeline("audio-classification", model=str(saved_model))


@pytest.fixture
def saved_ensemble(tiny_model, tmp_path) -> Path:
    """The tiny tagger and one with other numbers, as one model of one-second clips."""
    other = copy.deepcopy(tiny_model)
    other.pooling.scores.weight.data *= -2
    PslaEnsembleForAudioClassification.from_members([tiny_model, other]).save_pretrained(tmp_path / "ensemble")
    PslaFeatureExtractor(max_length=98).save_pretrained(tmp_path / "ensemble")
    return tmp_path / "ensemble"


def scores(tags: list[dict]) -> dict[str, float]:
    return {tag["label"]: tag["score"] for tag in tags}


@pytest.mark.parametrize("saved", ["saved_model", "saved_ensemble"])
def test_the_pipeline_gives_the_taggers_scores_independent_per_class(request, saved):
    folder = request.getfixturevalue(saved)
    tagger = pipeline("audio-classification", model=str(folder))
    expected = scores(AudioTagger.from_pretrained(folder)(noise(1.0), RATE))
    assert scores(tagger(noise(1.0), top_k=3, **ASK_FOR_SIGMOID)) == pytest.approx(expected, abs=1e-6)
    assert sum(expected.values()) != pytest.approx(1.0, abs=0.05)  # sigmoids, not a softmax


def test_top_k_counts_at_the_call_and_is_all_classes_without(tagger, saved_model):
    assert len(tagger(noise(1.0), top_k=2)) == 2
    assert len(tagger(noise(1.0))) == 3


def test_long_audio_is_cut_where_the_tagger_hears_all_of_it(tagger, saved_model):
    long = np.concatenate([noise(1.0), 5 * noise(4.0, 1)])
    window = 400 + 97 * RATE // 100  # 98 frames; the rest only shifts the mean
    assert scores(tagger(long)) == pytest.approx(scores(tagger(long[:window] - long.mean())), abs=1e-4)
    assert AudioTagger.from_pretrained(saved_model).scores(long, RATE).shape == (6, 3)


def test_a_model_put_into_eval_mode_keeps_its_batch_norm(tiny_model, tagger):
    before = {name: tensor.clone() for name, tensor in tiny_model.train().state_dict().items()}
    pipeline("audio-classification", model=tiny_model.eval(), feature_extractor=tagger.feature_extractor)(noise(1.0))
    assert all(torch.equal(tensor, before[name]) for name, tensor in tiny_model.state_dict().items())


def test_lists_batches_and_generators_are_the_same(tagger):
    clips = [noise(1.0, seed) for seed in range(3)]
    single = [scores(tagger(clip)) for clip in clips]
    for together in (tagger(clips), tagger(clips, batch_size=2), list(tagger(clip for clip in clips))):
        for tags, expected in zip(together, single, strict=True):
            assert scores(tags) == pytest.approx(expected, abs=1e-5)


def test_a_dict_with_its_rate_is_resampled(tagger):
    pytest.importorskip("torchaudio", exc_type=ImportError)  # what the pipeline resamples by
    tone = np.sin(2 * np.pi * 440 * np.arange(43200) / 48000).astype(np.float32)
    assert len(tagger({"raw": tone, "sampling_rate": 48000})) == 3


def test_integers_and_very_short_clips_are_mended_by_the_extractor(tagger):
    pcm = (noise(1.0) * 32768).astype(np.int16)
    assert scores(tagger(pcm)) == pytest.approx(scores(tagger(pcm.astype(np.float32) / 32768)), abs=1e-6)
    assert len(tagger(noise(0.01))) == 3


def test_a_torch_tensor_is_an_array(tagger):
    assert scores(tagger(torch.from_numpy(noise(1.0)))) == pytest.approx(scores(tagger(noise(1.0))), abs=1e-6)


def test_what_the_pipeline_itself_refuses_works_with_its_way_around(tagger, tmp_path):
    """It raises before the extractor sees the audio: the README has these ways."""
    stereo = np.stack([noise(1.0), noise(1.0)])
    with pytest.raises(ValueError, match="single channel"):
        tagger(stereo)
    for refused in (tmp_path / "sound.wav", noise(1.0).tolist()):
        with pytest.raises((TypeError, ValueError)):
            tagger(refused)
    assert scores(tagger(np.array(noise(1.0).tolist(), np.float32))) == scores(tagger(noise(1.0)))
    assert scores(tagger(stereo.mean(axis=0))) == pytest.approx(scores(tagger(noise(1.0))), abs=1e-5)
    assert len(tagger.feature_extractor([stereo], sampling_rate=RATE)["input_values"]) == 1


REMOTE = """
import sys
sys.modules["psla_hf"] = None  # as if it were not installed
import torch
from transformers import (
    AutoConfig, AutoFeatureExtractor, AutoModel, AutoModelForAudioClassification, AutoProcessor, pipeline
)

folder = sys.argv[1]
spectrogram = torch.linspace(-1, 1, 64 * 128).view(1, 64, 128)
config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
extractor = AutoFeatureExtractor.from_pretrained(folder, trust_remote_code=True)
processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
assert type(processor) is type(extractor) and processor.to_dict() == extractor.to_dict()
hidden = AutoModel.from_pretrained(folder, trust_remote_code=True)(spectrogram).last_hidden_state
model = AutoModelForAudioClassification.from_pretrained(folder, trust_remote_code=True)
model.save_pretrained(sys.argv[2])
extractor.save_pretrained(sys.argv[2])
tags = pipeline("audio-classification", model=sys.argv[2], trust_remote_code=True)(torch.zeros(16000).numpy() + 0.01)
assert not any(name.startswith("psla_hf.") for name in sys.modules)
torch.save({"names": config.label_names, "hidden": hidden, "logits": model(spectrogram).logits, "tags": len(tags),
            "max_length": extractor.max_length}, sys.argv[3])
"""


@pytest.mark.parametrize(
    ("saved", "files"),
    [("saved_model", CODE_FILES), ("saved_ensemble", CODE_FILES | {"modeling_psla_ensemble.py"})],
    ids=["single", "ensemble"],
)
def test_all_auto_classes_load_as_remote_code_and_save_again(request, saved, files, tmp_path):
    folder = request.getfixturevalue(saved)
    assert {path.name for path in folder.glob("*.py")} == files
    arguments = [folder, tmp_path / "again", tmp_path / "out.pt"]
    run = subprocess.run(
        [sys.executable, "-c", REMOTE, *arguments],
        env={**os.environ, "HF_MODULES_CACHE": str(tmp_path / "modules")},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr
    found = torch.load(tmp_path / "out.pt")
    spectrogram = torch.linspace(-1, 1, 64 * 128).view(1, 64, 128)
    model = AutoModelForAudioClassification.from_pretrained(folder)
    expected = model(spectrogram).logits
    torch.testing.assert_close(found["logits"], expected)
    torch.testing.assert_close(found["hidden"], AutoModel.from_pretrained(folder)(spectrogram).last_hidden_state)
    assert found["names"] == model.config.label_names
    assert (found["tags"], found["max_length"]) == (3, 98)
    assert {path.name for path in (tmp_path / "again").glob("*.py")} == files
    loaded = AutoModelForAudioClassification.from_pretrained(tmp_path / "again")  # and back, without trust
    assert type(loaded) is type(model)
    torch.testing.assert_close(loaded(spectrogram).logits, expected)


@pytest.mark.parametrize("saved", ["saved_model", "saved_ensemble"])
def test_auto_processor_is_the_extractor_without_a_question(request, saved, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda question: pytest.fail(question))
    extractor = AutoProcessor.from_pretrained(request.getfixturevalue(saved))
    assert isinstance(extractor, PslaFeatureExtractor) and extractor.max_length == 98


@pytest.mark.parametrize("with_mask", [False, True])
def test_trainer_pads_saves_and_brings_the_extractor_along(saved_model, tmp_path, with_mask):
    """As transformers' guides have it: clips of several lengths, collated by the extractor's own pad."""
    extractor = AutoFeatureExtractor.from_pretrained(saved_model, return_attention_mask=with_mask)
    model = AutoModelForAudioClassification.from_pretrained(
        saved_model, num_labels=4, problem_type="single_label_classification", ignore_mismatched_sizes=True
    )
    clips = []
    for k in range(4):
        features = extractor(noise(0.5 + 0.1 * k, k), sampling_rate=RATE, padding=False)
        clips.append({"input_values": features["input_values"][0], "labels": k})
    arguments = TrainingArguments(
        str(tmp_path / "run"), per_device_train_batch_size=2, max_steps=2, use_cpu=True, report_to=[], disable_tqdm=True
    )
    trainer = Trainer(model, arguments, train_dataset=clips, eval_dataset=clips, processing_class=extractor)
    assert np.isfinite(trainer.train().training_loss) and np.isfinite(trainer.evaluate()["eval_loss"])
    trainer.save_model(str(tmp_path / "run"))
    tagger = AudioTagger.from_pretrained(tmp_path / "run")
    assert len(tagger(noise(0.5), RATE)) == 4 and tagger.extractor.return_attention_mask == with_mask


def test_trainer_accumulates_to_the_gradient_of_one_large_batch(tiny_model, tmp_path):
    """Eight clips of the same sound and different labels: BatchNorm's statistics are then those of any part of them."""
    start = {name: tensor.clone() for name, tensor in tiny_model.state_dict().items()}
    spectrogram = torch.randn(64, 128, generator=torch.Generator().manual_seed(0))
    clips = [{"input_values": spectrogram, "labels": torch.eye(3)[k % 3] * 0.9} for k in range(8)]

    def step(batch_size: int, accumulate: int, path: Path) -> dict:
        tiny_model.load_state_dict(start)
        arguments = TrainingArguments(
            output_dir=str(path),
            per_device_train_batch_size=batch_size,
            gradient_accumulation_steps=accumulate,
            max_steps=1,
            learning_rate=0.1,
            optim="sgd",
            max_grad_norm=0.0,
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
        )
        Trainer(model=tiny_model, args=arguments, train_dataset=clips).train()
        return {name: tensor.clone() for name, tensor in tiny_model.named_parameters()}

    whole, parts = step(8, 1, tmp_path / "whole"), step(2, 4, tmp_path / "parts")
    assert any(not torch.equal(whole[name], start[name]) for name in whole)
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name], rtol=1e-4, atol=1e-5)
