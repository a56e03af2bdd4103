"""What one card payment consists of: the statements it sends to PostgreSQL, and the events of its workflow.

Invariant: counted while nothing but card payments runs, and given per payment.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from infra.bench.loops import Pace
from infra.bench.plan import Plan
from infra.bench.world import CARD, World

STATEMENTS_SHOWN = 12
QUERY_SHOWN = 100
_PREFIX = "EVENT_TYPE_"
_TOP = """
SELECT d.datname, s.query, s.calls, s.total_exec_time, s.wal_bytes::bigint
FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
WHERE s.toplevel
ORDER BY s.total_exec_time DESC LIMIT %s
"""


def dissect_cards(world: World, plan: Plan) -> dict[str, Any]:
    """Make card payments alone for a while; return the dearest statements and the events of the last one's history."""
    with world.connect() as connection:
        connection.execute("SELECT pg_stat_statements_reset()")
    answer = world.run_cards(Pace(plan.highest, plan.window_s, plan.ramp_s))
    payments = max(1, sum(answer["outcomes"].values()))
    with world.connect() as connection:
        rows = connection.execute(_TOP, [STATEMENTS_SHOWN]).fetchall()
    return {
        "payments": payments,
        "statements": [
            {
                "database": database,
                "query": " ".join(query.split())[:QUERY_SHOWN],
                "calls_per_payment": round(calls / payments, 3),
                "ms_per_payment": round(milliseconds / payments, 4),
                "wal_bytes_per_payment": round(wal / payments),
            }
            for database, query, calls, milliseconds, wal in rows
        ],
        "history": asyncio.run(_count_events(world, world.told()[CARD]["last_id"])),
    }


async def _count_events(world: World, workflow_id: str) -> dict[str, int]:
    client = await Client.connect(world.stack.temporal.address, namespace=world.stack.temporal.namespace)
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    return dict(Counter(EventType.Name(event.event_type).removeprefix(_PREFIX).lower() for event in history.events))
