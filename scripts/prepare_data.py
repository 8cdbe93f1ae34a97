"""Prepare data as 16 kHz FLAC shards: python scripts/prepare_data.py esc --data-dir DIR --output-dir OUT.

Started again with the same arguments, it keeps what is finished. `prepare_data.py verify --output-dir OUT` checks.
"""

import argparse
from collections.abc import Callable
from typing import cast

from datasets import Dataset, DatasetDict

from psla_hf.commands.arguments import command_line
from psla_hf.data.load import load_audioset, load_esc, load_fsd50k, load_tagging_dataset
from psla_hf.data.prepare import prepare, verify
from psla_hf.data.schema import Clips, as_clips
from psla_hf.data.shards import ShardedClips, ShardIndex, find_shards, holds_shards
from psla_hf.data.sources.audioset import AUDIOSET_SHARD_NAMES
from psla_hf.data.sources.esc import NUM_ESC_FOLDS
from psla_hf.data.sources.fsd50k import FSD50K_SHARD_NAMES
from psla_hf.hub.dataset_cards import push
from psla_hf.labels.vocabulary import Vocabulary

Loader = Callable[[argparse.Namespace], dict[str, Clips]]


def main() -> None:
    arguments = parse()
    if arguments.source == "verify":
        report(arguments.output_dir, verify(arguments.output_dir))
        return
    for split, clips in (shards(arguments) or LOADERS[arguments.source](arguments)).items():
        manifest = prepare(
            clips,
            arguments.output_dir,
            split=split,
            clips_per_shard=arguments.clips_per_shard,
            num_processes=arguments.num_processes,
            on_error=arguments.on_error,
            source=f"{arguments.title}, {split}",
        )
    report(arguments.output_dir, manifest)
    if arguments.push:
        card = {"pretty_name": arguments.title, "license": arguments.license}
        print(push(arguments.output_dir, arguments.push, private=not arguments.public, **card))


def shards(arguments: argparse.Namespace) -> dict[str, Clips] | None:
    """Parquet files, local or remote, are read as they are prepared: no copy of them is made."""
    if arguments.source not in SHARD_NAMES or not holds_shards(arguments.data_dir):
        return None
    files = find_shards(arguments.data_dir, arguments.split, SHARD_NAMES[arguments.source])
    if files[0].endswith(".tar"):
        return None
    vocabulary = Vocabulary.from_csv(arguments.vocabulary) if arguments.vocabulary else None
    index = ShardIndex.open(files, vocabulary)
    return {arguments.split or "all": ShardedClips(index, 0, len(index.labels))}


def audioset(arguments: argparse.Namespace) -> dict[str, Clips]:
    files = {"segments": arguments.segments, "vocabulary": arguments.vocabulary}
    return {arguments.split: as_clips(cast("Dataset", load_audioset(arguments.data_dir, arguments.split, **files)))}


def fsd50k(arguments: argparse.Namespace) -> dict[str, Clips]:
    options = {"vocabulary": arguments.vocabulary, "incomplete": arguments.on_error}
    return {arguments.split: as_clips(cast("Dataset", load_fsd50k(arguments.data_dir, arguments.split, **options)))}


def esc(arguments: argparse.Namespace) -> dict[str, Clips]:
    folds: dict[str, Clips] = {}
    for fold in range(1, NUM_ESC_FOLDS + 1):
        options = {"incomplete": arguments.on_error, "quiet": fold > 1}
        data = cast("DatasetDict", load_esc(arguments.data_dir, fold, arguments.subset, **options))
        folds[f"fold_{fold}"] = as_clips(data["test"])
    return folds


def own(arguments: argparse.Namespace) -> dict[str, Clips]:
    names = ("audio_dir", "vocabulary", "split", "separator")
    options = {name: getattr(arguments, name) for name in names}
    data = load_tagging_dataset(arguments.data_dir, incomplete=arguments.on_error, **options)
    if isinstance(data, DatasetDict):
        return {str(split): as_clips(clips) for split, clips in data.items()}
    return {arguments.split or "all": as_clips(cast("Dataset", data))}


SHARD_NAMES = {"audioset": AUDIOSET_SHARD_NAMES, "fsd50k": FSD50K_SHARD_NAMES, "own": None}
LOADERS: dict[str, Loader] = {"audioset": audioset, "fsd50k": fsd50k, "esc": esc, "own": own}


def report(output_dir: str, manifest: dict) -> None:
    for split, section in manifest["splits"].items():
        print(
            f"{output_dir}: {split}, {section['clips']} of {section['listed']} clips, {section['hours']:.2f} hours in "
            f"{len(section['shards'])} shards; {len(section['dropped'])} dropped, {len(section['cut_short'])} cut "
            f"short, {section['clipped']} clipped"
        )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    sources = parser.add_subparsers(dest="source", required=True)
    of = {name: sources.add_parser(name, allow_abbrev=False) for name in (*LOADERS, "verify")}
    of["audioset"].add_argument("--split", default="balanced_train", help="or unbalanced_train, eval")
    of["audioset"].add_argument("--segments", help="the official CSV; default: looked for in the data's folder")
    of["fsd50k"].add_argument("--split", default="train", help="or val, eval")
    of["esc"].add_argument("--subset", choices=["esc10", "audioset"], help="take these classes out of ESC-50")
    of["own"].add_argument("--split", help="this split only; default: all")
    of["own"].add_argument("--audio-dir", help="what the table's files are relative to; default: its folder")
    of["own"].add_argument("--separator", help="separates the labels of a clip; default: found out")
    for name in ("audioset", "fsd50k", "own"):
        of[name].add_argument("--vocabulary", help="table of classes; default: the data's own")
    for source in of.values():
        source.add_argument("--output-dir", required=True, help="folder for the shards")
    for name in LOADERS:
        title = {"audioset": "AudioSet", "fsd50k": "FSD50K", "esc": "ESC"}.get(name)
        of[name].add_argument("--data-dir", required=True, help="the folder or address, or for own data the table")
        of[name].add_argument("--title", default=title, required=title is None, help="the data's name for people")
        of[name].add_argument("--clips-per-shard", type=int, default=2048)
        of[name].add_argument("--num-processes", type=int, default=1, help="processes that decode and encode")
        of[name].add_argument(
            "--drop-unreadable",
            dest="on_error",
            action="store_const",
            const="drop",
            default="raise",
            help="leave out and list clips that are missing or cannot be decoded, instead of stopping",
        )
        of[name].add_argument("--push", metavar="REPO", help="then upload to this data set repository of the Hub")
        of[name].add_argument("--public", action="store_true", help="make the repository public; default: private")
        of[name].add_argument("--license", help="for --push: the data's licence as the Hub names it, or other")
    arguments = parser.parse_args()
    if arguments.source != "verify" and arguments.push and not arguments.license:
        parser.error("--push needs --license: a card says under which licence the data are")
    return arguments


if __name__ == "__main__":
    with command_line():
        main()
