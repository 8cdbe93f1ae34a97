"""BatchNorm's statistics estimated anew, as averaged weights may want. Knows no data and no loop."""

from collections.abc import Iterable

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["reestimate_batch_norm"]


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
