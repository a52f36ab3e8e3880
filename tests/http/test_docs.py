"""Swagger UI and ReDoc, served without any other host."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser

import pytest

from tests.api import Api

PAGES = ("/docs", "/redoc")
ASSETS = (
    "/docs/static/swagger-ui/swagger-ui.css",
    "/docs/static/swagger-ui/swagger-ui-bundle.js",
    "/docs/static/swagger-ui/favicon-32x32.png",
    "/docs/static/redoc/redoc.standalone.js",
    "/docs/static/start-swagger-ui.js",
    "/docs/static/start-redoc.js",
)
# Addresses from which a bundle would load something, rather than names and links to click on.
LOADED_FROM = re.compile(r"https?://(?:cdn|unpkg|fonts|[\w.-]*jsdelivr|[\w.-]*cloudflare)[\w./-]*")


class Links(HTMLParser):
    """What a page refers to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [text or "" for name, text in attrs if name in ("src", "href", "action")]


@pytest.fixture(params=["internal", "public"])
def plane(request: pytest.FixtureRequest, api: Api, public: Api) -> Api:
    """Each plane."""
    return api if request.param == "internal" else public


def text_of(plane: Api, path: str) -> str:
    """What is answered at a path."""
    with plane.client.get(path) as answer:
        assert answer.status_code == 200, path
        return answer.get_data(as_text=True)


@pytest.mark.parametrize("path", PAGES)
def test_pages(plane: Api, path: str) -> None:
    """Each page answers as HTML in UTF-8, and all that it refers to is here and answers."""
    with plane.client.get(path) as answer:
        assert answer.status_code == 200
        assert answer.content_type == "text/html; charset=utf-8"
        html = answer.get_data(as_text=True)
    links = Links(html).found
    assert len(links) >= 2
    for link in links:
        assert link in ASSETS
        assert text_of(plane, link) if not link.endswith(".png") else True
    assert not re.search(r"https?:|[\"'(]//", html)


@pytest.mark.parametrize("path", ASSETS)
def test_assets(public: Api, path: str) -> None:
    """Each asset answers with its type, may be cached by its ETag, and isn't empty."""
    with public.client.get(path) as answer:
        assert answer.status_code == 200
        assert len(answer.data) > 50
        kind = {"css": "text/css", "js": "text/javascript", "png": "image/png"}
        assert answer.mimetype == kind[path.rpartition(".")[2]]
        etag = answer.headers["ETag"]
    with public.client.get(path, headers={"If-None-Match": etag}) as again:
        assert (again.status_code, again.data) == (304, b"")


def test_own_scripts(public: Api) -> None:
    """Our own scripts name the plane's document and no other host."""
    for path in ASSETS[-2:]:
        script = text_of(public, path)
        assert '"/openapi.json"' in script
        assert "//" not in script


def test_no_validator(public: Api) -> None:
    """Swagger UI doesn't send the document's address to a public validator."""
    assert "validatorUrl: null" in text_of(public, "/docs/static/start-swagger-ui.js")


def test_bundles(public: Api) -> None:
    """No bundle or style sheet loads anything from elsewhere."""
    for path in (*ASSETS[:2], ASSETS[3]):
        bundle = text_of(public, path)
        assert LOADED_FROM.findall(bundle) == []
        assert not re.search(r"(?m)^/[/*]# sourceMappingURL", bundle)
    styles = text_of(public, ASSETS[0])
    assert "@import" not in styles
    used = re.findall(r"url\(\s*[\"']?(.{5})", styles)
    assert set(used) <= {"data:"}


def test_the_document_is_the_planes_own(plane: Api) -> None:
    """/openapi.json is JSON and names the plane."""
    answer = plane.client.get("/openapi.json")
    assert answer.mimetype == "application/json"
    assert answer.get_json()["info"]["title"].startswith("MaimConfig ")


def test_two_ask_at_once(plane: Api) -> None:
    """Whoever asks while the document is being made gets the whole of it."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: plane.app.test_client().get("/openapi.json"), range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.data for answer in answers}) == 1
