"""A headless Chromium, and programs that serve pages to it on the loopback interface."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from playwright.sync_api import Browser, Page, expect, sync_playwright

from psla_hf import PslaConfig, PslaFeatureExtractor, PslaForAudioClassification
from tests.conftest import CATEGORIES, TINY_BACKBONE, missing

PATIENCE = 60  # seconds, on a busy machine

FLAGS = (
    "--no-sandbox",
    "--use-fake-device-for-media-stream",  # a microphone that beeps
    "--use-fake-ui-for-media-stream",  # and may be used
)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium; where it is missing its tests fail in CI and are skipped elsewhere."""
    path = shutil.which("chromium")
    if path is None:
        missing("there is no chromium; on Debian: apt-get install chromium")
    expect.set_options(timeout=PATIENCE * 1000)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


class Watched:
    """A page in the browser, with what it logged as an error and what it asked of other machines."""

    def __init__(self, page: Page):
        self.page = page
        self.errors: list[str] = []
        self.foreign: list[str] = []
        page.set_default_timeout(PATIENCE * 1000)
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self._note(request.url))

    def _note(self, url: str) -> None:
        if not url.startswith(("http://127.0.0.1:", "http://localhost:", "blob:", "data:", "file:")):
            self.foreign.append(url)


@pytest.fixture
def opened(browser) -> Iterator[Callable[..., Watched]]:
    """Opens an address in a new window."""
    contexts = []

    def open_page(address: str, width: int = 1100, height: int = 900, **options: Any) -> Watched:
        viewport: Any = {"width": width, "height": height}
        contexts.append(browser.new_context(viewport=viewport, accept_downloads=True, **options))
        contexts[-1].grant_permissions(["microphone"])
        watched = Watched(contexts[-1].new_page())
        watched.page.goto(address)
        return watched

    yield open_page
    for context in contexts:
        context.close()


def save_tagger(folder: Path) -> Path:
    """Save a tiny tagger of two-second clips; its head is made to hear more than a random one does."""
    torch.manual_seed(0)
    config = PslaConfig(backbone=TINY_BACKBONE, id2label=dict(enumerate(CATEGORIES)))
    model = PslaForAudioClassification(config)
    with torch.no_grad():
        for layer in (model.pooling.scores, model.pooling.attention):
            layer.weight.mul_(1000)
    model.save_pretrained(folder)
    PslaFeatureExtractor(max_length=198).save_pretrained(folder)
    return folder


@contextmanager
def served(words: list[str], folder: Path) -> Iterator[str]:
    """The address that a Python program prints once it serves a page; Ctrl-C must end it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(folder / "uploads")}
    process = subprocess.Popen(
        [sys.executable, *words], cwd=folder, env=os.environ | settings, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith(f"http://127.0.0.1:{port}"), line
        yield line.split()[0]
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
