"""Which of a run's epochs is the best."""

from psla_hf.training.run.epoch_rows import best_on_validation


def test_of_equal_epochs_the_first_is_the_best():
    rows = [{"epoch": k + 1, "validation_mAP": figure} for k, figure in enumerate((0.2, 0.5, 0.5))]
    assert best_on_validation(rows)["epoch"] == 2
