"""The page itself: a sound goes in, its tags, time line and events are shown. Needs gradio: `psla-hf[app]`."""

import html
import socket
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from psla_hf.extras import check_installed
from psla_hf.inference.tagger import AudioTagger
from psla_hf.reports.markdown import markdown_code

from .analysis import Analysis, Limits, analyse

if TYPE_CHECKING:
    import gradio

__all__ = ["launch", "make_page"]

INTRODUCTION = """# What is heard
Upload a sound or record one, of at most {minutes:g} minutes and {size:g} MB.
{models} tags it, and says when what is heard.
"""

FONTS = ("system-ui", "sans-serif")  # the browser's own: nothing is fetched

COLUMNS: dict[Any, Any] = {"from (s)": "{:.2f}", "to (s)": "{:.2f}", "label": "{}", "score": "{:.3f}"}  # of events

CSS = """
.gradio-container { width: 100%; max-width: 72rem !important; margin: auto; }
#picture { overflow-x: auto !important; background: white; }
#picture .image-container { min-width: 40rem; } /* what is written in it can be read on a phone */
#picture img { width: 100%; }
"""

HIGHEST_PORT = 65535

KEPT_ANALYSES = 8  # so that moving the threshold does not tag again

KEPT_SECONDS = 3600  # of uploaded files


def make_page(
    taggers: Mapping[str, AudioTagger], limits: Limits | None = None, examples: Sequence[Path] = ()
) -> "gradio.Blocks":
    """A page that tags with any of these taggers.

    Args:
        taggers: By the name that is shown, at least one.
        limits: Of the files that are taken.
        examples: Sound files to try.

    Raises:
        ImportError: A package of the extra app is missing; the message has the command that installs it.
    """
    check_installed("app", "gradio", "matplotlib")
    import gradio as gr

    limits, names = limits or Limits(), list(taggers)
    with gr.Blocks(title="Audio tagging", analytics_enabled=False, delete_cache=(KEPT_SECONDS, KEPT_SECONDS)) as page:
        page.max_file_size = limits.max_bytes
        models = markdown_code(names[0]) if len(names) == 1 else "A model"
        gr.Markdown(INTRODUCTION.format(models=models, minutes=limits.max_minutes, size=limits.max_megabytes))
        with gr.Row():
            with gr.Column():
                sound = gr.Audio(
                    label="Sound", sources=["upload", "microphone"], type="filepath", editable=False, buttons=[]
                )
                model = gr.Dropdown(names, value=names[0], label="Model", visible=len(names) > 1)
                threshold = gr.Slider(0.05, 0.95, 0.5, step=0.05, label="Threshold of events")
                if examples:
                    gr.Examples([str(path) for path in examples], sound, label="Examples")
            tags = gr.Label(label="Tags", show_heading=False, elem_id="tags")
        picture = gr.Image(
            label="Time line",
            show_label=False,
            type="filepath",
            interactive=False,
            buttons=["fullscreen", "download"],
            elem_id="picture",
        )
        events = gr.Dataframe(
            headers=list(COLUMNS), label="Events", interactive=False, buttons=["fullscreen"], elem_id="events"
        )
        table = gr.DownloadButton("Download events (CSV)")
        gr.on(
            [sound.change, model.change, threshold.release],
            answering(taggers, limits),
            [model, sound, threshold],
            [tags, picture, events, table],
            api_name="tag",
        )
    return page


def answering(taggers: Mapping[str, AudioTagger], limits: Limits) -> Callable[[str, str | None, float], list[Any]]:
    """What the page calls with a model's name, a file and a threshold: its tags, picture, events and their file."""
    import gradio as gr

    @lru_cache(KEPT_ANALYSES)
    def analysed(name: str, path: Path) -> Analysis:
        return analyse(taggers[name], path, limits)

    def answer(name: str, file: str | None, threshold: float) -> list[Any]:
        if file is None:
            return [None, None, None, None]
        path = Path(file)
        try:
            analysis = analysed(name, path)
            # gradio keeps what is uploaded under its content's digest, where others may have it analysed at the same
            # time: what is made of it has a folder of its own there, from which gradio serves and in time deletes it.
            folder = Path(tempfile.mkdtemp(dir=path.parent))
            picture, table = folder / f"{path.stem}.png", folder / f"{path.stem}.events.csv"
            analysis.draw(picture, threshold)
            analysis.write_events(table, threshold)
        except (OSError, ValueError) as error:
            # Not with the folder, which is the server's; and what the browser shows of it is HTML.
            message = html.escape(str(error).replace(str(path), path.name))
            raise gr.Error(message, duration=None, print_exception=False) from error
        rows = pd.DataFrame(
            [[e.onset, e.offset, e.label, e.score] for e in analysis.events(threshold)], columns=list(COLUMNS)
        )
        return [analysis.tags(), str(picture), rows.style.format(COLUMNS), str(table)]

    return answer


def check_host(host: str) -> None:
    """Refuse to listen where this machine is not.

    Raises:
        OSError: It has no such address.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.bind(address)
    except (OSError, UnicodeError) as error:
        raise OSError(f"Expected an address of this machine as host, such as 0.0.0.0, got {host}: {error}.") from error


def launch(page: "gradio.Blocks", host: str | None = None, port: int | None = None) -> str:
    """Serve a page in threads of this process, and return its address; `page.block_thread()` waits for Ctrl-C.

    Args:
        page: Of `make_page`; files above its limit are refused while they arrive.
        host: Address to listen on; by default this machine alone, or GRADIO_SERVER_NAME.
        port: By default the first free one from 7860, or GRADIO_SERVER_PORT.

    Raises:
        OSError: The port is in use, or the host is no address of this machine.
        ValueError: There are no such ports.
    """
    import gradio as gr

    if port is not None and not 1 <= port <= HIGHEST_PORT:
        raise ValueError(f"Expected a port from 1 to {HIGHEST_PORT}, got {port}. Leave it out for a free one.")
    if host is not None:
        check_host(host)
    try:
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            max_file_size=page.max_file_size,
            theme=gr.themes.Soft(primary_hue="teal", font=FONTS, font_mono=FONTS),
            css=CSS,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            ssr_mode=False,
            footer_links=[],
        )
    except OSError as error:
        if port is None:
            raise
        raise OSError(f"Expected a port that is free, something listens on {port} already. Choose another.") from error
    return address
