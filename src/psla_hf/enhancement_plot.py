"""Labels of each class before and after enhancement, drawn. Needs matplotlib; knows nothing of how it was made."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

__all__ = ["plot_enhancement"]

NAMED_CLASSES = 20


def plot_enhancement(report: Mapping[str, Any]) -> Figure:
    """Bars of the most changed classes, and all classes as points: added labels against labels before.

    Args:
        report: What `enhancement_report.enhancement_figures` returns.
    """
    figure = Figure(figsize=(12, 5), layout="constrained")
    bars, points = figure.subplots(1, 2)
    rows = report["most_changed"][:NAMED_CLASSES]
    places = np.arange(len(rows))
    before, added = (np.array([row[what] for row in rows]) for what in ("before", "added"))
    bars.barh(places, before, label="before")
    bars.barh(places, added, left=before, label="added")
    bars.set_yticks(places, [row["class"] for row in rows], fontsize="small")
    bars.invert_yaxis()
    bars.set(xlabel="clips with the class", title="classes with the most added labels")
    bars.legend()

    before, added = (np.array(report["per_class"][what]) for what in ("before", "added"))
    touched = added > 0
    points.plot(before[touched], added[touched], ".")
    points.set(xlabel="clips with the class before", ylabel="added")
    points.set_title(f"the {touched.sum()} of {len(touched)} classes that were touched")
    if touched.any():
        points.set(xscale="log", yscale="log")
    points.grid(alpha=0.3)
    return figure
