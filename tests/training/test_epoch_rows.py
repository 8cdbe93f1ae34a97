"""The metrics of several epochs, whether their rows are those of the run or read back from its log."""

import json
import math

import pytest

from psla_hf.files import to_json
from psla_hf.training.run.epoch_rows import best_on_validation, mean_metrics


@pytest.mark.parametrize(
    ("aucs", "d_primes", "mean"),
    [
        ((0.9, 0.8), (1.8, 1.2), 1.5),
        ((0.9, 1.0), (1.8, math.inf), math.inf),
        ((1.0, 0.9), (math.inf, 1.8), math.inf),
        ((0.4, 0.0), (-0.4, -math.inf), -math.inf),
    ],
)
def test_the_means_of_a_log_are_those_of_the_run(aucs, d_primes, mean):
    rows = [
        {"epoch": k + 1, "loss": 0.5, "mAP": 0.25 * (k + 1), "AUC": auc, "d_prime": d_prime, "classes_left_out": 0}
        for k, (auc, d_prime) in enumerate(zip(aucs, d_primes, strict=True))
    ]
    metrics = mean_metrics(rows)
    assert metrics == {"mAP": 0.375, "AUC": sum(aucs) / 2, "d_prime": pytest.approx(mean), "classes_left_out": 0}
    assert mean_metrics([json.loads(to_json(row)) for row in rows]) == metrics


def test_of_equal_epochs_the_first_is_the_best():
    rows = [{"epoch": k + 1, "validation_mAP": figure} for k, figure in enumerate((0.2, 0.5, 0.5))]
    assert best_on_validation(rows)["epoch"] == 2
