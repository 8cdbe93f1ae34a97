"""What commands share: messages, a recipe's settings as flags, settings from files. Knows no single command."""

import difflib
import io
import logging
import os
import re
import reprlib
import signal
import sys
import time
import tomllib
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import MISSING, Field, dataclass, field, fields, make_dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_type_hints

import wrapt
from cyclopts import App, ArgumentCollection, CycloptsError, Group, Parameter, Token

if TYPE_CHECKING:
    from psla_hf.training.recipe import Recipe

__all__ = [
    "MESSAGES",
    "STDIN",
    "WORDS",
    "BatchSize",
    "Messages",
    "Needs",
    "Part",
    "Switch",
    "Whole",
    "check_needs",
    "command_line",
    "flags_like",
    "given_settings",
    "option",
    "panel",
    "read_settings",
    "recipe_settings",
    "recipe_with",
    "settings_type",
    "spelled",
    "use_config",
    "with_flags",
]

# The words of the command that runs: the defaults that help shows are those of the recipe named there.
WORDS: ContextVar[list[str]] = ContextVar("words")

CLOSED_PIPE = 128 + 13  # as shells have it; Windows has no signal.SIGPIPE

PATIENCE_S = 5  # of a process that is not the first one, until it says what is wrong, too

FALSE_VALUES = ("false", "f", "no", "n", "0")

TRUTH_VALUES = ("true", "t", "yes", "y", "1", *FALSE_VALUES)

# Flags whose value may be left out: what it can be, first what it is then.
OPTIONAL_VALUES = {"--greedy": ("validation", "test")}

# What - stands for, which cyclopts takes for a flag.
STDIN = "/dev/stdin"

# Flags of every command, which may stand before its name.
MESSAGE_FLAGS = ("--quiet", "-q", "--verbose", "-v", "--debug")

# Why the system does not open a path, and what to do.
UNUSABLE = {
    FileNotFoundError: "there is no such file. Check its name and its folder.",
    IsADirectoryError: "expected a file, it is a folder. Name a file in it.",
    NotADirectoryError: "expected a folder, a part of the path is a file. Check it.",
    PermissionError: "this user may not. Change its permissions, or take another.",
}

# Flags of a command that are called otherwise than the parameter of the library that they set.
OTHER_FLAGS = {
    "incomplete='drop'": ("--drop-incomplete", "--drop-unreadable"),
    "on_error='drop'": ("--drop-unreadable",),
}


@contextmanager
def command_line(debug: bool = False, explain: Callable[[Exception], str] = str) -> Iterator[None]:
    """Run what was typed: no progress bars for loading a file, and what a user gets wrong costs one line on stderr.

    Args:
        debug: Show the traceback, too.
        explain: Makes the line of an error.

    Raises:
        SystemExit: With status 2 for an error, and as a shell knows it after Ctrl-C or where nobody reads any more.
    """
    # Registered, for transformers takes seconds to import.
    wrapt.when_imported("transformers.utils.logging")(lambda logs: logs.disable_progress_bar())
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr has it: names need not fit its encoding
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more when it ends
        sys.exit(CLOSED_PIPE)
    except KeyboardInterrupt:
        print("error: interrupted.", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except (CycloptsError, ValueError, OSError, ImportError) as error:
        if os.environ.get("LOCAL_RANK", "0") != "0":
            # Processes of one run mostly fail alike: the launcher ends the others when the first one has said why.
            time.sleep(PATIENCE_S)
        if debug:
            traceback.print_exc()
        message = explain(error) if (reason := unusable(error)) is None else reason
        print(f"error: {' '.join(message.split())}", file=sys.stderr)
        sys.exit(2)


def unusable(error: Exception) -> str | None:
    """What to say where the system could not open a path, if nobody has said more than that."""
    if not isinstance(error, OSError) or error.filename is None:
        return None
    for kind, reason in UNUSABLE.items():
        if isinstance(error, kind):
            return f"Could not open {os.fsdecode(error.filename)}: {reason}"
    return None


def whole_number(kind: type, tokens: Sequence[Token]) -> int:
    """A whole number; 2.5 is none, which cyclopts would round."""
    token = tokens[-1]
    try:
        return int(token.value)
    except ValueError as error:
        place = "" if token.source == "cli" else f" in {token.source}"
        raise ValueError(f"expected a whole number, got {token.value!r}{place}.") from error


def part_of(kind: type, tokens: Sequence[Token]) -> tuple[int, int]:
    """Two whole numbers as in 3/64."""
    number, _, parts = tokens[-1].value.partition("/")
    if not (number.isdecimal() and parts.isdecimal() and 1 <= int(number) <= int(parts)):
        raise ValueError(f"expected a part such as 3/64, got {tokens[-1].value}.")
    return int(number), int(parts)


Whole = Annotated[int, Parameter(converter=whole_number)]

Part = Annotated[tuple[int, int], Parameter(converter=part_of, n_tokens=1, metavar="PART", show_default="1/1")]

Switch = Annotated[bool, Parameter(show_default=False)]

BatchSize = Annotated[int, Parameter(converter=whole_number, help="Clips at a time, of each process.")]


@dataclass(frozen=True)
class Needs:
    """A mark in a flag's type, such as `Annotated[int, Needs("--shards")]`: without the other it has no effect."""

    other: str


def option(help: str, default: Any = MISSING) -> Any:
    """A field of arguments, required unless it has a default, and the sentence that `--help` shows."""
    return field(default=default, metadata={"help": help})


def panel(title: str, order: int) -> Callable[[type], Any]:
    """A decorator of a data class: its fields are flags, in a panel of their own."""
    return Parameter(name="*", group=Group(title, sort_key=order))


@panel("Messages", 9)
@dataclass(frozen=True, kw_only=True)
class Messages:
    """How much a command says besides its results, in any place of the command line."""

    quiet: Annotated[Switch, Parameter(alias="-q")] = option("Only results and errors.", False)
    verbose: Annotated[Switch, Parameter(alias="-v")] = option("What happens, step by step.", False)
    debug: Switch = option("Where an error came from, too.", False)

    @property
    def level(self) -> int:
        """Of the package's log."""
        return logging.ERROR if self.quiet else logging.INFO if self.verbose else logging.WARNING


MESSAGES = Messages()


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


def check_needs(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Refuse flags that have no effect without others that were not given.

    Raises:
        ValueError: There is one; the message names both.
    """
    given = {name for argument in arguments if argument.tokens for name in argument.names}
    for argument in (argument for argument in arguments if argument.tokens):
        is_off = argument.resolved_hint is bool and argument.tokens[-1].value.lower() in FALSE_VALUES
        for needs in (mark for mark in get_args(argument.field_info.annotation) if isinstance(mark, Needs)):
            if needs.other not in given and not is_off:
                raise ValueError(f"{argument.name} would have no effect: it needs {needs.other}. Leave it out.")


DEEPEST = 16  # levels of a file of settings, which needs one


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


def spelled(words: Iterable[str]) -> list[str]:
    """A command line as the commands know it.

    Underscores in flags become dashes. A truth value after a flag of `train` is joined to it, as transformers' parser
    takes it (`--balanced_sampling false`; there are no positional arguments that could be meant), and a value that may
    be left out is written out. A single dash is standard input. Flags about messages go to the end.
    """
    words = list(words)
    end = words.index("--") if "--" in words else len(words)
    result: list[str] = []
    for word in (word for word in words[:end] if word not in MESSAGE_FLAGS):
        before = result[-1] if result else ""
        is_truth_value = result[:1] == ["train"] and word.lower() in TRUTH_VALUES
        if (
            before.startswith("--")
            and "=" not in before
            and (is_truth_value or word in OPTIONAL_VALUES.get(before, ()))
        ):
            result[-1] = f"{before}={word}"
        elif word.startswith("--"):
            name, equals, value = word.partition("=")
            result.append(name.replace("_", "-") + equals + value)
        else:
            result.append(STDIN if word == "-" else word)
    result = [f"{word}={OPTIONAL_VALUES[word][0]}" if word in OPTIONAL_VALUES else word for word in result]
    return [*result, *(word for word in words[:end] if word in MESSAGE_FLAGS), *words[end:]]


def with_flags(message: str, flags: Iterable[str]) -> str:
    """An error of the library, which speaks of parameters, with a command's flags for them behind.

    Args:
        message: Such as "pass on_error='redraw'".
        flags: The command's.
    """

    def named(parameter: re.Match) -> str:
        name, value = parameter["name"], parameter["value"].strip("'\"")
        flag = f"--{name.replace('_', '-')}"
        own = [other for other in OTHER_FLAGS.get(f"{name}='{value}'", ()) if other in flags]
        own += [flag if value == "True" else f"{flag} {value}"] if flag in flags else []
        return f"{parameter[0]} ({own[0]})" if own else parameter[0]

    return re.sub(r"\b(?P<name>[a-z]\w*)=(?P<value>'[^']*'|\"[^\"]*\"|True|False|[\w.]*\w)", named, message)
