"""The loss of a student that learns from labels and from a teacher. Knows no models and no data."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .recipe import DistillationSettings

__all__ = ["distillation_loss"]


LEAST = 2.0**-14  # what a logit is taken of: float16's smallest normal number


def distillation_loss(logits: Tensor, labels: Tensor, teacher: Tensor, how: DistillationSettings) -> Tensor:
    """(1 - w) BCE(labels) + w T² BCE(teacher's probabilities), the mean over clips and classes.

    With a temperature T other than 1 the logits of both are divided by it, and T² keeps the second part's gradients as
    large as they were (Hinton, Vinyals and Dean 2015). Where the teacher has no score, only the labels count.

    Args:
        logits: The student's `[B, K]`.
        labels: Targets `[B, K]`, from 0 to 1.
        teacher: Probabilities `[B, K]`; NaN where there is none.
        how: Weight w and temperature T.
    """
    scored = ~teacher.isnan()
    weight, temperature = how.distillation_weight * scored, how.temperature
    targets = teacher.nan_to_num()
    if temperature != 1:
        targets = (torch.logit(targets, eps=LEAST) / temperature).sigmoid()
    on_labels = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    on_teacher = F.binary_cross_entropy_with_logits(logits / temperature, targets, reduction="none")
    return ((1 - weight) * on_labels + weight * temperature**2 * on_teacher).mean()
