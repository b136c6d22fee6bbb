"""The service's page in a real browser, on a real mount with real copies.

``FANOUTFS_DRAWINGS=docs/drawings`` keeps the picture that is in the docs.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.mount.conftest import MountFactory, PatternFactory
from tests.rig.browser import browser, layouts, page
from tests.rig.commands import FANOUTFS, finish, wait_until
from tests.rig.images import MIB
from tests.rig.readers import Spawn, dd, hold
from tests.rig.web import Web, token_file

pytestmark = pytest.mark.tool("chromium")

SIZE = 8 * MIB
TOKEN = "correct-horse-battery"
WIDTHS = 360, 390, 768, 1024, 1600


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


def test_a_running_copy_is_pictured(
    chromium: Browser, mount: MountFactory, pattern_image: PatternFactory, spawn: Spawn, work: Path
) -> None:
    """After the login: the source, each reader with its rate, a circle with something on it."""
    web = Web()
    image = pattern_image(8 * SIZE)
    mounted = mount(
        image, *web.listen, "--ring", "12M", "--read-rate", "2M", "--token-file", token_file(work, TOKEN)
    )
    copies = [spawn(*dd(mounted.image, work / "dd"))]
    with page(chromium) as opened:
        opened.goto(web.url)
        opened.get_by_label("Token").fill(TOKEN)
        opened.get_by_role("button").click()
        expect(opened.locator("#connection")).to_have_text("live")
        for number in range(2):
            wait_until(lambda: mounted.status()["head"] >= 4 * (number + 1) * MIB, "they lie apart")  # noqa: B023
            copies.append(spawn(FANOUTFS, "copy", "--no-progress", image, work / f"copy{number}"))
        expect(opened.locator("#rows tr")).to_have_count(3)
        expect(opened.locator("#rows tr").first).to_contain_text("MiB/s")
        expect(opened.locator("#source")).to_have_text(str(image))
        opened.get_by_role("button").first.press("Enter")
        expect(opened.locator("tr.selected")).to_have_count(1)
        opened.keyboard.press("Escape")
        expect(opened.locator("tr.selected")).to_have_count(0)
        colours = opened.evaluate(
            "() => { const c = document.getElementById('circle');"
            " return new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size }"
        )
        opened.screenshot(path=Path(os.environ.get("FANOUTFS_DRAWINGS", work)) / "monitor.png")
    for copy in copies:
        copy.terminate()
        finish(copy, code=None)

    assert colours > 10


def test_it_goes_on_after_a_restart(
    chromium: Browser, mount: MountFactory, source: Path, small: Path
) -> None:
    """It says that there is no connection, and shows the new mount when there is one."""
    web = Web()
    first = mount(source, *web.listen)
    with page(chromium) as opened:
        opened.goto(web.url)
        expect(opened.locator("#connection")).to_have_text("live")
        first.unmount()
        expect(opened.locator("#connection")).to_contain_text("no connection since")
        mount(small, *web.listen)
        expect(opened.locator("#connection")).to_have_text("live")
        expect(opened.locator("#source")).to_have_text(str(small))


def test_nothing_hangs_over_the_edge(
    chromium: Browser, mount: MountFactory, source: Path, spawn: Spawn, work: Path
) -> None:
    """On a phone as on a wide screen, and the table fits, too."""
    web = Web()
    mounted = mount(source, *web.listen)
    reader = hold(spawn, mounted.image, work / "copy", MIB)
    over = {}
    for width in WIDTHS:
        with page(chromium, width, 800) as opened:
            opened.goto(web.url)
            expect(opened.locator("#rows tr")).to_have_count(1)
            over[width] = opened.evaluate(
                "() => [document.documentElement, document.querySelector('.scroll')]"
                ".map((box) => box.scrollWidth - box.clientWidth)"
            )
    reader.finish()

    assert {width: [0, 0] for width in WIDTHS} == over


def test_where_nothing_changes_nothing_is_laid_out(
    chromium: Browser, mount: MountFactory, source: Path
) -> None:
    """Events that say the same touch nothing."""
    web = Web()
    mount(source, *web.listen)
    with page(chromium) as opened:
        opened.goto(web.url)
        expect(opened.locator("#connection")).to_have_text("live")
        before = -1.0
        while before != layouts(opened):  # until all of the page is there
            before = layouts(opened)
            opened.wait_for_timeout(1500)
        opened.wait_for_timeout(2500)
        assert layouts(opened) - before <= 1
