"""`psla publish`: models and label sets on the Hub; audio is published by `psla prepare … --push`."""

from dataclasses import dataclass
from typing import Any

from cyclopts import App

from .arguments import MESSAGES, Messages, Switch, option, panel

publish = App(
    name="publish",
    help="Publish a model or label sets on the Hub.\n\n"
    "The token is the one of hf auth login, or HF_TOKEN. Audio is published by\n"
    "psla prepare … --push.\n\n"
    "For example:\n    psla publish model runs/esc10 you/esc10",
)


@panel("Repository", 1)
@dataclass(frozen=True, kw_only=True)
class How:
    """How it is sent."""

    public: Switch = option("Make the repository public; default: private.", False)
    revision: str | None = option("Branch, made if it does not exist; default: main.", None)
    pr: Switch = option("Open a pull request instead.", False)
    dry_run: Switch = option("Check, write a model's card, list the files; send none.", False)

    def __post_init__(self) -> None:
        """Refuse two ways at once."""
        if self.pr and self.revision:
            raise ValueError("--pr is not allowed with --revision: a pull request has a branch of its own.")

    def arguments(self) -> dict[str, Any]:
        """As arguments of what publishes."""
        choice = {"private": not self.public, "revision": self.revision}
        return {**choice, "create_pr": self.pr, "dry_run": self.dry_run}


HOW = How()


@publish.command
def model(
    folder: str, repo: str, /, *, license: str | None = None, how: How = HOW, messages: Messages = MESSAGES
) -> None:
    """Publish a trained, aggregated or converted model with its card.

    For example:
        psla publish model runs/esc10 you/esc10 --dry-run

    Args:
        folder: Output folder of psla train, aggregate or convert, or a run's last_epoch.
        repo: OWNER/NAME, made if it does not exist.
        license: Of weights and code, as the Hub names it; default: apache-2.0, of originals theirs.
    """
    from psla_hf.hub.publish import push_model

    print(push_model(folder, repo, license=license, **how.arguments()))


@publish.command
def labels(
    repo: str,
    /,
    *,
    config: list[str],
    license: str,
    teacher: str | None = None,
    how: How = HOW,
    messages: Messages = MESSAGES,
) -> None:
    r"""Publish label sets as configurations of one data set.

    For example:
        psla publish labels you/labels --license cc-by-4.0 \
            --config mean=labels/mean --config 25P=labels/25P

    Args:
        repo: OWNER/NAME, made if it does not exist.
        config: NAME=DIR: a configuration's name and the output folder of psla enhance; can be given again.
        license: Of the labels, as the Hub names it, such as cc-by-4.0.
        teacher: What to call the teacher, such as its Hub id; default: as the reports do.
    """
    from psla_hf.hub.publish import push_labels

    print(push_labels(configurations(config), repo, teacher=teacher, license=license, **how.arguments()))


def configurations(words: list[str]) -> dict[str, str]:
    """Folders by the name of their configuration."""
    pairs = [word.partition("=") for word in words]
    for word, (name, _, folder) in zip(words, pairs, strict=True):
        if not (name and folder) or "/" in name:
            raise ValueError(f"expected NAME=DIR, such as mean=runs/labels/mean, got {word!r}.")
    names = [name for name, _, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError(f"expected every --config once, got {', '.join(names)}.")
    return {name: folder for name, _, folder in pairs}
