"""The parts of cross-fitting: no teacher hears a recording, or a group of the data, of which it scores a clip."""

import pandas as pd
import pytest
import soundfile

from psla_hf.commands import run as psla
from psla_hf.data.foreign import as_clips
from psla_hf.data.load import load, load_tagging_dataset
from psla_hf.data.shards.prepare import prepare, verify
from psla_hf.data.splitting import Groups
from psla_hf.data.summary import LoadOptions
from psla_hf.data.toy import make_scenes
from psla_hf.teachers.cross_fit import cross_fit_parts
from tests.data.test_advice import noise

QUIET = LoadOptions("drop", quiet=True)

RECORDINGS = 24


def own_table(folder, **columns):
    """Two segments of each recording; two recordings of a site. The first lacks its file."""
    rows = []
    for k in range(RECORDINGS):
        if k:
            soundfile.write(folder / f"r{k}.wav", noise(k, 1.0), 16000)
        for start in (0.0, 0.5):
            row = {"file": f"r{k}.wav", "start": start, "end": start + 0.5, "labels": "dog" if k % 2 else "cat"}
            rows.append({**row, "site": f"site {k // 2}", "split": "test" if k < 4 else "train"})
    pd.DataFrame(rows).drop(columns=columns.pop("without", [])).to_csv(folder / "clips.csv", index=False)
    return load("own", folder / "clips.csv", QUIET, **columns)


def own_folds(folder):
    return own_table(folder, group_column="site", without=["split"], folds=2)


def own_sites(folder):
    return own_table(folder, group_column="site", without=["split"], split_seed=1)


def esc(folder, column):
    """Three takes of each recording, in one fold."""
    (folder / "audio").mkdir()
    (folder / "meta").mkdir()
    rows = []
    for k in range(RECORDINGS):
        for take in "ABC":
            name = f"{1 + k % 5}-{k}-{take}-0.wav"
            soundfile.write(folder / "audio" / name, noise(k, 0.1), 16000)
            rows.append({"filename": name, "fold": 1 + k % 5, "target": k % 2, "category": "ab"[k % 2], column: k})
    pd.DataFrame(rows).to_csv(folder / "meta" / "esc50.csv", index=False)
    return load("esc", folder, QUIET)


def urbansound8k(folder):
    """Two slices of each recording, in one fold."""
    (folder / "metadata").mkdir()
    rows = []
    for k in range(20):
        fold = 1 + k % 10
        (folder / "audio" / f"fold{fold}").mkdir(parents=True, exist_ok=True)
        for slice in range(2):
            name = f"{k}-0-0-{slice}.wav"
            soundfile.write(folder / "audio" / f"fold{fold}" / name, noise(k, 0.1), 16000)
            rows.append({"slice_file_name": name, "fsID": k, "fold": fold, "classID": k % 2, "class": "ab"[k % 2]})
    pd.DataFrame(rows).to_csv(folder / "metadata" / "UrbanSound8K.csv", index=False)
    return load("urbansound8k", folder, QUIET)


def file_of(name: str) -> int:
    """The number of the recording in the id of a segment."""
    return int(name.partition(":")[0][1:])


def site_of(name: str) -> int:
    return file_of(name) // 2


@pytest.mark.parametrize(
    ("make", "group_of", "by"),
    [
        (lambda folder: own_table(folder, without=["site"]), file_of, "recording"),
        (lambda folder: own_table(folder, group_column="site"), site_of, "group"),
        (own_folds, site_of, "group"),
        (own_sites, site_of, "group"),
        (lambda folder: esc(folder, "src_file"), lambda name: name.split("-")[1], "group"),
        (lambda folder: esc(folder, "clip_id"), lambda name: name.split("-")[1], "group"),
        (lambda folder: esc(folder, "note"), lambda name: name, "recording"),
        (urbansound8k, lambda name: name.split("-")[0], "group"),
    ],
)
def test_no_group_of_clips_is_in_two_parts(make, group_of, by, tmp_path):
    loaded = make(tmp_path)
    groups = loaded.train.groups
    assert groups.by == by
    for parts in (2, 3):
        dealt = cross_fit_parts(loaded.train, parts, 0, groups)
        assert set(dealt) == set(range(parts))
        placed = {(group_of(name), part) for name, part in zip(loaded.train.ids, dealt.tolist(), strict=True)}
        assert len(placed) == len({group for group, _ in placed})


@pytest.mark.parametrize(
    ("make", "by"),
    [
        (lambda folder: own_table(folder, without=["site"]), "group"),  # segments: of one recording
        (lambda folder: own_table(folder, group_column="site"), "group"),
        (lambda folder: esc(folder, "src_file"), "group"),
        (lambda folder: esc(folder, "note"), "clip, as the data do not say which are of one recording"),
    ],
)
def test_shards_part_their_clips_as_what_they_were_prepared_from(make, by, tmp_path):
    loaded = make(tmp_path)
    for key, source in (("once", loaded), ("again", None)):
        source = source or load(loaded.dataset, tmp_path / "once", LoadOptions(quiet=True, streaming=True))
        for part, clips in source.parts.items():
            split = {"test": "fold_1", "train": "fold_2"}[part] if loaded.fold else part
            prepare(clips, tmp_path / key, split=split, num_processes=1, clips_per_shard=7)
    verify(tmp_path / "again")
    shards = load(loaded.dataset, tmp_path / "again", LoadOptions(quiet=True))
    given, kept = loaded.train.groups, shards.train.groups
    assert (shards.train.ids, kept.by) == (loaded.train.ids, by)
    assert len(set(zip(given.names, kept.names, strict=True))) == len(set(given.names)) == len(set(kept.names))
    assert not any(str(tmp_path) in name for name in kept.names)


def test_the_command_prepares_a_column_of_groups(tmp_path):
    own_table(tmp_path, without=["split"], split_seed=0)
    table, shards = str(tmp_path / "clips.csv"), str(tmp_path / "shards")
    places = ["--data-dir", table, "--output-dir", shards]
    psla(["prepare", "own", *places, "--title", "sounds", "--group-column", "site", "--drop-unreadable"])
    clips = load_tagging_dataset(shards, quiet=True)
    assert clips["group"] == [f"site {site_of(name)}" for name in clips["id"]]


def test_clips_without_a_group_among_others_are_parted_by_themselves_and_counted():
    groups = Groups.of(["a", None, "a"], [None] * 3, ["x", "y", "z"])
    assert groups.names == ["a", "y", "a"]
    assert groups.by.startswith("group, and 1 without one by clip, as the data do not say")


def test_the_table_of_made_splits_has_the_groups(tmp_path):
    loaded = own_sites(tmp_path)
    loaded.made.save(tmp_path / "splits.csv")
    again = load("own", tmp_path / "splits.csv", QUIET, group_column="group")
    assert again.train.groups == loaded.train.groups and again.train.ids == loaded.train.ids


@pytest.mark.parametrize("parts", [-2, 0, 1])
def test_fewer_than_two_parts_are_refused(parts):
    with pytest.raises(ValueError, match=f"at least 2 parts to cross-fit, got {parts}"):
        cross_fit_parts(as_clips(make_scenes(4, seed=0)[0]), parts)
