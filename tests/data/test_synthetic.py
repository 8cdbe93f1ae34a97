"""Made scenes are the same again, and their labels are what sounds."""

import numpy as np

from psla_hf.audio import read_audio
from psla_hf.data.schema import targets_of
from psla_hf.data.toy import SCENE_CLASSES, make_scenes, scene_ontology

RATE = 16000


def test_scenes_are_the_same_again_and_their_labels_follow_the_ontology():
    clips, truth = make_scenes(20, seed=3, missing_labels=0.4)
    again, _ = make_scenes(20, seed=3, missing_labels=0.4)
    assert clips[7] == again[7]
    parents = scene_ontology().ancestor_relation(SCENE_CLASSES)
    assert ((truth @ parents > 0) <= (truth > 0)).all()  # a true child's parents are true
    given = targets_of(clips)
    assert (given <= truth).all() and (given.sum(axis=1) >= 1).all() and given.sum() < truth.sum()
    waveform = read_audio(clips[0]["audio"]["bytes"], RATE)
    assert waveform.shape == (RATE,) and 0.01 < np.abs(waveform).max() <= 1
