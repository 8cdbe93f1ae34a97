"""Means of equal weight, and BatchNorm's statistics estimated anew. Knows no training and no files."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["RunningMean", "reestimate_batch_norm"]


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
                self._mean[name] = new.to(torch.float64 if new.is_floating_point() else new.dtype, copy=True)
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
        return {name: tensor.to(self._dtypes[name], copy=True) for name, tensor in self._mean.items()}


@torch.no_grad()
def reestimate_batch_norm(model: nn.Module, inputs: Iterable[Tensor], accelerator: Accelerator) -> None:
    """Replace the running statistics by plain means over batches, all processes' together; leaves the training mode on.

    Args:
        model: Unwrapped.
        inputs: What the model sees of each batch, on its device; as many batches in every process.
        accelerator: Averages what the processes have seen.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's word for a plain mean
    model.train()
    for batch in inputs:
        with accelerator.autocast():
            model(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        for statistic in (norm.running_mean, norm.running_var):
            assert statistic is not None
            statistic.copy_(accelerator.reduce(statistic, "mean"))
