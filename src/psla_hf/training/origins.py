"""What models were trained on, by the facts in their result files. Opens no file, and knows no model."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

__all__ = ["Origin", "check_held_out", "has_seen", "held_out_fold", "trained_dataset", "trainings"]


Origin: TypeAlias = Mapping[str, Any] | None  # what a result file says of a model; none where there is no such file


def trainings(origin: Origin) -> list[Mapping[str, Any]]:
    """The runs of training behind a model, each once: its own, or those of its members and of their members."""
    if origin is None or "runs" not in origin:
        return [] if origin is None else [origin]
    found: list[Mapping[str, Any]] = []
    for run in origin["runs"]:
        found += [training for training in trainings(run) if training not in found]
    return found


def behind(origin: Origin) -> list[Mapping[str, Any]]:
    """The runs of training behind a model, and those behind the models that these began from."""
    found = trainings(origin)
    for training in list(found):
        found += [before for before in behind((training.get("init_from") or {}).get("origin")) if before not in found]
    return found


def held_out_fold(dataset: str, origins: Iterable[Origin]) -> int | None:
    """The fold of a data set that all models trained on it held out; none if there is no such fold."""
    folds = {data.get("fold") for origin in origins for data in _data(origin, dataset)}
    return folds.pop() if len(folds) == 1 else None


def trained_dataset(origins: Iterable[Origin]) -> str | None:
    """Key of the data set that all models were trained on; none if there is no such one."""
    keys = {training.get("data", {}).get("dataset") for origin in origins for training in trainings(origin)}
    return keys.pop() if len(keys) == 1 else None


def has_seen(tested: Mapping[str, Any], origin: Origin) -> bool:
    """Whether a model was trained on clips that it is tested on, as far as its origin says.

    Args:
        tested: Facts of the data to test on, as `Loaded.facts()` has them.
        origin: Of the model.
    """
    data = _data(origin, tested["dataset"])
    if tested.get("made") and any(of_run.get("made", tested["made"]) != tested["made"] for of_run in data):
        return True  # divided otherwise: what is tested on was shared out among all parts
    if "fold" in tested:  # what is not held out is trained on
        return any(of_run.get("fold") != tested["fold"] for of_run in data)
    return any(_splits(of_run, ["train"]) & _splits(tested) for of_run in data)


def check_held_out(tested: Mapping[str, Any], origins: Mapping[str, Origin]) -> None:
    """Refuse a test on clips that a model was trained on: its figures would be too good.

    Args:
        tested: As for `has_seen`.
        origins: Of the models, by name.

    Raises:
        ValueError: One was trained on some of the clips; the message says what it held out.
    """
    dataset = tested["dataset"]
    seen = {name: _data(origin, dataset) for name, origin in origins.items() if has_seen(tested, origin)}
    if not seen:
        return
    fold = held_out_fold(dataset, origins.values())
    way = "Take models that held out the same clips" if fold is None else f"Pass fold={fold}"
    held_out = (f"{name} held out {' and '.join(sorted(map(_test, data)))}" for name, data in seen.items())
    raise ValueError(
        f"Expected a test on clips of {dataset} that no model was trained on: it is on {_test(tested)}, but "
        f"{'; '.join(held_out)}. {way}, or allow_seen=True for figures that are too good."
    )


def _data(origin: Origin, dataset: str) -> list[Mapping[str, Any]]:
    """The facts of a data set in the runs behind a model."""
    recorded = (training.get("data") or {} for training in behind(origin))
    return [data for data in recorded if data.get("dataset") == dataset]


def _splits(data: Mapping[str, Any], parts: Iterable[str] = ("test", "validation")) -> set[str]:
    return {split for part in parts for split in data["parts"].get(part, {}).get("splits", ())}


def _test(data: Mapping[str, Any]) -> str:
    """What is held out, in words."""
    made = f" (split_seed={data['made']['seed']})" if data.get("made") else ""
    return (f"fold {data['fold']}" if "fold" in data else ", ".join(sorted(_splits(data)))) + made
