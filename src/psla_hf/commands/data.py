"""The data that commands are given: which, and where. Knows no loader."""

from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Parameter

from psla_hf.data.sources import SOURCES, EscSubset

from .arguments import Switch, Whole, option, panel

__all__ = ["Data", "DataSet"]


DataSet = Annotated[str, Parameter(choices=tuple(SOURCES))]


@panel("Data", 1)
@dataclass(frozen=True, kw_only=True)
class Data:
    """Which data."""

    data_dir: str = option("Folder of the data; for own data its table or folder.")
    dataset: DataSet = option("Which data.", "esc")
    subset: EscSubset | None = option("Take these classes out of ESC-50.", None)
    fold: Whole = option("Of data with folds, the one to hold out and test on.", 1)
    vocabulary: str | None = option("Table of classes; default: the data's own.", None)
    drop_incomplete: Switch = option("Go on without missing and unreadable clips.", False)

    def choice(self, *, quiet: bool = False, streaming: bool = False) -> dict[str, Any]:
        """As arguments of `psla_hf.data.load.load`."""
        from psla_hf.data.summary import LoadOptions

        options = LoadOptions("drop" if self.drop_incomplete else None, quiet=quiet, streaming=streaming)
        chosen = {name: getattr(self, name) for name in ("dataset", "fold", "subset", "vocabulary")}
        return {**chosen, "place": self.data_dir, "options": options}
