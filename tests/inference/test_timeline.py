"""Scores over time become events: thresholds with hysteresis, shortest length and gap, by class."""

import numpy as np
import pytest

from psla_hf.inference.timeline import EventRule, Timeline

LINE = Timeline(
    scores=np.array([[0.1, 0.2, 0.3, 0.6, 0.9, 0.4, 0.2, 0.7, 0.7, 0.1], [0.0] * 10], np.float32).T,
    step_seconds=0.5,
    seconds=4.9,
    labels=("dog", "rain"),
)


@pytest.mark.parametrize(
    ("rule", "spans"),
    [
        (EventRule(), [(1.0, 3.0), (3.5, 4.5)]),  # down to 0.25 on either side
        (EventRule(low=1), [(1.5, 2.5), (3.5, 4.5)]),
        (EventRule(threshold=0.8), [(1.5, 3.0)]),
        (EventRule(min_gap=0.6), [(1.0, 4.5)]),
        (EventRule(min_gap=0.5), [(1.0, 3.0), (3.5, 4.5)]),
        (EventRule(min_seconds=1.5), [(1.0, 3.0)]),
        (EventRule(threshold={"dog": 0.95}), []),
        (EventRule(threshold={"rain": 0.95}), [(1.0, 3.0), (3.5, 4.5)]),
        (EventRule(threshold=0.1, low=1), [(0.0, 4.9)]),  # ends with the sound, not with the step
    ],
)
def test_events_by_rule(rule, spans):
    events = LINE.events(rule)
    assert [(round(event.onset, 6), round(event.offset, 6)) for event in events] == spans
    assert {event.label for event in events} <= {"dog"}
    for event in events:
        inside = (event.onset <= LINE.times) & (event.offset >= LINE.times)
        assert event.score == pytest.approx(LINE.scores[inside, 0].max())


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
@pytest.mark.parametrize("step_seconds", [0.1, 0.32, 1 / 3])
def test_a_length_and_a_gap_of_whole_steps_are_the_same_wherever_they_lie(steps, step_seconds):
    seconds = round(steps * step_seconds, 9)  # as one types it
    for start in range(20):
        spans = [(start, start + steps), (start + 2 * steps, start + 3 * steps)]
        scores = np.zeros((50, 1), np.float32)
        for begin, end in spans:
            scores[begin:end] = 0.9
        line = Timeline(scores, step_seconds, 50 * step_seconds, ("dog",))
        assert len(line.events(EventRule(min_seconds=seconds, min_gap=seconds))) == 2
        assert not line.events(EventRule(min_seconds=seconds + 0.01))
        assert len(line.events(EventRule(min_gap=seconds + 0.01))) == 1


@pytest.mark.parametrize(
    "wrong",
    [{"threshold": 0}, {"threshold": 1.5}, {"low": 0}, {"min_gap": -1}, {"min_seconds": float("nan")}],
)
def test_rules_that_find_everything_or_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match="Expected"):
        EventRule(**wrong)
    with pytest.raises(ValueError, match=r"classes.*cat"):
        LINE.events(EventRule({"cat": 0.5}))
