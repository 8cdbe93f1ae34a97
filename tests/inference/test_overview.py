"""A picture's columns lie where their sounds are, however long the recording."""

import numpy as np
import pytest

from psla_hf import PslaFeatureExtractor
from psla_hf.inference.overview import overview

RATE = 16000


@pytest.mark.parametrize(("seconds", "click"), [(0.4, 0.31), (6, 3.0), (83.3, 82.1), (240, 216.4), (651.37, 540.2)])
def test_a_click_is_drawn_when_it_is_heard(seconds, click):
    sound = np.zeros(round(seconds * RATE), np.float32)
    sound[round(click * RATE)] = 1
    pieces = np.split(sound, range(70_000, len(sound), 70_000))
    look = overview(pieces, PslaFeatureExtractor(RATE, max_length=512))
    number, of_one = len(look.highest), look.column_seconds
    assert 0 <= number * of_one - seconds < of_one + 0.01
    column = int(look.highest.argmax())
    assert column * of_one <= click <= (column + 1) * of_one
    assert np.abs(look.log_mel.sum(axis=0).argmax() - column) <= 3
    assert look.log_mel.shape == (128, number) and look.lowest.shape == (number,)
