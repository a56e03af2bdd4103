"""`clearhold migrate`: brings the database to the schema of this release, as the role that owns it."""

from __future__ import annotations

import typer


def migrate() -> None:
    """Migrate the database in CLEARHOLD_OWNER_DATABASE_URL. Harmless when it is up to date."""
    from infra.postgres.migrate import current, latest, upgrade
    from infra.settings import get_settings

    try:
        url = get_settings().require_owner_database_url()
    except ValueError as error:
        typer.secho(f"error: {error}", fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from error
    before = current(url)
    upgrade(url)
    typer.echo(f"schema: {before or 'nothing'} -> {latest()}")
