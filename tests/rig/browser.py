"""A real browser, without a screen."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

HANGS = 30_000  # milliseconds; a page may be slow on a busy machine
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
    """Open an empty page; at the end, it has requested nothing from other hosts, and no script has failed."""
    context = started.new_context(viewport={"width": width, "height": height}, **options)
    opened = context.new_page()
    wrong: list[str] = []

    def check_url(request: Request) -> None:
        if not request.url.startswith("http://127.0.0.1:"):
            wrong.append(request.url)

    def check_policy(message: ConsoleMessage) -> None:
        if "Content Security" in message.text:
            wrong.append(message.text)

    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("request", check_url)
    opened.on("console", check_policy)
    yield opened
    context.close()
    assert wrong == []


def layouts(opened: Page) -> float:
    """Return how often the page has been laid out."""
    session = opened.context.new_cdp_session(opened)
    session.send("Performance.enable")
    metrics = session.send("Performance.getMetrics")["metrics"]
    session.detach()
    return float(next(metric["value"] for metric in metrics if metric["name"] == "LayoutCount"))
