"""Made scenes are the same again, and their labels are what sounds."""

import numpy as np
import pytest

from psla_hf.audio import read_audio
from psla_hf.data.schema import targets_of
from psla_hf.data.toy import SCENE_CLASSES, make_scenes, scene_ontology

RATE = 16000


def test_scenes_are_the_same_again_and_their_labels_follow_the_ontology():
    clips, truth = make_scenes(20, seed=3, missing_children=0.4)
    again, _ = make_scenes(20, seed=3, missing_children=0.4)
    assert clips[7] == again[7]
    parents = scene_ontology().ancestor_relation(SCENE_CLASSES)
    assert ((truth @ parents > 0) <= (truth > 0)).all()  # a true child's parents are true
    waveform = read_audio(clips[0]["audio"]["bytes"], RATE)
    assert waveform.shape == (RATE // 2,) and 0.01 < np.abs(waveform).max() <= 1


def test_only_labels_that_have_a_parent_are_left_out():
    clips, truth = make_scenes(200, seed=3, missing_children=0.75)
    given = targets_of(clips)
    is_child = scene_ontology().ancestor_relation(SCENE_CLASSES).sum(axis=1) > 0
    assert (given <= truth).all() and (given[:, ~is_child] == truth[:, ~is_child]).all()
    assert given[:, is_child].sum() / truth[:, is_child].sum() == pytest.approx(0.25, abs=0.1)


def test_a_long_tail_is_long():
    truth = make_scenes(800, seed=3, long_tail=True)[1]
    counts = dict(zip(SCENE_CLASSES, truth.sum(axis=0), strict=True))
    assert counts["hum"] > 8 * counts["bell"] > 0
