"""The data that commands are given: which, and where. Knows no loader."""

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from psla_hf.data.sources import DATASETS

from .arguments import Switch, Whole, option, panel

__all__ = ["Data", "DataSet"]


DataSet = Annotated[str, Parameter(choices=DATASETS)]


@panel("Data", 1)
@dataclass(frozen=True, kw_only=True)
class Data:
    """Which data."""

    data_dir: str = option("Folder of the data; for own data its table or folder.")
    dataset: DataSet = option("Which data.", "esc")
    subset: Literal["esc10", "audioset"] | None = option("Take these classes out of ESC-50.", None)
    fold: Whole = option("Of ESC, to hold out and test on: 1 to 5.", 1)
    vocabulary: str | None = option("Table of classes; default: the data's own.", None)
    drop_incomplete: Switch = option("Go on without missing and unreadable clips.", False)

    def choice(self) -> dict[str, Any]:
        """As arguments of the loaders."""
        return {setting.name: getattr(self, setting.name) for setting in fields(Data)}

    def facts(self) -> dict[str, Any]:
        """As results record them."""
        folds = {"fold": self.fold, "subset": self.subset} if self.dataset == "esc" else {}
        return {"dataset": self.dataset, **folds}
