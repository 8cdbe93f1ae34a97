"""Prepare data as 16 kHz FLAC shards: python scripts/prepare_data.py esc --data-dir DIR --output-dir OUT.

Started again with the same arguments, it keeps what is finished. `prepare_data.py verify --output-dir OUT` checks.
"""

import argparse

from psla_hf.commands.arguments import command_line
from psla_hf.data.load import load_splits
from psla_hf.data.prepare import prepare, verify
from psla_hf.data.sources import SOURCES
from psla_hf.data.summary import LoadOptions
from psla_hf.hub.dataset_cards import push

DATASETS = {"audioset": "audioset_full", **{key: key for key in SOURCES if not key.startswith("audioset")}}


def main() -> None:
    arguments = parse()
    if arguments.source == "verify":
        report(arguments.output_dir, verify(arguments.output_dir))
        return
    options = LoadOptions("drop" if arguments.on_error == "drop" else None, streaming=True)
    names = set(SOURCES[DATASETS[arguments.source]].settings) & vars(arguments).keys()
    splits = [arguments.split] if getattr(arguments, "split", None) else None
    settings = {name: getattr(arguments, name) for name in names - {"split"}}
    loaded = load_splits(DATASETS[arguments.source], arguments.data_dir, options, splits=splits, **settings)
    for part, clips in loaded.parts.items():
        split = part.replace(" ", "_")
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
    of = {name: sources.add_parser(name, allow_abbrev=False) for name in (*DATASETS, "verify")}
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
    for name in DATASETS:
        title = {"own": None, "esc": "ESC"}.get(name, SOURCES[DATASETS[name]].name)
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
