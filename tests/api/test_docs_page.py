"""The page at `/docs`, of the API and of the sandbox bank: everything it needs comes from the service itself."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from api.app import create_app
from infra.bank.app import create_app as create_bank
from infra.settings import Settings

ELSEWHERE = re.compile(r"^\s*(?:[a-z][a-z0-9+.-]*:|//)", re.IGNORECASE)
SOURCES_ALLOWED = {"'none'", "'self'", "'unsafe-inline'", "data:"}


class References(HTMLParser):
    """Collects what a page makes a browser load, and the scripts and styles written into it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline: list[str] = []
        self._within = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._within = tag
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "action", "srcset", "data")]
        self.inline += [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        if self._within in ("script", "style") and data.strip():
            self.inline.append(data)


def _api(_: Path) -> FastAPI:
    return create_app(Settings(_env_file=None))


def _bank(folder: Path) -> FastAPI:
    return create_bank(folder / "bank.sqlite3", 60.0)


@pytest.fixture(params=[_api, _bank], ids=["api", "bank"])
def http(request: pytest.FixtureRequest, tmp_path: Path) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(request.param(tmp_path)), base_url="http://service.test")


async def test_the_page_and_what_it_loads_reference_no_foreign_host(http: httpx.AsyncClient) -> None:
    page = await http.get("/docs")
    assert page.status_code == 200
    references = References()
    references.feed(page.text)
    assert len(references.found) == 4
    assert references.inline == []
    assert [reference for reference in references.found if ELSEWHERE.match(reference)] == []
    for reference in references.found:
        loaded = await http.get(str(page.url.join(reference)))
        assert loaded.status_code == 200, reference
        assert loaded.content
    style = (await http.get("/docs/swagger-ui.css")).text
    loads = re.findall(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)", style)
    assert [found for found in loads if not "".join(found).startswith("data:")] == []


async def test_the_browser_is_told_to_load_nothing_from_elsewhere(http: httpx.AsyncClient) -> None:
    for path in ("/docs", "/docs/start.js", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"):
        policy = (await http.get(path)).headers["content-security-policy"]
        directives = {words[0]: words[1:] for words in map(str.split, policy.split(";"))}
        assert directives["default-src"] == ["'none'"]
        assert directives["script-src"] == directives["connect-src"] == ["'self'"]
        assert {source for sources in directives.values() for source in sources} <= SOURCES_ALLOWED


async def test_the_page_shows_the_services_own_document_and_asks_no_validator(http: httpx.AsyncClient) -> None:
    start = (await http.get("/docs/start.js")).text
    options = json.loads(start.split("Object.assign(")[1].split(", {dom_id")[0])
    assert options["validatorUrl"] is None
    document = await http.get(str(http.base_url.join("/docs").join(options["url"])))
    assert document.status_code == 200
    assert document.json()["openapi"].startswith("3.")


async def test_nothing_else_is_served_below_the_page(http: httpx.AsyncClient) -> None:
    for path in ("/docs/../main.py", "/docs/main.py", "/docs/__init__.py", "/docs/oauth2-redirect", "/redoc"):
        assert (await http.get(path)).status_code == 404, path
