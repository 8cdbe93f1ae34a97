"""How a run is carried out: what depends on the machine and the moment. Knows no recipes and nothing of training."""

from dataclasses import dataclass
from typing import Literal

from psla_hf.settings import check, setting

__all__ = ["RunSettings"]


@dataclass(frozen=True)
class RunSettings:
    """What of a run is no setting of its recipe.

    Raises:
        ValueError: A value is out of range, or would have no effect.
    """

    seed: int = setting(0, "seed of initialisation, order and augmentation", at_least=0)
    num_workers: int | None = setting(
        None,
        "processes that decode audio, for each training process; 0 decodes in this one; default: by the cores",
        at_least=0,
    )
    on_error: Literal["raise", "redraw"] = setting(
        "raise", "what to do with a training clip that does not decode: stop, or log it and draw another"
    )
    tolerated_share: float = setting(
        0.01, "with redraw: stop when more than this share of the draws did not decode", at_least=0, at_most=1
    )
    checkpoint_every: int = setting(500, "save the state every so many updates, besides after every epoch", at_least=1)
    keep_epochs: bool = setting(False, "keep the model of every epoch, in epochs/")
    resume: bool = setting(
        False, "go on from the latest checkpoint in the output folder, if there is one; the end is the same to the bit"
    )
    overwrite: bool = setting(False, "replace what an earlier run left in the output folder; other files stay")

    def __post_init__(self) -> None:
        check(self)
        if self.tolerated_share != RunSettings.tolerated_share and self.on_error == "raise":
            raise ValueError("tolerated_share would have no effect: it needs on_error='redraw'. Leave it out.")
