"""A stream follows the sampler's law, is the same for any number of readers, and goes on exactly where it stopped."""

import io
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
from datasets import Dataset
from scipy.stats import chisquare

from psla_hf.data.schema import tagging_features
from psla_hf.data.shards.parquet import ShardedClips, ShardIndex
from psla_hf.data.toy import SCENE_CLASSES, make_scenes
from psla_hf.labels.vocabulary import ClipLabels, Vocabulary
from psla_hf.loading.augmentation import Augmentation
from psla_hf.loading.samples import Batch, SampleMaker, collate
from psla_hf.loading.stream import TaggingStream
from psla_hf.loading.stream_plan import StreamPlanner

GROUPS = [10, 7, 10, 3, 10, 10, 10, 10, 10, 10]
WEIGHTS = np.random.default_rng(0).pareto(1.5, sum(GROUPS)) + 0.1
FLAC = io.BytesIO()
soundfile.write(FLAC, WEIGHTS / 1e6, 8000, format="FLAC")
AUGMENTATION = Augmentation(mixup_rate=0.5, mixstyle_rate=0.25)


def planner(**settings) -> StreamPlanner:
    return StreamPlanner(GROUPS, **{"seed": 0, "weights": WEIGHTS, "multiple_of": 16, "block_groups": 3, **settings})


def epoch_rows(plan: StreamPlanner, epoch: int) -> np.ndarray:
    return np.concatenate([plan.plan(epoch, reader).rows for reader in range(plan.num_readers)])


def test_counts_of_an_epoch_follow_the_multinomial():
    """Not only the mean: chi-square of 400 epochs, each against the law; these p-values are uniform, not all near 1."""
    plan = planner()
    expected = WEIGHTS / WEIGHTS.sum() * plan.num_draws
    coarse = np.argsort(expected) // 15  # groups of clips, so that every cell expects enough draws
    cells = np.bincount(coarse, weights=expected)
    counts = [
        np.bincount(coarse, weights=np.bincount(epoch_rows(plan, e), minlength=len(expected))) for e in range(400)
    ]
    assert chisquare(np.sum(counts, axis=0), cells * 400).pvalue > 0.01
    p_values = np.array([chisquare(of_epoch, cells).pvalue for of_epoch in counts])
    assert 0.4 < p_values.mean() < 0.6 and (p_values < 0.1).mean() < 0.2


@pytest.mark.parametrize("hot_limit", [0, 5, 1000])
def test_any_number_of_readers_yields_the_same_clips_in_equal_shares(hot_limit):
    plans = [planner(num_readers=readers, hot_limit=hot_limit) for readers in (1, 2, 4)]
    alone, *shared = (np.sort(epoch_rows(plan, 3)) for plan in plans)
    for together in shared:
        np.testing.assert_array_equal(together, alone)
    assert len({len(plans[2].plan(3, reader)) for reader in range(4)}) == 1


def test_partners_are_uniform_over_the_clips_and_as_many_as_asked_for():
    plan = planner(num_readers=2, partner_rates=(0.5, 0.25))
    partners = np.concatenate([plan.plan(e, r).partners for e in range(300) for r in range(2)], axis=1)
    for kind, rate in enumerate((0.5, 0.25)):
        drawn = partners[kind][partners[kind] >= 0]
        assert len(drawn) / partners.shape[1] == pytest.approx(rate, abs=0.01)
        assert chisquare(np.bincount(drawn, minlength=sum(GROUPS))).pvalue > 0.01


def test_without_weights_every_clip_comes_once_but_for_the_last_batch():
    plan = planner(weights=None, num_readers=2)
    counts = np.bincount(epoch_rows(plan, 0))
    assert counts.min() == 1 and counts.sum() == 96 and counts.max() == 2
    assert (epoch_rows(plan, 0) != epoch_rows(plan, 1)).any()


def test_hot_clips_are_spread_over_the_epoch_and_others_stay_in_their_block():
    plan = planner(hot_limit=3, block_groups=1)
    epoch = plan.plan(0, 0)
    for row in np.unique(epoch.rows):
        blocks = epoch.blocks[epoch.rows == row]
        if row in plan.hot:
            assert len(set(blocks)) > 2
        else:
            assert len(set(blocks)) == 1


def test_numbers_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="multiple of 3 readers, got 16"):
        planner(num_readers=3)
    with pytest.raises(ValueError, match="90 of them, got 89"):
        planner(weights=WEIGHTS[:-1])
    with pytest.raises(ValueError, match="at least one clip"):
        StreamPlanner([], 0)


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> list[str]:
    """120 scenes in three files with row groups of 8."""
    clips, _ = make_scenes(120, seed=1, long_tail=True)
    folder = tmp_path_factory.mktemp("shards")
    for part in range(3):
        clips.shard(3, part, contiguous=True).to_parquet(str(folder / f"{part}.parquet"), batch_size=8)
    return sorted(map(str, folder.glob("*.parquet")))


def open_stream(shards, cache, readers=2, hot_limit=6, rank=0, num_processes=1, **policy) -> TaggingStream:
    return TaggingStream.open(
        shards,
        SampleMaker(len(SCENE_CLASSES), augmentation=AUGMENTATION, **policy),
        4,
        seed=7,
        num_workers=readers // num_processes,
        rank=rank,
        num_processes=num_processes,
        block_groups=4,
        hot_limit=hot_limit,
        cache_dir=str(cache),
    )


def same(one: Batch, other: Batch) -> bool:
    return one.ids == other.ids and all(
        torch.equal(getattr(one, key), getattr(other, key)) for key in ("waveforms", "labels", "mask_draws")
    )


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_resumed_stream_replays_exactly(shards, tmp_path, workers):
    stream = open_stream(shards, tmp_path)
    loader = torch.utils.data.DataLoader(stream, 4, collate_fn=collate, num_workers=workers)
    stream.seek(2)
    whole = list(loader)
    assert sum(len(batch.ids) for batch in whole) == len(stream) == 120
    for begin in (1, 6, 17, 29):
        stream.seek(2, begin)
        assert all(same(*pair) for pair in zip(list(loader), whole[begin:], strict=True))


def test_workers_that_live_on_see_the_next_epoch(shards, tmp_path):
    stream = open_stream(shards, tmp_path)
    loader = torch.utils.data.DataLoader(stream, 4, collate_fn=collate, num_workers=2, persistent_workers=True)
    epochs = []
    for epoch in (0, 1, 0):
        stream.seek(epoch)
        epochs.append([name for batch in loader for name in batch.ids])
    assert epochs[0] == epochs[2] != epochs[1]


def test_processes_share_the_epoch(shards, tmp_path):
    together = list(open_stream(shards, tmp_path, readers=2))
    parts = [list(open_stream(shards, tmp_path, readers=2, rank=rank, num_processes=2)) for rank in range(2)]
    assert [s.id for s in together] == [s.id for part in parts for s in part]
    assert len(parts[0]) == len(parts[1])


def test_hot_clips_change_the_order_but_not_the_clips(shards, tmp_path):
    with_hot, without = (open_stream(shards, tmp_path, hot_limit=limit) for limit in (20, 0))
    ids = [[sample.id for sample in stream] for stream in (with_hot, without)]
    # Mixed samples carry the first clip's id, so that the multiset of ids is the epoch's.
    assert sorted(ids[0]) == sorted(ids[1]) and ids[0] != ids[1]


def test_each_row_group_is_read_once_and_only_what_is_needed_becomes_objects(shards, tmp_path, monkeypatch):
    reads: list[tuple[str, int]] = []
    read_row_group = pq.ParquetFile.read_row_group

    def counting(self, group, **how):
        reads.append((id(self), group))
        return read_row_group(self, group, **how)

    stream = open_stream(shards, tmp_path, readers=1, hot_limit=0)
    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counting)
    list(stream.clips.read(0, 0))
    assert len(reads) == len(set(reads)) <= len(stream.clips.index.group_sizes)


def test_a_broken_clip_in_a_stream_is_replaced_from_its_block_and_replayed(shards, tmp_path):
    folder = tmp_path / "broken"
    folder.mkdir()
    for path in map(Path, shards):
        table = pq.read_table(path).to_pylist()
        table[0]["audio"]["bytes"] = b"not audio"
        rows = Dataset.from_list(table, features=tagging_features(Vocabulary(SCENE_CLASSES)))
        rows.to_parquet(str(folder / path.name), batch_size=8)
    files = sorted(map(str, folder.iterdir()))
    stream = open_stream(files, tmp_path, on_error="redraw")
    stream.seek(1)
    whole = [(sample.id, sample.redrawn) for sample in stream]
    broken = {"scene-1-00000", "scene-1-00040", "scene-1-00080"}
    assert {name for _, redrawn in whole for name in redrawn} <= broken
    assert any(redrawn for _, redrawn in whole) and not broken & {name for name, _ in whole}
    stream.seek(1, 13)
    assert [(sample.id, sample.redrawn) for sample in stream] == whole[13 * 4 :]


def test_a_stream_survives_pickling(shards, tmp_path):
    stream = open_stream(shards, tmp_path)
    stream.seek(1)
    copy = pickle.loads(pickle.dumps(stream))
    assert [s.id for s in copy] == [s.id for s in stream]


def test_hot_clips_have_the_labels_of_the_vocabulary_they_are_opened_with(tmp_path):
    """Those in the cache are of the first order of classes."""
    names, audio = ["dog"] * 12 + ["cow", "hen"], [{"path": None, "bytes": FLAC.getvalue()}] * 14
    table = pa.table({"id": [f"{k}" for k in range(14)], "audio": audio, "label": names})
    pq.write_table(table, tmp_path / "train.parquet", row_group_size=4)
    fingerprints = set()
    for classes in (("cow", "dog", "hen"), ("hen", "dog", "cow")):
        index = ShardIndex.open([str(tmp_path / "train.parquet")], Vocabulary(classes))
        fingerprints.add(ShardedClips.of(index).fingerprint)
        stream = TaggingStream.open(index, SampleMaker(3), 2, cache_dir=str(tmp_path))
        assert len(stream.clips.hot) > 0
        assert all(classes[int(s.labels.argmax())] == names[int(s.id)] for s in stream)
    assert len(fingerprints) == 2


def test_settings_that_do_not_divide_are_refused(shards, tmp_path):
    stream = open_stream(shards, tmp_path)
    with pytest.raises(ValueError, match="batches of 7"):
        TaggingStream(stream.clips, stream.maker, 7)
    with pytest.raises(ValueError, match="partner rates"):
        TaggingStream(stream.clips, SampleMaker(len(SCENE_CLASSES), 16000), 4)
    with pytest.raises(ValueError, match="shards of 3 classes, got"):
        TaggingStream(stream.clips, SampleMaker(3, augmentation=AUGMENTATION), 4)
    with pytest.raises(ValueError, match="multiple of 3 workers"):
        list(torch.utils.data.DataLoader(stream, 4, collate_fn=collate, num_workers=3))


def test_soft_labels_reach_the_samples_of_hot_clips_too(shards, tmp_path):
    """A clip's target is its number, so that each sample tells where it comes from; without mixup there is one."""
    index = ShardIndex.open(shards)
    numbers = np.arange(len(index.labels), dtype=np.float32)
    labels = ClipLabels.from_lists([[0]] * len(numbers), index.labels.num_classes)
    relabelled = index.with_labels(labels, numbers / len(numbers))
    stream = TaggingStream.open(
        relabelled, SampleMaker(labels.num_classes), 4, hot_limit=20, block_groups=4, cache_dir=str(tmp_path)
    )
    ids = ShardedClips.of(index).column("id")
    samples = list(stream)
    assert len(stream.clips.planner.hot) > 0
    for sample in samples:
        assert ids[round(float(sample.labels[0]) * len(numbers))] == sample.id
    labels_of_hot = {clip["id"] for clip in stream.clips.hot} & {sample.id for sample in samples}
    assert labels_of_hot
