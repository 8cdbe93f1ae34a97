"""Settings of runs: a recipe's as flags, and those of a file. Knows no single command."""

import difflib
import reprlib
import tomllib
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import Field, field, fields, make_dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

from cyclopts import App, ArgumentCollection, Group, Parameter, Token

from .arguments import Switch, Whole

if TYPE_CHECKING:
    from psla_hf.training.recipe import Recipe

__all__ = [
    "WORDS",
    "flags_like",
    "given_settings",
    "read_settings",
    "recipe_settings",
    "recipe_with",
    "settings_type",
    "use_config",
]

# The words of the command that runs: the defaults that help shows are those of the recipe named there.
WORDS: ContextVar[list[str]] = ContextVar("words")

DEEPEST = 16  # levels of a file of settings, which needs one


def recipe_settings() -> list[tuple[str, Field, Any]]:
    """Every setting of a recipe: the title of its group, its field, and its type."""
    from psla_hf.training.recipe import Recipe

    groups = {name.capitalize(): type(getattr(Recipe(), name)) for name in Recipe().groups()}
    return [
        (title, setting, get_type_hints(group)[setting.name])
        for title, group in groups.items()
        for setting in fields(group)
    ]


def settings_type() -> Any:
    """A data class with a flag for each setting of a recipe, None unless it was given."""
    settings = recipe_settings()
    groups = {title: Group(title, sort_key=2) for title, _, _ in settings}
    flags = []
    for title, setting, kind in settings:
        parameter = Parameter(
            group=groups[title],
            help=sentence_of(setting),
            negative_bool="no-",
            show_default=partial(default_of, setting.name),
        )
        kind = Whole if kind is int else kind
        flags.append((setting.name, Annotated[kind | None, parameter], field(default=None)))
    return flags_type("Settings", flags)


def flags_like(settings: type, title: str, order: int) -> Any:
    """A data class with a flag for each setting of one of the library's, with its defaults, in a panel of their own."""
    group, hints, flags = Group(title, sort_key=order), get_type_hints(settings), []
    for setting in fields(settings):
        kind: Any = {int: Whole, bool: Switch, int | None: Whole | None}.get(hints[setting.name], hints[setting.name])
        parameter = Parameter(group=group, help=sentence_of(setting))
        flags.append((setting.name, Annotated[kind, parameter], field(default=setting.default)))
    return flags_type(settings.__name__, flags)


def flags_type(name: str, flags: list[tuple[str, Any, Any]]) -> Any:
    """A data class whose fields are flags by themselves."""
    return Parameter(name="*")(make_dataclass(name, flags, frozen=True, namespace={"__module__": __name__}))


def sentence_of(setting: Field) -> str:
    """A setting's help as `--help` shows it."""
    return f"{setting.metadata['help'][0].upper()}{setting.metadata['help'][1:]}."


def default_of(name: str, none: None) -> Any:
    """A setting's value in the recipe that the command line names, for `--help`."""
    words = WORDS.get()
    recipe, config = given(words, "--recipe"), given(words, "--config")
    if recipe is None and config is not None:
        recipe = read_settings(config).get("recipe")
    return recipe_with(recipe or "own_small").settings()[name]


def recipe_with(name: str, settings: Any = None) -> "Recipe":
    """A recipe by name, with the settings of a `settings_type` that were given.

    Raises:
        ValueError: There is no such recipe, or a setting is out of range or would have no effect.
    """
    from psla_hf.training.recipe import check_used
    from psla_hf.training.recipes import RECIPES, VARIANTS, get_recipe

    try:
        base = get_recipe(name)
    except ValueError as error:
        [nearest] = difflib.get_close_matches(name, [*RECIPES, *VARIANTS], n=1, cutoff=0)
        raise ValueError(f"{error} The nearest is {nearest!r}.") from error
    recipe = base.replace(**given_settings(settings))
    check_used(recipe, base)
    return recipe


def given_settings(settings: Any) -> dict[str, Any]:
    """The settings of a `settings_type` that were given."""
    return {} if settings is None else {name: value for name, value in vars(settings).items() if value is not None}


def given(words: Sequence[str], flag: str) -> str | None:
    """The value that a flag was given last."""
    value = None
    for word, after in zip(words, [*words[1:], ""], strict=True):
        if word == flag:
            value = after
        elif word.startswith(f"{flag}="):
            value = word.partition("=")[2]
    return value


def use_config(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Take what flags do not say from the file of `--config`, if there is one.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no mapping, or holds what is no argument of the command; the message names it.
    """
    by_name = {argument.name.removeprefix("--"): argument for argument in arguments if argument.name != "*"}
    file = by_name.get("config")
    if file is None or file.resolved_hint is not Path or not file.tokens:
        return
    path = file.tokens[-1].value
    for key, value in read_settings(path).items():
        name = key.replace("_", "-")
        if name not in by_name:
            [nearest] = difflib.get_close_matches(name, by_name, n=1, cutoff=0)
            raise ValueError(f"{path}: {key!r} is no setting. The nearest is {nearest.replace('-', '_')!r}.")
        if not by_name[name].tokens:
            by_name[name].append(Token(keyword=f"--{name}", value=str(value), source=path))


def read_settings(path: str | Path) -> dict[str, Any]:
    """Settings of a run from a YAML, JSON or TOML file, by its ending.

    Raises:
        OSError: There is no such file, or it is a folder.
        ValueError: It is no mapping of names to single values.
    """
    from psla_hf.files import read_text, reading
    from psla_hf.places import local_path

    what = "a file of settings in YAML, JSON or TOML"
    local_path(Path(path), what)  # says what is there if it is not
    if Path(path).is_dir():
        raise IsADirectoryError(f"Expected {what}, {path} is a folder. Name a file in it.")
    text = read_text(path)
    with reading(path, "YAML, JSON or TOML"):
        content = tomllib.loads(text) if Path(path).suffix == ".toml" else yaml_of(text)
    if not isinstance(content, dict):
        raise ValueError(
            f"Expected a mapping of settings to values in {path}, such as epochs: 2, got {reprlib.repr(content)}."
        )
    for key, value in content.items():
        if not isinstance(key, str):
            raise ValueError(
                f"{path}: expected words as names of settings, got {key!r}. Put it in quotes if it is one."
            )
        if key == "config":
            raise ValueError(f"{path}: a file of settings names no other. Put all settings into one.")
        if not isinstance(value, str | int | float):
            raise ValueError(f"{path}: expected a word, a number or a truth value as {key}, got {reprlib.repr(value)}.")
    return content


def yaml_of(text: str) -> Any:
    """YAML, of which JSON is a part, without what a few lines of could take any amount of memory or time.

    Raises:
        ValueError: It has an alias or a key twice, or is nested too deeply.
        yaml.YAMLError: It is no YAML.
    """
    import yaml

    depth = 0
    for event in yaml.parse(text):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST or isinstance(event, yaml.AliasEvent):
            raise ValueError(f"expected no aliases and at most {DEEPEST} levels: write the values out")
    root = yaml.compose(text, yaml.SafeLoader)
    names = [key.value for key, _ in root.value] if isinstance(root, yaml.MappingNode) else []
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"expected each setting once, {', '.join(repeated)} comes again")
    return yaml.safe_load(text)
