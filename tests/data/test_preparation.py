"""Prepared shards hold the same clips, whatever happened on the way; what is wrong with a folder is found."""

import json
import multiprocessing
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from datasets import Audio, Dataset, load_dataset

from psla_hf.audio import read_audio
from psla_hf.commands import run as psla
from psla_hf.data.schema import labels_of, stored_features, tagging_features, vocabulary_of
from psla_hf.data.shards.parquet import ShardedClips, ShardIndex
from psla_hf.data.shards.prepare import MANIFEST, prepare, verify
from psla_hf.hub.dataset_cards import push, write_card
from psla_hf.labels.vocabulary import Vocabulary
from tests import fake_hub

hub = fake_hub.hub
RATE, SECONDS, NUM_CLIPS = 44100, 0.5, 14
VOCABULARY = Vocabulary(("dog", "rain, light", "bell"), ("/m/dog", "/m/rain", "bell"))
SMALL = {"split": "train", "clips_per_shard": 4, "clips_per_row_group": 3}  # shards of 4, 4, 4 and 2 clips
ONE_CLIP_A_SHARD = {"split": "train", "clips_per_shard": 1}
HALF_STEP = 0.5 / 2**15 + 1e-7  # of 16-bit samples, and the rounding of float32


def dataset_of(audio: dict[str, Path | bytes], vocabulary: Vocabulary = VOCABULARY) -> Dataset:
    """Clips by id, the i-th with classes that i decides, one of them without any."""
    labels = [[[0], [0, 2], [1], []][i % 4] for i in range(len(audio))]
    columns = {
        "id": list(audio),
        "audio": [
            {"path": None, "bytes": data} if isinstance(data, bytes) else {"path": str(data), "bytes": None}
            for data in audio.values()
        ],
        "labels": labels,
        "mids": labels,
        "split": [None] * len(audio),
        "seconds": [None] * len(audio),
    }
    return Dataset.from_dict(columns, features=tagging_features(vocabulary))


@pytest.fixture
def sounds(tmp_path) -> dict[str, Path]:
    """Stereo files of half a second at 44.1 kHz, wav and Ogg by turns."""
    rng = np.random.default_rng(0)
    (tmp_path / "sounds").mkdir()
    paths = {}
    for i in range(NUM_CLIPS):
        name = f"-clip {i:02d}"
        paths[name] = tmp_path / "sounds" / f"{name}.{('wav', 'ogg')[i % 2]}"
        soundfile.write(paths[name], 0.2 * rng.standard_normal((int(RATE * SECONDS), 2)), RATE)
    return paths


@pytest.fixture
def clips(sounds) -> Dataset:
    return dataset_of(sounds)


def contents(folder: Path) -> dict[str, bytes]:
    """All that is to be the same after any history: every shard and the manifest."""
    return {path.name: path.read_bytes() for path in [*(folder / "data").iterdir(), folder / "manifest.json"]}


def waveforms(prepared: Dataset, rate: int = 16000) -> list[np.ndarray]:
    return [read_audio(audio["bytes"], rate) for audio in prepared["audio"]]


def test_loaded_back_are_the_same_clips_labels_and_features(clips, sounds, tmp_path):
    prepare(clips, tmp_path / "out", **SMALL)
    for source in (
        load_dataset("parquet", data_files=str(tmp_path / "out" / "data" / "*.parquet"), split="train"),
        load_dataset(str(tmp_path / "out"), split="train"),
    ):
        assert source.features == stored_features(clips.features, 16000)
        assert source.features["audio"] == Audio(16000, decode=False)
        for column in ("id", "labels", "mids"):
            assert source[column][:] == clips[column][:]
        assert vocabulary_of(source) == VOCABULARY
    assert source["split"][:] == ["train"] * NUM_CLIPS
    assert [audio["path"] for audio in source["audio"]] == [f"{name}.flac" for name in sounds]
    np.testing.assert_array_equal(labels_of(source).multi_hot(), labels_of(clips).multi_hot())


def test_sounds_are_those_of_the_files_to_16_bits(clips, sounds, tmp_path):
    prepare(clips, tmp_path / "out", **SMALL)
    prepared = load_dataset(str(tmp_path / "out"), split="train")
    for waveform, seconds, path in zip(waveforms(prepared), prepared["seconds"], sounds.values(), strict=True):
        original = read_audio(path, 16000)
        assert seconds == pytest.approx(len(original) / 16000)
        np.testing.assert_allclose(waveform, original, atol=HALF_STEP)


def test_what_was_16_bit_at_this_rate_stays_bit_for_bit(tmp_path):
    samples = np.random.default_rng(0).integers(-(2**15), 2**15, 16000, dtype=np.int16)
    soundfile.write(tmp_path / "noise.wav", samples, 16000)
    prepare(dataset_of({"noise": tmp_path / "noise.wav"}), tmp_path / "out", split="train")
    (waveform,) = waveforms(load_dataset(str(tmp_path / "out"), split="train"))
    np.testing.assert_array_equal(waveform * 2**15, samples)


def test_another_rate_is_that_of_the_flac_files(clips, tmp_path):
    manifest = prepare(clips, tmp_path / "out", sampling_rate=8000, **SMALL)
    prepared = load_dataset(str(tmp_path / "out"), split="train")
    assert manifest["sampling_rate"] == 8000
    assert [len(waveform) for waveform in waveforms(prepared, 8000)] == [int(8000 * SECONDS)] * NUM_CLIPS


def test_parts_of_jobs_that_know_nothing_of_each_other_end_as_one_run(clips, tmp_path):
    whole = prepare(clips, tmp_path / "whole", **SMALL)
    assert prepare(clips, tmp_path / "parts", **SMALL, part=(2, 2)) is None
    assert not (tmp_path / "parts" / MANIFEST).exists()
    assert sorted(path.name[6:11] for path in (tmp_path / "parts" / "data").iterdir()) == ["00001", "00003"]
    prepare(clips, tmp_path / "parts", **SMALL, part=(1, 2))
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "parts" / "data").iterdir()}
    assert prepare(clips, tmp_path / "parts", **SMALL) == whole
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "parts" / "data").iterdir()} == made
    with pytest.raises(ValueError, match="Expected a part from 1 to 2, got 3 of 2"):
        prepare(clips, tmp_path / "parts", **SMALL, part=(3, 2))


def test_row_groups_have_the_size_asked_for_and_flac_is_not_compressed_again(clips, tmp_path):
    prepare(clips, tmp_path / "out", **SMALL)
    for path, sizes in zip(sorted((tmp_path / "out" / "data").iterdir()), [(3, 1)] * 3 + [(2,)], strict=True):
        metadata = pq.read_metadata(path)
        groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        assert tuple(group.num_rows for group in groups) == sizes
        columns = [groups[0].column(i) for i in range(metadata.num_columns)]
        compression = {column.path_in_schema: column.compression for column in columns}
        assert compression.pop("audio.bytes") == "UNCOMPRESSED" and set(compression.values()) == {"ZSTD"}


def test_the_manifest_says_what_is_there(clips, tmp_path):
    manifest = prepare(clips, tmp_path / "out", source="noise", **SMALL)
    section = manifest["splits"]["train"]
    assert json.loads((tmp_path / "out" / "manifest.json").read_text()) == manifest == verify(tmp_path / "out")
    assert manifest["vocabulary"]["names"] == list(VOCABULARY.names)
    assert manifest["vocabulary"]["mids"] == list(VOCABULARY.mids)
    assert manifest["vocabulary"]["fingerprint"] == VOCABULARY.fingerprint
    assert section["source"] == "noise" and section["listed"] == section["clips"] == NUM_CLIPS
    assert section["hours"] == pytest.approx(NUM_CLIPS * SECONDS / 3600, abs=1e-6)
    assert section["class_counts"] == dict(zip(VOCABULARY.names, labels_of(clips).class_counts(), strict=True))
    assert [shard["rows"] for shard in section["shards"]] == [4, 4, 4, 2]
    assert section["shards"][0]["file"] == "data/train-00000-of-00004.parquet"
    assert (section["dropped"], section["cut_short"], section["clipped"]) == ({}, [], 0)


def test_samples_beyond_full_scale_are_clipped_and_their_clips_counted(sounds, tmp_path):
    loud = np.tile(np.float32([0.5, 1.5, -1.5, 0.0]), 4000)
    soundfile.write(tmp_path / "loud.wav", loud, 16000, subtype="FLOAT")
    manifest = prepare(dataset_of({"loud": tmp_path / "loud.wav", **sounds}), tmp_path / "out", **SMALL)
    assert manifest["splits"]["train"]["clipped"] == 1
    waveform = waveforms(load_dataset(str(tmp_path / "out"), split="train"))[0]
    np.testing.assert_allclose(waveform, np.clip(loud, -1, 1 - 2**-15), atol=HALF_STEP)


def test_one_more_run_changes_nothing(clips, tmp_path):
    first = prepare(clips, tmp_path / "out", **SMALL)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "data").iterdir()}
    assert prepare(clips, tmp_path / "out", **SMALL) == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "data").iterdir()} == before


def prepare_and_die_in_the_middle_of_a_file(largest_file: int, *args, **kwargs) -> None:
    """Prepare, and end like by `kill -9`, without any clean-up, when a file grows beyond so many bytes."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    prepare(*args, **kwargs)


def test_killed_in_the_middle_and_started_again_the_bytes_are_those_of_an_uninterrupted_run(sounds, tmp_path):
    soundfile.write(sounds["-clip 09"], 0.2 * np.random.default_rng(1).standard_normal(RATE * 5), RATE)
    clips, out = dataset_of(sounds), tmp_path / "killed"
    run = multiprocessing.get_context("fork").Process(
        target=prepare_and_die_in_the_middle_of_a_file, args=(60_000, clips, out), kwargs=ONE_CLIP_A_SHARD
    )
    run.start()
    run.join(60)
    assert run.exitcode == -signal.SIGXFSZ
    finished = {path: path.stat().st_mtime_ns for path in sorted((out / "data").iterdir())}
    assert len(finished) == 9 and len(list(out.rglob(".*.unfinished-*"))) == 1 and not (out / "manifest.json").exists()

    prepare(clips, out, **ONE_CLIP_A_SHARD)
    prepare(clips, tmp_path / "uninterrupted", **ONE_CLIP_A_SHARD)
    assert contents(out) == contents(tmp_path / "uninterrupted")
    assert {path: path.stat().st_mtime_ns for path in finished} == finished  # not made again
    assert not list(out.rglob(".*.unfinished-*"))


def test_killed_between_a_shard_and_its_record_the_shard_is_made_again(clips, tmp_path):
    prepare(clips, tmp_path / "out", **SMALL)
    whole = contents(tmp_path / "out")
    (tmp_path / "out" / ".progress" / "train-00002.json").unlink()
    (tmp_path / "out" / "manifest.json").unlink()
    prepare(clips, tmp_path / "out", **SMALL)
    assert contents(tmp_path / "out") == whole


def test_processes_make_the_same_bytes_as_one(clips, tmp_path):
    prepare(clips, tmp_path / "one", **SMALL)
    prepare(clips.select([*range(NUM_CLIPS)]), tmp_path / "two", num_processes=2, **SMALL)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_process_that_dies_is_an_error_that_names_its_shard(clips, tmp_path):
    over = threading.Event()

    def kill_all() -> None:
        while not over.wait(0.005):
            for process in multiprocessing.active_children():
                process.kill()

    killer = threading.Thread(target=kill_all)
    killer.start()
    with pytest.raises(ChildProcessError, match=r"made data/train-0000[01]-of-00004\.parquet died.*same arguments"):
        prepare(clips, tmp_path / "out", num_processes=2, **SMALL)
    over.set()
    killer.join()


@pytest.mark.parametrize(
    "change",
    [
        lambda clips: (clips.select(range(NUM_CLIPS - 1)), {}),
        lambda clips: (clips.select([1, 0, *range(2, NUM_CLIPS)]), {}),
        lambda clips: (clips.map(lambda clip: {"labels": [2], "mids": [2]}), {}),
        lambda clips: (clips.cast(tagging_features(Vocabulary(("cat", "rain", "bell")))), {}),
        lambda clips: (clips, {"clips_per_row_group": 2}),
        lambda clips: (clips, {"clips_per_shard": 3}),
        lambda clips: (clips, {"sampling_rate": 8000}),
        lambda clips: (clips, {"source": "elsewhere"}),
    ],
    ids=["clips", "order", "labels", "vocabulary", "row groups", "shards", "rate", "source"],
)
def test_other_inputs_are_refused(clips, tmp_path, change):
    prepare(clips, tmp_path / "out", **SMALL)
    before = contents(tmp_path / "out")
    others, settings = change(clips)
    with pytest.raises(ValueError, match="prepared from other clips, labels, classes or settings"):
        prepare(others, tmp_path / "out", **{**SMALL, **settings})
    assert contents(tmp_path / "out") == before


def test_splits_go_into_one_folder_in_any_order_with_one_vocabulary(clips, tmp_path):
    test = clips.select(range(5))
    for folder, order in (("a", ("train", "test")), ("b", ("test", "train"))):
        for split in order:
            prepare({"train": clips, "test": test}[split], tmp_path / folder, **{**SMALL, "split": split})
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert {split: len(data) for split, data in load_dataset(str(tmp_path / "a")).items()} == {"train": 14, "test": 5}

    other = clips.cast(tagging_features(Vocabulary(("bell", "rain", "dog"))))
    with pytest.raises(ValueError, match=r"Expected the classes of \['test', 'train'\].*'bell', 'rain', 'dog'"):
        prepare(other, tmp_path / "a", **{**SMALL, "split": "eval"})
    with pytest.raises(ValueError, match="16000 Hz as for"):
        prepare(clips, tmp_path / "a", sampling_rate=8000, **{**SMALL, "split": "eval"})


@pytest.mark.parametrize("size", ["same", "shorter"])
def test_a_corrupted_shard_is_found_and_made_again(clips, tmp_path, size):
    prepare(clips, tmp_path / "out", **SMALL)
    good = contents(tmp_path / "out")
    shard = tmp_path / "out" / "data" / "train-00001-of-00004.parquet"
    data = bytearray(shard.read_bytes())
    data[1000] ^= 1
    shard.write_bytes(data if size == "same" else data[:-1])
    with pytest.raises(ValueError, match=r"SHA-256.*train-00001-of-00004\.parquet holds other bytes"):
        verify(tmp_path / "out")
    prepare(clips, tmp_path / "out", **SMALL)
    assert contents(tmp_path / "out") == good


def test_missing_and_unlisted_shards_are_found(clips, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no manifest\.json"):
        verify(tmp_path)
    prepare(clips, tmp_path / "out", **SMALL)
    shard = tmp_path / "out" / "data" / "train-00003-of-00004.parquet"
    shard.with_name("train-00000-of-00001.parquet").write_bytes(shard.read_bytes())
    with pytest.raises(ValueError, match=r"also holds \['data/train-00000-of-00001.parquet'\]"):
        verify(tmp_path / "out")
    with pytest.raises(ValueError, match="prepared from other clips"):
        prepare(clips, tmp_path / "out", **SMALL)
    shard.with_name("train-00000-of-00001.parquet").unlink()
    shard.unlink()
    with pytest.raises(FileNotFoundError, match=r"no shard .*train-00003"):
        verify(tmp_path / "out")


def wav_bytes(folder: Path, samples: np.ndarray) -> bytes:
    soundfile.write(folder / "bytes.wav", samples, RATE, subtype="FLOAT")
    return (folder / "bytes.wav").read_bytes()


def test_clips_that_cannot_be_decoded_stop_the_run_or_are_dropped_and_listed(sounds, tmp_path):
    broken = {
        "no audio": b"not a sound",
        "empty": wav_bytes(tmp_path, np.zeros(0)),
        "nothing left": wav_bytes(tmp_path, np.zeros(1)),
        "not a number": wav_bytes(tmp_path, np.array([0, np.nan] * 500)),
    }
    clips = dataset_of({**broken, **sounds})
    with pytest.raises(ValueError, match=r"Clip 'no audio' \(bytes\): .*on_error=\"drop\""):
        prepare(clips, tmp_path / "out", **SMALL)
    manifest = prepare(clips, tmp_path / "out", on_error="drop", **SMALL)  # goes on in the same folder
    section = manifest["splits"]["train"]
    assert list(section["dropped"]) == list(broken) and all(section["dropped"].values())
    assert (section["listed"], section["clips"]) == (NUM_CLIPS + 4, NUM_CLIPS)
    assert section["shards"][0]["rows"] == 0  # the first four clips
    written = (tmp_path / "out" / "manifest.json").read_text()
    assert str(tmp_path) not in written and " at 0x" not in written  # the same on any machine, in any run
    assert load_dataset(str(tmp_path / "out"), split="train")["id"][:] == list(sounds)
    assert prepare(clips, tmp_path / "out", on_error="drop", **SMALL) == manifest
    prepare(clips, tmp_path / "again", on_error="drop", **SMALL)
    assert contents(tmp_path / "again") == contents(tmp_path / "out")
    with pytest.raises(ValueError, match="Clip 'no audio'"):  # finished shards do not hide what was dropped
        prepare(clips, tmp_path / "out", **SMALL)


def test_a_broken_file_is_named_with_its_path(sounds, tmp_path):
    path = list(sounds.values())[5]
    path.write_bytes(b"not a sound")
    with pytest.raises(ValueError, match=rf"Clip '-clip 05' \({path}\)"):
        prepare(dataset_of(sounds), tmp_path / "out", **SMALL)


def test_nothing_but_broken_clips_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="got none of 1; for example"):
        prepare(dataset_of({"a": b"x"}), tmp_path / "out", split="train", on_error="drop")


def test_a_file_that_is_gone_is_never_dropped(sounds, tmp_path):
    sounds["gone"] = tmp_path / "gone.wav"
    with pytest.raises(FileNotFoundError, match=r"Clip 'gone': there is no audio file .*gone\.wav"):
        prepare(dataset_of(sounds), tmp_path / "out", on_error="drop", **SMALL)


def test_a_file_cut_short_is_kept_and_listed(sounds, tmp_path):
    soundfile.write(sounds["-clip 03"], 0.2 * np.random.default_rng(1).standard_normal(RATE * 5), RATE)  # many pages
    for name in ("-clip 02", "-clip 03"):  # a wav and an Ogg file
        data = sounds[name].read_bytes()
        sounds[name].write_bytes(data[: len(data) * 2 // 3])
    manifest = prepare(dataset_of(sounds), tmp_path / "out", **SMALL)
    assert manifest["splits"]["train"]["cut_short"] == ["-clip 02", "-clip 03"]
    assert manifest["splits"]["train"]["clips"] == NUM_CLIPS


def test_prepared_shards_prepared_again_are_the_same(clips, tmp_path):
    prepare(clips, tmp_path / "first", **SMALL)
    again = load_dataset(str(tmp_path / "first"), split="train")
    prepare(again, tmp_path / "second", **SMALL)
    names = [path.name for path in (tmp_path / "first" / "data").iterdir()]
    for name in names:
        first, second = (pq.read_table(tmp_path / folder / "data" / name) for folder in ("first", "second"))
        assert first == second


def test_clips_and_arguments_that_do_not_fit_are_refused(clips, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ValueError, match=r"columns differ: \['more'\]"):
        prepare(clips.add_column("more", [0] * len(clips)), out, split="train")
    with pytest.raises(ValueError, match=r"all different, got 2 clips, not so: \['-clip 00'\]"):
        prepare(clips.select([0, 0]), out, split="train")
    with pytest.raises(ValueError, match="got 0 clips"):
        prepare(clips.select([]), out, split="train")
    with pytest.raises(ValueError, match="such as train, got 'fold 1'"):
        prepare(clips, out, split="fold 1")
    with pytest.raises(ValueError, match="clips_per_shard of at least 1, got 0"):
        prepare(clips, out, split="train", clips_per_shard=0)
    with pytest.raises(ValueError, match="got 0, 'raise'"):
        prepare(clips, out, split="train", num_processes=0)
    with pytest.raises(ValueError, match="got 1, 'skip'"):
        prepare(clips, out, split="train", on_error="skip")
    assert not out.exists()


def test_a_card_says_what_the_manifest_says_and_nothing_is_left_out(clips, tmp_path):
    prepare(clips, tmp_path / "out", source="noise, made here", **SMALL)
    prepare(clips.select(range(5)), tmp_path / "out", **{**SMALL, "split": "test"}, source="more noise")
    card = write_card(tmp_path / "out", pretty_name="Noise", license="cc0-1.0").read_text()
    for sentence in (
        "pretty_name: Noise",
        "license: cc0-1.0",
        "- audio-classification",
        "- n<1K",
        "path: data/train-*-of-00004.parquet",
        "| train | noise, made here | 14 | 0.00 | 0 | 0 | 0 |",
        "| 1 | rain, light | /m/rain | 1 | 3 |",
        VOCABULARY.fingerprint,
    ):
        assert sentence in card, sentence
    for missing in ({"pretty_name": "", "license": "cc0-1.0"}, {"pretty_name": "Noise", "license": ""}):
        with pytest.raises(ValueError, match=r"missing: (pretty_name|license)\."):
            write_card(tmp_path / "out", **missing)
    prepare(clips, tmp_path / "nameless", **SMALL)
    with pytest.raises(ValueError, match=r"missing: the source of split 'train'\."):
        write_card(tmp_path / "nameless", pretty_name="Noise", license="cc0-1.0")


def test_pushed_shards_are_loaded_back_from_the_hub(clips, tmp_path, hub):
    prepare(clips, tmp_path / "out", source="noise", **SMALL)
    code = f"""
import json
from datasets import load_dataset
from psla_hf.hub.dataset_cards import push

for _ in range(2):  # what is there already does no harm
    url = push({str(tmp_path / "out")!r}, "user/noise", pretty_name="Noise", license="cc0-1.0")
loaded = load_dataset("user/noise", split="train")
streamed = load_dataset("user/noise", split="train", streaming=True)
print(json.dumps([url, loaded["id"][:], loaded.features["mids"].feature.names, [clip["id"] for clip in streamed]]))
try:
    push({str(tmp_path / "out")!r}, "user/public", pretty_name="Noise", license="cc0-1.0")
except ValueError as error:
    print(error)
"""
    hub.repos["datasets/user/public"] = {}
    run = subprocess.run([sys.executable, "-c", code], env=hub.env, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    printed, refused = run.stdout.strip().splitlines()
    ids = clips["id"][:]
    assert json.loads(printed) == [f"{hub.url}/datasets/user/noise", ids, list(VOCABULARY.mids), ids]
    shards = [f"data/train-0000{k}-of-00004.parquet" for k in range(4)]
    assert sorted(hub.repos["datasets/user/noise"]) == ["README.md", *shards, "manifest.json"]
    assert hub.private == {"datasets/user/noise"}
    assert "user/public exists and is public; nothing was uploaded" in refused and not hub.repos["datasets/user/public"]


def test_the_script_prepares_every_fold_of_esc_and_verifies(esc_folder, tmp_path, capsys):
    psla(["prepare", "esc", "--data-dir", esc_folder, "--output-dir", tmp_path / "out", "--title", "ESC-3"])
    assert "fold_5, 6 of 6 clips" in capsys.readouterr().out
    loaded = load_dataset(str(tmp_path / "out"))
    assert {split: len(fold) for split, fold in loaded.items()} == {f"fold_{k}": 6 for k in range(1, 6)}
    psla(["prepare", "verify", "--output-dir", tmp_path / "out"])
    assert "fold_1, 6 of 6 clips" in capsys.readouterr().out


def test_the_script_prepares_own_data_and_drops_only_when_told(sounds, tmp_path, capsys):
    table = tmp_path / "own.csv"
    rows = [
        f"sounds/{path.name},dog,{split}" for path, split in zip(sounds.values(), ["train", "test"] * 7, strict=True)
    ]
    table.write_text("\n".join(["file_name,labels,split", *rows]) + "\n")
    next(iter(sounds.values())).write_bytes(b"not a sound")
    arguments = ["own", "--data-dir", table, "--output-dir", tmp_path / "out", "--title", "Noise"]
    with pytest.raises(SystemExit, match="2"):
        psla(["prepare", *arguments])
    assert "clip 00" in capsys.readouterr().err
    psla(["prepare", *arguments, "--drop-unreadable"])
    printed = capsys.readouterr().out
    assert "train, 6 of 6 clips" in printed and "test, 7 of 7 clips" in printed


@pytest.mark.parametrize(
    ("words", "said"),
    [(["user/esc"], "--push needs --license"), (["esc", "--license", "mit"], "Expected a repository as OWNER/NAME")],
)
def test_the_script_wants_what_publishing_needs_before_it_works(esc_folder, tmp_path, capsys, words, said):
    with pytest.raises(SystemExit, match="2"):
        psla(["prepare", "esc", "--data-dir", esc_folder, "--output-dir", tmp_path / "out", "--push", *words])
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_repository_without_an_owner_is_refused_before_the_shards_are_looked_at(tmp_path):
    with pytest.raises(ValueError, match="OWNER/NAME, got 'noise'"):
        push(tmp_path, "noise", pretty_name="Noise", license="cc0-1.0")


def test_shards_are_prepared_without_a_copy_of_them_and_with_the_same_bytes(clips, tmp_path):
    """Such as the 48 kHz originals on the Hub; here the clips' own files, as bytes in parquet files."""
    rows = [{**clip, "audio": {**clip["audio"], "bytes": Path(clip["audio"]["path"]).read_bytes()}} for clip in clips]
    with_bytes = Dataset.from_list(rows, features=clips.features)
    (tmp_path / "original").mkdir()
    for part in range(2):
        path = tmp_path / "original" / f"{part}.parquet"
        with_bytes.shard(2, part, contiguous=True).to_parquet(str(path), batch_size=3)
    index = ShardIndex.open(sorted(map(str, (tmp_path / "original").iterdir())))
    prepare(with_bytes, tmp_path / "copied", **SMALL)
    prepare(ShardedClips(index, 0, NUM_CLIPS), tmp_path / "read", **SMALL)
    assert contents(tmp_path / "copied") == contents(tmp_path / "read")
