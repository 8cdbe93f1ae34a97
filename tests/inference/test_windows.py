"""A sound's windows do not depend on the pieces in which it arrives, and their scores become one time line."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from psla_hf.inference.windows import Rows, Stitcher, Windows, window_starts


def cut(samples: np.ndarray, pieces: list[int], *arguments) -> list[tuple[int, list[float]]]:
    windows, place, result = Windows(*arguments), 0, []
    for piece in [*pieces, len(samples)]:
        result += windows.push(samples[place : place + piece])
        place += piece
    result += windows.finish()
    return [(start, window.tolist()) for start, window in result]


@given(
    st.integers(0, 60),
    st.lists(st.integers(0, 30), max_size=8),
    st.tuples(st.integers(1, 20), st.integers(1, 20)).map(sorted),
    st.integers(0, 3),
    st.sampled_from(["end", "padded"]),
)
def test_windows_cover_a_sound_whatever_the_pieces(total, pieces, hop_and_size, more, last):
    hop, size = hop_and_size
    samples = np.arange(total, dtype=np.float32)
    windows = cut(samples, pieces, size, hop, size + more, last)
    assert windows == cut(samples, [], size, hop, size + more, last)
    if total:
        assert [start for start, _ in windows] == window_starts(total, size, hop, size + more, last)
    for start, window in windows:
        assert window == samples[start : start + len(window)].tolist()
    if total <= size + more:
        assert [len(window) for _, window in windows] == [total][: min(total, 1)]
    else:
        assert [start for start, _ in windows[:-1]] == [hop * number for number in range(len(windows) - 1)]
        covered = {place for start, window in windows for place in range(start, start + len(window))}
        assert covered == set(range(total))
        assert all(len(window) == size for _, window in windows[: -1 if last == "padded" else None])


@given(st.integers(1, 40), st.integers(1, 6), st.integers(1, 6))
def test_stitched_windows_of_one_truth_are_that_truth(steps, hop, more):
    truth = np.random.default_rng(0).random((steps, 3)).astype(np.float32)
    stitcher, size = Stitcher(), hop + more - 1
    padded = np.pad(truth, ((0, size + hop), (0, 0)))
    for start in range(0, steps, hop):
        stitcher.push(start, padded[start : start + size])
    np.testing.assert_allclose(stitcher.finish(steps), truth, rtol=1e-5)


def test_a_step_in_the_middle_of_a_window_weighs_most():
    stitcher = Stitcher()
    stitcher.push(0, np.zeros((4, 1), np.float32))
    stitcher.push(2, np.ones((4, 1), np.float32))
    assert stitcher.finish(6)[:, 0].tolist() == pytest.approx([0, 0, 1 / 3, 2 / 3, 1, 1])


@given(pieces=st.lists(st.integers(0, 7), min_size=1, max_size=9).filter(any))
def test_rows_are_what_was_pushed_whatever_becomes_of_it(pieces):
    given_rows = np.arange(3 * sum(pieces), dtype=np.float32).reshape(-1, 3)
    rows, expected = Rows(), given_rows.copy()
    with patch("psla_hf.inference.windows.BLOCK", 12):  # four rows
        for piece in np.split(given_rows, np.cumsum(pieces)[:-1]):
            rows.push(piece)
            piece[:] = -1
    np.testing.assert_array_equal(rows.joined(), expected)
