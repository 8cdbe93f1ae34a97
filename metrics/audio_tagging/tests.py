"""Cases with known results, as community metrics list them."""

test_cases = [
    {
        "predictions": [[0.9, 0.1], [0.7, 0.6], [0.8, 0.2]],
        "references": [[1, 0], [0, 1], [0, 0]],
        "result": {"mAP": 1.0, "AUC": 1.0},
    },
    {
        "predictions": [[0.1, 0.9], [0.7, 0.6], [0.8, 0.2]],
        "references": [[1, 0], [0, 1], [0, 0]],
        "result": {"mAP": 5 / 12, "AUC": 0.25},
    },
    {
        "predictions": [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]],
        "references": [[1, 0], [0, 1], [0, 1]],
        "result": {"mAP": 1.0, "AUC": 1.0, "accuracy": 2 / 3},
    },
]
