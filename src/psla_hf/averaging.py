"""Equal means of weights or of probabilities, one after the other, without keeping them. Knows nothing of training."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["RunningMean"]


class RunningMean:
    """The equal mean of dictionaries of tensors: a model's weights over epochs, or its probabilities.

    Averaging a state dict includes the BatchNorm statistics, as PSLA does; integers (BatchNorm's counter of batches)
    are taken from the last one. Float64 inside: the order and number of updates leave no trace in float32.

    >>> mean = RunningMean()
    >>> for epoch in (1, 2):
    ...     mean.update({"weight": torch.full((2,), float(epoch))})
    >>> mean.result()["weight"]
    tensor([1.5000, 1.5000])
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean: dict[str, Tensor] = {}
        self._dtypes: dict[str, torch.dtype] = {}

    def update(self, tensors: Mapping[str, Tensor]) -> None:
        """Add one more member.

        Raises:
            ValueError: Names or shapes differ from those of the members before.
        """
        shapes = {name: tensor.shape for name, tensor in tensors.items()}
        if self.count and shapes != {name: tensor.shape for name, tensor in self._mean.items()}:
            raise ValueError("Expected the same names and shapes as in the members before: average one architecture.")
        self.count += 1
        for name, tensor in tensors.items():
            new = tensor.detach().cpu()
            self._dtypes[name] = new.dtype
            if not new.is_floating_point() or self.count == 1:
                self._mean[name] = new.double() if new.is_floating_point() else new.clone()
            else:
                self._mean[name] += (new.double() - self._mean[name]) / self.count

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on later: tensors, numbers and strings."""
        dtypes = {name: str(dtype).removeprefix("torch.") for name, dtype in self._dtypes.items()}
        return {"count": self.count, "mean": self._mean, "dtypes": dtypes}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.count, self._mean = state["count"], dict(state["mean"])
        self._dtypes = {name: getattr(torch, dtype) for name, dtype in state["dtypes"].items()}

    def result(self) -> dict[str, Tensor]:
        """The mean so far, in the members' own types, on the CPU.

        Raises:
            ValueError: There was no member.
        """
        if self.count == 0:
            raise ValueError("Expected at least one member to average, got none.")
        return {name: tensor.to(self._dtypes[name]) for name, tensor in self._mean.items()}
