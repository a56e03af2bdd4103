"""`clearhold keys`: make, list and revoke API keys.

Invariant: a key is printed once, when it is made, on standard output alone; nothing else ever shows it. It takes the role that
owns the schema: the application's own cannot make keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

if TYPE_CHECKING:
    from psycopg import AsyncConnection

CONNECT_TIMEOUT_S = 10
DEFAULT_TENANT = "default"

Result = TypeVar("Result")

app = typer.Typer(help="API keys: make, list, revoke.", no_args_is_help=True)

Tenant = Annotated[str, typer.Option(help="Whose key it is.")]


def owner_url() -> str:
    """Return the URL of the schema's owner: from the settings, or of the local stack that runs."""
    from infra.local.layout import find_running_stack
    from infra.settings import get_settings

    settings = get_settings()
    if settings.owner_database_url is not None:
        return settings.owner_database_url
    stack = find_running_stack(settings.data_dir)
    if stack is None:
        _fail("CLEARHOLD_OWNER_DATABASE_URL is not set, and no local stack runs here (`make run` starts one)")
    return stack.owner_database_url


def _fail(message: str) -> NoReturn:
    typer.secho(f"error: {message}", fg=typer.colors.RED, err=True)
    raise typer.Exit(1)


def run(work: Callable[[AsyncConnection[Any]], Awaitable[Result]]) -> Result:
    """Do the work on one connection as the owner; a failure becomes a sentence and exit status 1."""
    import psycopg

    from infra.postgres.api_keys import UnknownTenant

    url = owner_url()

    async def connected() -> Result:
        connection = await psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S)
        async with connection:
            return await work(connection)

    try:
        return asyncio.run(connected())
    except UnknownTenant as error:
        _fail(f"{error} `--new-tenant` makes it.")
    except psycopg.errors.CheckViolation as error:
        _fail(f"not accepted: {error.diag.constraint_name}")
    except psycopg.OperationalError as error:
        _fail(f"the database cannot be reached: {str(error).strip()}")


@app.command()
def create(
    tenant: Tenant = DEFAULT_TENANT,
    name: Annotated[str, typer.Option(help="What it is for; shown in the list.")] = "unnamed",
    environment: Annotated[str, typer.Option(help="A word in the key itself: live, test, dev.")] = "live",
    new_tenant: Annotated[bool, typer.Option("--new-tenant", help="Make the tenant if it does not exist.")] = False,
) -> None:
    """Make a key and print it. It cannot be shown again."""
    from infra.postgres import api_keys

    async def work(connection: AsyncConnection[Any]) -> tuple[api_keys.ApiKey, str]:
        if new_tenant:
            await api_keys.create_tenant(connection, tenant, tenant)
        return await api_keys.create_key(connection, tenant, environment, name)

    made, token = run(work)
    typer.secho(f"key {made.prefix} of tenant {made.tenant_id}: keep it, it is not shown again", err=True)
    typer.echo(token)


@app.command("list")
def list_(
    tenant: Annotated[str | None, typer.Option(help="Only of this tenant.")] = None,
) -> None:
    """List keys, newest first, revoked ones included."""
    from rich.console import Console
    from rich.table import Table

    from infra.postgres import api_keys

    table = Table()
    for column in ("prefix", "tenant", "environment", "name", "created", "revoked"):
        table.add_column(column, overflow="fold", no_wrap=column == "prefix")  # `keys revoke` takes the prefix whole
    for key in run(lambda connection: api_keys.list_keys(connection, tenant)):
        revoked = f"{key.revoked_at:%Y-%m-%d %H:%M:%S}" if key.revoked_at else ""
        created = f"{key.created_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(key.prefix, key.tenant_id, key.environment, key.name, created, revoked)
    Console().print(table)


@app.command()
def revoke(prefix: Annotated[str, typer.Argument(help="The key's prefix, or the key itself.")]) -> None:
    """Revoke a key for good; API processes heed it within seconds."""
    from infra.postgres import api_keys

    wanted = api_keys.prefix_of(prefix) or prefix
    if not run(lambda connection: api_keys.revoke_key(connection, wanted)):
        _fail(f"there is no key {wanted} that is not revoked")
    typer.echo(f"revoked {wanted}")
