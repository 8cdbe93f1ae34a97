"""UrbanSound8K: ten folds of city sounds and the classes that AudioSet has too. Opens no audio."""

from pathlib import Path

from psla_hf.data.listing import Listing, check_folder
from psla_hf.data.tables.reading import read_table

from .published import numbered_listing
from .source import CardFacts, Source

__all__ = ["URBANSOUND8K"]


TABLE = "metadata/UrbanSound8K.csv"

# Classes with the mid of the class of AudioSet that means the same; AudioSet has none for street_music.
MIDS = {
    "air_conditioner": "/m/025wky1",
    "car_horn": "/m/0912c9",
    "children_playing": "/t/dd00013",
    "dog_bark": "/m/05tny_",
    "drilling": "/m/01d380",
    "engine_idling": "/m/07pb8fc",
    "gun_shot": "/m/032s66",
    "jackhammer": "/m/03p19w",
    "siren": "/m/03kmc9",
}


def list_urbansound8k(data_dir: str | Path) -> Listing:
    """All folds, from the official table and `audio/fold1` to `audio/fold10`."""
    data_dir = check_folder(data_dir, f"the folder that holds {TABLE} and audio/")
    table = read_table(data_dir / TABLE, ("slice_file_name", "fsID", "fold", "classID", "class"))
    files = [
        data_dir / "audio" / f"fold{fold}" / name
        for fold, name in zip(table["fold"], table["slice_file_name"], strict=True)
    ]
    table = table.rename(columns={"classID": "number", "class": "name", "fsID": "recording"})
    return numbered_listing(
        "UrbanSound8K", data_dir, table, files, MIDS, "Expected audio/foldFOLD/SLICE_FILE_NAME of the table."
    )


URBANSOUND8K = Source(
    key="urbansound8k",
    name="UrbanSound8K",
    title="UrbanSound8K",
    list_folder=list_urbansound8k,
    marks=("metadata/UrbanSound8K.csv",),
    num_folds=10,
    shard_names={f"fold {fold}": (f"fold_{fold}",) for fold in range(1, 11)},
    card=CardFacts(
        key="urbansound8k",
        name="UrbanSound8K",
        terms="UrbanSound8K is under CC BY-NC 4.0: not for commercial use.",
        limits="- Clips are from one source, Freesound; so are those of the test. Other sources were not tested.",
        comparison="""\
The figures above are of {{ "one fold" if fold is none else "fold %s" | format(fold) }} of ten alone.""",
        bibtex="""\
@inproceedings{salamon2014dataset,
  title = {A Dataset and Taxonomy for Urban Sound Research},
  author = {Salamon, Justin and Jacoby, Christopher and Bello, Juan Pablo},
  booktitle = {Proceedings of the 22nd ACM International Conference on Multimedia},
  year = {2014}
}""",
    ),
)
