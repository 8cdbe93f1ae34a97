"""A run's report as one HTML page that holds everything it shows. Knows no folders of runs."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile
from jinja2 import Environment, PackageLoader, StrictUndefined

from psla_hf.audio_parts import read_part

from .run_figures import Mistake, average_precision, bootstrap_intervals, calibration, confusions, worst_mistakes
from .tables import METRICS, RESULT_NAMES, metric_text, metric_value

if TYPE_CHECKING:
    from psla_hf.training.run.scores import PartScores

__all__ = ["run_page"]


WIDTH, HEIGHT = 320, 180  # of a drawing, in its own units

MOST_MISTAKES = 10

MATRIX_CLASSES = 30  # a larger matrix is a list

MOST_PAIRS = 15

PLAYED_SECONDS, PLAYED_RATE = 10.0, 16000


def run_page(
    name: str, results: Mapping[str, Any], test: "PartScores | None", thresholds: Sequence[float] | None
) -> str:
    """The page of a finished run.

    Args:
        name: Of the run.
        results: What `results.json` holds.
        test: Scores of the test part, where they were kept. The audio of mistakes is read where the clips lie; without
            it, or where they lie in tables, there is no player.
        thresholds: From which score on each class counts as heard, where they were chosen.
    """
    rows = results["epochs"]
    metrics = [metric for metric in METRICS if metric in results["results"]["averaged"]]
    curves = {"loss": {"training": [row["loss"] for row in rows]}, "mAP": {"test": [row["mAP"] for row in rows]}}
    if "validation_mAP" in rows[0]:
        curves["mAP"]["validation"] = [row["validation_mAP"] for row in rows]
    chosen = None if thresholds is None else np.array(thresholds)
    content = {
        "name": name,
        "results": results,
        "metrics": metrics,
        "models": {
            RESULT_NAMES[model]: [metric_text(metric_value(figures, metric)) for metric in metrics]
            for model, figures in results["results"].items()
        },
        "curves": {title: line_chart(lines) for title, lines in curves.items()},
        "parts": (results["data"] or {}).get("parts", {}),
        "settings": {name: value for group in results["recipe"].values() for name, value in group.items()},
        "tested": None if test is None else tested(results["classes"], test, results, chosen),
    }
    environment = Environment(
        loader=PackageLoader("psla_hf.reports"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("run.html").render(content)


def tested(
    names: Sequence[str], test: "PartScores", results: Mapping[str, Any], thresholds: np.ndarray | None
) -> dict[str, Any]:
    """What the scores of the test part say."""
    precisions = average_precision(test.probabilities, test.targets)
    intervals = bootstrap_intervals(test.probabilities, test.targets)
    counts = test.targets.sum(axis=0)
    trained = (results["data"] or {}).get("parts", {}).get("train", {}).get("class_counts", {})
    classes = [
        {
            "name": name,
            "tested": int(counts[k]),
            "trained": trained.get(name),
            "ap": None if np.isnan(precisions[k]) else float(precisions[k]),
            "interval": None if np.isnan(intervals[k]).any() else tuple(intervals[k].tolist()),
            "threshold": None if thresholds is None else float(thresholds[k]),
        }
        for k, name in enumerate(names)
    ]
    at = np.full(len(names), 0.5) if thresholds is None else thresholds
    matrix, is_matrix = confusions(test.probabilities, test.targets, at)
    bins, error = calibration(test.probabilities, test.targets)
    mistakes = worst_mistakes(test.probabilities, test.targets, MOST_MISTAKES)
    return {
        "classes": sorted(classes, key=lambda row: (row["ap"] is None, row["ap"])),
        "matrix": matrix.tolist() if is_matrix and len(names) <= MATRIX_CLASSES else None,
        "names": names,
        "is_matrix": is_matrix,
        "pairs": commonest_pairs(matrix, names, is_matrix),
        "calibration": reliability_chart(bins),
        "calibration_error": error,
        "mistakes": [described(mistake, test, names) for mistake in mistakes],
    }


def commonest_pairs(matrix: np.ndarray, names: Sequence[str], is_matrix: bool) -> list[tuple[str, str, int]]:
    """Missed class, class heard instead, and how often, the commonest first."""
    others = matrix.copy()
    np.fill_diagonal(others, 0)
    order = np.argsort(-others, axis=None, kind="stable")[:MOST_PAIRS]
    pairs = [divmod(int(place), len(names)) for place in order]
    return [(names[a], names[b], int(others[a, b])) for a, b in pairs if others[a, b]]


def described(mistake: Mistake, test: "PartScores", names: Sequence[str]) -> dict[str, Any]:
    """A mistake, with its sound as an address of data where it can be read."""
    labels = [names[k] for k in np.flatnonzero(test.targets[mistake.clip]).tolist()]
    return {
        "id": str(test.ids[mistake.clip]),
        "class": names[mistake.label],
        "score": mistake.score,
        "is_missed": mistake.is_missed,
        "labels": ", ".join(labels) or "no label",
        "sound": sound_of(test, mistake.clip),
    }


def sound_of(test: "PartScores", clip: int) -> str | None:
    """The clip's first ten seconds as FLAC in an address of data; none where its file cannot be read."""
    path, start, end = str(test.paths[clip]), float(test.starts[clip]), float(test.ends[clip])
    if not path:
        return None
    stop = start + PLAYED_SECONDS if np.isnan(end) else min(end, start + PLAYED_SECONDS)
    try:
        samples = read_part(path, PLAYED_RATE, start, stop)
    except (OSError, ValueError):
        return None
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(samples, -1, 1), PLAYED_RATE, format="FLAC", subtype="PCM_16")
    return f"data:audio/flac;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def line_chart(lines: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Lines over the epochs as points of a drawing, with the ends of its scale."""
    values = [value for line in lines.values() for value in line]
    low, high = min(values), max(values)
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    longest = max(len(line) for line in lines.values())

    def place(number: int, value: float) -> str:
        x = WIDTH * (number / (longest - 1) if longest > 1 else 0.5)
        return f"{x:.1f},{HEIGHT * (1 - (value - low) / (high - low)):.1f}"

    points = {
        name: {"points": " ".join(place(k, value) for k, value in enumerate(line)), "last": line[-1]}
        for name, line in lines.items()
    }
    return {"lines": points, "low": low, "high": high, "epochs": longest}


def reliability_chart(bins: Sequence[tuple[float, float, int]]) -> list[dict[str, float]]:
    """Mean score and share of positives of each tenth as places in a drawing, with the number of decisions."""
    return [
        {"x": HEIGHT * mean, "y": HEIGHT * (1 - share), "mean": mean, "share": share, "count": count}
        for mean, share, count in bins
    ]
