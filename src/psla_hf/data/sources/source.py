"""What there is to know of a data set without opening it. Knows none by name."""

from __future__ import annotations  # the types below take seconds to import

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from psla_hf.data.listing import Listing
    from psla_hf.data.summary import Incomplete

__all__ = ["CardFacts", "EscSubset", "Source"]

EscSubset = Literal["esc10", "audioset"]  # of ESC-50's classes; here, as commands offer them before anything is loaded


@dataclass(frozen=True)
class CardFacts:
    """What cards say of a data set. The texts are templates of jinja, which know the test's `clips` and its `fold`.

    Attributes:
        key: By which published figures to be measured against are found.
        name: For people; none where the loads say it.
        hub_id: A copy on the Hub to be relied on.
        terms: Sentences about the licences.
        limits: Items of a list, with what was not tested.
        comparison: A sentence beside published figures: how far they can be compared.
        bibtex: Who made it, and where it was published.
    """

    key: str
    name: str = ""
    hub_id: str | None = None
    terms: str = "The terms of these data are not known here; ask whoever published this."
    limits: str = (
        "- How the clips were collected, and whether those of the test are independent of those of the training, is "
        "not known here."
    )
    comparison: str = ""
    bibtex: str = ""


@dataclass(frozen=True)
class Source:
    """A data set: what it is, how it lies on a disk, and what of it is for training and testing.

    Attributes:
        key: What it is chosen by.
        name: What it is called, such as `AudioSet`.
        title: The same, with the part that is trained on.
        list_folder: Makes the listing of a folder or table: of `split` where the data set has `splits`, else of all.
            It takes the place, and as keyword arguments `split` and the `settings`.
        settings: Further arguments of the load, such as `vocabulary`.
        marks: Files or folders of which one in a folder says that it is this data set's.
        splits: Those of the data set; none where they are the folds, or what the data themselves say.
        train: The splits to train on.
        validation: The splits to choose an epoch on.
        test: The splits to test on.
        prepared: The split that is prepared where none is named; none for all.
        num_folds: Folds, one of which is held out for testing; 0 for data without.
        shard_names: By split, what it is called as a folder or at the beginning of a shard's name.
        incomplete: What to do about listed clips that are missing or unreadable, unless something else is asked for.
        no_proposals: Ids of classes that propose nothing in the original's label enhancement.
        card: What cards say of it.
        cards_by_subset: The same of parts of it that have names of their own, by the recorded `subset`.
    """

    key: str
    name: str
    title: str
    list_folder: Callable[..., Listing]
    settings: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    prepared: str | None = None
    num_folds: int = 0
    shard_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    incomplete: Incomplete = "raise"
    no_proposals: tuple[str, ...] = ()
    card: CardFacts = field(default_factory=lambda: CardFacts("own"))
    cards_by_subset: Mapping[str, CardFacts] = field(default_factory=dict)

    def check(self, fold: int, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings that are not none.

        Raises:
            ValueError: The fold or a setting would have no effect on these data, or there is no such fold.
        """
        given = {name: value for name, value in settings.items() if value is not None}
        unknown = {name: value for name, value in given.items() if name not in self.settings}
        if unknown:
            known = ", ".join(self.settings) or "none"
            raise ValueError(f"Expected no other settings for {self.title} than {known}, got {unknown}.")
        if fold not in range(1, max(self.num_folds, 1) + 1):
            folds = f"1 to {self.num_folds}" if self.num_folds else "1, the default, as there are none"
            raise ValueError(f"Expected fold {folds}, got {fold} for {self.title}.")
        return given

    def parts(self, fold: int, there: Collection[str], place: object) -> dict[str, Sequence[str]]:
        """The splits of the parts `train`, `test` and, if there is one, `validation`.

        Args:
            fold: The fold to hold out.
            there: The splits of the data at hand.
            place: Where they are, for messages.

        Raises:
            ValueError: The data lack a part.
        """
        if self.num_folds:
            test = [f"fold {fold}"]
            train = [split for split in there if split not in test]
            if not train or test[0] not in there:
                raise ValueError(f"Expected clips in fold {fold} and in others, the table has {sorted(there)}.")
            return {"train": train, "test": test}
        parts: dict[str, Sequence[str]] = {"train": self.train, "test": self.test}
        validation = self.validation if self.splits else [split for split in self.validation if split in there][:1]
        lacking = [split for splits in parts.values() for split in splits if split not in there]
        if lacking:
            raise ValueError(
                f"Expected the splits train and test in {place}, found {sorted(there)}. Add a column split."
            )
        return parts | ({"validation": validation} if validation else {})
