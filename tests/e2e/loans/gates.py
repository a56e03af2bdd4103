"""Gates: where a test holds one chosen step of one loan, inside the transaction that writes it.

Invariant: a gate is an advisory lock of PostgreSQL that a trigger of the test asks for; so the database itself holds a step after
its booking and before its commit, and tells how many wait.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import psycopg

from infra.local.stack import LocalStack
from tests.e2e.scene import until

_INSTALL = """
CREATE OR REPLACE FUNCTION e2e_gate() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  v_row jsonb := to_jsonb(new);
  v_gate text := coalesce(v_row ->> 'loan_id', v_row ->> 'id') || ':' || coalesce(v_row ->> 'name', TG_TABLE_NAME);
BEGIN
  PERFORM pg_advisory_xact_lock_shared(hashtextextended(v_gate, 0));
  RETURN new;
END $$;
CREATE OR REPLACE TRIGGER e2e_gate BEFORE INSERT ON loan_events FOR EACH ROW EXECUTE FUNCTION e2e_gate();
CREATE OR REPLACE TRIGGER e2e_gate BEFORE INSERT ON loan_accruals FOR EACH ROW EXECUTE FUNCTION e2e_gate();
CREATE OR REPLACE TRIGGER e2e_gate BEFORE INSERT ON payments FOR EACH ROW EXECUTE FUNCTION e2e_gate();
"""
_SHUT = "SELECT pg_advisory_lock(hashtextextended(%s, 0))"
_WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name IN ('clearhold worker', 'clearhold api worker') AND wait_event_type = 'Lock'
"""


class Gates:
    """The gates of one stack's database. A gate is named `<loan>:<event>`, `<loan>:loan_accruals` or `<payment>:payments`."""

    def __init__(self, stack: LocalStack) -> None:
        self._stack = stack

    async def _connect(self) -> psycopg.AsyncConnection:
        return await psycopg.AsyncConnection.connect(self._stack.postgres.superuser_url(), autocommit=True)

    async def install(self) -> None:
        """Put the triggers in place."""
        async with await self._connect() as connection:
            await connection.execute(_INSTALL)

    @asynccontextmanager
    async def shut(self, names: Sequence[str]) -> AsyncIterator[None]:
        """Keep these gates shut while the block runs, or until the database dies."""
        connection = await self._connect()
        try:
            for name in names:
                await connection.execute(_SHUT, [name])
            yield
        finally:
            await connection.close()

    async def until_waiting(self, count: int) -> None:
        """Return when so many steps of the workers wait: at a gate, or behind one that does."""
        async with await self._connect() as connection:

            async def enough_wait() -> bool:
                row = await (await connection.execute(_WAITING)).fetchone()
                return row is not None and row[0] >= count

            await until(f"{count} steps wait", enough_wait)
