"""Any readable file becomes the same mono waveform; what is not readable says so."""

import io
import struct
import sys

import numpy as np
import pytest
import soundfile

from psla_hf.audio import AUDIO_SUFFIXES, audio_seconds, is_cut_short, read_audio, to_mono_at_rate
from psla_hf.audio_files import name_and_parts
from psla_hf.containers import MpegAudio

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


def mp3_without_its_length(data: bytes) -> bytes:
    """As encoders of variable bit rate leave it that write into a pipe: the frame that tells the length is gone."""
    return data[MpegAudio(data).frames[0].start :]


def wav_never_finished(data: bytes) -> bytes:
    place = data.index(b"data") + 4
    return data[:place] + bytes(4) + data[place + 4 :]


NOISE = np.random.default_rng(0).normal(0, 0.1, 3 * 16000)
MP3, OGG, WAV = (encoded(NOISE, 16000, kind) for kind in ("MP3", "OGG", "WAV"))
MISSTATED = {
    "joined mp3": (MP3 + MP3, 6),
    "mp3 without its length": (mp3_without_its_length(MP3), 3),
    "mp3 behind junk": (bytes(5000) + MP3, 3),
    "mp3 behind a tag": (b"ID3\x04\x00\x00\x00\x00\x07\x76" + bytes(1014) + MP3, 3),
    "mp3 before a tag": (MP3 + b"TAG" + bytes(125), 3),
    "chained ogg": (OGG + OGG + OGG, 9),
    "unfinished wav": (wav_never_finished(WAV), 3),
}


def test_an_mp3_whose_decoder_gives_up_in_the_midst_is_noticed():
    data = mp3_without_its_length(MP3)
    torn = data[:2919] + data[3119:]
    seconds = len(read_audio(torn, 16000)) / 16000
    assert seconds < 1 < audio_seconds(torn) and is_cut_short(torn, seconds)


def test_a_header_that_points_before_the_file_prints_nothing(tmp_path, monkeypatch):
    printed: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", printed.append)
    data = encoded(NOISE, 16000, "AIFF")
    (tmp_path / "sound.aiff").write_bytes(data[:36] + b"\xff" * 4 + data[40:])
    for source in (tmp_path / "sound.aiff", (tmp_path / "sound.aiff").read_bytes()):
        with pytest.raises(ValueError, match=r"Could not decode|no samples"):
            read_audio(source, 16000)
    assert not printed


def test_an_unfinished_wav_of_more_than_four_gibibytes_is_read_to_its_end(tmp_path):
    """A day of recording in a sparse file, of which only the last sample is no silence."""
    frames = 3 * 2**30
    with (tmp_path / "day.wav").open("wb") as file:
        file.write(wav_never_finished(encoded(np.zeros(1), 16000, "WAV"))[:44])
        file.seek(44 + 2 * (frames - 1))
        file.write(struct.pack("<h", 1 << 14))
    assert audio_seconds(tmp_path / "day.wav") == frames / 16000
    _, [part] = name_and_parts(tmp_path / "day.wav")
    with part.open() as file, soundfile.SoundFile(file) as sound:
        sound.seek(frames - 2)
        assert sound.read().tolist() == [0, 0.5]


@pytest.mark.parametrize("case", MISSTATED)
def test_a_file_is_read_to_its_end_whatever_its_header_says(tmp_path, case):
    data, seconds = MISSTATED[case]
    (tmp_path / "sound.bin").write_bytes(data)
    for source in (data, tmp_path / "sound.bin"):
        samples = read_audio(source, 16000)
        assert len(samples) / 16000 == pytest.approx(seconds, abs=0.2)  # encoders pad
        assert audio_seconds(source) == pytest.approx(len(samples) / 16000, abs=0.1)
        assert samples.std() == pytest.approx(0.1, rel=0.1)
    assert not is_cut_short(data, len(samples) / 16000)


def test_mpeg_audio_of_other_layers_is_read_or_refused_and_no_crash():
    layer_two = bytearray(MP3)
    for frame in MpegAudio(MP3).frames:
        layer_two[frame.start + 1] = (layer_two[frame.start + 1] & 0xF9) | 0x04  # the bits of layer II
    for read in (audio_seconds, lambda data: read_audio(data, 16000)):
        try:
            read(bytes(layer_two))
        except ValueError as error:
            assert "audio" in str(error)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "AIFF", "AU", "CAF", "W64"])
def test_every_suffix_of_libsndfiles_is_one_that_is_looked_for(kind, tmp_path):
    path = tmp_path / f"sound.{kind.lower()}"
    path.write_bytes(encoded(NOISE, 16000, kind))
    assert path.suffix in AUDIO_SUFFIXES and len(read_audio(path, 16000)) == len(NOISE)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_samples_that_are_no_sound_are_refused_with_the_files_name(bad, tmp_path):
    samples = NOISE.astype(np.float32)
    samples[100] = bad
    soundfile.write(tmp_path / "bad.wav", samples, 16000, subtype="FLOAT")
    with pytest.raises(ValueError, match=r"finite samples.*bad\.wav"):
        read_audio(tmp_path / "bad.wav", 16000)


@pytest.mark.parametrize("rate", [1, 999, 2_000_000])
def test_rates_of_no_sound_are_refused_and_cost_no_memory(rate, tmp_path):
    soundfile.write(tmp_path / "rate.wav", NOISE, rate)
    for read in (audio_seconds, lambda path: read_audio(path, 16000)):
        with pytest.raises(ValueError, match="sampling rate from 1,000 to 1,000,000 Hz"):
            read(tmp_path / "rate.wav")


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("audio/ffmpeg_to_pipe.flac", 5.0),
        ("audio/joined.mp3", 10.1),
        ("audio/mp3_lead_zero.mp3", 5.0),
        ("audio/unfinalised_data0.wav", 5.0),
        ("audio/x.raw", "Could not decode"),
        ("hostile/huge1e30.wav", "finite samples"),
        ("hostile/fuzz-nan-scores.wav", "finite samples"),
        ("hostile/rate1-32kB.wav", "sampling rate"),
        ("hostile/flac-claims-2e36.flac", 1.0),
    ],
)
def test_inputs_that_went_wrong(shared, name, outcome):
    for source in (shared / "cases" / name, (shared / "cases" / name).read_bytes()):
        if isinstance(outcome, str):
            with pytest.raises(ValueError, match=outcome):
                read_audio(source, 16000)
        else:
            seconds = len(read_audio(source, 16000)) / 16000
            assert seconds == pytest.approx(outcome, abs=0.05)
            assert audio_seconds(source) == pytest.approx(seconds, abs=0.05)
