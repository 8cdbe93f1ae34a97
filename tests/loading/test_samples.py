"""A clip becomes a sample, samples become a batch; what does not decode follows the policy."""

import logging

import numpy as np
import pytest
import torch

from psla_hf.data.load import load_esc
from psla_hf.data.schema import with_labels
from psla_hf.labels.vocabulary import ClipLabels
from psla_hf.loading.augmentation import Augmentation
from psla_hf.loading.samples import Sample, SampleMaker, TaggingDataset, collate

RATE = 16000


def samples_of(clips, augmentation=None, weights=None, **policy) -> TaggingDataset:
    return TaggingDataset(clips, SampleMaker(3, RATE, augmentation or Augmentation(), **policy), weights)


@pytest.fixture
def clips(esc_folder):
    return load_esc(esc_folder, 1, quiet=True)["train"]


def break_file(clip) -> None:
    with open(clip["audio"]["path"], "wb") as file:  # noqa: PTH123 - a path as the data set has it
        file.write(b"RIFF, but not really")


def test_an_unreadable_clip_names_itself_and_its_file(clips):
    break_file(clips[4])
    with pytest.raises(ValueError, match=rf"Clip '{clips[4]['id']}' \(.*{clips[4]['id']}\.wav\): Could not decode"):
        samples_of(clips)[4]


def test_a_sample_follows_from_its_seed_alone(clips):
    everything = Augmentation(mixup_rate=0.5, gain_db=6, time_roll=True, mixstyle_rate=0.5)
    data, again = samples_of(clips, everything), samples_of(clips, everything)
    first = [data[3, seed] for seed in range(6)]
    for seed in reversed(range(6)):
        repeated = again[3, seed]
        np.testing.assert_array_equal(first[seed].waveform, repeated.waveform)
        np.testing.assert_array_equal(first[seed].mask_draws, repeated.mask_draws)
        assert (first[seed].style is None) == (repeated.style is None)
    assert len({data[3, seed].labels.tobytes() for seed in range(20)}) > 2


def test_one_augmentation_does_not_shift_the_randomness_of_another(clips):
    plain, rolled = (samples_of(clips, Augmentation(mixup_rate=0.5, gain_db=db)) for db in (0, 6))
    for seed in range(10):
        np.testing.assert_array_equal(plain[0, seed].labels, rolled[0, seed].labels)
        np.testing.assert_array_equal(plain[0, seed].mask_draws, rolled[0, seed].mask_draws)


def test_soft_labels_are_a_samples_targets(clips):
    values = np.array([0.25, 1, 0.5] * 8, np.float32)
    soft = with_labels(clips, ClipLabels.from_lists([[0, 1], [2]] * 8 + [[]] * 8, 3), values)
    data = samples_of(soft)
    np.testing.assert_array_equal(data[0].labels, np.array([0.25, 1, 0], np.float32))
    np.testing.assert_array_equal(data[1].labels, np.array([0, 0, 0.5], np.float32))
    assert not data[20].labels.any()
    half = samples_of(soft, Augmentation(mixup_rate=1.0))[0, 3].labels  # mixes with a clip of soft labels too
    assert half.min() >= 0 and half.max() <= 1


def test_mixup_rate_is_the_share_of_mixed_samples_and_partners_are_uniform(clips):
    always, never = (samples_of(clips, Augmentation(mixup_rate=rate)) for rate in (1.0, 0.0))
    mixed = np.stack([always[0, seed].labels for seed in range(60)])
    np.testing.assert_allclose(mixed.sum(axis=1), 1, rtol=1e-5)
    # The clip is a dog, and a third of the partners are too; the others leave it half the weight, give or take.
    assert 0.2 < (mixed[:, 0] == 1).mean() < 0.5
    np.testing.assert_array_equal(never[0, 1].waveform, never[0].waveform)
    np.testing.assert_array_equal(never[0, 1].labels, [1, 0, 0])


def test_a_broken_clip_is_logged_and_replaced_by_a_draw_of_the_same_law(clips, caplog):
    break_file(clips[4])
    weights = np.zeros(len(clips))
    weights[[4, 7]] = 1
    data = samples_of(clips, weights=weights, on_error="redraw")
    with caplog.at_level(logging.WARNING):
        sample = data[4, 11]
    assert sample.id == clips[7]["id"] and set(sample.redrawn) == {clips[4]["id"]}
    np.testing.assert_array_equal(sample.labels, data[7].labels)
    assert clips[4]["id"] in caplog.text
    assert samples_of(clips, weights=weights, on_error="redraw")[4, 11].redrawn == sample.redrawn


def test_a_clip_without_audio_is_one_that_does_not_decode(clips):
    with pytest.raises(ValueError, match=r"Clip 'x'.*neither"):
        SampleMaker(3, RATE).clip({"id": "x", "audio": {"path": None, "bytes": None}, "labels": [0]})


def test_outside_training_a_broken_clip_is_always_an_error(clips):
    break_file(clips[4])
    with pytest.raises(ValueError, match="Could not decode"):
        samples_of(clips, on_error="redraw")[4]


def test_redrawing_stops_where_one_clip_after_the_other_does_not_decode(clips):
    for clip in clips:
        break_file(clip)
    with pytest.raises(ValueError, match="Could not decode"):
        samples_of(clips, on_error="redraw")[4, 0]


def test_a_file_that_ends_early_is_used_and_reported(clips):
    path = clips[0]["audio"]["path"]
    with open(path, "rb+") as file:  # noqa: PTH123
        file.truncate(12000)
    sample = samples_of(clips)[0]
    assert sample.short and len(sample.waveform) < RATE / 2
    assert collate([sample, samples_of(clips)[1]]).short == [clips[0]["id"]]


def test_a_data_set_of_other_classes_and_an_unknown_policy_are_refused(clips):
    with pytest.raises(ValueError, match="4 classes, got 3"):
        TaggingDataset(clips, SampleMaker(4, RATE))
    with pytest.raises(ValueError, match="'raise' or 'redraw', got 'skip'"):
        SampleMaker(3, RATE, on_error="skip")


def test_clips_of_different_length_make_one_batch_with_their_lengths():
    def sample(size: int) -> Sample:
        return Sample(str(size), np.ones(size, np.float32), np.array([1.0, 0.0], np.float32))

    batch = collate([sample(3), sample(5)])
    assert batch.waveforms.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert batch.lengths.tolist() == [3, 5]
    assert torch.equal(batch.labels, torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    assert batch.ids == ["3", "5"]
    assert batch.mask_draws is None and batch.style is None


def test_a_batch_goes_to_a_device_with_all_its_tensors_and_keeps_its_words(clips):
    data = samples_of(clips, Augmentation(mixup_rate=1.0, mixstyle_rate=1.0))
    batch = collate([data[0, 1], data[1, 2]])
    moved = batch.to("meta")
    for where in (moved, moved.style):
        assert {value.device.type for value in vars(where).values() if isinstance(value, torch.Tensor)} == {"meta"}
    assert (moved.ids, moved.mixed_in) == (batch.ids, batch.mixed_in) and batch.waveforms.device.type == "cpu"


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_change_nothing(clips, context):
    data = samples_of(clips, Augmentation(mixup_rate=0.5, mixstyle_rate=0.5))
    order = [(index, index + 100) for index in range(12)]
    here, there = (
        list(torch.utils.data.DataLoader(data, 4, sampler=order, collate_fn=collate, num_workers=n, **how))
        for n, how in ((0, {}), (2, {"multiprocessing_context": context}))
    )
    for one, other in zip(here, there, strict=True):
        assert one.ids == other.ids
        assert torch.equal(one.waveforms, other.waveforms) and torch.equal(one.labels, other.labels)
        assert torch.equal(one.style.rows, other.style.rows)


def test_workers_keep_to_one_thread(clips):
    class Threads(TaggingDataset):
        def __getitem__(self, key):
            return torch.get_num_threads()

    loader = torch.utils.data.DataLoader(Threads(clips, SampleMaker(3, RATE)), 4, num_workers=1)
    assert set(torch.cat(list(loader)).tolist()) == {1}
