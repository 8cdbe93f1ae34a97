"""FSD50K: its splits, its ground truth as a listing, its shards' names. Opens no audio."""

from pathlib import Path

from psla_hf.data.listing import Listing, are_there, check_folder, clip_table, read_vocabulary
from psla_hf.data.tables.reading import read_table
from psla_hf.labels.vocabulary import Vocabulary

from .published import encode_label_texts
from .source import CardFacts, Source

__all__ = ["FSD50K"]


def list_fsd50k(data_dir: str | Path, *, split: str, vocabulary: str | Path | Vocabulary | None = None) -> Listing:
    """The clips of FSD50K's ground truth."""
    data_dir = check_folder(data_dir, "the folder that holds FSD50K.ground_truth and the folders of audio")
    truth = data_dir / "FSD50K.ground_truth"
    classes = read_vocabulary(vocabulary, [truth / "vocabulary.csv"])
    part = "eval" if split == "eval" else "dev"
    path = truth / f"{part}.csv"
    table = read_table(path, ["fname", "labels", "mids", *(["split"] if part == "dev" else [])])
    if part == "dev":
        splits = table["split"].str.strip()
        wrong = sorted(set(splits) - {"train", "val"})
        if wrong:
            raise ValueError(f"Expected the splits train and val in {path}, got {wrong[:5]} too. Correct the column.")
        table = table[splits == split]
    labels = encode_label_texts(table["mids"], classes, path)
    differ = [
        fname
        for fname, mids, names in zip(
            table["fname"], labels, encode_label_texts(table["labels"], classes, path), strict=True
        )
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


FSD50K = Source(
    key="fsd50k",
    name="FSD50K",
    title="FSD50K",
    list_folder=list_fsd50k,
    settings=("vocabulary",),
    marks=("FSD50K.ground_truth",),
    splits=("train", "val", "eval"),
    train=("train",),
    prepared="train",
    validation=("val",),
    test=("eval",),
    shard_names={
        "train": ("train", "dev"),
        "val": ("val", "valid", "validation"),
        "eval": ("eval", "evaluation", "test"),
    },
    # Human_voice, Crash_cymbal, Human_group_actions, Respiratory_sounds and Domestic_sounds_and_home_sounds
    no_proposals=("/m/09l8g", "/m/0bm0k", "/t/dd00012", "/m/09hlz4", "/t/dd00071"),
    card=CardFacts(  # no copy on the Hub is to be relied on
        key="fsd50k",
        name="FSD50K",
        terms="""\
FSD50K's labels are under CC BY 4.0; its clips are under CC0, CC BY, CC BY-NC or Sampling+, clip by clip.""",
        limits="""\
- Clips are from one source, Freesound; so are those of the test. Other sources were not tested.
- Labels of the training clips are correct but may be incomplete.""",
        comparison="""\
The paper counts 37,134 clips to train on where the official list has 36,796; what was there for this model is in the
table of data below.""",
        bibtex="""\
@article{fonseca2022fsd50k,
  title = {{FSD50K}: An Open Dataset of Human-Labeled Sound Events},
  author = {Fonseca, Eduardo and Favory, Xavier and Pons, Jordi and Font, Frederic and Serra, Xavier},
  journal = {IEEE/ACM Transactions on Audio, Speech, and Language Processing},
  volume = {30},
  pages = {829--852},
  year = {2022},
  doi = {10.1109/TASLP.2021.3133208}
}""",
    ),
)
