"""The service's answers, asked without a socket."""

import pytest

from fanoutfs.status.parse import parse_json
from fanoutfs.web.page import Page
from tests.adapter.service import SHOWN, TOKEN, client_of, make_service

PATHS = ["/", "/status", "/metrics", "/monitor.js", "/monitor.css", "/circle.js", "/icon.svg"]


async def test_the_status_is_the_document() -> None:
    """The same that the mount shows."""
    async with client_of(make_service()) as client:
        answer = await client.get("/status")

    assert SHOWN == parse_json(answer.content)
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", [*PATHS, "/nothing", "/login"])
async def test_every_answer_is_sealed(path: str) -> None:
    """Nothing from elsewhere, no frames, no guessing of types, no copies in caches, no other origins."""
    async with client_of(make_service()) as client:
        headers = (await client.get(path)).headers

    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert not [name for name in headers if name.startswith("access-control-")]


def test_the_page_needs_nothing_from_elsewhere() -> None:
    """No address of another computer stands in it, and no script or style in its text."""
    page = Page.read()
    texts = [page.monitor, page.login, *(file.content for file in page.files.values())]

    assert [] == [
        text
        for text in texts
        if b"//" in text.replace(b"http://www.w3.org/2000/svg", b"") and b"https:" in text
    ]
    assert b"style=" not in page.monitor + page.login
    assert b"<script>" not in page.monitor + page.login


@pytest.mark.parametrize(
    "path",
    [
        "//",
        "//..%2f",
        "/..%2f..%2fetc/passwd",
        "/%2e%2e/",
        "/status/",
        "/STATUS",
        "/files/monitor.js",
        "/%00",
        "/a//b",
    ],
)
async def test_path_tricks_find_nothing(path: str) -> None:
    """There are no files behind the paths."""
    async with client_of(make_service()) as client:
        answer = await client.get(f"http://localhost:8400{path}")

    assert answer.status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_it_can_only_be_looked_at(method: str) -> None:
    """Another method is refused."""
    async with client_of(make_service()) as client:
        assert (await client.request(method, "/status")).status_code == 405


@pytest.mark.parametrize("path", [*PATHS, "/events", "/digests", "/nothing"])
async def test_under_another_name_nothing_is_answered(path: str) -> None:
    """Not even where there is a token that fits."""
    headers = {"host": "evil.example", "authorization": f"Bearer {TOKEN}"}
    async with client_of(make_service(TOKEN), **headers) as client:
        assert (await client.get(path)).status_code == 421


@pytest.mark.parametrize("path", ["/status", "/metrics", "/events", "/digests", "/nothing"])
@pytest.mark.parametrize("authorization", ["", "Bearer wrong-horse-battery", "Basic abc"])
async def test_without_the_token_nothing_is_shown(path: str, authorization: str) -> None:
    """And nothing is said about what there is."""
    async with client_of(make_service(TOKEN), authorization=authorization) as client:
        answer = await client.get(path)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert SHOWN.source.path.encode() not in answer.content


async def test_with_the_token_all_is_shown() -> None:
    """As Prometheus sends it."""
    async with client_of(make_service(TOKEN), authorization=f"Bearer {TOKEN}") as client:
        assert [200] * len(PATHS) == [(await client.get(path)).status_code for path in PATHS]


async def test_a_browser_logs_in() -> None:
    """The form, then the page; the cookie opens the rest."""
    async with client_of(make_service(TOKEN)) as client:
        form = await client.get("/")
        wrong = await client.post("/login", data={"token": "wrong"})
        right = await client.post("/login", data={"token": TOKEN})
        # This client knows no computer by the name of localhost.
        cookie = right.headers["set-cookie"].partition(";")[0]
        page = await client.get("/", headers={"cookie": cookie})
        status = await client.get("/status", headers={"cookie": cookie})

    assert (401, True) == (form.status_code, b"password" in form.content)
    assert (401, True) == (wrong.status_code, b"not the token" in wrong.content)
    assert (303, "/") == (right.status_code, right.headers["location"])
    assert (200, True) == (page.status_code, b"<canvas" in page.content)
    assert 200 == status.status_code


@pytest.mark.parametrize("body", [b"\xff", b"&".join([b"a=b"] * 9)])
async def test_what_is_no_form_is_refused(body: bytes) -> None:
    """Not text, too many fields."""
    async with client_of(make_service(TOKEN)) as client:
        assert (await client.post("/login", content=body)).status_code == 400
