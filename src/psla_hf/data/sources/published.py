"""What tables of published data sets say as a listing: classes by number, folds, labels as texts. Knows no data set."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from psla_hf.data.listing import Listing, are_there, clip_table
from psla_hf.labels.vocabulary import Vocabulary

__all__ = ["encode_label_texts", "numbered_listing"]


def encode_label_texts(texts: Iterable[str], classes: Vocabulary, path: Path) -> list[list[int]]:
    """Class indices of each clip's labels, separated by commas; each text that recurs is looked up once."""
    texts = list(texts)
    try:
        codes = {text: classes.encode(text.split(",")) for text in set(texts)}
    except ValueError as error:
        raise ValueError(f"In {path}: {error} Pass the vocabulary that belongs to the list.") from error
    return [codes[text] for text in texts]


def numbered_listing(
    source: str, root: Path, table: pd.DataFrame, files: Sequence[Path], mids: Mapping[str, str], naming: str
) -> Listing:
    """The clips of a table with one class each, in the order of the classes' numbers, and with folds as splits.

    Args:
        source: Which data, in words.
        root: The folder under which the files are.
        table: Columns `fold`, `number` and `name` of the class, as strings; perhaps `recording`, from which the clip
            was cut.
        files: One for each row; a clip's id is its name.
        mids: Of the classes that have one.
        naming: How the files are named, a sentence.

    Raises:
        ValueError: The numbers of the classes or folds are none, or a class has several names.
    """
    for column, what in (("number", "classes"), ("fold", "folds")):
        table = table.assign(**{column: table[column].str.strip()})  # `1 ` is the fold 1: clips must not be in two
        wrong = sorted(set(table[column][~table[column].str.isdecimal()]))[:5]
        if wrong:
            raise ValueError(f"Expected numbers of {what} in the table of {source} in {root}, got {wrong}.")
    by_number = table.groupby("number")["name"].unique()
    ambiguous = {number: list(names) for number, names in by_number.items() if len(names) > 1}
    if ambiguous:
        raise ValueError(f"Expected one name for each class in the table of {source} in {root}, got {ambiguous}.")
    numbers = sorted(by_number.index, key=int)
    names = [by_number[number][0] for number in numbers]
    index = {number: k for k, number in enumerate(numbers)}
    clips = clip_table(
        ids=[path.stem for path in files],
        paths=list(map(str, files)),
        there=are_there(files),
        labels=[[index[number]] for number in table["number"]],
        splits=[f"fold {int(fold)}" for fold in table["fold"]],
    )
    if "recording" in table.columns:
        clips = clips.append_column("group", pa.array(list(table["recording"]), pa.string()))
    return Listing(source, root, Vocabulary(tuple(names), tuple(mids.get(name, name) for name in names)), clips, naming)
