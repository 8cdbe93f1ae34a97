"""`psla prepare`: data of any source as shards of 16 kHz FLAC, and `psla prepare verify`."""

from __future__ import annotations  # the types of what is imported when the command runs

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from .arguments import MESSAGES, Messages, Switch, Whole, option, panel

if TYPE_CHECKING:
    from typing import TypeAlias

    from datasets import Dataset

    from psla_hf.data.shards import ShardedClips

    Clips: TypeAlias = Dataset | ShardedClips

SPLITS = {"audioset": "balanced_train", "fsd50k": "train"}  # where none is named

TITLES = {"audioset": "AudioSet", "fsd50k": "FSD50K", "esc": "ESC", "own": None}

Source = Annotated[str, Parameter(choices=tuple(TITLES))]

prepare = App(name="prepare")


@panel("Data", 0)
@dataclass(frozen=True, kw_only=True)
class Original:
    """What is prepared."""

    data_dir: str = option("The folder or address, or for own data the table.")
    split: str | None = option("This one only; default: AudioSet's balanced_train, FSD50K's train, all others.", None)
    subset: Literal["esc10", "audioset"] | None = option("Of ESC-50: take these classes out of it.", None)
    segments: str | None = option("Of AudioSet: the official CSV; default: looked for in the data's folder.", None)
    audio_dir: str | None = option("Of own data: what the table's files are relative to; default: its folder.", None)
    separator: str | None = option("Of own data: separates the labels of a clip; default: found out.", None)
    vocabulary: str | None = option("Table of classes; default: the data's own.", None)
    title: str | None = option("The data's name for people; own data need one.", None)


@panel("Shards", 1)
@dataclass(frozen=True, kw_only=True)
class Shards:
    """What is made of it."""

    output_dir: str = option("Folder for the shards.")
    clips_per_shard: Whole = option("Clips in each file.", 2048)
    num_processes: Whole = option("Processes that decode and encode.", 1)
    drop_unreadable: Switch = option("Leave out and list missing and unreadable clips, instead of stopping.", False)

    @property
    def on_error(self) -> Literal["drop", "raise"]:
        """As the library calls it."""
        return "drop" if self.drop_unreadable else "raise"


@panel("Publishing", 2)
@dataclass(frozen=True, kw_only=True)
class Publishing:
    """Where it goes then."""

    push: str | None = option("Then upload to this data set repository of the Hub.", None)
    public: Switch = option("Make the repository public; default: private.", False)
    license: str | None = option("The data's licence as the Hub names it, or other.", None)

    def __post_init__(self) -> None:
        """Refuse what would fail after the work."""
        if self.push and not self.license:
            raise ValueError("--push needs --license: a card says under which licence the data are.")


PUBLISHING = Publishing()


@prepare.default
def prepared(
    source: Source,
    /,
    *,
    data: Original,
    shards: Shards,
    publishing: Publishing = PUBLISHING,
    messages: Messages = MESSAGES,
) -> None:
    """Prepare data as shards of 16 kHz FLAC.

    Started again with the same arguments, it keeps what is finished.

    For example:
        psla prepare esc --data-dir esc10 --output-dir prepared
        psla prepare verify --output-dir prepared

    Args:
        source: Which data.
        data: What is prepared.
        shards: What is made of it.
        publishing: Where it goes then.
        messages: How much is said.
    """
    from psla_hf.data.prepare import prepare
    from psla_hf.hub.dataset_cards import push

    title = data.title or TITLES[source]
    if title is None:
        raise ValueError(f"expected --title, the name of the data for people, with {source}.")
    for split, clips in load(source, data, shards.on_error, messages.quiet).items():
        manifest = prepare(
            clips,
            shards.output_dir,
            split=split,
            clips_per_shard=shards.clips_per_shard,
            num_processes=shards.num_processes,
            on_error=shards.on_error,
            source=f"{title}, {split}",
        )
    show(shards.output_dir, manifest)
    if publishing.push:
        card: dict[str, Any] = {"pretty_name": title, "license": publishing.license}
        print(push(shards.output_dir, publishing.push, private=not publishing.public, **card))


@prepare.command
def verify(*, output_dir: str, messages: Messages = MESSAGES) -> None:
    """Check prepared shards against their manifest.

    For example:
        psla prepare verify --output-dir prepared

    Args:
        output_dir: Folder of the shards.
        messages: How much is said.
    """
    from psla_hf.data.prepare import verify

    show(output_dir, verify(output_dir))


def load(source: str, data: Original, on_error: Literal["drop", "raise"], quiet: bool) -> dict[str, Clips]:
    """The source's splits; of parquet files, local or remote, no copy is made."""
    from datasets import DatasetDict

    from psla_hf.data.load import load_audioset, load_esc, load_fsd50k, load_tagging_dataset
    from psla_hf.data.shards import ShardedClips, ShardIndex, find_shards, holds_shards
    from psla_hf.data.sources.audioset import AUDIOSET_SHARD_NAMES
    from psla_hf.data.sources.esc import NUM_ESC_FOLDS
    from psla_hf.data.sources.fsd50k import FSD50K_SHARD_NAMES
    from psla_hf.labels.vocabulary import Vocabulary

    split = data.split or SPLITS.get(source, "all")
    shard_names: dict[str, Any] = {"audioset": AUDIOSET_SHARD_NAMES, "fsd50k": FSD50K_SHARD_NAMES, "own": None}
    if source in shard_names and holds_shards(data.data_dir):
        files = find_shards(data.data_dir, data.split or SPLITS.get(source), shard_names[source])
        if not files[0].endswith(".tar"):
            index = ShardIndex.open(files, Vocabulary.from_csv(data.vocabulary) if data.vocabulary else None)
            return {split: ShardedClips(index, 0, len(index.labels))}
    if source == "audioset":
        tables: dict[str, Any] = {"segments": data.segments, "vocabulary": data.vocabulary}
        return {split: load_audioset(data.data_dir, split, quiet=quiet, **tables)}
    options: dict[str, Any] = {"incomplete": on_error, "quiet": quiet}
    if source == "fsd50k":
        return {split: load_fsd50k(data.data_dir, split, vocabulary=data.vocabulary, **options)}
    if source == "esc":
        folds = {}
        for fold in range(1, NUM_ESC_FOLDS + 1):
            options["quiet"] = quiet or fold > 1
            folds[f"fold_{fold}"] = load_esc(data.data_dir, fold, data.subset, **options)["test"]
        return folds
    options |= {name: getattr(data, name) for name in ("audio_dir", "vocabulary", "split", "separator")}
    loaded = load_tagging_dataset(data.data_dir, **options)
    return dict(loaded) if isinstance(loaded, DatasetDict) else {split: loaded}


def show(output_dir: str, manifest: dict) -> None:
    """Print what a folder of shards holds."""
    for split, section in manifest["splits"].items():
        print(
            f"{output_dir}: {split}, {section['clips']} of {section['listed']} clips, {section['hours']:.2f} hours in "
            f"{len(section['shards'])} shards; {len(section['dropped'])} dropped, {len(section['cut_short'])} cut "
            f"short, {section['clipped']} clipped"
        )
