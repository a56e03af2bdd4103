"""How a command ends when something is wrong: a sentence for a person and a non-zero exit status, no traceback.

Invariant: what a person can mend (settings, a folder, a server that is away) is said in words; only a defect shows a traceback.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer


@contextmanager
def reported() -> Iterator[None]:
    """Turn what is known to go wrong into a message on standard error and exit status 1."""
    try:
        yield
    except Exception as error:
        said = sentence(error)
        if said is None:
            raise
        typer.secho(f"error: {said}", fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from error


def sentence(error: Exception) -> str | None:
    """Say what is wrong and with what; None for what only a defect raises."""
    import httpx
    import psycopg
    import sqlalchemy
    from pydantic import ValidationError

    from infra.demo.answers import UnexpectedAnswer
    from infra.local.child import LocalStackError
    from infra.settings import Settings, complaints
    from infra.temporal_namespace import NamespaceError

    match error:
        case LocalStackError() | NamespaceError() | UnexpectedAnswer():
            return str(error)
        case ValidationError() if error.title == Settings.__name__:
            return f"{'; '.join(complaints(error))}. Correct or unset it, in the environment or in .env."
        case httpx.TransportError():
            return (
                f"{error.request.url} does not answer ({str(error) or type(error).__name__}). Is it running? `make run`"
            )
        case psycopg.OperationalError():
            return f"the database cannot be reached: {str(error).strip()}"
        case sqlalchemy.exc.OperationalError():
            return f"the database cannot be reached: {str(error.orig).strip()}"
        case OSError() if error.filename is not None:
            return f"{error.filename} cannot be used: {error.strerror}"
    return None
