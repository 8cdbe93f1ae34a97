"""What an enhancement did to the labels, in figures, in a picture and in words. Knows no audio and no models."""

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_array

from psla_hf.files import write_json
from psla_hf.labels.ontology import Ontology
from psla_hf.labels.vocabulary import ClipLabels, Vocabulary
from psla_hf.reports.markdown import make_environment, markdown_figures, markdown_origin, render

from .algorithm import RELATION_NAMES, Enhancement, threshold_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["enhancement_figures", "enhancement_page", "parent_child_figures", "plot_enhancement", "write_report"]


def plot_enhancement(report: Mapping[str, Any]) -> "Figure":
    """Bars of the most changed classes, and all classes as points: added labels against labels before.

    Args:
        report: What `enhancement_figures` returns.
    """
    from matplotlib.figure import Figure  # here, because matplotlib is optional

    figure = Figure(figsize=(12, 5), layout="constrained")
    bars, points = figure.subplots(1, 2)
    rows = report["most_changed"]
    places = np.arange(len(rows))
    before, added = (np.array([row[what] for row in rows]) for what in ("before", "added"))
    bars.barh(places, before, label="before")
    bars.barh(places, added, left=before, label="added")
    bars.set_yticks(places, [row["class"] for row in rows], fontsize="small", parse_math=False)
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


MOST_CHANGED = 20  # classes that are shown with examples

EXAMPLES = 3

MOST_PAIRS = 15  # of parent and child, on the page

NO_PLOT = 'No plot: matplotlib is not installed (`pip install "psla-hf[plots]"`).'


def enhancement_figures(
    enhancement: Enhancement,
    ids: Sequence[str],
    vocabulary: Vocabulary,
    ontology: Ontology,
    path_of: Callable[[int], str | None] = lambda clip: None,
) -> dict[str, Any]:
    """Everything that a report shows of an enhancement, as JSON has it.

    Args:
        enhancement: Of N clips' labels.
        ids: The clips'.
        vocabulary: The K classes; their mids are the ontology's ids.
        ontology: Whose relations were used; the contradictions are those to all its relations, also of classes that
            were to propose nothing.
        path_of: The audio file of a clip, by its number, where there is one to be named.

    Returns:
        - `clips`, and how many are `changed` and `without_scores`;
        - `labels` `before`, `added`, `after` and `percent`; `classes_touched` of `classes`;
        - `relations`: the added labels that type I, type II, or both propose;
        - `most_changed`: classes with the most added labels, with examples, highest scores first;
        - `hierarchy`: see `parent_child_figures`, `before` and `after`;
        - `per_class`: `before`, `added` and `threshold` (none for a class without clips), K each.
    """
    before, after = enhancement.original, enhancement.enhanced()
    added = np.bincount(enhancement.classes, minlength=len(vocabulary))
    counts = before.class_counts()
    total = len(before.values)
    changed = len(np.unique(enhancement.clips))
    most = np.argsort(-added, kind="stable")[: min(MOST_CHANGED, np.count_nonzero(added))]
    percent = 100 * len(enhancement) / total if total else 0.0
    return {
        "clips": {"all": len(before), "changed": changed, "without_scores": len(enhancement.unscored)},
        "labels": {"before": total, "added": len(enhancement), "after": len(after.values), "percent": percent},
        "classes": len(vocabulary),
        "classes_touched": int((added > 0).sum()),
        "relations": _by_relation(enhancement, total),
        "most_changed": [
            {
                "class": vocabulary.names[k],
                "mid": vocabulary.mids[k],
                "before": int(counts[k]),
                "added": int(added[k]),
                "examples": _examples(enhancement, k, ids, vocabulary, path_of),
            }
            for k in most.tolist()
        ],
        "hierarchy": {
            "before": parent_child_figures(before, vocabulary, ontology),
            "after": parent_child_figures(after, vocabulary, ontology),
        },
        "per_class": {
            "before": counts.tolist(),
            "added": added.tolist(),
            "threshold": [None if np.isinf(t) else float(t) for t in enhancement.thresholds],
        },
    }


def parent_child_figures(labels: ClipLabels, vocabulary: Vocabulary, ontology: Ontology) -> dict[str, Any]:
    """Where labels contradict the ontology: a clip has a class, and not that class's direct parent.

    Args:
        labels: Of N clips, each once.
        vocabulary: Their classes; the mids are the ontology's ids.
        ontology: The graph; classes without relations (`Ontology.without_relations`) have theirs here.

    Returns:
        `clips` and `labels` (pairs of a clip and its missing parent) that are inconsistent, and `pairs`: for each
        `parent` and `child` that both are classes, how many clips have the one, the other, and the `child_only`.
    """
    children = ontology.with_all_relations().child_relation(vocabulary.mids)
    has = labels.matrix().astype(np.int64)
    parents = csr_array(children.T.astype(np.int64))
    implied = (has @ parents).astype(bool).astype(np.int64)  # [N, K]: a label of the clip has this parent
    missing = implied - implied.multiply(has)
    missing.eliminate_zeros()
    together = (has.T @ has).toarray()
    counts = labels.class_counts()
    return {
        "clips": int((np.diff(missing.indptr) > 0).sum()),
        "labels": int(missing.nnz),
        "pairs": [
            {
                "parent": vocabulary.names[parent],
                "child": vocabulary.names[child],
                "parent_clips": int(counts[parent]),
                "child_clips": int(counts[child]),
                "child_only": int(counts[child] - together[parent, child]),
            }
            for parent, child in np.argwhere(children).tolist()
        ],
    }


def enhancement_page(report: Mapping[str, Any]) -> str:
    """The report as a Markdown page.

    Args:
        report: What `enhancement_figures` returns; how the labels were made: `dataset`, `teacher`, `threshold`,
            `types`, `soft`, `iterations`; `plot`, the picture's file or none; and the origin, see `provenance`.
    """
    before, after = (report["hierarchy"][when]["pairs"] for when in ("before", "after"))
    pairs = sorted(zip(before, after, strict=True), key=lambda pair: -pair[0]["child_only"])
    words = {
        "threshold_name": threshold_name(report["threshold"]),
        "relations": markdown_figures(report["relations"], "proposed by type"),
        "pairs": pairs[:MOST_PAIRS],
        "most_pairs": MOST_PAIRS,
        "no_plot": NO_PLOT,
        "origin": markdown_origin(report),
    }
    return render(make_environment("psla_hf.enhancement", above=_above), "report.md.jinja", {**report, **words})


def write_report(folder: str | Path, report: Mapping[str, Any]) -> None:
    """Write `report.json`, `report.md` and, where matplotlib is installed, `report.png` into an existing folder.

    Args:
        folder: For the files.
        report: As for `enhancement_page`, but for `plot`.
    """
    folder, plot = Path(folder), None
    if find_spec("matplotlib"):
        plot = "report.png"
        plot_enhancement(report).savefig(folder / plot, dpi=120)
    report = {**report, "plot": plot}
    write_json(report, folder / "report.json")
    (folder / "report.md").write_text(enhancement_page(report), encoding="utf-8")


def _by_relation(enhancement: Enhancement, total: int) -> dict[str, dict[str, float]]:
    """By the types that proposed them: added labels, as percent of the labels before, and the classes they are of."""
    figures = {}
    for kind, name in RELATION_NAMES.items():
        classes = enhancement.classes[enhancement.kinds == kind]
        figures[name] = {
            "labels_added": len(classes),
            "percent": 100 * len(classes) / total if total else 0.0,
            "classes_touched": len(np.unique(classes)),
        }
    return figures


def _examples(
    enhancement: Enhancement,
    k: int,
    ids: Sequence[str],
    vocabulary: Vocabulary,
    path_of: Callable[[int], str | None],
) -> list[dict[str, Any]]:
    """The added labels of a class that have the highest scores."""
    places = np.flatnonzero(enhancement.classes == k)
    best = places[np.argsort(-enhancement.scores[places], kind="stable")][:EXAMPLES]
    proposers = enhancement.proposed_by
    return [
        {
            "id": ids[enhancement.clips[place]],
            "path": path_of(int(enhancement.clips[place])),
            "score": float(enhancement.scores[place]),
            "threshold": float(enhancement.thresholds[k]),
            "relation": RELATION_NAMES[int(enhancement.kinds[place])],
            "proposed_by": [
                vocabulary.names[label]
                for label in proposers.values[proposers.offsets[place] : proposers.offsets[place + 1]]
            ],
        }
        for place in best.tolist()
    ]


def _above(example: Mapping[str, Any]) -> str:
    """An example's score and its threshold, with as many digits, two at least, as show the difference."""
    for digits in range(2, 17):
        texts = f"{example['score']:.{digits}f}", f"{example['threshold']:.{digits}f}"
        if texts[0] != texts[1]:
            break
    return " > ".join(texts)
