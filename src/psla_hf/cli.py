"""What the scripts share at the command line: arguments from data classes, and errors as one line. Nothing else."""

import argparse
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, TypeVar, cast

from transformers import HfArgumentParser
from transformers.utils.logging import disable_progress_bar

from .recipes import Recipe, get_recipe

__all__ = ["command_line", "parse_with_recipe"]

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


def parse_with_recipe(run_type: type[Arguments], description: str | None) -> tuple[Arguments, Recipe]:
    """Parse a run's arguments and a recipe's settings: those of the recipe that `--recipe` names, overridden by flags.

    Args:
        run_type: A data class with a field `recipe`.
        description: For `--help`.

    Raises:
        ValueError: There is no such recipe, or a setting is out of range.
    """
    chooser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    chooser.add_argument("--recipe", default=run_type.recipe)  # type: ignore[attr-defined]
    recipe = get_recipe(chooser.parse_known_args()[0].recipe)
    parser = HfArgumentParser(cast("Any", [run_type, Recipe]), description=description, allow_abbrev=False)
    parser.set_defaults(**asdict(recipe))
    run, settings = parser.parse_args_into_dataclasses()
    return cast("tuple[Arguments, Recipe]", (run, settings))
