"""Where a terminated run is reset to: nothing that its new history holds waits for something that was told in vain."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from workers.reset_point import reset_point

STARTED = "WORKFLOW_EXECUTION_STARTED"
TASK = ("WORKFLOW_TASK_SCHEDULED", "WORKFLOW_TASK_STARTED", "WORKFLOW_TASK_COMPLETED")
TERMINATED = "WORKFLOW_EXECUTION_TERMINATED"
SIGNAL = "WORKFLOW_EXECUTION_SIGNALED"


def asked(task: int) -> tuple[str, int]:
    return "START_CHILD_WORKFLOW_EXECUTION_INITIATED", task


def child(what: str, initiated: int) -> tuple[str, int]:
    prefix = "" if what.startswith("START_") else "CHILD_WORKFLOW_EXECUTION_"
    return f"{prefix}{what}", initiated


async def history(*kinds: str | tuple[str, int]) -> AsyncIterator[HistoryEvent]:
    """Events numbered from 1; a child's name the task that asked for it, or the event that says so."""
    for number, kind in enumerate(kinds, 1):
        name, reference = kind if isinstance(kind, tuple) else (kind, 0)
        event = HistoryEvent(event_id=number, event_type=EventType.Value(f"EVENT_TYPE_{name}"))
        if isinstance(kind, tuple):
            attributes = getattr(event, f"{name.lower()}_event_attributes")
            of_task = name == "START_CHILD_WORKFLOW_EXECUTION_INITIATED"
            setattr(attributes, "workflow_task_completed_event_id" if of_task else "initiated_event_id", reference)
        yield event


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([STARTED, TERMINATED], None, id="never begun"),
        pytest.param([STARTED, TASK[0], TERMINATED], 3, id="not taken by a worker: all is kept"),
        pytest.param([STARTED, TASK[0], SIGNAL, TERMINATED], 4, id="and what was told it meanwhile"),
        pytest.param([STARTED, *TASK[:2], "WORKFLOW_TASK_FAILED", TERMINATED], 4, id="under way"),
        pytest.param([STARTED, *TASK, TERMINATED], 4, id="done: it is done again"),
        pytest.param([STARTED, *TASK, SIGNAL, *TASK, TERMINATED], 8, id="the last one"),
        pytest.param(
            [STARTED, *TASK, SIGNAL, TASK[0], "WORKFLOW_TASK_TIMED_OUT", TERMINATED], 7, id="timed out in its queue"
        ),
        pytest.param(
            [STARTED, *TASK, asked(4), child("STARTED", 5), *TASK, TERMINATED], 4, id="a child that is under way"
        ),
        pytest.param(
            [STARTED, *TASK, asked(4), child("STARTED", 5), *TASK, child("COMPLETED", 5), TERMINATED],
            4,
            id="a child whose end came after the last task",
        ),
        pytest.param(
            [STARTED, *TASK, asked(4), child("STARTED", 5), *TASK, child("COMPLETED", 5), *TASK, TERMINATED],
            13,
            id="a child whose end was heard",
        ),
        pytest.param(
            [STARTED, *TASK, asked(4), child("START_CHILD_WORKFLOW_EXECUTION_FAILED", 5), *TASK, TERMINATED],
            9,
            id="a child that was there before",
        ),
        pytest.param(
            [
                *(STARTED, *TASK, asked(4), child("STARTED", 5), *TASK, asked(9), child("STARTED", 10)),
                *(child("COMPLETED", 5), *TASK, TERMINATED),
            ],
            4,
            id="before the one that is under way, another was",
        ),
    ],
)
async def test_the_point_is_the_last_at_which_all_is_whole(
    events: list[str | tuple[str, int]], expected: int | None
) -> None:
    assert await reset_point(history(*events)) == expected
