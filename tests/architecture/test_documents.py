"""What the documents name exists: paths, links, commands, settings, routes."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator

import pytest
from typer.main import get_command

from api.app import create_app
from infra.cli.main import app as command_line
from infra.settings import Settings
from tests.architecture.source import FOLDERS, REPOSITORY

DOCUMENTS = sorted(
    [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md"), *(REPOSITORY / "examples").glob("*.md")],
)
COMPOSE_ONLY = {"CLEARHOLD_OWNER_PASSWORD", "CLEARHOLD_APP_PASSWORD"}
MADE_LATER = (".venv", ".clearhold")
"""Folders that `make` makes."""

_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(
    r"\.?[\w-][\w.-]*(?:/[\w.-]+)*/|\.?[\w-][\w.-]*(?:/[\w.-]+)+|[\w-]+\.(?:py|md|toml|yml|yaml|txt|csv|json|sh|sql)"
)
_MEDIA_TYPE = re.compile(r"(?:application|text|image)/")
_LINK = re.compile(r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]+))?\)")
_ROUTE = re.compile(r"\b(GET|POST) (/[\w/{}.-]+)")
_PLACEHOLDER = re.compile(r"{\w+}")


def _texts() -> dict[str, str]:
    return {path.relative_to(REPOSITORY).as_posix(): path.read_text(encoding="utf-8") for path in DOCUMENTS}


def _codes(text: str) -> Iterator[str]:
    yield from _CODE.findall(_FENCE.sub("", text))


def test_the_documents_are_found() -> None:
    assert {"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/operators.md"} <= _texts().keys()


@pytest.mark.parametrize("document", _texts())
def test_every_path_in_backticks_exists(document: str) -> None:
    roots = (REPOSITORY, (REPOSITORY / document).parent)
    named = {
        code
        for code in _codes(_texts()[document])
        if _PATH.fullmatch(code) and not _MEDIA_TYPE.match(code) and not code.startswith(MADE_LATER)
    }
    assert sorted(code for code in named if not any((root / code).exists() for root in roots)) == []


def test_a_path_that_does_not_exist_would_be_found() -> None:
    written = (
        "`domain/nothing.py`, `infra/nothing/`, `nothing.yml`, `.ci/run`, but not `/v1/payments`, `make run` or `a.b`"
    )
    found = [code for code in _codes(written) if _PATH.fullmatch(code)]
    assert found == ["domain/nothing.py", "infra/nothing/", "nothing.yml", ".ci/run"]


def test_every_folder_of_the_product_has_a_line_in_the_map() -> None:
    rows = re.findall(r"^\| (`.+?) \|", (REPOSITORY / "ARCHITECTURE.md").read_text(), re.MULTILINE)
    named = {code.rstrip("/") for row in rows for code in _codes(row)}
    top = {folder for folder in FOLDERS if folder != "infra"}
    within = {
        path.relative_to(REPOSITORY).as_posix()
        for folder in ("infra", "domain", "workflows", "api")
        for path in (REPOSITORY / folder).iterdir()
        if path.is_dir() and path.name != "__pycache__" and any(path.rglob("*.*"))
    }
    assert (top | within) - named == set()


@pytest.mark.parametrize("document", _texts())
def test_every_link_leads_somewhere(document: str) -> None:
    here = REPOSITORY / document
    for target, anchor in _LINK.findall(_FENCE.sub("", here.read_text(encoding="utf-8"))):
        path = here.parent / target if target else here
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, (target, anchor)


def test_every_command_in_the_documents_can_be_given() -> None:
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    commands = get_command(command_line)
    for document, text in _texts().items():
        assert set(re.findall(r"\bmake ([a-z]+)\b", "\n".join(_commands(text)))) <= targets, document
        for words in re.findall(r"\bclearhold ((?:[a-z]+ ?)+)", "\n".join(_commands(text))):
            known = commands
            for word in words.split():
                children = getattr(known, "commands", {})
                if not children:
                    break
                assert word in children, (document, words)
                known = children[word]
        for module in re.findall(r"python -m ([\w.]+)", text):
            assert importlib.util.find_spec(module) is not None, (document, module)


def _commands(text: str) -> list[str]:
    """Return what is written as code, in a line or in a block."""
    return [*_codes(text), *_FENCE.findall(text)]


def test_every_setting_in_the_documents_is_one() -> None:
    settings = {f"CLEARHOLD_{name.upper()}" for name in Settings.model_fields} | COMPOSE_ONLY
    for document, text in _texts().items():
        assert set(re.findall(r"\bCLEARHOLD_[A-Z_]+\b", text)) <= settings, document


def test_every_route_in_the_documents_is_one() -> None:
    paths = create_app(Settings(_env_file=None)).openapi()["paths"]
    routes = {(method.upper(), _PLACEHOLDER.sub("{}", path)) for path, methods in paths.items() for method in methods}
    for document, text in _texts().items():
        for method, path in _ROUTE.findall(text):
            assert (method, _PLACEHOLDER.sub("{}", path.rstrip("."))) in routes, (document, method, path)
