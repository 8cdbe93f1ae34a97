"""Settings as fields of data classes: default, sentence and range in one place. Knows no recipes, no command line."""

from dataclasses import MISSING, Field, field, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

__all__ = ["check", "required", "setting"]


def setting(
    default: Any,
    help: str,
    *,
    above: float | None = None,
    below: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Any:
    """A field with a default, the sentence that a command line shows of it, and the range that `check` holds it to.

    Args:
        default: The value where none is given.
        help: What the setting is, units included.
        above: The value is greater than this.
        below: The value is less than this.
        at_least: The value is this or greater.
        at_most: The value is this or less.
    """
    limits = {"above": above, "at_least": at_least, "below": below, "at_most": at_most}
    return field(default=default, metadata={"help": help, **{k: v for k, v in limits.items() if v is not None}})


def required(help: str, **limits: float) -> Any:
    """A field without a default, with the sentence that a command line shows of it and `setting`'s limits."""
    return setting(MISSING, help, **limits)


def check(instance: Any) -> None:
    """Refuse values of a data class's fields that are out of their range, or none of a `Literal`'s.

    Raises:
        ValueError: There is one; the message names the field, and what was expected.
    """
    kinds = get_type_hints(type(instance))
    for setting in fields(instance):
        value, choices = getattr(instance, setting.name), kinds[setting.name]
        if get_origin(choices) is Literal and value not in get_args(choices):
            raise ValueError(f"Expected {setting.name} to be one of {get_args(choices)}, got {value!r}.")
        if not _is_within(value, setting):
            raise ValueError(f"Expected {setting.name} {_range(setting)}, got {value}.")


def _is_within(value: Any, setting: Field) -> bool:
    """Whether a value is in its field's range; not-a-number is in none, and None, where there may be none, in all."""
    limits = setting.metadata
    return value is None or (
        ("above" not in limits or value > limits["above"])
        and ("below" not in limits or value < limits["below"])
        and ("at_least" not in limits or value >= limits["at_least"])
        and ("at_most" not in limits or value <= limits["at_most"])
    )


def _range(setting: Field) -> str:
    limits = setting.metadata
    if "at_least" in limits and "at_most" in limits:
        return f"from {limits['at_least']} to {limits['at_most']}"
    words = {"above": "above", "at_least": "of at least", "below": "below", "at_most": "of at most"}
    return " and ".join(f"{words[name]} {limits[name]}" for name in words if name in limits)
