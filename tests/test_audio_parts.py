"""A part of a file is what the whole has there, whatever the container, the rate and the place."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from psla_hf.audio import read_audio
from psla_hf.audio_files import only_part
from psla_hf.audio_parts import read_part

CONTAINERS = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "aiff": ("AIFF", "PCM_24"),
}


def encoded(samples: np.ndarray, rate: int, container: str) -> bytes:
    buffer, (format, subtype) = io.BytesIO(), CONTAINERS[container]
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    with soundfile.SoundFile(buffer, "w", rate, channels, format=format, subtype=subtype) as file:
        for start in range(0, len(samples), 8000):  # libsndfile crashes on long pieces of Vorbis
            file.write(samples[start : start + 8000])
    return buffer.getvalue()


def noise(seconds: float, rate: int, channels: int = 1) -> np.ndarray:
    rng = np.random.default_rng(0)
    return 0.2 * rng.standard_normal((round(seconds * rate), channels)).squeeze()


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("rate", [16000, 48000, 24000])
def test_a_part_is_what_the_whole_has_there(container, rate, tmp_path):
    data = encoded(noise(6, rate, channels=2), rate, container)
    whole = read_audio(data, 16000)
    path = tmp_path / f"sound.{container}"
    path.write_bytes(data)
    for start, end in ((0.0, 0.5), (1.2345, 1.3), (2.0, 5.0), (5.9, 6.0), (3.3, None)):
        wanted = whole[round(start * 16000) : None if end is None else round(end * 16000)]
        for source in (data, str(path), path, io.BytesIO(data)):
            part = read_part(source, 16000, start, end)
            assert len(part) == len(wanted)
            np.testing.assert_allclose(part, wanted, atol=2e-4)  # the resampler's filter fades out


@pytest.mark.parametrize("rate", [44100, 22051, 8000, 11025])
def test_rates_without_a_short_common_grid_are_met_too(rate):
    data = encoded(noise(5, rate), rate, "flac")
    whole = read_audio(data, 16000)
    np.testing.assert_allclose(read_part(data, 16000, 2.1, 3.4), whole[33600:54400], atol=2e-4)


def test_chained_and_joined_files_are_read_from_their_beginning():
    ogg, mp3 = (encoded(noise(2, 16000), 16000, kind) for kind in ("ogg", "mp3"))
    for joined in (ogg + ogg, mp3 + mp3):
        whole = read_audio(joined, 16000)
        np.testing.assert_allclose(read_part(joined, 16000, 2.5, 3.5), whole[40000:56000], atol=1e-5)


def test_a_wav_that_was_never_finished_is_sought_in(tmp_path):
    data = bytearray(encoded(noise(3, 16000), 16000, "wav"))
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    path = tmp_path / "recording.wav"
    path.write_bytes(data)
    assert only_part(path) is not None
    np.testing.assert_array_equal(read_part(path, 16000, 2.5), read_audio(bytes(data), 16000)[40000:])


def test_only_the_part_is_read(tmp_path, monkeypatch):
    path = tmp_path / "long.wav"
    path.write_bytes(encoded(noise(120, 16000), 16000, "wav"))
    only_part(path)
    read = []
    original = soundfile.SoundFile.read
    monkeypatch.setattr(
        soundfile.SoundFile, "read", lambda self, *a, **k: read.append(out := original(self, *a, **k)) or out
    )
    read_part(path, 16000, 100.0, 101.0)
    assert sum(map(len, read)) <= 1 << 17  # two blocks of two minutes' 1.9 million samples


@pytest.mark.parametrize("source", ["bytes", "path"])
def test_a_part_behind_the_end_is_refused_by_its_file(source, tmp_path):
    data = encoded(noise(1, 16000), 16000, "flac")
    path = Path(tmp_path / "short.flac")
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"Expected sound from 2 to 3 s in .*(short.flac|the audio bytes), it ends"):
        read_part(path if source == "path" else data, 16000, 2.0, 3.0)
    assert len(read_part(data, 16000, 0.5, 3.0)) == 8000  # what is there


def test_samples_that_are_no_sound_are_refused():
    samples = noise(2, 16000).astype(np.float32)
    samples[20000] = np.nan
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 16000, format="WAV", subtype="FLOAT")
    with pytest.raises(ValueError, match="finite"):
        read_part(buffer.getvalue(), 16000, 1.0, 2.0)
    assert len(read_part(buffer.getvalue(), 16000, 0.0, 0.5)) == 8000
