"""`psla app`: taggers on a page in the browser, and that page as a Hugging Face Space."""

from pathlib import Path
from typing import Annotated

from .arguments import MESSAGES, Messages, Needs, Switch, Whole


def app(
    models: list[str] | None = None,
    /,
    *,
    examples: Path | None = None,
    max_minutes: float = 10.0,
    max_megabytes: float = 100.0,
    host: str | None = None,
    port: Whole | None = None,
    device: str | None = None,
    export: Path | None = None,
    overwrite: Annotated[Switch, Needs("--export")] = False,
    messages: Messages = MESSAGES,
) -> None:
    """Try taggers in the browser.

    Or, with --export, write the page as a Hugging Face Space.
    Needs pip install "psla-hf[app]".

    For example:
        psla app
        psla app runs/esc10 --export space

    Args:
        models: Directories or Hub ids of saved taggers; with several the page has a choice; by default the one of ten
            sounds that comes with the package.
        examples: Folder of sounds to try.
        max_minutes: Longer sounds are refused.
        max_megabytes: Larger files are refused.
        host: Address to listen on, such as 0.0.0.0; default: this machine alone.
        port: To listen on; default: the first free one from 7860.
        device: For example cuda; by default a GPU if there is one.
        export: Folder for the Space; nothing is served.
        overwrite: Replace a folder that is not empty.
    """
    from psla_hf.app.analysis import Limits, load_taggers
    from psla_hf.app.page import launch, make_page
    from psla_hf.app.space import export_space
    from psla_hf.inference.tagger import files_in
    from psla_hf.models.saved import SHIPPED

    models = models or [str(SHIPPED)]
    limits = Limits(max_minutes, max_megabytes)
    sounds = [] if examples is None else files_in(examples)
    if export is not None:
        serving = {"--host": host, "--port": port, "--device": device}
        if given := [flag for flag, value in serving.items() if value is not None]:
            raise ValueError(f"{', '.join(given)} would have no effect with --export: nothing is served. Leave it out.")
        export_space(models, export, limits, sounds, overwrite)
        print(f"{export}: hf upload YOU/NAME {export} --repo-type space")
        return
    page = make_page(load_taggers(models, device), limits, sounds)
    print(f"{launch(page, host, port)} (Ctrl-C ends it)", flush=True)
    page.block_thread()
