"""Any readable file becomes the same mono waveform; what is not readable says so."""

import io

import numpy as np
import pytest
import soundfile

from psla_hf.audio import audio_seconds, is_cut_short, read_audio, to_mono_at_rate

TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(32000) / 16000)


def encoded(samples: np.ndarray, rate: int, kind: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_the_usual_formats_are_read(kind):
    waveform = read_audio(encoded(TONE, 16000, kind), 16000)
    assert waveform.dtype == np.float32
    assert len(waveform) == pytest.approx(32000, abs=2400)  # mp3 pads to whole frames
    assert np.abs(waveform).max() == pytest.approx(0.5, abs=0.05)


def test_channels_are_averaged_and_the_rate_is_converted():
    stereo = np.stack([TONE, np.zeros_like(TONE)], axis=1)
    waveform = to_mono_at_rate(stereo, 16000, 8000)
    assert waveform.shape == (16000,)
    np.testing.assert_allclose(waveform[1000:-1000], 0.5 * TONE[::2][1000:-1000], atol=1e-3)


def test_a_path_and_its_bytes_are_the_same(tmp_path):
    path = tmp_path / "tone.flac"
    path.write_bytes(encoded(TONE, 44100, "FLAC"))
    np.testing.assert_array_equal(read_audio(path, 16000), read_audio(path.read_bytes(), 16000))


def test_what_cannot_be_read_says_so(tmp_path):
    (tmp_path / "text.wav").write_text("not audio")
    with pytest.raises(ValueError, match=r"text\.wav as wav, flac, ogg or mp3"):
        read_audio(tmp_path / "text.wav", 16000)
    with pytest.raises(ValueError, match="no samples"):
        read_audio(encoded(np.zeros(0), 16000, "WAV"), 16000)
    with pytest.raises(FileNotFoundError, match=r"gone\.wav"):
        read_audio(tmp_path / "gone.wav", 16000)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_the_header_says_the_length(kind):
    assert audio_seconds(encoded(TONE, 16000, kind)) == pytest.approx(2, abs=0.15)
    with pytest.raises(ValueError, match="Could not decode"):
        audio_seconds(b"not audio")


@pytest.mark.parametrize("kind", ["WAV", "OGG", "MP3"])
def test_a_file_that_decodes_short_without_an_error_is_noticed(kind):
    noisy = TONE + np.random.default_rng(0).normal(0, 0.1, len(TONE))
    data = encoded(noisy, 16000, kind)
    assert not is_cut_short(data, len(read_audio(data, 16000)) / 16000)
    cut = data[: len(data) * 2 // 3]
    assert is_cut_short(cut, len(read_audio(cut, 16000)) / 16000)


def test_a_flac_file_that_is_cut_does_not_decode():
    data = encoded(TONE, 16000, "FLAC")
    with pytest.raises(ValueError, match="Could not decode"):
        read_audio(data[: len(data) * 2 // 3], 16000)
