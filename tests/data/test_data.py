"""AudioSet, FSD50K and ESC become the one schema as people have them on disk; what is wrong or missing says so."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from psla_hf.data.load import load, load_audioset, load_esc, load_fsd50k, load_splits
from psla_hf.data.schema import class_names, targets_of, vocabulary_of
from psla_hf.data.sources import urbansound8k
from psla_hf.data.sources.esc import ESC50_TO_AUDIOSET
from psla_hf.labels.vocabulary import Vocabulary

RATE = 8000
CLASSES = Vocabulary(("Speech", "Male speech, man speaking", "Dog"), ("/m/09x0r", "/m/05zppz", "/m/0bt9lr"))
# Ids as YouTube gives them: they may begin with - or Y, and look like a name with a time.
IDS = ("-0RWZT-miFs", "YTwIjvcpAUg", "ql66pp0iq_4", "abcdefghijk", "aaaaa_30_40", "BCDEFGHIJKL", "MNOPQRSTUVW")


def write_clip(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Only the name of a webm counts here: to read a real one takes FFmpeg.
    container, subtype = {".opus": ("OGG", "OPUS"), ".webm": ("WAV", None)}.get(path.suffix, (None, None))
    soundfile.write(path, np.zeros(RATE // 4), RATE, format=container, subtype=subtype)


def write_vocabulary(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f'{k},{mid},"{name}"\n' for k, (mid, name) in enumerate(zip(CLASSES.mids, CLASSES.names, strict=True))]
    path.write_text("index,mid,display_name\n" + "".join(lines))


@pytest.fixture
def audioset_folder(tmp_path) -> Path:
    """Lists in AudioSet's format, seven clips each with two labels out of order, and no audio."""
    folder = tmp_path / "AudioSet"
    write_vocabulary(folder / "class_labels_indices.csv")
    head = (
        "# Segments csv created Sun Mar  5 10:54:31 2017\n# num_ytids=7\n# YTID, start_seconds, end_seconds, labels\n"
    )
    lines = [f'{clip}, 30.000, 40.000, "/m/0bt9lr,/m/09x0r"\n' for clip in IDS]
    (folder / "balanced_train_segments.csv").write_text(head + "".join(lines))
    return folder


def test_audioset_clips_are_found_under_every_name_people_give_them(audioset_folder):
    names = [
        f"{IDS[0]}.wav",
        f"Y{IDS[1]}.flac",
        f"train/{IDS[2]}_30.000.ogg",
        f"train/deeper/{IDS[3]}_30_40.mp3",
        f"Y{IDS[4]}_30.000_40.000.opus",
        f"other/{IDS[5]}_30000_40000.WAV",
        f"{IDS[6]}_30.webm",
    ]
    for name in [*names, "Yabcdefghij_30.wav", "BCDEFGHIJK.wav", "._abcdefghijk.wav", "notes.txt"]:
        write_clip(audioset_folder / name) if not name.endswith("txt") else (audioset_folder / name).touch()
    clips = load_audioset(audioset_folder)
    assert list(clips["id"]) == list(IDS)
    assert [clip["audio"] for clip in clips] == [{"path": str(audioset_folder / name), "bytes": None} for name in names]
    assert clips[3]["labels"] == clips[3]["mids"] == [0, 2]
    assert set(clips["split"]) == {"balanced_train"}
    # An mp3 encoder pads.
    np.testing.assert_allclose(np.array(clips["seconds"])[[0, 1, 2, 4, 5, 6]], 0.25, atol=0.01)


def test_the_classes_are_the_vocabularys_in_its_order_wherever_it_comes_from(audioset_folder, tmp_path):
    write_clip(audioset_folder / f"{IDS[0]}.wav")
    reverse = Vocabulary(CLASSES.names[::-1], CLASSES.mids[::-1])
    assert vocabulary_of(load_audioset(audioset_folder)) == CLASSES
    assert vocabulary_of(load_audioset(audioset_folder, vocabulary=reverse)) == reverse
    assert load_audioset(audioset_folder, vocabulary=reverse)[0]["labels"] == [0, 2]
    moved = tmp_path / "lists" / "labels.csv"
    moved.parent.mkdir()
    (audioset_folder / "class_labels_indices.csv").rename(moved)
    assert vocabulary_of(load_audioset(audioset_folder, vocabulary=moved)) == CLASSES
    with pytest.raises(FileNotFoundError, match=r"class_labels_indices\.csv.* found none.* as vocabulary"):
        load_audioset(audioset_folder)


def test_lists_are_found_in_a_metadata_folder_or_where_one_says(audioset_folder, tmp_path):
    write_clip(audioset_folder / f"{IDS[0]}.wav")
    (audioset_folder / "metadata").mkdir()
    for name in ("balanced_train_segments.csv", "class_labels_indices.csv"):
        (audioset_folder / name).rename(audioset_folder / "metadata" / name)
    assert len(load_audioset(audioset_folder)) == 1
    elsewhere = (audioset_folder / "metadata").rename(tmp_path / "elsewhere")
    assert len(load_audioset(audioset_folder, "eval", segments=elsewhere / "balanced_train_segments.csv")) == 1
    with pytest.raises(FileNotFoundError, match=r"eval_segments\.csv or .*metadata/eval_segments\.csv.* as segments"):
        load_audioset(audioset_folder, "eval")


def test_of_two_files_of_a_clip_the_first_is_taken_and_the_summary_says_so(audioset_folder, capsys):
    for name in (f"b/{IDS[0]}.wav", f"a/Y{IDS[0]}.wav", f"b/{IDS[1]}.wav"):
        write_clip(audioset_folder / name)
    assert load_audioset(audioset_folder)[0]["audio"]["path"] == str(audioset_folder / f"a/Y{IDS[0]}.wav")
    assert f"1 clips have more than one file, for example {IDS[0]}: " in capsys.readouterr().out


def test_a_link_back_up_the_tree_does_not_go_round_and_linked_folders_are_read(audioset_folder, tmp_path):
    write_clip(tmp_path / "disk" / f"{IDS[0]}.wav")
    (audioset_folder / "clips").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "up").symlink_to(audioset_folder)
    assert list(load_audioset(audioset_folder)["id"]) == [IDS[0]]


def test_pslas_own_list_names_its_files(audioset_folder, tmp_path):
    write_clip(tmp_path / "far" / "one.wav")
    write_clip(audioset_folder / "near" / "two.wav")
    entries = [
        {"wav": str(tmp_path / "far" / "one.wav"), "labels": "/m/0bt9lr,/m/09x0r"},
        {"wav": "near/two.wav", "labels": "/m/05zppz"},
        {"wav": "near/three.wav", "labels": "/m/05zppz"},
    ]
    path = tmp_path / "train.json"
    path.write_text(json.dumps({"data": entries}))
    clips = load_audioset(audioset_folder, segments=path)
    assert [(clip["id"], clip["labels"]) for clip in clips] == [("one", [0, 2]), ("two", [1])]
    with pytest.raises(FileNotFoundError, match=r"1 of 3 listed clips .*near/three\.wav"):
        load_audioset(audioset_folder, segments=path, incomplete="raise")
    for content in ('[{"wav": "a"}]', '{"data": [{"wav": "a"}]}', "no json"):
        path.write_text(content)
        with pytest.raises(ValueError, match=r"Expected .* in .*train\.json"):
            load_audioset(audioset_folder, segments=path)


def test_what_is_no_list_or_no_split_of_audioset_has_its_message(audioset_folder, tmp_path):
    path = audioset_folder / "balanced_train_segments.csv"
    with pytest.raises(ValueError, match="Expected split balanced_train, unbalanced_train, eval, got 'test'"):
        load_audioset(audioset_folder, "test")
    with pytest.raises(FileNotFoundError, match=r"no directory .*AudioSet's clips"):
        load_audioset(tmp_path / "nowhere")
    for wrong in ("short, 0.000, 10.000, /m/09x0r\n", f"{IDS[0]}, 0.000, 10.000, /m/09x0r, /m/0bt9lr\n"):
        path.write_text(wrong)
        with pytest.raises(ValueError, match=r"Expected a YouTube id of 11 characters.* got "):
            load_audioset(audioset_folder)
    path.write_text(f'{IDS[0]}, 0.000, 10.000, "/m/unknown"\n')
    with pytest.raises(ValueError, match=r"balanced_train_segments\.csv: .*got '/m/unknown'.* vocabulary that belongs"):
        load_audioset(audioset_folder)
    path.write_text(f'{IDS[0]}, 0.000, 10.000, "/m/09x0r"\n' * 2)
    with pytest.raises(ValueError, match=f"every clip once, these ids occur more than once: .'{IDS[0]}'"):
        load_audioset(audioset_folder)
    path.write_text("# YTID\n")
    with pytest.raises(ValueError, match=r"Expected clips, but AudioSet balanced_train .* lists none"):
        load_audioset(audioset_folder)


@pytest.mark.shared
def test_the_official_lists_load_with_their_527_classes(shared, tmp_path):
    official = shared / "audioset"
    for name in (
        "--PJHxphWEs_30.000.wav",
        "Y--ZhevVpy1s.wav",
        "Y-CDakgc2Lc_0.wav",
        "YTwIjvcpAUg.wav",
        "_2ceiz5M6K4.wav",
    ):
        write_clip(tmp_path / name)
    path, split = official / "balanced_train_segments.csv", "balanced_train"
    loaded = load_splits("audioset_full", tmp_path, splits=[split], segments=path)
    clips, summary = loaded.parts[split].dataset(), loaded.summaries[split]
    assert len(class_names(clips)) == 527 and class_names(clips)[0] == "Speech"
    assert summary.listed == 22160 and len(summary.missing) == 22160 - len(clips)
    speech_and_gush = clips[list(clips["id"]).index("--PJHxphWEs")]
    assert [vocabulary_of(clips).mids[k] for k in speech_and_gush["mids"]] == ["/m/09x0r", "/t/dd00088"]


@pytest.fixture
def fsd50k_folder(tmp_path) -> Path:
    """FSD50K's folders with three development and two evaluation clips, the tables with line ends as some have them."""
    folder = tmp_path / "FSD50K"
    for name in ("dev_audio/1.wav", "dev_audio/2.wav", "dev_audio/3.wav", "eval_audio/4.wav", "eval_audio/5.wav"):
        write_clip(folder / f"FSD50K.{name}")
    truth = folder / "FSD50K.ground_truth"
    truth.mkdir()
    (truth / "vocabulary.csv").write_bytes(b"0,Bark,/m/05tny_\r\n1,Dog,/m/0bt9lr\r\n2,Rain,/m/06mb1\r\n")
    dev = 'fname,labels,mids,split\r\n1,"Dog,Bark","/m/0bt9lr,/m/05tny_",train\r\n2,Rain,/m/06mb1,val\r\n'
    (truth / "dev.csv").write_bytes((dev + "3,Rain,/m/06mb1,train\r\n").encode())
    (truth / "eval.csv").write_bytes(b"fname,labels,mids\r\n4,Rain,/m/06mb1\r\n5,Dog,/m/0bt9lr\r\n")
    return folder


def test_fsd50k_has_three_splits_of_the_official_tables(fsd50k_folder):
    rows = {split: load_fsd50k(fsd50k_folder, split) for split in ("train", "val", "eval")}
    assert {split: list(clips["id"]) for split, clips in rows.items()} == {
        "train": ["1", "3"],
        "val": ["2"],
        "eval": ["4", "5"],
    }
    assert rows["train"][0]["labels"] == [0, 1] and rows["train"][0]["split"] == "train"
    assert rows["eval"][1]["audio"]["path"] == str(fsd50k_folder / "FSD50K.eval_audio" / "5.wav")
    assert vocabulary_of(rows["val"]) == Vocabulary(("Bark", "Dog", "Rain"), ("/m/05tny_", "/m/0bt9lr", "/m/06mb1"))


@pytest.mark.shared
def test_fsd50ks_official_vocabulary_is_understood(fsd50k_folder, shared):
    clips = load_fsd50k(fsd50k_folder, vocabulary=shared / "fsd50k" / "vocabulary.csv")
    assert len(class_names(clips)) == 200
    assert [class_names(clips)[k] for k in clips[0]["labels"]] == ["Bark", "Dog"]


def test_what_is_wrong_with_a_folder_of_fsd50k_says_so(fsd50k_folder, tmp_path):
    with pytest.raises(ValueError, match="Expected split train, val, eval, got 'dev'"):
        load_fsd50k(fsd50k_folder, "dev")
    with pytest.raises(FileNotFoundError, match=r"no directory .*FSD50K\.ground_truth"):
        load_fsd50k(tmp_path / "nowhere")
    (fsd50k_folder / "FSD50K.dev_audio" / "3.wav").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 2 listed clips .*FSD50K\.dev_audio/3\.wav.*incomplete='drop'"):
        load_fsd50k(fsd50k_folder)
    assert list(load_fsd50k(fsd50k_folder, incomplete="drop")["id"]) == ["1"]
    table = fsd50k_folder / "FSD50K.ground_truth" / "dev.csv"
    table.write_text("fname,labels,mids,split\n1,Dog,/m/05tny_,train\n")
    with pytest.raises(ValueError, match=r"labels and the mids .* not for 1 clips, for example 1"):
        load_fsd50k(fsd50k_folder)
    table.write_text("fname,labels,mids\n1,Dog,/m/05tny_\n")
    with pytest.raises(ValueError, match=r"missing \['split'\]"):
        load_fsd50k(fsd50k_folder)
    table.unlink()
    with pytest.raises(FileNotFoundError, match=r"Expected the table .*dev\.csv"):
        load_fsd50k(fsd50k_folder)


def test_a_fold_is_held_out_and_classes_are_in_the_official_order(esc_folder):
    data = load_esc(esc_folder, fold=2)
    assert {split: len(clips) for split, clips in data.items()} == {"train": 24, "test": 6}
    assert class_names(data["train"]) == ["dog", "rain", "rooster"]
    assert all(clip["id"].startswith("2-") and clip["split"] == "fold 2" for clip in data["test"])
    assert set(data["train"]["split"]) == {"fold 1", "fold 3", "fold 4", "fold 5"}
    assert data["test"][2]["labels"] == [2]
    assert data["test"]["seconds"][0] == 0.5
    np.testing.assert_array_equal(targets_of(data["test"]).sum(axis=0), [2, 2, 2])


def test_classes_of_esc_have_the_mids_of_audiosets_and_the_others_their_own_name(esc_folder):
    table = esc_folder / "meta" / "esc50.csv"
    table.write_text(table.read_text().replace(",rain,", ",mouse_click,"))
    assert vocabulary_of(load_esc(esc_folder, 1)["test"]).mids == ("/m/0bt9lr", "mouse_click", "/m/07qn5dc")
    both = load_esc(esc_folder, 1, subset="audioset")["test"]
    assert vocabulary_of(both) == Vocabulary(("dog", "rooster"), ("/m/0bt9lr", "/m/07qn5dc"))
    assert len(both) == 4 and both[1]["labels"] == [1]


@pytest.mark.shared
def test_escs_pairs_are_classes_of_audioset_each_once_and_agree_with_esc10s(shared):
    pairs = list(ESC50_TO_AUDIOSET.values())
    audioset = Vocabulary.from_csv(shared / "audioset" / "class_labels_indices.csv")
    assert set(pairs) <= set(zip(audioset.mids, audioset.names, strict=True))
    assert len(set(pairs)) == len(pairs) == 45
    for row in pd.read_csv(shared / "esc10" / "esc10.csv").itertuples():
        assert ESC50_TO_AUDIOSET[row.category] == (row.mid, row.audioset_name)


@pytest.mark.shared
def test_esc10_by_itself_is_understood(shared):
    data = load_esc(shared / "esc10", fold=1, subset="esc10")
    assert {split: len(clips) for split, clips in data.items()} == {"train": 320, "test": 80}
    assert len(class_names(data["train"])) == 10
    assert np.median(data["test"]["seconds"]) == pytest.approx(5, abs=0.01)  # a few are longer or shorter
    assert vocabulary_of(data["train"]) == vocabulary_of(load_esc(shared / "esc10", 1, subset="audioset")["train"])


def test_missing_folder_table_column_clip_and_fold_each_have_their_message(esc_folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="no directory"):
        load_esc(tmp_path / "nowhere", 1)
    with pytest.raises(FileNotFoundError, match=r"esc50\.csv or .*esc10\.csv"):
        load_esc(tmp_path, 1)
    with pytest.raises(ValueError, match="fold 1 to 5, got 6"):
        load_esc(esc_folder, 6)
    with pytest.raises(ValueError, match="ten classes of ESC-10, got 2"):
        load_esc(esc_folder, 1, subset="esc10")
    with pytest.raises(ValueError, match="Expected subset 'esc10', 'audioset' or none, got 'esc50'"):
        load_esc(esc_folder, 1, subset="esc50")
    (esc_folder / "audio" / "1-1000-A-0.wav").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 30 listed clips .*1-1000-A-0\.wav"):
        load_esc(esc_folder, 1)
    path = esc_folder / "meta" / "esc50.csv"
    table = pd.read_csv(path)
    table[table["fold"] == 1].to_csv(path, index=False)
    with pytest.raises(ValueError, match=r"clips in fold 1 and in others, the table has \['fold 1'\]"):
        load_esc(esc_folder, 1)
    table.assign(target="ten").to_csv(path, index=False)
    with pytest.raises(ValueError, match=r"Expected numbers of classes .* got \['ten'\]"):
        load_esc(esc_folder, 1)
    table.rename(columns={"category": "class"}).to_csv(path, index=False)
    with pytest.raises(ValueError, match=r"missing \['category'\], found \['filename', 'fold', 'target', 'class'"):
        load_esc(esc_folder, 1)


@pytest.fixture
def urbansound_folder(tmp_path) -> Path:
    """UrbanSound8K's official layout: ten folds of two clips, the second class's number before the first's."""
    folder = tmp_path / "UrbanSound8K"
    lines = ["slice_file_name,fsID,start,end,salience,fold,classID,class"]
    for fold in range(1, 11):
        for number, name in ((9, "street_music"), (3, "dog_bark")):
            file = f"{100 * fold + number}-{number}-0-0.wav"
            write_clip(folder / "audio" / f"fold{fold}" / file)
            lines.append(f"{file},{100 * fold + number},0.0,0.25,1,{fold},{number},{name}")
    (folder / "metadata").mkdir()
    (folder / "metadata" / "UrbanSound8K.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_urbansound8k_holds_one_fold_of_ten_out(urbansound_folder):
    loaded = load("urbansound8k", urbansound_folder, fold=10)
    assert loaded.facts()["fold"] == 10
    data = {part: clips.dataset() for part, clips in loaded.parts.items()}
    assert {split: len(clips) for split, clips in data.items()} == {"train": 18, "test": 2}
    assert vocabulary_of(data["test"]) == Vocabulary(("dog_bark", "street_music"), ("/m/05tny_", "street_music"))
    assert data["test"]["id"][:] == ["1009-9-0-0", "1003-3-0-0"] and data["test"]["labels"][:] == [[1], [0]]
    assert set(data["test"]["split"]) == {"fold 10"} and "fold 10" not in data["train"]["split"]
    with pytest.raises(ValueError, match="fold 1 to 10, got 11 for UrbanSound8K"):
        load("urbansound8k", urbansound_folder, fold=11)
    (urbansound_folder / "audio" / "fold3" / "303-3-0-0.wav").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 20 listed clips .*fold3/303-3-0-0\.wav"):
        load("urbansound8k", urbansound_folder, fold=1)


@pytest.mark.shared
def test_urbansound8ks_mids_are_classes_of_audioset(shared):
    audioset = Vocabulary.from_csv(shared / "audioset" / "class_labels_indices.csv")
    assert set(urbansound8k.MIDS.values()) <= set(audioset.mids)


def test_a_split_of_fsd50k_is_one_however_it_is_spelled_and_others_are_refused(fsd50k_folder):
    path = fsd50k_folder / "FSD50K.ground_truth" / "dev.csv"
    before = list(load_fsd50k(fsd50k_folder, "train", quiet=True)["id"])
    text = path.read_text()
    path.write_text(text.replace("train", "train "))
    assert list(load_fsd50k(fsd50k_folder, "train", quiet=True)["id"]) == before
    path.write_text(text.replace("train", "Training"))
    with pytest.raises(ValueError, match=r"Expected the splits train and val in .*dev\.csv, got \['Training'\] too"):
        load_fsd50k(fsd50k_folder, "train")
