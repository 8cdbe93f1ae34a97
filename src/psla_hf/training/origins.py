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
    if any(_is_divided_otherwise(tested, of_run) for of_run in data):
        return True  # what is tested on was shared out among all parts
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
    way = _way_out(tested, [data for origin in origins.values() for data in _data(origin, dataset)])
    held_out = (f"{name} held out {' and '.join(sorted(map(_test, data)))}" for name, data in seen.items())
    raise ValueError(
        f"Expected a test on clips of {dataset} that no model was trained on: it is on {_test(tested)}, but "
        f"{'; '.join(held_out)}. {way}, or allow_seen=True for figures that are too good."
    )


def _data(origin: Origin, dataset: str) -> list[Mapping[str, Any]]:
    """The facts of a data set in the runs behind a model."""
    recorded = (training.get("data") or {} for training in behind(origin))
    return [data for data in recorded if data.get("dataset") == dataset]


def _is_divided_otherwise(tested: Mapping[str, Any], of_run: Mapping[str, Any]) -> bool:
    """Whether splits were made twice of what may be the same clips, and not alike; older results have no digest."""
    made, then = tested.get("made") or {}, of_run.get("made") or {}
    differs = any(then.get(name, value) != value for name, value in made.items())
    return differs and bool(then) and not _marks(tested).isdisjoint(_marks(of_run))


def _marks(data: Mapping[str, Any]) -> set[str | None]:
    """What tells own data apart: the names of the table or folder, and of the classes."""
    parts = data["parts"].values()
    return {mark for part in parts for mark in (part.get("source"), *part.get("class_counts", ()))}


def _way_out(tested: Mapping[str, Any], held_out: Iterable[Mapping[str, Any]]) -> str:
    """What makes a test one on clips that all models held out."""
    of_runs = {tuple(_division(data, tested).items()) for data in held_out}
    division = dict(of_runs.pop()) if len(of_runs) == 1 else {}
    if not division:
        return "Take models that held out the same clips"
    if division == _division(tested, tested):
        return "The clips or their groups are others now: test on the table of the run's splits, its splits.csv"
    return "Pass " + ", ".join(f"{name}={value}" for name, value in division.items())


def _division(data: Mapping[str, Any], tested: Mapping[str, Any]) -> dict[str, int]:
    """The arguments of `data.load.load` that divide data so, where the data to test on are divided by them."""
    made = data.get("made") if tested.get("made") else None
    settings = {"folds": made and made["folds"], "fold": data.get("fold"), "split_seed": made and made["seed"]}
    return {name: value for name, value in settings.items() if value is not None}


def _splits(data: Mapping[str, Any], parts: Iterable[str] = ("test", "validation")) -> set[str]:
    return {split for part in parts for split in data["parts"].get(part, {}).get("splits", ())}


def _test(data: Mapping[str, Any]) -> str:
    """What is held out, in words."""
    made = data.get("made")
    division = f" (split_seed={made['seed']})" if made else ""
    of_folds = f" of {made['folds']}" if made and made["folds"] else ""
    return (f"fold {data['fold']}{of_folds}" if "fold" in data else ", ".join(sorted(_splits(data)))) + division
