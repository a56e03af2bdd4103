"""`clearhold keys`: make, list, revoke."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from click.testing import Result
from typer.testing import CliRunner

from infra.cli.keys import app
from infra.postgres.api_keys import prefix_of
from infra.settings import get_settings
from tests.support.database import Database

Command = Callable[..., Result]


@pytest.fixture
def keys(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """Run the command against the test's database."""
    monkeypatch.setenv("CLEARHOLD_OWNER_DATABASE_URL", database.owner_url)
    monkeypatch.setenv("COLUMNS", "200")
    get_settings.cache_clear()
    yield lambda *arguments: CliRunner().invoke(app, list(arguments))
    get_settings.cache_clear()


def test_a_key_is_printed_once_and_listed_without_its_secret(keys: Command) -> None:
    made = keys("create", "--name", "checkout", "--environment", "test")
    assert made.exit_code == 0, made.output
    token = made.stdout.strip()
    assert token.startswith("ch_test_")
    prefix = prefix_of(token)
    assert prefix is not None
    listed = keys("list").stdout
    assert prefix in listed
    assert "checkout" in listed
    assert token.rsplit("_", 1)[1] not in listed


@pytest.mark.parametrize("columns", ["80", "200"])
def test_a_listed_prefix_is_whole_however_narrow_the_terminal(
    keys: Command, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the list shows is what `revoke` needs."""
    monkeypatch.setenv("COLUMNS", columns)
    made = [keys("create", "--name", "a name of some length, for a shop").stdout.strip() for _ in range(2)]
    listed = keys("list").stdout
    assert all(str(prefix_of(token)) in listed for token in made)
    assert "…" not in listed


def test_a_key_is_revoked_by_its_prefix_once(keys: Command) -> None:
    prefix = prefix_of(keys("create").stdout.strip())
    assert prefix is not None
    assert keys("revoke", prefix).exit_code == 0
    again = keys("revoke", prefix)
    assert again.exit_code == 1
    assert "no key" in again.stderr


def test_a_tenant_is_made_only_when_asked_for(keys: Command) -> None:
    refused = keys("create", "--tenant", "acme")
    assert refused.exit_code == 1
    assert "--new-tenant" in refused.stderr
    assert refused.stdout == ""
    assert keys("create", "--tenant", "acme", "--new-tenant").exit_code == 0
    assert "acme" in keys("list", "--tenant", "acme").stdout


def test_what_cannot_be_is_said_in_a_sentence(
    keys: Command, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    malformed = keys("create", "--environment", "NOT A WORD")
    assert malformed.exit_code == 1
    assert "environment_is_a_word" in malformed.stderr
    monkeypatch.setenv("CLEARHOLD_OWNER_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    get_settings.cache_clear()
    unreachable = keys("list")
    assert unreachable.exit_code == 1
    assert "cannot be reached" in unreachable.stderr
    assert "Traceback" not in unreachable.output
