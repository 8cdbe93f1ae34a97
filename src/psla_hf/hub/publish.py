"""Publishing models and label sets: what is complete and works, with its card, in one commit. Computes no metric."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from huggingface_hub import HfApi
from transformers import AutoFeatureExtractor, AutoModelForAudioClassification
from transformers.dynamic_module_utils import get_relative_import_files

from psla_hf.enhancement.label_set import LABELS_FILE
from psla_hf.files import atomic_file, read_json
from psla_hf.models.configuration_psla import REMOTE_CODE
from psla_hf.models.saved import read_settings
from psla_hf.training.run.folder import CARD_FILE, CONFIG_FILE, CONVERSION_FILE, EXTRACTOR_FILE

from .converted_card import converted_card
from .dataset_cards import label_card, label_set_files
from .model_card import model_card, results_file
from .repository import Contents, Publication, Repository, check_repo_id

__all__ = ["model_files", "push_labels", "push_model"]


LICENSE = "apache-2.0"

WEIGHTS = ("*.safetensors", "*.safetensors.index.json")


def model_files(folder: str | Path) -> dict[str, Path]:
    """The files of a saved model that are published, by name, after a look that it is complete and works.

    Args:
        folder: With configuration, weights, feature extractor and the model's code, as `save_pretrained` writes them.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is damaged or of another kind of model, the configuration does not name its code, weights are
            missing or left over, or the model's scores are no probabilities.
    """
    folder = Path(folder)
    weights = sorted(path for pattern in WEIGHTS for path in folder.glob(pattern))
    named = {name for name in (CONFIG_FILE, EXTRACTOR_FILE) if not (folder / name).is_file()}
    if named or not weights:
        missing = sorted(named) + ([] if weights else [WEIGHTS[0]])
        raise FileNotFoundError(
            f"Expected a saved model in {folder}, missing: {', '.join(missing)}. Write it with save_pretrained of the "
            "model and of its PslaFeatureExtractor."
        )
    read_settings(folder)
    code = _try(folder)
    files = [folder / CONFIG_FILE, folder / EXTRACTOR_FILE, *weights, *code]
    return {path.name: path for path in files}


def push_model(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool = True,
    revision: str | None = None,
    create_pr: bool = False,
    license: str | None = None,
    dry_run: bool = False,
    api: HfApi | None = None,
) -> Publication:
    """Publish a saved model with its card and its results: all of it in one commit, or nothing.

    The card is written into the folder as `README.md`, over one that is there, from the templates and `results.json`
    (of what was converted `conversion.json`).

    Args:
        folder: What a training run left (the averaged model, or its `last_epoch`), `save_aggregate` or `psla convert`
            wrote.
        repo_id: Such as `user/name`; made if it does not exist.
        private: Only you and your organisation can see it. A repository that is public already is then refused.
        revision: The branch; made if it does not exist. By default `main`.
        create_pr: Open a pull request instead.
        license: Of the weights and the code, as the Hub names it; by default `apache-2.0`, of what was converted the
            original's.
        dry_run: Only check, write the card, and tell what would be sent.
        api: How to reach the Hub, and as whom. By default as huggingface_hub finds out, with the token that
            `hf auth login` stored, or that of `HF_TOKEN`.

    Raises:
        FileNotFoundError: A file of the model or its results are missing.
        PublishError: The Hub refuses, cannot be reached, or the connection breaks; the message says what is there.
        ValueError: The model does not work, its results lack something or are of no model or another one, the
            repository's name has no owner, or the arguments exclude each other.
    """
    check_repo_id(repo_id)
    folder = Path(folder)
    files = model_files(folder)
    if (folder / CONVERSION_FILE).is_file():
        card, about = converted_card(folder, repo_id, license), folder / CONVERSION_FILE
    else:
        card, about = model_card(folder, repo_id, license or LICENSE), results_file(folder)
    with atomic_file(folder / CARD_FILE) as temporary:
        card.save(temporary)
    files |= {CARD_FILE: folder / CARD_FILE, about.name: about}
    if dry_run:
        return Publication.of(repo_id, files)
    # Weights that were there are not this model's, and from_pretrained would look at both.
    return Repository.open(repo_id, "model", private, api).fill(
        files, f"Publish {folder.resolve().name}", revision=revision, create_pr=create_pr, replaces=WEIGHTS
    )


def push_labels(
    folders: Mapping[str, str | Path],
    repo_id: str,
    *,
    license: str,
    teacher: str | None = None,
    private: bool = True,
    revision: str | None = None,
    create_pr: bool = False,
    dry_run: bool = False,
    api: HfApi | None = None,
) -> Publication:
    """Publish label sets as the configurations of one data set repository: all of it in one commit, or nothing.

    The repository then has these configurations and no others.

    Args:
        folders: A label set's folder, with its report, for each configuration, such as `mean` and `25P`.
        repo_id: Such as `user/name`; made if it does not exist.
        license: Of the labels, as the Hub names it, such as `cc-by-4.0`.
        teacher: What to call the teacher, for example by its Hub id; by default as the reports do.
        private: As in `push_model`, as are the others.
        revision: The branch.
        create_pr: Open a pull request instead.
        dry_run: Only check and tell what would be sent.
        api: How to reach the Hub, and as whom.

    Raises:
        FileNotFoundError: A file is missing.
        PublishError: The Hub refuses, cannot be reached, or the connection breaks; the message says what is there.
        ValueError: The label sets do not belong together, a fact is missing, the repository's name has no owner, or the
            arguments exclude each other.
    """
    check_repo_id(repo_id)
    card = label_card(folders, repo_id, license, teacher)
    files: Contents = {CARD_FILE: str(card).encode()} | {
        f"{config}/{name}": path for config, folder in folders.items() for name, path in label_set_files(folder).items()
    }
    if dry_run:
        return Publication.of(repo_id, files)
    repository = Repository.open(repo_id, "dataset", private, api)
    others = {path.split("/")[0] for path in repository.files(revision) if path.endswith(f"/{LABELS_FILE}")}
    if others - set(folders):
        raise ValueError(
            f"Expected all label sets of {repo_id}, because its card lists those that are given: it also has "
            f"{sorted(others - set(folders))}. Give them too, or choose another repository. Nothing was uploaded."
        )
    return repository.fill(
        files,
        f"Publish {', '.join(folders)}",
        revision=revision,
        create_pr=create_pr,
        replaces=[f"{config}/*" for config in folders],
    )


def _try(folder: Path) -> list[Path]:
    """Load the model as its users will, tag noise with it, and return the files of its code."""
    model, loading = AutoModelForAudioClassification.from_pretrained(folder, output_loading_info=True)
    wrong = {what: sorted(map(str, names))[:5] for what, names in loading.items() if names}
    if wrong:
        raise ValueError(f"Expected the model's weights in {folder}, no more and no less: {wrong}. Save it again.")
    extractor = AutoFeatureExtractor.from_pretrained(folder)
    noise = 0.1 * np.random.default_rng(0).standard_normal(extractor.sampling_rate)
    with torch.inference_mode():
        scores = model(**extractor(noise, sampling_rate=extractor.sampling_rate, return_tensors="pt")).logits.sigmoid()
    if scores.shape != (1, len(model.config.label_names)) or not scores.isfinite().all():
        raise ValueError(f"Expected a probability per class of the model in {folder}, got {scores.tolist()}.")
    # From the file: a configuration that was read has what the file lacks.
    named = read_json(folder / CONFIG_FILE).get("auto_map", {})
    if set(named) != set(REMOTE_CODE):
        raise ValueError(
            f"Expected auto_map in {folder / CONFIG_FILE} to name the classes of {sorted(REMOTE_CODE)}, it names "
            f"{sorted(named)}: without psla_hf the others could not be loaded. Save it again."
        )
    modules = {folder / f"{place.partition('.')[0]}.py" for place in named.values()}
    missing = [module.name for module in modules if not module.is_file()]
    if missing:
        raise FileNotFoundError(f"Expected the model's code in {folder}, missing: {sorted(missing)}. Save it again.")
    return sorted(modules | {Path(file) for module in modules for file in get_relative_import_files(module)})
