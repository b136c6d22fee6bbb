"""A real browser, without a screen."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

HANGS = 30_000  # milliseconds; on a busy machine a page may take its time to show what it was told
FLAGS = (
    "--no-sandbox",  # the tests run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def browser() -> Iterator[Browser]:
    """Start the system's Chromium."""
    expect.set_options(timeout=HANGS)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        yield started
        started.close()


@contextmanager
def page(started: Browser, width: int = 1280, height: int = 760, **options: Any) -> Iterator[Page]:
    """Open an empty page; in the end, nothing has been asked of elsewhere, and no script has failed."""
    context = started.new_context(viewport={"width": width, "height": height}, **options)
    opened = context.new_page()
    wrong: list[str] = []

    def asked(request: Request) -> None:
        if not request.url.startswith("http://127.0.0.1:"):
            wrong.append(request.url)

    def said(message: ConsoleMessage) -> None:
        if "Content Security" in message.text:
            wrong.append(message.text)

    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("request", asked)
    opened.on("console", said)
    yield opened
    context.close()
    assert wrong == []


def layouts(opened: Page) -> float:
    """Count how often the page has been laid out."""
    session = opened.context.new_cdp_session(opened)
    session.send("Performance.enable")
    metrics = session.send("Performance.getMetrics")["metrics"]
    session.detach()
    return float(next(metric["value"] for metric in metrics if metric["name"] == "LayoutCount"))
