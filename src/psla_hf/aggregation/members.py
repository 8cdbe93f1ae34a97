"""Saved taggers by directory, file, pattern or Hub id, and how two of them differ. Knows no data and no metrics."""

import glob
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError
from safetensors.torch import load_file
from transformers import AutoModelForAudioClassification

from psla_hf.files import read_json, reading
from psla_hf.models.configuration_psla import PslaConfig, PslaEnsembleConfig
from psla_hf.models.feature_extraction_psla import PslaFeatureExtractor
from psla_hf.models.modeling_psla import check_fit
from psla_hf.models.saved import Saved, load_saved, read_settings, ready
from psla_hf.places import local_path
from psla_hf.training.run.folder import CONFIG_FILE, EPOCHS, LAST_EPOCH, RESULTS_FILE, WEIGHTS_FILE

__all__ = ["Alike", "Member", "check_members", "find_members", "kept_epochs"]


WEIGHTS_SUFFIX = ".safetensors"

ARCHITECTURE = (
    "model_type",
    "backbone",
    "pooling",
    "num_attention_heads",
    "num_mel_bins",
    "static_padding_size",
    "problem_type",
    "members",
)

FRONT_END = ("sampling_rate", "num_mel_bins", "max_length", "mean", "std")

# What a result file says of how its model came about.
ORIGIN = (
    "kind",
    "command",
    "psla_hf",
    "commit",
    "seed",
    "recipe",
    "imagenet_weights",
    "init_from",
    "clips",
    "data",
    "machine",
    "versions",
    "runs",
)


@dataclass(frozen=True)
class Member:
    """A saved tagger.

    Attributes:
        place: Its directory or Hub id.
        weights: A file of weights in that directory, where they are not the directory's own.
        tail: How many parts of an absolute path its name has.
    """

    place: str
    weights: Path | None = None
    tail: int = 2

    @property
    def path(self) -> Path:
        """Its directory or file; of a Hub id nothing that exists."""
        return Path(self.place if self.weights is None else self.weights)

    @property
    def name(self) -> str:
        """What to call it: its path, of an absolute one only the end, so that results tell nothing of a machine."""
        return "/".join(self.path.parts[-self.tail :]) if self.path.is_absolute() else str(self.path)

    def load(self) -> Saved:
        """The model and its feature extractor.

        Raises:
            OSError: Something is missing.
            ValueError: The weights are not of the architecture that the directory's configuration names.
        """
        if self.weights is None:
            return load_saved(self.place)
        config, extractor = self.settings()
        model = AutoModelForAudioClassification.from_config(config)
        with reading(self.weights, "weights as safetensors"):
            weights = load_file(self.weights)
        check_fit(model.state_dict(), weights, f"the weights in {self.weights}")
        model.load_state_dict(weights)
        return ready(model, extractor)

    def settings(self) -> tuple[PslaConfig | PslaEnsembleConfig, PslaFeatureExtractor]:
        """The configuration and the feature extractor of a model whose weights are there, too; they are not read.

        Raises:
            OSError: Something is missing.
            ValueError: A file is damaged, or of another kind of model.
        """
        return read_settings(self.place, weights=self.weights is None)

    def origin(self) -> dict[str, Any] | None:
        """What the result file says that belongs to it: its own, or that of the run that it is an epoch of.

        None where there is no such file; what has a Hub id has its own there, and is fetched.
        """
        path = self._results_file()
        if path is None:
            return None
        content = read_json(path)
        return {key: content[key] for key in ORIGIN if key in content}

    def _results_file(self) -> Path | None:
        path = local_path(self.place, "a saved model")
        if path is None:
            try:
                return Path(hf_hub_download(self.place, RESULTS_FILE))
            except EntryNotFoundError:  # not there, or not in the cache where the Hub is out of reach
                return None
        folder = path.resolve()
        folders = [folder]
        if folder.name == LAST_EPOCH:
            folders.append(folder.parent)
        elif folder.parent.name == EPOCHS and folder.name.isdigit():
            folders.append(folder.parent.parent)
        return next((place / RESULTS_FILE for place in folders if (place / RESULTS_FILE).is_file()), None)


def find_members(words: Sequence[str]) -> list[Member]:
    """The saved taggers that someone names.

    Args:
        words: Directories, safetensors files beside the `config.json` and `preprocessor_config.json` of their model,
            patterns of either, such as `runs/*/epochs/*`, or Hub ids. What else a pattern matches is passed over.

    Raises:
        FileNotFoundError: There is no such thing.
        ValueError: It is a file of another kind, or a member is named more than once.
    """
    members = [member for word in words for member in _named(word)]
    places = [member.path.resolve() for member in members]
    duplicates = {member.name for member, place in zip(members, places, strict=True) if places.count(place) > 1}
    if duplicates:
        raise ValueError(f"Expected every member once, these are named more than once: {sorted(duplicates)}.")
    while len({member.name for member in members}) < len(members):  # such as run1/epochs/020 and run2/epochs/020
        members = [replace(member, tail=member.tail + 1) for member in members]
    return members


def _named(word: str) -> list[Member]:
    path = Path(word)
    if (path / CONFIG_FILE).is_file():
        return [Member(str(path))]
    if path.is_file():
        if path.suffix != WEIGHTS_SUFFIX:
            raise ValueError(
                f"Expected a file of weights ({WEIGHTS_SUFFIX}), got {path}. Convert an original checkpoint with "
                "psla_hf.models.weights.convert_psla_checkpoint first."
            )
        if not (path.parent / CONFIG_FILE).is_file():
            raise FileNotFoundError(f"Expected the model's {CONFIG_FILE} beside {path}: it says what the weights are.")
        return [Member(str(path.parent), None if path.name == WEIGHTS_FILE else path)]
    if glob.has_magic(word):
        matches = [Path(match) for match in sorted(glob.glob(word))]  # noqa: PTH207 - Path.glob: no absolute pattern
        usable = [p for p in matches if (p / CONFIG_FILE).is_file() or (p.is_file() and p.suffix == WEIGHTS_SUFFIX)]
        if not usable:
            raise FileNotFoundError(f"Expected {word} to match saved models, it matches {len(matches)} other things.")
        return [member for match in usable for member in _named(str(match))]
    what = f"a saved model ({CONFIG_FILE}), a {WEIGHTS_SUFFIX} file or a Hub id"
    if local_path(word, what) is not None:
        raise FileNotFoundError(f"Expected {what}, {word} is none of them.")
    return [Member(word)]


def kept_epochs(run_dir: str | Path) -> dict[int, Member]:
    """The models of single epochs that a run of training with `keep_epochs` has kept, by epoch.

    Raises:
        FileNotFoundError: There are none.
    """
    folders = sorted((Path(run_dir) / EPOCHS).glob("[0-9]*"), key=lambda folder: int(folder.name))
    if not folders:
        raise FileNotFoundError(
            f"Expected the models of single epochs in {run_dir}/{EPOCHS}. Train with keep_epochs=True."
        )
    return {int(folder.name): Member(str(folder)) for folder in folders}


def check_members(members: Sequence[Member], weights: bool = False, join: bool = True) -> None:
    """Refuse members that cannot become one model, before any weights are read.

    Args:
        members: Of which all can be read but the weights.
        weights: They are to be averaged, and must be alike as `Alike` has it.
        join: They are to be an ensemble, and must be single taggers of the same classes; where weights are averaged
            this means nothing.

    Raises:
        OSError: A file is missing.
        ValueError: A file is damaged, or a member is none for this; the message names it.
    """
    alike, singles = Alike(weights), list[PslaConfig]()
    for member in members:
        config, extractor = member.settings()
        alike.check(member.name, config, extractor)
        if isinstance(config, PslaConfig):
            singles.append(config)
        elif join and not weights:
            raise ValueError(
                f"Expected single taggers as members, {member.name} is an ensemble. Name the models that it was made "
                "of instead."
            )
    if join and not weights and singles:
        PslaEnsembleConfig.from_member_configs(singles)


class Alike:
    """Compares members with the first one.

    Args:
        weights: Architecture and order of classes must be the same too, as for averages of weights; else only the
            front end and the precision must, which a saved model has one of.
    """

    def __init__(self, weights: bool = False):
        self._weights = weights
        self._first: tuple[str, dict[str, Any]] | None = None

    def check(
        self,
        name: str,
        config: PslaConfig | PslaEnsembleConfig,
        extractor: PslaFeatureExtractor,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Refuse a member that differs.

        Args:
            name: What to call it.
            config: Its configuration.
            extractor: Its feature extractor.
            dtype: Its precision, once its weights are there; given for all members or for none.

        Raises:
            ValueError: The message names the member and what differs.
        """
        described = self._described(config, extractor, dtype)
        if self._first is None:
            self._first = name, described
        first, expected = self._first
        differ = [what for what in expected if described[what] != expected[what]]
        if "model_type" in differ:  # then most of the rest are settings that one kind lacks
            differ = ["model_type"]
        if differ:
            differences = "; ".join(_difference(what, expected[what], described[what]) for what in differ)
            raise ValueError(f"Expected members that are alike; {name} differs from {first}: {differences}.")

    def _described(
        self, config: PslaConfig | PslaEnsembleConfig, extractor: PslaFeatureExtractor, dtype: torch.dtype | None
    ) -> dict[str, Any]:
        described = {f"the extractor's {what}": getattr(extractor, what) for what in FRONT_END}
        if dtype is not None:
            described["dtype"] = str(dtype).removeprefix("torch.")
        if self._weights:
            described |= {what: getattr(config, what, None) for what in ARCHITECTURE}
            described["the classes"] = config.label_names
        return described


def _difference(what: str, expected: Any, actual: Any) -> str:
    if isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual):
            return f"{what} are {len(actual)} instead of {len(expected)}"
        place = next(k for k, pair in enumerate(zip(expected, actual, strict=True)) if pair[0] != pair[1])
        pair = reprlib.repr(actual[place]), reprlib.repr(expected[place])  # of ensembles, whole configurations
        return f"{what}, number {place} is {pair[0]} instead of {pair[1]}"
    return f"{what} is {actual!r} instead of {expected!r}"
