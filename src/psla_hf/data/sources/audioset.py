"""AudioSet: its splits, its lists and how files are named after them, its shards' names. Opens no audio."""

import csv
import io
import re
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pyarrow as pa

from psla_hf.data.listing import Listing, are_there, check_folder, clip_table, first_file, read_vocabulary
from psla_hf.files import read_json, read_text, reading
from psla_hf.folder import FolderContents
from psla_hf.labels.vocabulary import Vocabulary

from .published import encode_label_texts
from .source import CardFacts, Source

__all__ = ["AUDIOSET_BALANCED", "AUDIOSET_FULL"]


# A YouTube id has eleven characters, which may themselves begin with Y or look like a time: only the length tells.
# Around it there may be a Y, and where the clip starts and ends, in seconds or in milliseconds.
YOUTUBE_ID = r"[A-Za-z0-9_-]{11}"

AUDIOSET_STEM = re.compile(rf"Y?(?P<id>{YOUTUBE_ID})(_\d+(\.\d+)?){{0,2}}", re.ASCII)

AUDIOSET_NAMING = (
    "Expected files named ID, ID_START or ID_START_END, with a Y before it or without, at any depth, as wav, flac, "
    "ogg, opus, mp3, m4a or webm; ID is the YouTube id, times are in seconds or milliseconds."
)


def list_audioset(
    data_dir: str | Path,
    *,
    split: str,
    segments: str | Path | None = None,
    vocabulary: str | Path | Vocabulary | None = None,
) -> Listing:
    """The clips of a segments CSV or of a PSLA JSON, and their files under `data_dir`."""
    data_dir = check_folder(data_dir, "the folder that holds AudioSet's clips")
    metadata = data_dir / "metadata"
    lists = [Path(segments)] if segments else [folder / f"{split}_segments.csv" for folder in (data_dir, metadata)]
    path = first_file(lists, "the list of clips as segments")
    tables = [folder / "class_labels_indices.csv" for folder in (path.parent, data_dir, metadata)]
    classes = read_vocabulary(vocabulary, tables)
    source = f"AudioSet {split} ({path.name})"
    if path.suffix == ".json":
        clips = _psla_json_clips(path, data_dir, classes, split)
        return Listing(source, data_dir, classes, clips, "Expected the files at the paths that the list gives.")
    clips, notes = _segment_clips(path, data_dir, classes, split)
    return Listing(source, data_dir, classes, clips, AUDIOSET_NAMING, notes)


def _segment_clips(path: Path, data_dir: Path, classes: Vocabulary, split: str) -> tuple[pa.Table, tuple[str, ...]]:
    """The clips of an official list, and a note about those with several files."""
    ids, mids = _read_segments(path)
    contents = FolderContents.of(data_dir)
    first, several = _files_by_id(contents, set(ids))
    notes = [
        f"{len(several)} clips have more than one file, for example {clip}: {', '.join(files)}; the first, folder by "
        "folder in alphabetical order, was taken."
        for clip, files in islice(several.items(), 1)
    ]
    paths = [first.get(clip) for clip in ids]
    there = [place is not None for place in paths]
    return clip_table(ids, paths, there, encode_label_texts(mids, classes, path), [split] * len(ids)), tuple(notes)


def _read_segments(path: Path) -> tuple[list[str], list[str]]:
    """Ids and mids of an official list: lines `YTID, start, end, "mid,mid"` under three of comment."""
    text = io.StringIO(read_text(path))
    with reading(path, "a list of segments"):
        lines = csv.reader((line for line in text if not line.startswith("#")), skipinitialspace=True)
        rows = [row for row in lines if row]
    wrong = next((row for row in rows if len(row) != 4 or not re.fullmatch(YOUTUBE_ID, row[0])), None)
    if wrong:
        raise ValueError(
            f"Expected a YouTube id of 11 characters, start, end and the mids in quotes in every line of {path}, got "
            f"{str(wrong)[:80]}."
        )
    return [row[0] for row in rows], [row[3] for row in rows]


def _files_by_id(contents: FolderContents, wanted: set[str]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """The first file of every wanted id in a folder, and all the files of those ids that have several."""
    first: dict[str, str] = {}
    several: dict[str, list[str]] = {}
    for path in contents.audio:
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
    content = read_json(path)
    with reading(path, '{"data": [{"wav": path, "labels": "mid,mid"}, …]}'):
        entries = [(str(entry["wav"]), str(entry["labels"])) for entry in content["data"]]
    files = [data_dir / file for file, _ in entries]  # an absolute path stays what it is
    labels = encode_label_texts([mids for _, mids in entries], classes, path)
    return clip_table(
        [file.stem for file in files], list(map(str, files)), are_there(files), labels, [split] * len(files)
    )


CARD = CardFacts(
    key="audioset_balanced",
    name="AudioSet (balanced)",
    hub_id="agkphysics/AudioSet",
    terms="""\
AudioSet's lists and labels are under CC BY 4.0 and its ontology under CC BY-SA 4.0; the sound is that of YouTube videos
and belongs to its uploaders.""",
    limits="""\
- AudioSet's labels are incomplete and in part wrong, those of the test too, and its classes are very unequal in size
  and in quality; a mean over the classes hides that.
- The clips are ten seconds from YouTube videos, and so are those of the test. Other sources were not tested.""",
    comparison="""\
Like with like this is not: videos disappear, so that whoever gets AudioSet gets other clips. The paper trained on
20,785 clips (balanced) or 1,953,082 (full); what was there for this model, to train and to test on, is in the table of
data below.""",
    bibtex="""\
@inproceedings{gemmeke2017audioset,
  title = {Audio Set: An ontology and human-labeled dataset for audio events},
  author = {Gemmeke, Jort F. and Ellis, Daniel P. W. and Freedman, Dylan and Jansen, Aren and Lawrence, \
Wade and Moore, R. Channing and Plakal, Manoj and Ritter, Marvin},
  booktitle = {IEEE International Conference on Acoustics, Speech and Signal Processing (ICASSP)},
  pages = {776--780},
  year = {2017},
  doi = {10.1109/ICASSP.2017.7952261}
}""",
)

AUDIOSET_BALANCED = Source(
    key="audioset_balanced",
    name="AudioSet",
    title="AudioSet (balanced)",
    list_folder=list_audioset,
    settings=("segments", "vocabulary"),
    marks=("balanced_train_segments.csv", "metadata/balanced_train_segments.csv"),
    splits=("balanced_train", "unbalanced_train", "eval"),
    train=("balanced_train",),
    prepared="balanced_train",
    test=("eval",),
    shard_names={
        "balanced_train": ("balanced_train", "bal_train"),
        "unbalanced_train": ("unbalanced_train", "unbal_train"),
        "eval": ("eval", "evaluation", "test"),
    },
    incomplete="drop",  # videos disappear, so that nobody has all
    card=CARD,
)

AUDIOSET_FULL = replace(
    AUDIOSET_BALANCED,
    key="audioset_full",
    title="AudioSet",
    train=("balanced_train", "unbalanced_train"),
    card=replace(CARD, key="audioset_full", name="AudioSet"),
)
