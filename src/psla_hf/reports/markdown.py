"""Markdown: users' words as literal text, figures as tables, pages from templates. Knows nothing of what they say."""

import html
import re
import textwrap
from collections.abc import Mapping
from typing import Any

import jinja2

from .tables import short_figure

__all__ = [
    "make_environment",
    "markdown_code",
    "markdown_figures",
    "markdown_origin",
    "markdown_text",
    "render",
]


def markdown_text(text: str) -> str:
    """What users named, such as a class, as literal text of Markdown: in a table, in a list or in a sentence."""
    one_line = html.escape(" ".join(text.split()), quote=False)
    # Between letters an underscore is itself, as in learning_rate.
    return re.sub(r"([\\`*~\[\]|]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", one_line)


def markdown_code(text: str) -> str:
    """The same in type for code, in a table or not."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if text.startswith("`") or text.endswith("`") else ""  # which Markdown takes away
    return fence + space + " ".join(text.split()).replace("|", "\\|") + space + fence


def markdown_figures(rows: Mapping[str, Mapping[str, float | str]], first_column: str) -> str:
    """A table: one row per name, a column per figure, as they come."""
    columns = list(next(iter(rows.values())))
    lines = [
        f"| {first_column} | " + " | ".join(column.replace("_", " ") for column in columns) + " |",
        "| --- |" + " --- |" * len(columns),
    ]
    for name, row in rows.items():
        lines.append(f"| {markdown_text(name)} | " + " | ".join(short_figure(row[c]) for c in columns) + " |")
    return "\n".join(lines)


def markdown_origin(result: Mapping) -> str:
    """Where figures come from: command, commit and machine of a result file."""
    machine, versions = result["machine"], result["versions"]
    where = machine["accelerator"] or f"{machine['cpus']} CPU core{'s' if machine['cpus'] > 1 else ''}"
    source = f"commit {result['commit']}" if result["commit"] else f"psla-hf {result['psla_hf']}, not from a git tree"
    return f"{markdown_code(result['command'])}, {source}, {where}, torch {versions['torch']}"


def make_environment(package: str, **filters: Any) -> jinja2.Environment:
    """The templates in a package's folder `templates`, and what they can do with values besides these filters."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package), undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    common = {"code": markdown_code, "count": "{:,}".format, "paragraph": _paragraph, "text": markdown_text}
    environment.filters |= common | {"template": _template} | filters
    return environment


def render(environment: jinja2.Environment, template: str, values: Mapping[str, Any]) -> str:
    """A template, filled in.

    Raises:
        ValueError: The template says something that is not among the values: no dash stands for what was not measured.
    """
    try:
        text = environment.get_template(template).render(values)
    except jinja2.UndefinedError as error:
        raise ValueError(f"Expected all that {template} says, something is missing: {error}.") from error
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _paragraph(text: str) -> str:
    """The same in lines of even length, none of which begins as a heading, a list or a quotation does."""
    lines = textwrap.fill(" ".join(text.split()), 120, break_long_words=False, break_on_hyphens=False)
    return re.sub(r"\n(?=(#+|[-+*>]|\d+[.)])\s)", " ", lines) + "\n"


@jinja2.pass_context
def _template(context: jinja2.runtime.Context, text: str) -> str:
    """A text that is a template itself, filled in with the same values."""
    return context.environment.from_string(text).render(context.get_all())
