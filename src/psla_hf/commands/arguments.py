"""What commands share: kinds of flags, how a command line is spelled, how errors end it. Knows no single command."""

import io
import logging
import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, field
from typing import Annotated, Any, get_args

import wrapt
from cyclopts import UNSET, App, ArgumentCollection, CycloptsError, Group, Parameter, Token

__all__ = [
    "MESSAGES",
    "STDIN",
    "BatchSize",
    "Messages",
    "Needs",
    "Part",
    "Switch",
    "Whole",
    "check_needs",
    "check_values",
    "command_line",
    "option",
    "panel",
    "spelled",
    "with_flags",
]

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


def check_values(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Refuse empty values, which would be taken for the folder one is in, or for nothing.

    Raises:
        ValueError: There is one; the message names where.
    """
    for argument in arguments:
        if any(token.value == "" and token.implicit_value is UNSET for token in argument.tokens):
            raise ValueError(f"expected a value for {argument.name}, got an empty one: is a variable not set?")


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
