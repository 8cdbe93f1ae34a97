"""A file becomes tags; a long one is tagged window by window."""

import numpy as np
import pytest
import soundfile
import torch

from psla_hf import AudioTagger

RATE = 16000


@pytest.fixture
def tagger(saved_model) -> AudioTagger:
    return AudioTagger.from_pretrained(saved_model)


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(int(seconds * RATE))).astype(np.float32)


def test_a_file_is_tagged_by_falling_score(tagger, tmp_path):
    soundfile.write(tmp_path / "stereo.flac", np.stack([noise(0.5), noise(0.5, 1)], axis=1), 44100)
    tags = tagger(tmp_path / "stereo.flac", top_k=2)
    assert len(tags) == 2 and tags[0]["score"] >= tags[1]["score"]
    assert {tag["label"] for tag in tagger(tmp_path / "stereo.flac", top_k=None)} == {"dog", "rain", "rooster"}


def test_long_audio_is_covered_by_windows_and_the_highest_score_counts(tagger):
    audio = noise(2.5)
    scores = tagger.scores(audio, RATE)
    assert scores.shape == (3, 3)
    window = 400 + 97 * 160  # 98 frames, the model's max_length
    torch.testing.assert_close(scores[2], tagger.scores(audio[-window:], RATE)[0], rtol=0, atol=1e-5)
    best = max(tagger(audio, RATE), key=lambda tag: tag["score"])
    assert best["score"] == pytest.approx(float(scores.max()))


def test_a_waveform_is_resampled_to_the_models_rate(tagger):
    tone = np.sin(2 * np.pi * 440 * np.arange(int(0.9 * 48000)) / 48000).astype(np.float32)
    same = np.sin(2 * np.pi * 440 * np.arange(int(0.9 * RATE)) / RATE).astype(np.float32)
    torch.testing.assert_close(tagger.scores(tone, 48000), tagger.scores(same, RATE), rtol=0, atol=0.05)


def test_what_is_missing_is_said(tagger, tmp_path):
    with pytest.raises(ValueError, match="sampling_rate"):
        tagger(noise(1.0))
    with pytest.raises(FileNotFoundError, match="Expected a saved model"):
        AudioTagger.from_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no audio file .*gone\.wav"):
        tagger(tmp_path / "gone.wav")
