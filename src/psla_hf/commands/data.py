"""The data that commands are given: which, and where, and what is fair to test on. Knows no single command."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from psla_hf.data.sources import SOURCES, EscSubset, source_at

from .arguments import BatchSize, Switch, Whole, option, panel

if TYPE_CHECKING:
    from psla_hf.data.summary import Loaded
    from psla_hf.training.origins import Origin

__all__ = ["Data", "DataSet", "EvaluationData", "OwnData", "OwnTable"]


DataSet = Annotated[str, Parameter(choices=tuple(SOURCES))]


@panel("Data", 1)
@dataclass(frozen=True, kw_only=True)
class Data:
    """Which data."""

    data_dir: str = option("Folder of the data; for own data its table or folder.")
    dataset: DataSet | None = option("Which data; default: what lies in the folder.", None)
    subset: EscSubset | None = option("Take these classes out of ESC-50.", None)
    fold: Whole = option("Of data with folds, the one to hold out and test on.", 1)
    vocabulary: str | None = option("Table of classes; default: the data's own.", None)
    drop_incomplete: Switch = option("Go on without missing and unreadable clips.", False)

    def choice(self, *, quiet: bool = False, streaming: bool = False) -> dict[str, Any]:
        """As arguments of `psla_hf.data.load.load`."""
        from psla_hf.data.summary import LoadOptions

        options = LoadOptions("drop" if self.drop_incomplete else None, quiet=quiet, streaming=streaming)
        chosen = {name: getattr(self, name) for name in ("fold", "subset", "vocabulary")}
        return {**chosen, "dataset": self.key, "place": self.data_dir, "options": options}

    @property
    def key(self) -> str:
        """Of the data set among `sources.SOURCES`."""
        return self.dataset or source_at(self.data_dir)


@panel("Own data", 2)
@dataclass(frozen=True, kw_only=True)
class OwnTable:
    """How a table or a folder of one's own is read."""

    audio_dir: str | None = option("What the table's files are relative to; default: its folder.", None)
    file_column: str | None = option("Column of the audio files; default: the one that is called so.", None)
    label_column: str | None = option("Column of the labels.", None)
    start_column: str | None = option("Column of the beginnings of segments.", None)
    end_column: str | None = option("Column of their ends, or of their `duration` or `length`.", None)
    split_column: str | None = option("Column that says train, validation or test.", None)
    group_column: str | None = option("Column of what stays in one part; default: the recording.", None)
    separator: str | None = option("What separates the labels in a cell; default: found out.", None)
    negatives: float | None = option("Cut what no row covers into clips without labels, so many seconds long.", None)

    def settings(self) -> dict[str, Any]:
        """As arguments of `psla_hf.data.load`'s functions; none are those of data sets that have no such."""
        return {name: value for name, value in vars(self).items() if value is not None}


@panel("Own data", 2)
@dataclass(frozen=True, kw_only=True)
class OwnData(OwnTable):
    """How a table or a folder of one's own is read, and divided where it is not."""

    fold_column: str | None = option("Column of the folds of a cross-validation.", None)
    split_seed: Whole | None = option("Seed of the splits that are made where there are none; default: 0.", None)
    folds: Whole | None = option("Cross-validate: make so many folds, and hold out each, or that of --fold.", None)

    def __post_init__(self) -> None:
        """Refuse what would divide nothing."""
        if self.folds is not None and self.folds < 2:
            raise ValueError(f"Expected at least 2 folds, got {self.folds}.")


@panel("Data", 1)
@dataclass(frozen=True, kw_only=True)
class EvaluationData(Data):
    """Which data to test saved models on."""

    fold: Whole | None = option("Of data with folds, the one to test on; default: what was held out, or 1.", None)  # type: ignore[assignment]
    batch_size: BatchSize = 16
    allow_seen: Switch = option("Test on clips that a model was trained on, too.", False)

    def load(
        self, origins: Mapping[str, "Origin"], part: str = "test", *, quiet: bool = False, **settings: Any
    ) -> "Loaded":
        """The clips to test on.

        Args:
            origins: What the models' result files say of them, by their names.
            part: Of the data set.
            quiet: Print no summary and no progress.
            **settings: Those of own data, see `OwnData.settings`.

        Raises:
            ValueError: A model was trained on some of them, and that is not allowed.
        """
        from psla_hf.data.load import load
        from psla_hf.training.origins import check_held_out, held_out_fold, trained_dataset

        key = self.dataset or trained_dataset(origins.values()) or self.key
        has_folds = SOURCES[key].num_folds or settings.get("folds") or settings.get("fold_column")
        fold = held_out_fold(key, origins.values()) if has_folds and self.fold is None else self.fold
        fold = 1 if fold is None else fold  # a table may begin with fold 0
        loaded = load(**replace(self, dataset=key, fold=fold).choice(quiet=quiet), parts=[part], **settings)
        if not self.allow_seen:
            check_held_out(loaded.facts(), origins)
        return loaded
