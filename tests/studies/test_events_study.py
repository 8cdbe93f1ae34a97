"""Scenes with events at known times: what is found exactly scores 1, whatever lies below it."""

import numpy as np
import pytest

from studies.events import RATE, audible, make_scenes, pink


def test_scenes_hold_their_events_and_nothing_else():
    sounds = [("dog", np.ones(RATE // 2)), ("rain", np.full(3 * RATE, 2.0))]
    quiet, noisy = (next(make_scenes(sounds, 1, seed=3, noise=noise)) for noise in (False, True))
    assert quiet.events == noisy.events and len(quiet.events) > 5
    heard = np.zeros(len(quiet.waveform))
    for event in quiet.events:
        heard[round(event.onset * RATE) : round(event.offset * RATE)] = {"dog": 1, "rain": 2}[event.label]
    np.testing.assert_array_equal(quiet.waveform, heard.astype(np.float32))
    background = noisy.waveform - quiet.waveform
    assert np.sqrt(np.square(background).mean()) == pytest.approx(0.01, rel=1e-3)


def test_quiet_ends_are_cut_off():
    tone = np.sin(np.arange(RATE) / 7)
    sound = audible(np.concatenate([np.zeros(RATE), tone, 1e-4 * tone, np.zeros(2 * RATE)]))
    assert len(sound) == pytest.approx(RATE, abs=640) and np.sqrt(np.square(sound).mean()) == pytest.approx(0.1)


def test_pink_noise_has_as_much_power_in_every_octave():
    power = np.square(np.abs(np.fft.rfft(pink(2**17, np.random.default_rng(0)))))
    octaves = [power[2**k : 2 ** (k + 1)].sum() for k in range(8, 16)]
    assert max(octaves) / min(octaves) < 1.3
