"""`psla prepare`: data of any source as shards of FLAC, and `psla prepare verify`."""

from __future__ import annotations  # the types of what is imported when the command runs

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from psla_hf.data.sources import SOURCES, EscSubset

from .arguments import MESSAGES, Messages, Needs, Part, Switch, Whole, option, panel
from .data import OwnTable

# AudioSet is prepared split by split, whatever is trained on.
DATA_SETS = {"audioset": "audioset_full"} | {key: key for key in SOURCES if not key.startswith("audioset")}

Source = Annotated[str, Parameter(choices=tuple(DATA_SETS))]

prepare = App(name="prepare")


@panel("Data", 0)
@dataclass(frozen=True, kw_only=True)
class Original:
    """What is prepared."""

    data_dir: str = option("The folder or address, or for own data the table.")
    split: str | None = option("This one only; default: AudioSet's balanced_train, FSD50K's train, all others.", None)
    subset: EscSubset | None = option("Of ESC-50: take these classes out of it.", None)
    segments: str | None = option("Of AudioSet: the official CSV; default: looked for in the data's folder.", None)
    vocabulary: str | None = option("Table of classes; default: the data's own.", None)
    title: str | None = option("The data's name for people; own data need one.", None)

    def settings(self) -> dict[str, Any]:
        """What there is to say of some data sets only."""
        return {name: getattr(self, name) for name in ("subset", "segments", "vocabulary")}


@panel("Shards", 1)
@dataclass(frozen=True, kw_only=True)
class Shards:
    """What is made of it."""

    output_dir: str = option("Folder for the shards.")
    sampling_rate: Whole = option("Rate of the FLAC files in Hz: the highest that a model is to hear at.", 16000)
    clips_per_shard: Whole = option("Clips in each file.", 2048)
    num_processes: Whole = option("Processes that decode and encode.", 1)
    shard_of: Part = option("Make this part of the shards only, such as 3/64; in the end once without.", (1, 1))
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
    public: Annotated[Switch, Needs("--push")] = option("Make the repository public; default: private.", False)
    license: Annotated[str | None, Needs("--push")] = option("The data's licence as the Hub names it, or other.", None)

    def __post_init__(self) -> None:
        """Refuse what would fail after the work."""
        if self.push and not self.license:
            raise ValueError("--push needs --license: a card says under which licence the data are.")
        if self.push:
            from psla_hf.hub.repository import check_repo_id

            check_repo_id(self.push)


OWN, PUBLISHING = OwnTable(), Publishing()


@prepare.default
def prepared(
    source: Source,
    /,
    *,
    data: Original,
    shards: Shards,
    own: OwnTable = OWN,
    publishing: Publishing = PUBLISHING,
    messages: Messages = MESSAGES,
) -> None:
    """Prepare data as shards of mono FLAC.

    Started again with the same arguments, it keeps what is finished.

    For example:
        psla prepare esc --data-dir esc10 --output-dir prepared
        psla prepare verify --output-dir prepared

    Args:
        source: Which data.
    """
    from psla_hf.data.load import load_splits
    from psla_hf.data.shards.prepare import prepare
    from psla_hf.data.summary import LoadOptions

    if publishing.push and shards.shard_of != (1, 1):
        raise ValueError("expected --push with the last call, without --shard-of: a part is no data set.")
    key = DATA_SETS[source]
    title = data.title or (None if source == "own" else SOURCES[key].name)
    if title is None:
        raise ValueError(f"expected --title, the name of the data for people, with {source}.")
    # Streamed: of parquet files, local or remote, no copy is made.
    options = LoadOptions("drop" if shards.drop_unreadable else None, streaming=True, quiet=messages.quiet)
    split = data.split or SOURCES[key].prepared
    settings = {**data.settings(), **own.settings()}
    loaded = load_splits(key, data.data_dir, options, splits=[split] if split else None, **settings)
    for part, clips in loaded.parts.items():
        split = part.replace(" ", "_")
        manifest = prepare(
            clips,
            shards.output_dir,
            split=split,
            sampling_rate=shards.sampling_rate,
            clips_per_shard=shards.clips_per_shard,
            num_processes=shards.num_processes,
            on_error=shards.on_error,
            source=f"{title}, {split}",
            subset=loaded.subset,
            part=shards.shard_of,
        )
    if manifest is None:
        number, parts = shards.shard_of
        print(f"Part {number} of {parts} in {shards.output_dir}. When all are there, run it once without --shard-of.")
        return
    show(shards.output_dir, manifest)
    if publishing.push:
        from psla_hf.hub.dataset_cards import push  # with all that cards of models need

        card: dict[str, Any] = {"pretty_name": title, "license": publishing.license}
        print(push(shards.output_dir, publishing.push, private=not publishing.public, **card))


@prepare.command
def verify(*, output_dir: str, messages: Messages = MESSAGES) -> None:
    """Check prepared shards against their manifest.

    For example:
        psla prepare verify --output-dir prepared

    Args:
        output_dir: Folder of the shards.
    """
    from psla_hf.data.shards.prepare import verify

    show(output_dir, verify(output_dir))


def show(output_dir: str, manifest: dict) -> None:
    """Print what a folder of shards holds."""
    for split, section in manifest["splits"].items():
        print(
            f"{output_dir}: {split}, {section['clips']} of {section['listed']} clips, {section['hours']:.2f} hours in "
            f"{len(section['shards'])} shards; {len(section['dropped'])} dropped, {len(section['cut_short'])} cut "
            f"short, {section['clipped']} clipped"
        )
