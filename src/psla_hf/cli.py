"""What the scripts share at the command line: arguments from data classes, and errors as one line. Nothing else."""

import argparse
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TypeVar

from transformers import HfArgumentParser

from .recipes import Recipe, get_recipe

__all__ = ["parse_with_recipe", "user_errors"]

Arguments = TypeVar("Arguments")


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn a `ValueError` or `OSError` into its message, where it was raised, and exit status 2.

    `python -X dev` shows the whole traceback.
    """
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
    parser = HfArgumentParser([run_type, Recipe], description=description, allow_abbrev=False)
    parser.set_defaults(**asdict(recipe))
    return parser.parse_args_into_dataclasses()
