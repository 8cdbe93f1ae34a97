"""Cards of models, from their result files and the templates. Knows no network, and computes no metric."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from transformers import AutoConfig

from psla_hf.data.sources import SOURCES
from psla_hf.data.sources.source import CardFacts
from psla_hf.files import read_json
from psla_hf.models.feature_extraction_psla import PslaFeatureExtractor
from psla_hf.reports.markdown import make_environment, markdown_origin, markdown_text, render
from psla_hf.reports.tables import AGGREGATE_NAMES, METRICS, RESULT_NAMES, metric_text, metric_value
from psla_hf.training.origins import trainings
from psla_hf.training.recipe import LAST_EPOCHS
from psla_hf.training.recipes import TARGETS
from psla_hf.training.run.folder import LAST_EPOCH, RESULTS_FILE

__all__ = [
    "CARDS",
    "OF_AN_ORIGIN",
    "check_complete",
    "data_set",
    "loads",
    "longest_seconds",
    "model_card",
    "results_file",
]


# What the Hub's tags say of a model, by the template.
KINDS = {"single": (), "averaged": ("weight-averaging",), "ensemble": ("ensemble",)}

# What a card says of figures' origin, of every model, every run of training behind it, every load of the run's data,
# and every member: places in a result file, such as `clips.test`. Those with a question mark may hold none.
OF_AN_ORIGIN = ("command", "commit?", "psla_hf", "machine.accelerator?", "machine.cpus", "versions.torch")

OF_A_MODEL = (*OF_AN_ORIGIN, "python", "classes", "clips.test", "data.dataset", "results")

OF_A_TRAINING = ("command", "commit?", "seed", "recipe.model.backbone", "clips.train", "data.dataset", "data.parts")

OF_A_LOAD = ("source", "splits", "listed", "found", "missing", "unreadable", "hours?", "notes")

OF_A_MEMBER = ("name", "run?", "results?")

TITLES = {"mAP": "mAP", "AUC": "AUC", "d_prime": "d'", "accuracy": "accuracy"}

METRIC_NAMES = {
    "mAP": ("mAP", "mean average precision"),
    "AUC": ("roc_auc", "mean area under the ROC curve"),
    "d_prime": ("d_prime", "d'"),
    "accuracy": ("accuracy", "accuracy"),
}


# Sounds to try on the model's page, of the Hub's own documentation.
SOUNDS = "https://huggingface.co/datasets/Xenova/transformers.js-docs/resolve/main"

WIDGET = [
    {"example_title": "A dog", "src": f"{SOUNDS}/dog_barking.wav"},
    {"example_title": "A cat", "src": f"{SOUNDS}/cat_meow.wav"},
]


def model_card(folder: str | Path, repo_id: str | None = None, license: str = "apache-2.0") -> ModelCard:
    """The card of a saved model; all its figures are from `results.json`.

    Args:
        folder: What a training run left (the averaged model, or its `last_epoch`) or `save_aggregate` wrote.
        repo_id: Where the model is to be found on the Hub, for the examples; by default the folder's name.
        license: Of the weights and the code, as the Hub names it.

    Raises:
        FileNotFoundError: There is no results file.
        ValueError: The results lack something that a card says, have a figure that was not measured, are of clips that
            the model was trained on, or are not this model's.
    """
    folder = Path(folder)
    values = _values(folder, _results(results_file(folder)))
    repo_id = repo_id or folder.resolve().name
    name = repo_id.split("/")[-1]
    metrics = values["metrics"]
    card_data = ModelCardData(
        license=license,
        library_name="transformers",
        pipeline_tag="audio-classification",
        tags=["audio-tagging", "psla", *KINDS[values["kind"]]],
        datasets=list(dict.fromkeys(known.hub_id for known in values["trained_on"] if known.hub_id)) or None,
        metrics=[METRIC_NAMES[metric][0] for metric in metrics],
        base_model=_base_models(values["trainings"]),
        model_name=name,
        widget=WIDGET,
        eval_results=_eval_results(values["tested_on"], metrics, values["fold"]),
    )
    values |= {"card_data": card_data.to_yaml(), "name": name, "repo_id": repo_id}
    return ModelCard(render(CARDS, f"{values['kind']}.md.jinja", values))


def results_file(folder: str | Path) -> Path:
    """Where the results of a saved model are: beside it, or for a run's last epoch in the folder of the run.

    Raises:
        FileNotFoundError: There are none.
    """
    folder = Path(folder)
    path = (folder.parent if folder.name == LAST_EPOCH else folder) / RESULTS_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"Expected the results of the model in {path}: a card has only measured figures. A training run writes "
            "them when it ends, and so does save_aggregate."
        )
    return path


def check_complete(content: Mapping[str, Any], places: Iterable[str], path: Path) -> None:
    """Refuse a result file that lacks something a card says.

    Args:
        content: Of the file, or of a part of it.
        places: Such as `seed` or `clips.test`; those with a question mark behind may hold none.
        path: The file's.

    Raises:
        ValueError: Something is missing or none; the message names it.
    """
    missing = [place.removesuffix("?") for place in places if not _has(content, place)]
    if missing:
        raise ValueError(
            f"Expected all that a card says in {path}, missing: {', '.join(missing)}. Make the results again with this "
            "version of psla-hf."
        )


def _has(content: Any, place: str) -> bool:
    for name in place.removesuffix("?").split("."):
        if not isinstance(content, Mapping) or name not in content:
            return False
        content = content[name]
    return content is not None or place.endswith("?")


def data_set(data: Mapping[str, Any]) -> CardFacts:
    """What cards say of the data set that recorded facts name.

    Args:
        data: Of a result file: `dataset`, `subset` and `parts` with the `source` of each.
    """
    listings = list(dict.fromkeys(part["source"] for part in loads(data)))
    source = SOURCES[data["dataset"]]
    card = source.cards_by_subset.get(data.get("subset") or "", source.card)
    return card if card.name else replace(card, name=", ".join(listings) or source.name)


def loads(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What a result file says of the loads of its data."""
    return list(data.get("parts", {}).values())


def _results(path: Path) -> dict[str, Any]:
    """A model's results, with all in them that a card says.

    Raises:
        ValueError: Something is missing, or there is no model that they belong to.
    """
    content = read_json(path)
    if not content.get("model", True):
        raise ValueError(
            f"Expected the results of a model, {path} says that none was made. Aggregate saved models, with "
            "build=True, into a folder of its own."
        )
    check_complete(content, OF_A_MODEL, path)
    for member in content.get("members", []):
        check_complete(member, OF_A_MEMBER, path)
    unknown = [member["name"] for member in content.get("members", []) if member["run"] is None]
    if unknown:
        raise ValueError(
            f"Expected members with a {RESULTS_FILE} that says how they were trained, {unknown} have none. Aggregate "
            "the folders of training runs."
        )
    for training in trainings(content):
        check_complete(training, OF_A_TRAINING, path)
        for part in loads(training["data"]):
            check_complete(part, OF_A_LOAD, path)
    if "per_class" in content:
        check_complete(content, ("per_class.AP", "per_class.AUC"), path)
    return content


def _values(folder: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """What the templates say of a model: `content` is its results file's."""
    config, extractor = AutoConfig.from_pretrained(folder), PslaFeatureExtractor.from_pretrained(folder)
    classes, members = config.label_names, content.get("members", [])
    if sorted(content["classes"]) != sorted(classes):
        raise ValueError(f"Expected results of the model's classes, {classes[:5]} …, got {content['classes'][:5]} ….")
    kind, own = _kind(folder, content)
    joined = len(getattr(config, "members", []))
    if kind == "ensemble" and joined != len(members):
        raise ValueError(f"Expected an ensemble of the {len(members)} members in the results, it has {joined}.")
    runs = trainings(content)
    trained_on = list(dict.fromkeys(data_set(training["data"]) for training in runs))
    tested_on = _tested_on(content["data"], runs)
    names = AGGREGATE_NAMES if members else RESULT_NAMES
    rows = {member["name"]: member["results"] or {} for member in members} | content["results"]
    if own not in rows:
        raise ValueError(
            f"Expected figures of {own} in the results, there are {list(rows)}. Aggregate with data to test on."
        )
    metrics = [metric for metric in METRICS if metric in rows[own]]
    return {
        "kind": kind,
        "run": content,
        "members": members,
        "trainings": runs,
        "parts": _parts(runs),
        "trained_on": trained_on,
        "data_names": " and ".join(markdown_text(known.name) for known in trained_on),
        "tested_on": tested_on,
        "fold": content["data"].get("fold"),
        "classes": classes,
        "clips": content["clips"],
        "seconds": longest_seconds(extractor),
        "frame_scores": config.has_frame_scores,
        "metrics": {metric: _checked(rows[own], own, metric) for metric in metrics},
        "titles": [TITLES[metric] for metric in metrics],
        "rows": [
            {
                "name": names.get(name, name),
                "own": name == own,
                "cells": [metric_text(_checked(row, name, metric)) for metric in metrics],
            }
            for name, row in rows.items()
        ],
        "left_out": int(_checked(rows[own], own, "classes_left_out")),
        "per_class": _per_class(content) if own == kind and "per_class" in content else None,
        "target": TARGETS.get(tested_on.key),
        "origin": markdown_origin(content),
    }


def _settings(recipe: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A recipe's settings by name, which is unique across their groups."""
    return {name: value for group in recipe.values() for name, value in group.items()}


def longest_seconds(extractor: PslaFeatureExtractor) -> float | None:
    """The longest clip that is taken whole; none if every length is."""
    return extractor.max_samples and extractor.max_samples / extractor.sampling_rate


def _kind(folder: Path, content: Mapping[str, Any]) -> tuple[str, str]:
    """Which template, and by what name the results have the model's own figures.

    Raises:
        ValueError: There is no such template.
    """
    if "kind" in content:  # of members
        if content["kind"] not in KINDS:
            raise ValueError(f"Expected results of a kind of {', '.join(KINDS)}, got {content['kind']!r}.")
        return content["kind"], content["kind"]
    if folder.resolve().name == LAST_EPOCH:
        return "single", LAST_EPOCH
    return "averaged", "averaged_reestimated" if "averaged_reestimated" in content["results"] else "averaged"


def _parts(runs: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What the loads of the data found, each once."""
    parts: list[Mapping[str, Any]] = []
    for part in (part for training in runs for part in loads(training["data"])):
        if part not in parts:
            parts.append(part)
    return parts


def _checked(row: Mapping[str, Any], name: str, metric: str) -> float:
    """A figure that was measured.

    Raises:
        ValueError: It is missing, or not a number; but d' may have no mean.
    """
    value = metric_value(row, metric) if metric in row else None
    if value is None or (math.isnan(value) and metric != "d_prime"):
        raise ValueError(f"Expected a measured figure as {metric} of {name} in the results, got {value}.")
    return value


def _duration(seconds: float) -> str:
    """In words, with a unit that leaves it some digits."""
    if seconds < 120:
        return f"{seconds:.1f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def _per_class(content: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Each class's name, and its average precision and AUC."""

    def cell(value: float | None) -> str:
        return "no clip to test on" if value is None else metric_text(value)

    columns = (content["per_class"][what] for what in ("AP", "AUC"))
    return [(name, [cell(ap), cell(auc)]) for name, ap, auc in zip(content["classes"], *columns, strict=True)]


def _tested_on(tested: Mapping[str, Any], runs: Sequence[Mapping[str, Any]]) -> CardFacts:
    """The data set that a model was tested on.

    Args:
        tested: Facts of the data to test on.
        runs: The runs of training behind the model.

    Raises:
        ValueError: A member was trained on the clips that this model was tested on.
    """
    alike = [run["data"] for run in runs if run["data"]["dataset"] == tested["dataset"]]
    others = {data.get("fold") for data in alike} - {tested.get("fold")}
    if others:
        raise ValueError(
            f"Expected a test on clips that no member was trained on: it was on fold {tested.get('fold')}, and the "
            f"folds that the members held out are {sorted({str(data.get('fold')) for data in alike})}."
        )
    return data_set(alike[0] if alike else tested)


def _base_models(runs: Iterable[Mapping[str, Any]]) -> list[str] | None:
    """The models on the Hub whose weights the trainings began from: timm's, or taggers."""
    runs = list(runs)
    from_timm = (training["recipe"]["model"] for training in runs if training.get("imagenet_weights") == "timm")
    starts = [training["init_from"] for training in runs if training.get("init_from")]
    taggers = {start["name"] for start in starts if start["is_on_hub"]}
    return sorted({f"timm/{model['backbone']}" for model in from_timm} | taggers) or None


def _eval_results(data: CardFacts, metrics: Mapping[str, float], fold: int | None) -> list[EvalResult]:
    """The model's own figures as the Hub lists them; a faultless ranking's d' is infinite, which is no number there."""
    return [
        EvalResult(
            task_type="audio-classification",
            task_name="Audio tagging",
            dataset_type=data.hub_id or data.key,
            dataset_name=data.name,
            dataset_split="test" if fold is None else f"fold {fold}",
            metric_type=METRIC_NAMES[metric][0],
            metric_name=METRIC_NAMES[metric][1],
            metric_value=round(value, 6),
        )
        for metric, value in metrics.items()
        if math.isfinite(value)
    ]


# The templates of cards, and what they can do with values.
CARDS = make_environment("psla_hf.hub", duration=_duration, figure=metric_text, settings=_settings)
CARDS.globals["LAST_EPOCHS"] = LAST_EPOCHS
