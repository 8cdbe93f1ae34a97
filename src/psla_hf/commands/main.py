"""`psla`: the commands by name, what they say beside their results, how they end. Knows no command's arguments."""

import logging
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from cyclopts import App, CycloptsError, Parameter

from psla_hf.provenance import __version__

from .arguments import MESSAGES, Messages, check_needs, check_values, command_line, spelled, with_flags
from .settings import WORDS, use_config

__all__ = ["COMMANDS", "WAITING", "run"]

# How OpenMP's threads wait for each other, read when torch is loaded: by default they spin for so long that they take
# the cores from each other beside a busy process. libgomp takes the number of turns, others the policy.
WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}

# A command is a module of this package with a function or an `App` of its name, and a line here.
COMMANDS = {
    "tag": "Tag audio files.",
    "listen": "Tag a sound while it goes on.",
    "train": "Train a tagger.",
    "evaluate": "Score a saved tagger on a data set's test part.",
    "prepare": "Prepare data as shards of mono FLAC.",
    "enhance": "Enhance a training set's labels.",
    "aggregate": "Make one model of several.",
    "score": "Score a training set's clips with a teacher.",
    "publish": "Publish a model or label sets on the Hub.",
    "plot": "Draw training runs, or how a data set is sampled.",
    "export": "Export a tagger as a graph, or as a page.",
    "app": "Try taggers in the browser.",
    "convert": "Convert original PSLA checkpoints.",
    "report": "Print the results of runs, and write a page for each.",
}


def make_app(listing: bool) -> App:
    """`psla`; the commands' modules are imported when they are needed.

    Args:
        listing: The commands are listed, with the lines above; else each has its docstring.
    """
    app = App(
        name="psla",
        help="PSLA audio tagging: train, evaluate, tag.\n\n"
        "psla COMMAND --help has an example of each, such as\n    psla tag runs/esc10 dog.ogg",
        help_format="plaintext",
        version=__version__,
        config=(use_config, check_values, check_needs),
        # A flag that is given again goes before what was given, as in argparse.
        default_parameter=Parameter(allow_repeating=True, negative_bool=(), negative_iterable=()),
    )
    for order, (name, summary) in enumerate(COMMANDS.items()):
        path = f"{__package__}.{name}:{name}"
        app.command(path, name=name, help=summary if listing else None, sort_key=order)
    app.register_install_completion_command(help="Teach your shell the commands and flags.")
    return app


def run(words: Iterable[str | Path] | None = None) -> None:
    """Run a command. What a user gets wrong costs one line on stderr and exit status 2.

    Args:
        words: The command and its arguments; by default the command line's.

    Raises:
        SystemExit: The command did not succeed.
    """
    if not WAITING.keys() & os.environ.keys():
        os.environ.update(WAITING)
    words = spelled(sys.argv[1:] if words is None else map(str, words))
    WORDS.set(words)
    app = make_app(listing=not words or words[0].startswith("-"))
    with command_line("--debug" in words, lambda error: explained(error, app, words)):
        command, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
        show(bound.arguments.get("messages", MESSAGES))
        command(*bound.args, **bound.kwargs)


def explained(error: Exception, app: App, words: list[str]) -> str:
    """An error's message, with the flags of the command for the parameters that it names."""
    if isinstance(error, CycloptsError):
        error.verbose = False  # this is no place for the source code of the command
        return str(error)
    _, apps, _ = app.parse_commands([word for word in words if word not in app.help_flags])
    flags = {name for argument in apps[-1].assemble_argument_collection() for name in argument.names}
    return with_flags(str(error), flags)


def show(messages: Messages) -> None:
    """Let logs and progress bars be as they were asked for."""
    logging.basicConfig(format="%(message)s")
    logging.getLogger("psla_hf").setLevel(messages.level)
    if messages.quiet:
        os.environ["TQDM_DISABLE"] = "1"
