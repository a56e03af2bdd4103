"""How a command ends when something is wrong: a sentence for a person and a non-zero exit status, no traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer


@contextmanager
def reported() -> Iterator[None]:
    """Turn what is known to go wrong into a message on standard error and exit status 1."""
    from infra.local.child import LocalStackError
    from infra.temporal_namespace import NamespaceError

    try:
        yield
    except (LocalStackError, NamespaceError) as error:
        typer.secho(f"error: {error}", fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from error
