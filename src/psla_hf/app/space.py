"""The page as a Hugging Face Space: a folder with all that it needs. Sends nothing to the Hub."""

import importlib.metadata
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import psla_hf
from psla_hf.extras import check_installed
from psla_hf.files import atomic_folder
from psla_hf.models.saved import load_saved
from psla_hf.places import local_path
from psla_hf.reports.markdown import make_environment, render

from .analysis import Limits, named

__all__ = ["export_space"]

SPACE = make_environment("psla_hf.app")

MODELS, EXAMPLES = "models", "examples"  # folders of the Space


def export_space(
    models: Sequence[str | Path],
    folder: str | Path,
    limits: Limits | None = None,
    examples: Sequence[Path] = (),
    overwrite: bool = False,
) -> None:
    """Write a Space that serves the page: README.md with its settings, app.py, requirements.txt, models, examples.

    This package itself is copied into it, as it runs here.

    Args:
        models: Directories of saved taggers, whose files are copied, or Hub ids, which the Space loads.
        folder: Where to; it appears complete or not at all.
        limits: Of the files that the page takes.
        examples: Sound files to try, which are copied.
        overwrite: Replace a folder that is not empty.

    Raises:
        FileExistsError: The folder is not empty.
        FileNotFoundError: A path is given (`psla_hf.places.local_path` says when) and holds no model.
        ImportError: A package of the extra app is missing.
        ValueError: A model is damaged or given more than once, or two examples have one name.
    """
    check_installed("app", "gradio", "matplotlib")
    names = named(models)
    if len({path.name for path in examples}) < len(examples):
        raise ValueError(f"Expected examples with names of their own, got {', '.join(map(str, examples))}.")
    with atomic_folder(folder, overwrite) as fresh:
        places = [copied(model, name, fresh) for name, model in names.items()]
        if examples:
            (fresh / EXAMPLES).mkdir()
        for path in examples:
            shutil.copy(path, fresh / EXAMPLES / path.name)
        package = Path(psla_hf.__file__).parent
        shutil.copytree(package, fresh / package.name, ignore=shutil.ignore_patterns("__pycache__"))
        values = {
            "gradio": importlib.metadata.version("gradio"),
            "python": f"{sys.version_info.major}.{sys.version_info.minor}",
            "models": places,
            "hub_ids": [place for place in places if place in names],
            "limits": limits or Limits(),
            "examples": EXAMPLES if examples else None,
        }
        for name in ("README.md", "app.py"):
            (fresh / name).write_text(render(SPACE, f"{name}.jinja", values), encoding="utf-8")
        (fresh / "requirements.txt").write_text("".join(f"{line}\n" for line in requirements("app")))


def copied(model: str | Path, name: str, space: Path) -> str:
    """Copy a model into a Space if it is a folder, and return what app.py calls it.

    Folders in the folder, such as those of a run's epochs, stay behind.
    """
    path = local_path(model, "a saved model")
    if path is None:
        return str(model)
    load_saved(path)  # a damaged one is refused here, not on the Hub
    place = Path(MODELS, name.strip("./").replace("/", "-"))
    (space / place).mkdir(parents=True)
    for file in sorted(path.iterdir()):
        if file.is_file() and not file.name.startswith("."):
            shutil.copy(file, space / place / file.name)
    return place.as_posix()


def requirements(extra: str) -> list[str]:
    """What this package needs, with an extra, as lines of requirements.txt."""
    lines = importlib.metadata.requires("psla-hf") or []
    split = [line.partition(";")[::2] for line in lines]
    return [need.strip() for need, marker in split if "extra" not in marker or f"'{extra}'" in marker.replace('"', "'")]
