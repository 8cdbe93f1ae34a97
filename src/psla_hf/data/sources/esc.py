"""ESC-50 and ESC-10: folds, subsets and the classes that AudioSet has too. Opens no audio."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pandas as pd

from psla_hf.data.listing import Listing, check_folder, first_file
from psla_hf.data.tables.reading import read_table

from .published import numbered_listing
from .source import CardFacts, EscSubset, Source

__all__ = ["ESC", "ESC50_TO_AUDIOSET"]


ESC_TABLES = ("meta/esc50.csv", "esc50.csv", "esc10.csv")

ESC_COLUMNS = ("filename", "fold", "target", "category")

RECORDINGS = ("src_file", "clip_id")  # columns of recordings, some of several clips: ESC-50's, ESC-10's own table's

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


def list_esc(data_dir: str | Path, *, subset: EscSubset | None = None) -> Listing:
    """All folds of ESC-50, or of those of its classes that a subset takes."""
    if subset not in (None, *get_args(EscSubset)):
        raise ValueError(f"Expected subset {', '.join(map(repr, get_args(EscSubset)))} or none, got {subset!r}.")
    data_dir = check_folder(data_dir, "the folder of ESC-50 or ESC-10")
    path = first_file([data_dir / name for name in ESC_TABLES], "the folder that holds one")
    table = _esc_subset(read_table(path, ESC_COLUMNS), subset)
    recording = [column for column in RECORDINGS if column in table.columns][:1]
    source = {None: path.stem, "esc10": "esc10", "audioset": f"{path.stem}, classes that AudioSet has"}[subset]
    listing = numbered_listing(
        source,
        data_dir,
        table.rename(columns={"target": "number", "category": "name", **dict.fromkeys(recording, "recording")}),
        [data_dir / "audio" / name for name in table["filename"]],
        {name: mid for name, (mid, _) in ESC50_TO_AUDIOSET.items()},
        "Expected the files of the table's column filename in audio/.",
    )
    return replace(listing, subset="esc10" if path.stem == "esc10" else subset)


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


CARD = CardFacts(
    key="esc50",
    name="ESC-50",
    hub_id="ashraq/esc50",
    terms="ESC-50 as a whole is under CC BY-NC 3.0: not for commercial use.",
    limits="""\
- The clips are five-second cut-outs of recordings from one source, Freesound, cut and chosen so that each holds one
  clear sound. The clips of the test come from the same source. How the model does on other microphones, in rooms, at a
  distance, or with several sounds at once was not measured, and must be expected to be worse.
- The test is small: {{ clips.test }} clips, so that one clip is {{ "%.2f" | format(100 / clips.test) }} % of accuracy.\
""",
    comparison="""The figures above are of {{ "one fold" if fold is none else "fold %s" | format(fold) }} alone.""",
    bibtex="""\
@inproceedings{piczak2015esc,
  title = {{ESC}: Dataset for Environmental Sound Classification},
  author = {Piczak, Karol J.},
  booktitle = {Proceedings of the 23rd ACM International Conference on Multimedia},
  pages = {1015--1018},
  year = {2015},
  doi = {10.1145/2733373.2806390}
}""",
)

ESC = Source(
    key="esc",
    name="ESC-50",
    title="ESC-50",
    list_folder=list_esc,
    settings=("subset",),
    marks=("meta/esc50.csv", "esc10.csv"),
    num_folds=5,
    shard_names={f"fold {fold}": (f"fold_{fold}",) for fold in range(1, 6)},
    card=CARD,
    cards_by_subset={
        "esc10": replace(
            CARD,
            key="esc10",
            name="ESC-10",
            terms="ESC-10's clips are Freesound recordings under CC0, CC BY or Sampling+, clip by clip.",
            limits=CARD.limits
            + """
- The recipe `esc10` of this project was lengthened from 12 to 20 epochs after looking at folds 1 and 5. Figures on
  those two are, by that, a little optimistic.""",
        )
    },
)
