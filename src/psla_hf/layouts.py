"""AudioSet, FSD50K and ESC as people have them on disk: which clips, which files, which labels. Opens no audio."""

import csv
import json
import re
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa

from .labels import Vocabulary
from .listing import Listing, are_there, audio_files, check_folder, clip_table
from .tables import read_csv

__all__ = [
    "AUDIOSET_SPLITS",
    "ESC50_TO_AUDIOSET",
    "FSD50K_SPLITS",
    "EscSubset",
    "audioset_listing",
    "check_split",
    "esc_listing",
    "fsd50k_listing",
    "read_vocabulary",
]

AUDIOSET_SPLITS = ("balanced_train", "unbalanced_train", "eval")
FSD50K_SPLITS = ("train", "val", "eval")
EscSubset = Literal["esc10", "audioset"]

# A YouTube id has eleven characters, which may themselves begin with Y or look like a time: only the length tells.
# Around it there may be a Y, and where the clip starts and ends, in seconds or in milliseconds.
YOUTUBE_ID = r"[A-Za-z0-9_-]{11}"
AUDIOSET_STEM = re.compile(rf"Y?(?P<id>{YOUTUBE_ID})(_\d+(\.\d+)?){{0,2}}", re.ASCII)
AUDIOSET_NAMING = (
    "Expected files named ID, ID_START or ID_START_END, with a Y before it or without, at any depth, as wav, flac, "
    "ogg, opus, mp3, m4a or webm; ID is the YouTube id, times are in seconds or milliseconds."
)
ESC_TABLES = ("meta/esc50.csv", "esc50.csv", "esc10.csv")
ESC_COLUMNS = ("filename", "fold", "target", "category")

# Classes of ESC-50 with the class of AudioSet that means the same: mid and display name. The ten of ESC-10 are the
# pairs of its own table. The paper compares models on 40 of the 50 (Table IX) with a list that could not be had, so the
# other pairs are our reading of the names, and figures over these 45 classes are not those of the table. Left out are
# drinking_sipping, mouse_click, can_opening and washing_machine, which AudioSet does not have, and insects, which in
# ESC-50 fly and in AudioSet include the crickets. Each class of AudioSet stands for one class of ESC-50 only.
ESC50_TO_AUDIOSET = {
    "dog": ("/m/0bt9lr", "Dog"),
    "rooster": ("/m/07qn5dc", "Crowing, cock-a-doodle-doo"),
    "pig": ("/m/068zj", "Pig"),
    "cow": ("/m/01xq0k1", "Cattle, bovinae"),
    "frog": ("/m/09ld4", "Frog"),
    "cat": ("/m/01yrx", "Cat"),
    "hen": ("/m/07st89h", "Cluck"),
    "sheep": ("/m/07bgp", "Sheep"),
    "crow": ("/m/04s8yn", "Crow"),
    "rain": ("/m/06mb1", "Rain"),
    "sea_waves": ("/m/034srq", "Waves, surf"),
    "crackling_fire": ("/m/07pzfmf", "Crackle"),
    "crickets": ("/m/09xqv", "Cricket"),
    "chirping_birds": ("/m/07pggtn", "Chirp, tweet"),
    "water_drops": ("/m/07r5v4s", "Drip"),
    "wind": ("/m/03m9d0z", "Wind"),
    "pouring_water": ("/m/07prgkl", "Pour"),
    "toilet_flush": ("/m/01jt3m", "Toilet flush"),
    "thunderstorm": ("/m/0jb2l", "Thunderstorm"),
    "crying_baby": ("/t/dd00002", "Baby cry, infant cry"),
    "sneezing": ("/m/01hsr_", "Sneeze"),
    "clapping": ("/m/0l15bq", "Clapping"),
    "breathing": ("/m/0lyf6", "Breathing"),
    "coughing": ("/m/01b_21", "Cough"),
    "footsteps": ("/m/07pbtc8", "Walk, footsteps"),
    "laughing": ("/m/01j3sz", "Laughter"),
    "brushing_teeth": ("/m/012xff", "Toothbrush"),
    "snoring": ("/m/01d3sd", "Snoring"),
    "door_wood_knock": ("/m/07r4wb8", "Knock"),
    "keyboard_typing": ("/m/01m2v", "Computer keyboard"),
    "door_wood_creaks": ("/m/07qh7jl", "Creak"),
    "vacuum_cleaner": ("/m/0d31p", "Vacuum cleaner"),
    "clock_alarm": ("/m/046dlr", "Alarm clock"),
    "clock_tick": ("/m/07qjznl", "Tick-tock"),
    "glass_breaking": ("/m/07rn7sz", "Shatter"),
    "helicopter": ("/m/09ct_", "Helicopter"),
    "chainsaw": ("/m/01j4z9", "Chainsaw"),
    "siren": ("/m/03kmc9", "Siren"),
    "car_horn": ("/m/0912c9", "Vehicle horn, car horn, honking"),
    "engine": ("/m/02mk9", "Engine"),
    "train": ("/m/07jdr", "Train"),
    "church_bells": ("/m/03w41f", "Church bell"),
    "airplane": ("/m/0cmf2", "Fixed-wing aircraft, airplane"),
    "fireworks": ("/m/0g6b5", "Fireworks"),
    "hand_saw": ("/m/01b82r", "Sawing"),
}


def audioset_listing(
    data_dir: str | Path, split: str, segments: str | Path | None, vocabulary: str | Path | Vocabulary | None
) -> Listing:
    """The clips of a segments CSV or of a PSLA JSON, and their files under `data_dir`."""
    data_dir = check_folder(data_dir, "the folder that holds AudioSet's clips")
    metadata = data_dir / "metadata"
    lists = [Path(segments)] if segments else [folder / f"{split}_segments.csv" for folder in (data_dir, metadata)]
    path = _first_file(lists, "the list of clips as segments")
    tables = [folder / "class_labels_indices.csv" for folder in (path.parent, data_dir, metadata)]
    classes = read_vocabulary(vocabulary, tables)
    source = f"AudioSet {split} ({path.name})"
    if path.suffix == ".json":
        clips = _psla_json_clips(path, data_dir, classes, split)
        return Listing(source, data_dir, classes, clips, "Expected the files at the paths that the list gives.")
    clips, notes = _segment_clips(path, data_dir, classes, split)
    return Listing(source, data_dir, classes, clips, AUDIOSET_NAMING, notes)


def fsd50k_listing(data_dir: str | Path, split: str, vocabulary: str | Path | Vocabulary | None) -> Listing:
    """The clips of FSD50K's ground truth."""
    data_dir = check_folder(data_dir, "the folder that holds FSD50K.ground_truth and the folders of audio")
    truth = data_dir / "FSD50K.ground_truth"
    classes = read_vocabulary(vocabulary, [truth / "vocabulary.csv"])
    part = "eval" if split == "eval" else "dev"
    path = truth / f"{part}.csv"
    table = _read_table(path, ["fname", "labels", "mids", *(["split"] if part == "dev" else [])])
    if part == "dev":
        table = table[table["split"] == split]
    labels = _encode(table["mids"], classes, path)
    differ = [
        fname
        for fname, mids, names in zip(table["fname"], labels, _encode(table["labels"], classes, path), strict=True)
        if mids != names
    ]
    if differ:
        raise ValueError(
            f"Expected the labels and the mids in {path} to be the same classes of the vocabulary, they are not for "
            f"{len(differ)} clips, for example {differ[0]}. Use the vocabulary that came with the table."
        )
    paths = [data_dir / f"FSD50K.{part}_audio" / f"{fname}.wav" for fname in table["fname"]]
    clips = clip_table(list(table["fname"]), list(map(str, paths)), are_there(paths), labels, [split] * len(paths))
    naming = f"Expected FSD50K.{part}_audio/FNAME.wav."
    return Listing(f"FSD50K {split}", data_dir, classes, clips, naming)


def esc_listing(data_dir: str | Path, subset: EscSubset | None) -> Listing:
    """All folds of ESC-50, or of those of its classes that a subset takes."""
    if subset not in (None, "esc10", "audioset"):
        raise ValueError(f"Expected subset 'esc10', 'audioset' or none, got {subset!r}.")
    data_dir = check_folder(data_dir, "the folder of ESC-50 or ESC-10")
    path = _first_file([data_dir / name for name in ESC_TABLES], "the folder that holds one")
    table = _esc_subset(_read_table(path, ESC_COLUMNS), subset)
    if not table["target"].str.isdecimal().all():
        raise ValueError(f"Expected numbers of classes as target in {path}, got {sorted(set(table['target']))[:5]}.")
    targets = sorted(set(table["target"]), key=int)
    names = [table["category"][table["target"] == target].iloc[0] for target in targets]
    classes = Vocabulary(tuple(names), tuple(ESC50_TO_AUDIOSET.get(name, (name, name))[0] for name in names))
    index = {target: k for k, target in enumerate(targets)}
    paths = [data_dir / "audio" / name for name in table["filename"]]
    clips = clip_table(
        ids=[path.stem for path in paths],
        paths=[str(path) for path in paths],
        there=are_there(paths),
        labels=[[index[target]] for target in table["target"]],
        splits=[f"fold {fold}" for fold in table["fold"]],
    )
    source = {None: path.stem, "esc10": "esc10", "audioset": f"{path.stem}, classes that AudioSet has"}[subset]
    return Listing(source, data_dir, classes, clips, "Expected the files of the table's column filename in audio/.")


def read_vocabulary(given: str | Path | Vocabulary | None, candidates: Sequence[Path]) -> Vocabulary:
    """The vocabulary that was given, as such or as a path, or else the first of the candidates that is there."""
    if isinstance(given, Vocabulary):
        return given
    return Vocabulary.from_csv(
        _first_file([Path(given)] if given else candidates, "the table of classes as vocabulary")
    )


def _segment_clips(path: Path, data_dir: Path, classes: Vocabulary, split: str) -> tuple[pa.Table, tuple[str, ...]]:
    """The clips of an official list, and a note about those with several files."""
    ids, mids = _read_segments(path)
    first, several = _files_by_id(data_dir, set(ids))
    notes = [
        f"{len(several)} clips have more than one file, for example {clip}: {', '.join(files)}; the first, folder by "
        "folder in alphabetical order, was taken."
        for clip, files in islice(several.items(), 1)
    ]
    paths = [first.get(clip) for clip in ids]
    there = [place is not None for place in paths]
    return clip_table(ids, paths, there, _encode(mids, classes, path), [split] * len(ids)), tuple(notes)


def _read_segments(path: Path) -> tuple[list[str], list[str]]:
    """Ids and mids of an official list: lines `YTID, start, end, "mid,mid"` under three of comment."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader((line for line in file if not line.startswith("#")), skipinitialspace=True)
        rows = [row for row in lines if row]
    wrong = next((row for row in rows if len(row) != 4 or not re.fullmatch(YOUTUBE_ID, row[0])), None)
    if wrong:
        raise ValueError(
            f"Expected a YouTube id of 11 characters, start, end and the mids in quotes in every line of {path}, got "
            f"{wrong}."
        )
    return [row[0] for row in rows], [row[3] for row in rows]


def _files_by_id(data_dir: Path, wanted: set[str]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """The first file of every wanted id in a tree, and all the files of those ids that have several."""
    first: dict[str, str] = {}
    several: dict[str, list[str]] = {}
    for path in audio_files(data_dir):
        named = AUDIOSET_STEM.fullmatch(path.stem)
        if named is None or named["id"] not in wanted:
            continue
        if named["id"] in first:
            several.setdefault(named["id"], [first[named["id"]]]).append(str(path))
        else:
            first[named["id"]] = str(path)
    return first, several


def _psla_json_clips(path: Path, data_dir: Path, classes: Vocabulary, split: str) -> pa.Table:
    """The clips of a list as PSLA's own code reads it: `{"data": [{"wav": path, "labels": "mid,mid"}]}`."""
    try:
        entries = [(entry["wav"], entry["labels"]) for entry in json.loads(path.read_text(encoding="utf-8"))["data"]]
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(
            f'Expected {{"data": [{{"wav": path, "labels": "mid,mid"}}, …]}} in {path}, got something else ({error!r}).'
        ) from error
    files = [data_dir / file for file, _ in entries]  # an absolute path stays what it is
    labels = _encode([mids for _, mids in entries], classes, path)
    return clip_table(
        [file.stem for file in files], list(map(str, files)), are_there(files), labels, [split] * len(files)
    )


def _encode(texts: Iterable[str], classes: Vocabulary, path: Path) -> list[list[int]]:
    """Class indices of each clip's labels, separated by commas; each text that recurs is looked up once."""
    texts = list(texts)
    try:
        codes = {text: classes.encode(text.split(",")) for text in set(texts)}
    except ValueError as error:
        raise ValueError(f"In {path}: {error} Pass the vocabulary that belongs to the list.") from error
    return [codes[text] for text in texts]


def _esc_subset(table: pd.DataFrame, subset: EscSubset | None) -> pd.DataFrame:
    """The rows of the classes that the subset takes."""
    if subset == "audioset":
        return table[table["category"].isin(list(ESC50_TO_AUDIOSET))]
    if subset == "esc10":
        if "esc10" in table.columns:
            table = table[table["esc10"] == "True"]
        if table["target"].nunique() != 10:
            raise ValueError(
                f"Expected a column 'esc10' or just the ten classes of ESC-10, got {table['target'].nunique()} classes."
            )
    return table


def _read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """A CSV as strings, its columns checked."""
    if not path.is_file():
        raise FileNotFoundError(f"Expected the table {path}, there is none. Is the data set complete?")
    table = read_csv(path)
    absent = [column for column in columns if column not in table.columns]
    if absent:
        raise ValueError(f"Expected columns {list(columns)} in {path}, missing {absent}, found {list(table.columns)}.")
    return table


def _first_file(candidates: Sequence[Path], what: str) -> Path:
    """The first candidate that is a file."""
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"Expected {' or '.join(map(str, candidates))}, found none. Put it there, or pass {what}."
        )
    return path


def check_split(split: str, splits: tuple[str, ...]) -> None:
    """Refuse a split that a data set does not have."""
    if split not in splits:
        raise ValueError(f"Expected split {', '.join(splits)}, got {split!r}.")
