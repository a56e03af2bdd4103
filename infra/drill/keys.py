"""An API key for a stack of our own."""

from __future__ import annotations

import psycopg

from infra.postgres.api_keys import create_key

TENANT = "default"
ENVIRONMENT = "drill"


async def make_key(owner_database_url: str, name: str) -> str:
    """Make a key of the default tenant and return it."""
    async with await psycopg.AsyncConnection.connect(owner_database_url, autocommit=True) as connection:
        _, token = await create_key(connection, TENANT, ENVIRONMENT, name)
    return token
