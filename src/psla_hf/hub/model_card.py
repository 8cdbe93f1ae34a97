"""Cards of models, from their result files and the templates. Knows no network, and computes no metric."""

import json
import math
import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from transformers import AutoConfig

from psla_hf.models.feature_extraction_psla import PslaFeatureExtractor
from psla_hf.reports.tables import AGGREGATE_NAMES, METRICS, RESULT_NAMES, markdown_origin
from psla_hf.training.recipes import LAST_EPOCHS, TARGETS
from psla_hf.training.run_folder import LAST_EPOCH, RESULTS_FILE

__all__ = ["OF_AN_ORIGIN", "DataSet", "check_tells", "data_set", "loads", "model_card", "render", "results_file"]


TEMPLATES = jinja2.PackageLoader("psla_hf.hub")

FOLD, WITH_FOLD, DEFAULT_FOLD = re.compile(r"--fold[ =](\d)"), ("train.py", "aggregate.py"), "1"

# What the Hub's tags say of a model, by the template.
KINDS = {"single": (), "averaged": ("weight-averaging",), "ensemble": ("ensemble",)}

# What a card says of figures' origin, of every model, every run of training behind it, every load of the run's data,
# and every member: places in a result file, such as `clips.test`. Those with a question mark may hold none.
OF_AN_ORIGIN = ("command", "commit?", "psla_hf", "machine.accelerator?", "machine.cpus", "versions.torch")

OF_A_MODEL = (*OF_AN_ORIGIN, "python", "classes", "clips.test", "results")

OF_A_TRAINING = ("command", "commit?", "seed", "recipe.backbone", "clips.train", "data")

OF_A_LOAD = ("source", "splits", "listed", "found", "missing", "unreadable", "hours?", "notes")

OF_A_MEMBER = ("name", "run?", "results?")

LABEL_SET = "label_set"  # what the data of a run have besides loads

TITLES = {"mAP": "mAP", "AUC": "AUC", "d_prime": "d'", "accuracy": "accuracy"}

METRIC_NAMES = {
    "mAP": ("mAP", "mean average precision"),
    "AUC": ("roc_auc", "mean area under the ROC curve"),
    "d_prime": ("d_prime", "d'"),
    "accuracy": ("accuracy", "accuracy"),
}


@dataclass(frozen=True)
class DataSet:
    """What is known of a data set.

    Attributes:
        key: By which the templates know it, and the targets if there are any.
        name: For people.
        hub_id: A copy of it on the Hub.
    """

    key: str
    name: str
    hub_id: str | None = None


# By what a load calls its source, or a label set its data. FSD50K has no copy on the Hub to be relied on.
DATA_SETS = {
    r"esc10": DataSet("esc10", "ESC-10", "ashraq/esc50"),
    r"esc50": DataSet("esc50", "ESC-50", "ashraq/esc50"),
    r"audioset .*\bunbalanced_train|audioset_full": DataSet("audioset_full", "AudioSet", "agkphysics/AudioSet"),
    r"audioset": DataSet("audioset_balanced", "AudioSet (balanced)", "agkphysics/AudioSet"),
    r"fsd50k": DataSet("fsd50k", "FSD50K"),
}

# Parts that nothing is trained on say nothing of which part something is trained on.
NOT_TRAINED_ON = re.compile(r"(audioset eval|fsd50k (eval|val))\b", re.IGNORECASE)


def model_card(folder: str | Path, repo_id: str | None = None, license: str = "apache-2.0") -> ModelCard:
    """The card of a saved model; all its figures are from `results.json`.

    Args:
        folder: What `scripts/train.py` left (the averaged model, or its `last_epoch`) or `scripts/aggregate.py` made.
        repo_id: Where the model is to be found on the Hub, for the examples; by default the folder's name.
        license: Of the weights and the code, as the Hub names it.

    Raises:
        FileNotFoundError: There is no results file.
        ValueError: The results lack something that a card says, have a figure that is none, are of clips that the
            model was trained on, or are not this model's.
    """
    folder = Path(folder)
    values = _values(folder, _results(results_file(folder)))
    repo_id = repo_id or folder.resolve().name
    name = repo_id.split("/")[-1]
    data, metrics = values["data"], values["metrics"]
    card_data = ModelCardData(
        license=license,
        library_name="transformers",
        pipeline_tag="audio-classification",
        tags=["audio-tagging", "psla", *KINDS[values["kind"]]],
        datasets=[data.hub_id] if data.hub_id else None,
        metrics=[METRIC_NAMES[metric][0] for metric in metrics],
        base_model=_base_models(values["trainings"]),
        model_name=name,
        eval_results=_eval_results(data, metrics, values["fold"]),
    )
    values |= {"card_data": card_data.to_yaml(), "name": name, "repo_id": repo_id}
    return ModelCard(render(f"{values['kind']}.md.jinja", values))


def results_file(folder: str | Path) -> Path:
    """Where the results of a saved model are: beside it, or for a run's last epoch in the folder of the run.

    Raises:
        FileNotFoundError: There are none.
    """
    folder = Path(folder)
    path = (folder.parent if folder.name == LAST_EPOCH else folder) / RESULTS_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"Expected the results of the model in {path}: a card has only measured figures. scripts/train.py and "
            "scripts/aggregate.py write them when they end."
        )
    return path


def check_tells(content: Mapping[str, Any], what: Iterable[str], path: Path) -> None:
    """Refuse a result file that lacks something a card says.

    Args:
        content: Of the file, or of a part of it.
        what: Places such as `seed` or `clips.test`; those with a question mark behind may hold none.
        path: The file's.

    Raises:
        ValueError: Something is missing or none; the message names it.
    """
    missing = [place.removesuffix("?") for place in what if not _tells(content, place)]
    if missing:
        raise ValueError(
            f"Expected all that a card says in {path}, missing: {', '.join(missing)}. Make it again with the scripts "
            "of this version."
        )


def _tells(content: Any, place: str) -> bool:
    for name in place.removesuffix("?").split("."):
        if not isinstance(content, Mapping) or name not in content:
            return False
        content = content[name]
    return content is not None or place.endswith("?")


def render(template: str, values: Mapping[str, Any]) -> str:
    """A template of `model_cards/`, filled in.

    Raises:
        ValueError: The template says something that is not among the values: no dash stands for what was not measured.
    """
    environment = jinja2.Environment(
        loader=TEMPLATES, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"duration": _duration, "figure": _figure, "paragraph": _paragraph}
    environment.globals["LAST_EPOCHS"] = LAST_EPOCHS
    try:
        text = environment.get_template(template).render(values)
    except jinja2.UndefinedError as error:
        raise ValueError(f"Expected all that {template} says, something is missing: {error}.") from error
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def data_set(sources: Iterable[str]) -> DataSet:
    """The data set that loads belong to, by what those of clips to train on call their sources.

    Raises:
        ValueError: None is of clips to train on.
    """
    sources = list(dict.fromkeys(sources))
    training = [source for source in sources if not NOT_TRAINED_ON.match(source)]
    if not training:
        raise ValueError(
            f"Expected results that say what the training clips were loaded from, they have only {sources}. Make them "
            "again with the scripts of this version."
        )
    for pattern, found in DATA_SETS.items():
        if any(re.match(pattern, source, re.IGNORECASE) for source in training):
            return found
    return DataSet("own", ", ".join(training))


def loads(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What a result file says of the parts of its data, or an older one of the loads: all but a label set."""
    parts = data.get("parts", data)
    return [part for name, part in parts.items() if name != LABEL_SET]


def _results(path: Path) -> dict[str, Any]:
    """A model's results, with all in them that a card says.

    Raises:
        ValueError: Something is missing, or there is no model that they belong to.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    if not content.get("model", True):
        raise ValueError(
            f"Expected the results of a model, {path} says that none was made. Aggregate without --no-model and "
            "--scores, into a folder of its own."
        )
    check_tells(content, OF_A_MODEL, path)
    for member in content.get("members", []):
        check_tells(member, OF_A_MEMBER, path)
    for training in _trainings(content):
        check_tells(training, OF_A_TRAINING, path)
        for part in loads(training["data"]):
            check_tells(part, OF_A_LOAD, path)
    if "per_class" in content:
        check_tells(content, ("per_class.AP", "per_class.AUC"), path)
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
    trainings = _trainings(content)
    data = data_set(part["source"] for training in trainings for part in loads(training["data"]))
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
        "trainings": trainings,
        "parts": _parts(trainings),
        "data": data,
        "fold": _held_out(content, trainings) if data.key.startswith("esc") else None,
        "classes": classes,
        "clips": content["clips"],
        "seconds": _seconds(extractor),
        "frame_scores": all(part.pooling != "linear" for part in getattr(config, "member_configs", [config])),
        "metrics": {metric: _checked(rows[own], own, metric) for metric in metrics},
        "titles": [TITLES[metric] for metric in metrics],
        "rows": [
            {
                "name": names.get(name, name),
                "own": name == own,
                "cells": [_figure(_checked(row, name, metric)) for metric in metrics],
            }
            for name, row in rows.items()
        ],
        "left_out": int(_checked(rows[own], own, "classes_left_out")),
        "per_class": _per_class(content) if own == kind and "per_class" in content else None,
        "target": TARGETS.get(data.key),
        "origin": markdown_origin(content),
    }


def _seconds(extractor: PslaFeatureExtractor) -> float | None:
    """The longest clip that is taken whole; none if every length is."""
    if extractor.max_length is None:
        return None
    return (extractor.frame_size + (extractor.max_length - 1) * extractor.hop_size) / extractor.sampling_rate


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


def _trainings(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The runs of training that a model came from, each once: its own, or those of its members and their members.

    Raises:
        ValueError: Nothing is known of a member's.
    """
    unknown = [member["name"] for member in content.get("members", []) if member["run"] is None]
    if unknown:
        raise ValueError(
            f"Expected members with a {RESULTS_FILE} that says how they were trained, {unknown} have none. Aggregate "
            "the folders that scripts/train.py wrote."
        )
    if "runs" not in content:
        return [content]
    found: list[Mapping[str, Any]] = []
    for run in content["runs"]:
        found += [training for training in _trainings(run) if training not in found]
    return found


def _parts(trainings: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What the loads of the data found, each once."""
    parts: list[Mapping[str, Any]] = []
    for training in trainings:
        parts += [part for part in loads(training["data"]) if part not in parts]
    return parts


def _checked(row: Mapping[str, Any], name: str, metric: str) -> float:
    """A figure that was measured.

    Raises:
        ValueError: It is missing, or not a number.
    """
    value = row.get(metric)
    if value is None or math.isnan(value):
        raise ValueError(f"Expected a measured figure as {metric} of {name} in the results, got {value}.")
    return value


def _figure(value: float) -> str:
    return "∞" if value == math.inf else f"{value:.4f}"


def _duration(seconds: float) -> str:
    """In words, with a unit that leaves it some digits."""
    if seconds < 120:
        return f"{seconds:.1f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def _per_class(content: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Each class's name, and its average precision and AUC."""

    def cell(value: float | None) -> str:
        return "no clip to test on" if value is None else _figure(value)

    columns = (content["per_class"][what] for what in ("AP", "AUC"))
    return [(name, [cell(ap), cell(auc)]) for name, ap, auc in zip(content["classes"], *columns, strict=True)]


def _held_out(content: Mapping[str, Any], trainings: Iterable[Mapping[str, Any]]) -> str | None:
    """The fold of ESC that was held out, by the recorded commands; none if they do not say.

    Raises:
        ValueError: A member was trained on the clips that this model was tested on.
    """
    tested = _fold(content["command"])
    trained = {_fold(training["command"]) for training in trainings}
    if tested and trained - {tested, None}:
        raise ValueError(
            f"Expected a test on clips that no member was trained on: it was on fold {tested}, and the folds that the "
            f"members held out are {sorted(map(str, trained))}."
        )
    return tested


def _fold(command: str) -> str | None:
    """The fold that a command means, in words or by default."""
    said = FOLD.search(command)
    return said[1] if said else DEFAULT_FOLD if command.startswith(WITH_FOLD) else None


def _base_models(trainings: Iterable[Mapping[str, Any]]) -> list[str] | None:
    """The models on the Hub whose weights the trainings began from, where those were timm's."""
    began = {
        f"timm/{training['recipe']['backbone']}" for training in trainings if training.get("imagenet_weights") == "timm"
    }
    return sorted(began) or None


def _paragraph(text: str) -> str:
    """The same in lines of even length."""
    return textwrap.fill(" ".join(text.split()), 120, break_long_words=False, break_on_hyphens=False) + "\n"


def _eval_results(data: DataSet, metrics: Mapping[str, float], fold: str | None) -> list[EvalResult]:
    """The model's own figures as the Hub lists them; a faultless ranking's d' is infinite, which is no number there."""
    return [
        EvalResult(
            task_type="audio-classification",
            task_name="Audio tagging",
            dataset_type=data.hub_id or data.key,
            dataset_name=data.name,
            dataset_split=f"fold {fold}" if fold else "test",
            metric_type=METRIC_NAMES[metric][0],
            metric_name=METRIC_NAMES[metric][1],
            metric_value=round(value, 6),
        )
        for metric, value in metrics.items()
        if math.isfinite(value)
    ]
