"""The card of a prepared data set, and its way to the Hub. Knows no audio and not how the shards were made."""

from pathlib import Path

from huggingface_hub import DatasetCard, DatasetCardData

from .preparation import DATA, MANIFEST, verify
from .repository import Repository

__all__ = ["push", "size_category", "write_card"]

CARD = "README.md"
# The Hub's size categories: how many thousands a data set has fewer clips than.
SIZES = {1: "n<1K", 10: "1K<n<10K", 100: "10K<n<100K", 1000: "100K<n<1M", 10_000: "1M<n<10M", 100_000: "10M<n<100M"}


def write_card(output_dir: str | Path, *, pretty_name: str, license: str) -> Path:
    """Write the card of a prepared folder: what the Hub reads as YAML, what people read from the manifest.

    Args:
        output_dir: A folder that `preparation.prepare` has finished; it is verified first.
        pretty_name: The card's title.
        license: The data's licence as the Hub names it, such as `cc-by-4.0`, or `other`.

    Returns:
        The card's path.

    Raises:
        FileNotFoundError: There is no manifest, or a shard is missing.
        ValueError: The folder is not what its manifest says, or the name, the licence or a source is missing.
    """
    manifest = verify(output_dir)
    sources = {f"the source of split {split!r}": section["source"] for split, section in manifest["splits"].items()}
    missing = [what for what, value in {"pretty_name": pretty_name, "license": license, **sources}.items() if not value]
    if missing:
        raise ValueError(
            f"Expected all that a card must say, missing: {', '.join(missing)}. A source is given when its split is "
            "prepared (source=...), the others with the card."
        )
    data = DatasetCardData(
        pretty_name=pretty_name,
        license=license,
        task_categories=["audio-classification"],
        tags=["audio-tagging"],
        size_categories=[size_category(_num_clips(manifest["splits"]))],
        configs=[
            {
                "config_name": "default",
                "data_files": [
                    {"split": split, "path": _files(section)} for split, section in manifest["splits"].items()
                ],
            }
        ],
    )
    path = Path(output_dir) / CARD
    DatasetCard(f"---\n{data.to_yaml()}\n---\n\n{_body(manifest, pretty_name, license)}").save(path)
    return path


def push(output_dir: str | Path, repo_id: str, *, pretty_name: str, license: str, private: bool = True) -> str:
    """Verify a prepared folder, write its card and upload both as a data set repository.

    Other files in the repository are left alone; the card names the shards so exactly that none of an earlier
    preparation is loaded.

    Args:
        output_dir: A folder that `preparation.prepare` has finished.
        repo_id: Such as `user/name`; made if it does not exist.
        pretty_name: The card's title.
        license: The data's licence. You must have the right to publish the audio: a list of clips under a free licence,
            such as AudioSet's, does not make the clips free.
        private: Only you and your organisation can see it.

    Returns:
        The repository's address.

    Raises:
        FileNotFoundError: There is no manifest, or a shard is missing.
        PublishError: The Hub refuses, cannot be reached, or the connection breaks.
        ValueError: The folder is not what its manifest says, a fact is missing, or the repository is public already
            although a private one was asked for.
    """
    write_card(output_dir, pretty_name=pretty_name, license=license)
    repository = Repository(repo_id, "dataset", private)
    repository.fill_in_parts(output_dir, [CARD, MANIFEST, f"{DATA}/*.parquet"], "Upload prepared shards")
    return repository.url


def size_category(num_clips: int) -> str:
    """The Hub's name for a number of rows."""
    return next(name for thousands, name in SIZES.items() if num_clips < 1000 * thousands)


def _files(section: dict) -> str:
    """A pattern for the shards of one split and of no earlier preparation with another number of them."""
    first = section["shards"][0]["file"]
    return first.replace("-00000-of-", "-*-of-")


def _body(manifest: dict, pretty_name: str, license: str) -> str:
    """The card below its YAML, all of it from the manifest."""
    splits = manifest["splits"]
    num_classes = len(manifest["vocabulary"]["names"])
    rate = manifest["sampling_rate"]
    return f"""# {pretty_name}

{_num_clips(splits)} clips of sound with {num_classes} classes, as {rate} Hz mono FLAC in parquet files.

| split | source | clips | hours | clipped | cut short | dropped |
| --- | --- | ---: | ---: | ---: | ---: | ---: |
{_split_rows(splits)}

## How it was prepared

Every clip was decoded, its channels averaged, resampled to {rate} Hz and stored as 16-bit FLAC, in the source's order.
"Clipped" are clips with samples beyond full scale after that, which were limited to it; "cut short" are clips whose
file ended before its header said, kept as far as they go; "dropped" are clips that could not be decoded and are left
out. `{MANIFEST}` has the ids of the last two, and the size and SHA-256 of every shard.

`datasets.load_dataset` gives these columns, with the names of the classes: `id`; `audio`, undecoded, with `path` and
the FLAC file's `bytes`; `labels` and `mids`, the same class indices under display names and under ids; `split`;
`seconds`.

## Licence

The licence stated here is `{license}`. Whoever published these files stated it, and must have the right to publish the
audio; check the source's terms before you use the clips or pass them on.
{_dropped(splits)}
## Classes

In index order, with the number of clips in each split. The fingerprint of this list is
`{manifest["vocabulary"]["fingerprint"]}`.

| index | class | id | {" | ".join(splits)} |
| ---: | --- | --- | {" | ".join("---:" for _ in splits)} |
{_class_rows(manifest)}
"""


def _num_clips(splits: dict) -> int:
    return sum(section["clips"] for section in splits.values())


def _split_rows(splits: dict) -> str:
    return "\n".join(
        f"| {split} | {_cell(section['source'])} | {section['clips']} | {section['hours']:.2f} | "
        f"{section['clipped']} | {len(section['cut_short'])} | {len(section['dropped'])} |"
        for split, section in splits.items()
    )


def _class_rows(manifest: dict) -> str:
    names, mids = manifest["vocabulary"]["names"], manifest["vocabulary"]["mids"]
    counts = [section["class_counts"] for section in manifest["splits"].values()]
    return "\n".join(
        f"| {k} | {_cell(name)} | {_cell(mid)} | {' | '.join(str(of_split[name]) for of_split in counts)} |"
        for k, (name, mid) in enumerate(zip(names, mids, strict=True))
    )


def _dropped(splits: dict) -> str:
    """A section on the clips left out, where there are any."""
    lines = [f"- {split}: {', '.join(section['dropped'])}" for split, section in splits.items() if section["dropped"]]
    return "\n## Dropped clips\n\n" + "\n".join(lines) + "\n" if lines else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
