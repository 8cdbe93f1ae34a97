"""Made sounds of which none is one of ESC-10's: what a tagger of ten classes has to be silent about. Knows no models.

Thirteen kinds, each drawn anew: winds and roads, rumble, rustling, engines, melodies, birds, insects, blows, alarms,
voices, crowds, bubbles, and next to nothing. They stay away from what the ten classes sound like: no regular ticking,
no sparse crackling, no noise that beats as a rotor does.
"""

import io
from collections.abc import Callable

import numpy as np
import soundfile
from scipy.signal import butter, fftconvolve, sosfilt

from psla_hf.audio import read_audio

__all__ = ["KINDS", "foreign_sound", "room_tone", "through_vorbis"]


RATE = 44100  # as ESC-10's files: they are resampled on the same way

SECONDS = 5.0

FLOOR = (-5.0, -2.5)  # of the noise under a sound, as powers of ten of full scale

PEAK = (-1.5, 0.0)  # of a sound, likewise

Sound = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def foreign_sound(seed: tuple[int, ...], rate: int) -> np.ndarray:
    """One to three kinds of sounds at random levels, some in a room, some for a part of the time.

    Args:
        seed: Everything drawn is a function of it.
        rate: Of the samples in Hz.

    Returns:
        Float32 `[T]`, five seconds, once compressed by Vorbis as ESC-10's clips are.
    """
    rng = np.random.default_rng(seed)
    time = np.arange(round(SECONDS * RATE)) / RATE
    names = rng.choice(list(KINDS), size=rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1]), replace=False)
    heard = np.zeros(len(time))
    for name in names:
        sound = KINDS[name](time, rng)
        if rng.random() < 0.4:
            sound = in_a_room(sound, rng)
        if rng.random() < 0.25:  # ESC-10's short sounds are padded by silence: so are these
            start, length = rng.uniform(0, 0.5), rng.uniform(0.1, 0.5)
            sound = sound * ((time >= start * SECONDS) & (time < (start + length) * SECONDS))
        heard += 10 ** rng.uniform(*PEAK) * sound / max(1e-9, float(np.abs(sound).max()))
    if rng.random() < 0.6:
        heard += 10 ** rng.uniform(*FLOOR) * coloured(len(time), rng.uniform(0, 1), rng)
    return through_vorbis(heard, rate)


def room_tone(waveform: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray | None:
    """Five seconds of what a recording has between its sounds, made as loud as a recording; None where that is nothing.

    Args:
        waveform: Samples `[T]` of a clip with pauses.
        rate: In Hz.
        rng: Of the loudness.
    """
    piece, fade = rate // 2, rate // 20
    if len(waveform) < 2 * piece:
        return None
    pieces = waveform[: len(waveform) // piece * piece].reshape(-1, piece)
    levels = np.sqrt((pieces.astype(float) ** 2).mean(axis=1))
    quiet = [k for k in levels.argsort()[:3] if 1e-5 < levels[k] < 0.05 * levels.max()]
    if not quiet:
        return None
    tone, ramp = np.zeros(round(SECONDS * rate) + 2 * piece), np.linspace(0, 1, fade)
    for start in range(0, len(tone) - piece, piece - fade):  # laid over each other, so that no edge is heard
        part = pieces[rng.choice(quiet)].astype(float)
        part = part[:: rng.choice([-1, 1])] / max(1e-9, float(np.sqrt((part**2).mean())))
        part[:fade] *= ramp
        part[-fade:] *= ramp[::-1]
        tone[start : start + piece] += part
    tone = tone[: round(SECONDS * rate)]
    return (10 ** rng.uniform(-2.0, -0.3) * tone / np.abs(tone).max()).astype(np.float32)


def through_vorbis(sound: np.ndarray, rate: int) -> np.ndarray:
    """Samples as they come back from an Ogg Vorbis file at 44.1 kHz, resampled to `rate`."""
    buffer = io.BytesIO()
    soundfile.write(buffer, sound / max(1.0, np.abs(sound).max()), RATE, format="OGG", subtype="VORBIS")
    return read_audio(buffer.getvalue(), rate)


def coloured(size: int, exponent: float, rng: np.random.Generator) -> np.ndarray:
    """Noise whose amplitude falls with the frequency to this power, at a root mean square of 1."""
    spectrum = np.fft.rfft(rng.standard_normal(size))
    spectrum *= np.maximum(np.arange(len(spectrum)), 10) ** -exponent
    noise = np.fft.irfft(spectrum, size)
    return noise / np.sqrt((noise**2).mean())


def slow(time: np.ndarray, rng: np.random.Generator, hertz: float, low: float = 0.0) -> np.ndarray:
    """A curve between `low` and 1 that wanders so many times a second."""
    knots = np.sort(rng.uniform(0, time[-1], max(2, round(hertz * time[-1]))))
    return np.interp(time, knots, rng.uniform(low, 1, len(knots)))


def placed(time: np.ndarray, rng: np.random.Generator, each: Sound, per_second: float, seconds: float) -> np.ndarray:
    """Short sounds at irregular times, each drawn anew and of its own level."""
    out = np.zeros(len(time))
    for _ in range(max(1, rng.poisson(per_second * time[-1]))):
        part = time[: round(seconds * rng.uniform(0.5, 1.5) * RATE)]
        start = rng.integers(0, len(time) - len(part))
        out[start : start + len(part)] += rng.uniform(0.2, 1) * each(part, rng)
    return out


def in_a_room(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The sound and its echoes: noise that dies away."""
    decay = rng.uniform(0.1, 0.8)
    times = np.arange(round(decay * RATE)) / RATE
    response = rng.standard_normal(len(times)) * np.exp(-6.9 * times / decay)
    response[0] = 10 ** rng.uniform(0.5, 1.5)
    return fftconvolve(sound, response)[: len(sound)]


def band(sound: np.ndarray, rng: np.random.Generator, low: float, high: float) -> np.ndarray:
    """What of the sound lies in a random part of this band."""
    edges = np.sort(np.exp(rng.uniform(np.log(low), np.log(high), 2)))
    edges[1] = max(edges[1], 1.5 * edges[0])
    return sosfilt(butter(2, edges, "band", fs=RATE, output="sos"), sound)


def glide(pitch: np.ndarray, harmonics: int, rng: np.random.Generator) -> np.ndarray:
    """Harmonics on a moving pitch, with random strengths."""
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    tilt = rng.uniform(0.5, 2)
    return np.sum([rng.uniform(0.3, 1) / h**tilt * np.sin(h * phase) for h in range(1, harmonics + 1)], axis=0)


def wind(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Wind, a road, a fan: noise of any colour that swells slowly or not at all."""
    noise = coloured(len(time), rng.uniform(0, 1.5), rng)
    if rng.random() < 0.6:
        noise = band(noise, rng, 60, 9000)
    return noise * slow(time, rng, rng.uniform(0.2, 1.5), rng.uniform(0.1, 1))


def rumble(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A storm around a house, the inside of a cabin: gusts of low noise, with a little of everything above."""
    low = sosfilt(butter(2, rng.uniform(60, 600), "low", fs=RATE, output="sos"), rng.standard_normal(len(time)))
    gusts = slow(time, rng, rng.uniform(0.2, 3), rng.uniform(0.1, 1))
    return low / np.abs(low).max() * gusts + 10 ** rng.uniform(-3, -1) * coloured(len(time), 0.5, rng)


def rustle(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Steps in snow or gravel, leaves, paper: strokes of filtered noise that swell and fade."""
    low = rng.uniform(300, 3000)

    def stroke(part: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        grains = rng.standard_normal(len(part)) * (rng.random(len(part)) < rng.uniform(0.02, 1))
        return np.hanning(len(part)) * band(grains, rng, low, 9000)

    return placed(time, rng, stroke, rng.uniform(1, 6), rng.uniform(0.1, 0.6))


def engine(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A motor that hums: many harmonics of a pitch that drifts, and its noise."""
    pitch = rng.uniform(60, 400) * (1 + rng.uniform(0, 0.4) * slow(time, rng, rng.uniform(0.2, 1)))
    noise = rng.uniform(0, 1) * band(coloured(len(time), 0.5, rng), rng, 100, 4000)
    return glide(pitch, int(rng.integers(4, 20)), rng) + noise


def melody(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Notes of one made instrument, one after the other or together."""
    scale = 110 * 2 ** (rng.integers(0, 24) / 12) * 2 ** (np.array([0, 2, 4, 5, 7, 9, 11, 12, 14, 16]) / 12)
    harmonics, decay, attack = int(rng.integers(1, 12)), rng.uniform(0, 6), rng.uniform(0.003, 0.1)

    def note(part: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        shape = np.exp(-decay * part) * np.minimum(part / attack, 1) * np.minimum((part[-1] - part) / 0.03, 1)
        return shape * glide(np.full(len(part), rng.choice(scale)), harmonics, rng)

    return placed(time, rng, note, rng.uniform(2, 8), rng.uniform(0.2, 1.2))


def birds(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Chirps: short whistles that sweep, of one or two birds."""
    middle, span = rng.uniform(1800, 6000), rng.uniform(0.05, 0.4)

    def chirp(part: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        bend = np.sin(2 * np.pi * rng.uniform(0.3, 3) * part / part[-1] + rng.uniform(0, 6.28))
        return np.hanning(len(part)) * glide(middle * (1 + span * bend), int(rng.integers(1, 4)), rng)

    return placed(time, rng, chirp, rng.uniform(1, 8), rng.uniform(0.04, 0.3))


def insects(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A high tone that is switched on and off fast, or a buzz."""
    if rng.random() < 0.4:
        return glide(rng.uniform(120, 350) * (1 + 0.1 * slow(time, rng, 4)), 25, rng) * slow(time, rng, 2, 0.2)
    pulses = np.sin(2 * np.pi * rng.uniform(30, 80) * time) > rng.uniform(-0.5, 0.7)
    return np.sin(2 * np.pi * rng.uniform(2500, 7000) * time) * pulses * slow(time, rng, rng.uniform(0.5, 4))


def blows(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Knocks, steps, keys, dishes: resonances that are struck, at irregular times."""
    modes = np.exp(rng.uniform(np.log(80), np.log(6000), rng.integers(2, 8)))
    decay, hiss = rng.uniform(15, 120), rng.uniform(0, 1)

    def blow(part: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        ring = np.sum([rng.uniform(0.2, 1) * np.sin(2 * np.pi * mode * part) for mode in modes], axis=0)
        return np.exp(-decay * part) * (ring + hiss * rng.standard_normal(len(part)))

    return placed(time, rng, blow, rng.uniform(1.5, 10), 0.4)


def alarms(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Beeps, sirens and bells."""
    pitch = rng.uniform(500, 3000)
    kind = rng.integers(3)
    if kind == 0:
        beeps = np.sin(2 * np.pi * rng.uniform(1, 6) * time) > rng.uniform(-0.3, 0.5)
        return glide(np.full(len(time), pitch), int(rng.integers(1, 5)), rng) * beeps
    if kind == 1:
        return glide(pitch * (1 + 0.35 * np.sin(2 * np.pi * rng.uniform(0.2, 3) * time)), 4, rng)
    partials = pitch * np.sort(rng.uniform(0.3, 4, rng.integers(3, 8)))

    def strike(part: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.sum([np.exp(-part * p / 500) * np.sin(2 * np.pi * p * part) for p in partials], axis=0)

    return placed(time, rng, strike, rng.uniform(0.3, 2), 2.0)


def voices(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Talk without words, of one voice or of many: a low buzz through resonances that move with each syllable."""

    def voice(rng: np.random.Generator) -> np.ndarray:
        pitch = rng.uniform(80, 230) * (1 + 0.25 * (slow(time, rng, 3) - 0.5))
        buzz = glide(pitch, 30, rng) + 0.1 * rng.standard_normal(len(time))
        out = np.zeros(len(time))
        for middle in (rng.uniform(300, 800), rng.uniform(900, 2300), rng.uniform(2400, 3400)):
            out += band(buzz, rng, middle / 1.3, middle * 1.3) * slow(time, rng, rng.uniform(3, 7))
        return out * slow(time, rng, rng.uniform(1, 6))

    return np.sum([voice(rng) for _ in range(rng.choice([1, 1, 2, 5]))], axis=0)


def crowd(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Many voices that nobody can tell apart: noise in their band that flickers as syllables do."""
    layers = [band(rng.standard_normal(len(time)), rng, 150, 3500) * slow(time, rng, 5, 0.1) for _ in range(6)]
    return np.sum([layer / np.abs(layer).max() for layer in layers], axis=0) + rng.uniform(0, 1) * voices(time, rng)


def bubbles(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Drops, a brook, a kettle: short tones that rise as they die."""

    def bubble(part: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        base = np.exp(rng.uniform(np.log(300), np.log(3000)))
        return np.exp(-rng.uniform(15, 60) * part) * np.sin(2 * np.pi * base * (1 + rng.uniform(0, 4) * part) * part)

    return placed(time, rng, bubble, np.exp(rng.uniform(np.log(2), np.log(300))), 0.15)


def nothing(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Silence, an offset, or the mains' hum."""
    kind = rng.integers(3)
    if kind == 0:
        return np.zeros(len(time))
    if kind == 1:
        return np.full(len(time), rng.uniform(-1, 1))
    return glide(np.full(len(time), rng.choice([50.0, 60.0])), int(rng.integers(1, 12)), rng)


KINDS: dict[str, Sound] = {
    sound.__name__: sound
    for sound in (
        wind,
        rumble,
        rustle,
        engine,
        melody,
        birds,
        insects,
        blows,
        alarms,
        voices,
        crowd,
        bubbles,
        nothing,
    )
}
