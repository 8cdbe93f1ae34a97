"""Audio classifiers of transformers teach as taggers of this package do, whatever their extractor and their rate."""

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import (
    ASTConfig,
    ASTFeatureExtractor,
    ASTForAudioClassification,
    AutoConfig,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForSequenceClassification,
    Wav2Vec2Model,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForAudioClassification,
)

from psla_hf.data.load import load_esc
from psla_hf.teachers.scoring import score_training_clips
from psla_hf.teachers.teacher import ClassifierTeacher, open_teacher

LABELS = {"id2label": {0: "Rain", 1: "Dog", 2: "Piano"}, "label2id": {"Rain": 0, "Dog": 1, "Piano": 2}}
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def ast(folder, frames=64, **settings):
    config = ASTConfig(**SMALL, **LABELS, max_length=frames, num_mel_bins=16, patch_size=8, **settings)
    ASTForAudioClassification(config).save_pretrained(folder)
    ASTFeatureExtractor(num_mel_bins=16, max_length=frames).save_pretrained(folder)


def wav2vec2(folder, **settings):
    config = Wav2Vec2Config(**SMALL, **LABELS, conv_dim=(8, 8), conv_kernel=(10, 8), conv_stride=(5, 4),
                            num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
                            classifier_proj_size=8, **settings)  # fmt: skip
    Wav2Vec2ForSequenceClassification(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(sampling_rate=8000, return_attention_mask=True).save_pretrained(folder)


def whisper(folder, **settings):
    config = WhisperConfig(**LABELS, d_model=16, encoder_layers=1, encoder_attention_heads=2, encoder_ffn_dim=16,
                           decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=16, num_mel_bins=16,
                           max_source_positions=50, classifier_proj_size=8, **settings)  # fmt: skip
    WhisperForAudioClassification(config).save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=16, chunk_length=1).save_pretrained(folder)


TEACHERS = {"ast": ast, "wav2vec2": wav2vec2, "whisper": whisper}


@pytest.fixture
def clips(esc_folder) -> Dataset:
    """Eight clips of half a second: dogs, rain and roosters."""
    return load_esc(esc_folder, 1, quiet=True)["train"].select(range(8))


@pytest.mark.parametrize("kind", TEACHERS)
@pytest.mark.parametrize("problem_type", ["multi_label_classification", "single_label_classification"])
def test_a_saved_classifier_scores_clips_at_its_own_rate(kind, problem_type, clips, tmp_path, accelerator):
    TEACHERS[kind](tmp_path / "model", problem_type=problem_type)
    teacher = open_teacher(str(tmp_path / "model"))
    rows = score_training_clips(teacher, clips, tmp_path / "scores", accelerator, batch_size=3)
    scores = rows[0:8].astype(np.float32)
    names = clips.features["labels"].feature.names
    known = [names.index(name) for name in ("dog", "rain")]
    assert np.isnan(scores[:, names.index("rooster")]).all()
    assert ((scores[:, known] > 0) & (scores[:, known] < 1)).all()
    assert (scores[:, known].sum(axis=1) < 1).all() or problem_type == "multi_label_classification"


def test_scores_are_what_the_extractor_and_the_model_say(clips, tmp_path, accelerator):
    ast(tmp_path / "model", problem_type="multi_label_classification")
    teacher = open_teacher(str(tmp_path / "model"))
    rows = score_training_clips(teacher, clips, tmp_path / "scores", accelerator, batch_size=1)
    from psla_hf.audio import read_audio

    waveform = read_audio(clips[0]["audio"]["path"], 16000)
    inputs = teacher.extractor(waveform, sampling_rate=16000, return_tensors="pt")
    with torch.no_grad():
        expected = teacher.model(**inputs).logits.sigmoid()[0, 1]
    dog = clips.features["labels"].feature.names.index("dog")
    assert rows[0:1][0, dog] == pytest.approx(expected.item(), rel=1e-3)


def test_of_a_clip_that_is_longer_than_a_teacher_hears_all_is_heard(clips, tmp_path, accelerator):
    """Half a second at 16 kHz, of 20 frames, 215 ms, at once: three windows."""
    ast(tmp_path / "model", frames=20, problem_type="multi_label_classification")
    teacher = open_teacher(str(tmp_path / "model"))
    assert teacher.window == 19 * 160 + 400
    heard = []
    hear = teacher.model.forward
    teacher.model.forward = lambda **inputs: heard.append(len(inputs["input_values"])) or hear(**inputs)
    score_training_clips(teacher, clips, tmp_path / "scores", accelerator)
    assert sum(heard) == 8 * 3
    assert open_teacher(str(tmp_path / "model"), window_seconds=0.1).window == 1600


def test_what_logits_are_is_never_guessed(tmp_path):
    ast(tmp_path / "model")
    with pytest.raises(ValueError, match=r"problem_type=None. Pass activation='sigmoid'"):
        open_teacher(str(tmp_path / "model"))
    teacher = open_teacher(str(tmp_path / "model"), activation="softmax")
    assert isinstance(teacher, ClassifierTeacher) and teacher.activation == "softmax"


def test_a_model_without_a_trained_head_is_refused(tmp_path):
    wav2vec2(tmp_path / "model", problem_type="multi_label_classification")
    config = AutoConfig.from_pretrained(tmp_path / "model")
    Wav2Vec2Model(config).save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match=r"weights in model, \d+ are missing, such as classifier.bias"):
        open_teacher(str(tmp_path / "model"))


def test_settings_of_foreign_teachers_are_refused_for_taggers(saved_model):
    with pytest.raises(ValueError, match="activation and window_seconds would have no effect"):
        open_teacher(str(saved_model), activation="softmax")


def test_code_that_a_model_brings_along_is_not_run_unasked(tmp_path):
    ast(tmp_path / "model", problem_type="multi_label_classification")
    config = tmp_path / "model" / "config.json"
    config.write_text(
        config.read_text().replace(
            '"model_type": "audio-spectrogram-transformer"',
            '"model_type": "foreign", "auto_map": {"AutoConfig": "code.Config"}',
        )
    )
    (tmp_path / "model" / "code.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(ValueError, match="trust_remote_code=True"):
        open_teacher(str(tmp_path / "model"))
