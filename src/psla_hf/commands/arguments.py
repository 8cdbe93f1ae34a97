"""What the scripts share at the command line: arguments from data classes and files, and errors as one line."""

import argparse
import difflib
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from transformers import HfArgumentParser
from transformers.utils.logging import disable_progress_bar

from psla_hf.data.sources import SOURCES
from psla_hf.data.summary import Incomplete, LoadOptions
from psla_hf.training.recipes import Recipe, check_used, get_recipe

__all__ = ["add_data_flags", "command_line", "data_choice", "parse_with_recipe", "read_settings"]


Arguments = TypeVar("Arguments")


@contextmanager
def command_line() -> Iterator[None]:
    """Run a script: no progress bars for loading a file, and errors as one line.

    A `ValueError` or `OSError` becomes its message with the place that raised it, and exit status 2;
    `python -X dev` shows the whole traceback.
    """
    disable_progress_bar()
    try:
        yield
    except (ValueError, OSError) as error:
        if sys.flags.dev_mode:
            raise
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{frame.filename.rpartition('/')[2]}:{frame.lineno}"
        print(f"error: {error} [{type(error).__name__}, {place}]", file=sys.stderr)
        sys.exit(2)


def add_data_flags(parser: argparse.ArgumentParser, part: str, required: bool = True) -> None:
    """Flags that say which data.

    Args:
        parser: To add them to.
        part: What of the data is loaded, for `--help`.
        required: Whether there must be data.
    """
    parser.add_argument("--data-dir", required=required, help="folder of the data; for own data its table or folder")
    parser.add_argument(
        "--dataset", choices=list(SOURCES), default="esc", help=f"which data; its {part} part is loaded"
    )
    parser.add_argument("--subset", choices=["esc10", "audioset"], help="take these classes out of ESC-50")
    parser.add_argument(
        "--fold", type=int, default=1, help="the fold that is held out for testing, for ESC and UrbanSound8K"
    )
    parser.add_argument("--vocabulary", help="table of classes; default: the data's own")
    parser.add_argument("--drop-incomplete", action="store_true", help="go on without missing and unreadable clips")


def data_choice(arguments: Any, quiet: bool = False, streaming: bool = False) -> dict[str, Any]:
    """What `add_data_flags` read, or a data class has of the same names, as arguments of `psla_hf.data.load.load`."""
    incomplete: Incomplete | None = "drop" if arguments.drop_incomplete else None
    options = LoadOptions(incomplete, streaming=streaming, quiet=quiet)
    chosen = {name: getattr(arguments, name) for name in ("dataset", "fold", "subset", "vocabulary")}
    return {"place": arguments.data_dir, "options": options, **chosen}


def parse_with_recipe(run_type: type[Arguments], description: str | None) -> tuple[Arguments, Recipe]:
    """Parse a run's arguments and a recipe's settings: the recipe's, overridden by `--config`'s, those by flags.

    Args:
        run_type: A data class with a field `recipe`.
        description: For `--help`.

    Raises:
        FileNotFoundError: There is no such file of settings.
        ValueError: There is no such recipe, a setting is out of range or would have no effect, or the file has what is
            no setting.
    """
    chooser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    chooser.add_argument("--recipe")
    config = chooser.add_argument(
        "--config",
        metavar="FILE",
        help="YAML or JSON file of a recipe's settings, perhaps with recipe: NAME; flags win",
    )
    chosen, _ = chooser.parse_known_args()
    settings = {} if chosen.config is None else read_settings(chosen.config)
    in_file = settings.pop("recipe", run_type.recipe)  # type: ignore[attr-defined]
    name = chosen.recipe or in_file

    parser = HfArgumentParser(cast("Any", [run_type, Recipe]), description=description, allow_abbrev=False)
    parser.add_argument(*config.option_strings, metavar=config.metavar, help=config.help)
    parser.set_defaults(**asdict(get_recipe(name)) | settings, recipe=name)
    run, recipe, _ = parser.parse_args_into_dataclasses()
    check_used(recipe, get_recipe(name))
    return cast("tuple[Arguments, Recipe]", (run, recipe))


def read_settings(path: str | Path) -> dict[str, Any]:
    """Settings of a recipe from a YAML or JSON file, with the types of the recipe's, and `recipe`, if it is there.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no mapping, or holds what is no setting or no value of one; the message names it.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"Expected YAML or JSON in {path}: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"Expected a mapping of settings to values in {path}, such as epochs: 2, got {content!r}.")
    known = ["recipe", *(field.name for field in fields(Recipe))]
    for key, value in content.items():
        if key not in known:
            nearest = difflib.get_close_matches(str(key), known, n=1, cutoff=0)[0]
            raise ValueError(f"{path}: {key!r} is no setting of a recipe. The nearest is {nearest!r}.")
        if not isinstance(value, str | int | float):
            raise ValueError(f"{path}: expected a word, a number or a truth value as {key}, got {value!r}.")
    recipe = {key: str(content.pop(key)) for key in ("recipe",) if key in content}
    # Read as flags are: their types and choices are the command line's. (YAML takes 1e-3, for one, for a word.)
    reader = HfArgumentParser(cast("Any", Recipe), exit_on_error=False, allow_abbrev=False)
    try:
        values = vars(reader.parse_args([f"--{key}={value}" for key, value in content.items()]))
    except argparse.ArgumentError as error:
        raise ValueError(f"{path}: {error}") from error
    return recipe | {key: values[key] for key in content}
