"""To which event of its history a run that was ended by force is reset.

Invariant: everything that the new run's history holds is whole. What came after it is done again, under the same keys.
"""

from __future__ import annotations

from collections.abc import AsyncIterable

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

_CHILD_ENDED = {
    EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED: "start_child_workflow_execution_failed_event_attributes",
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED: "child_workflow_execution_completed_event_attributes",
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED: "child_workflow_execution_failed_event_attributes",
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED: "child_workflow_execution_canceled_event_attributes",
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT: "child_workflow_execution_timed_out_event_attributes",
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED: "child_workflow_execution_terminated_event_attributes",
}


async def reset_point(events: AsyncIterable[HistoryEvent]) -> int | None:
    """Return the id of the event before which the new run's history ends; None when no workflow task was ever scheduled.

    That is the last workflow task, finished or not: what made it be scheduled is kept, what it did is done again. But a child
    that ended afterwards has told its parent in vain, and a history that holds its start would wait for it for ever. So the
    point is then the workflow task that asked for the child: asking again, the workflow finds it.
    """
    point, waiting, last = None, False, 0
    asked: dict[int, int] = {}  # the workflow task that asked for a child, by the event that says so
    ended: dict[int, int] = {}  # the event that tells of a child's end, by the same
    async for event in events:
        last = event.event_id
        match event.event_type:
            case EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED:
                waiting = True
            case EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED:
                point, waiting = event.event_id + 1, False
            case EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT if (
                waiting
            ):  # in the queue of the worker that had it cached
                point, waiting = event.event_id, False
            case EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:
                initiated = event.start_child_workflow_execution_initiated_event_attributes
                asked[event.event_id] = initiated.workflow_task_completed_event_id
            case kind if kind in _CHILD_ENDED:
                ended[getattr(event, _CHILD_ENDED[kind]).initiated_event_id] = event.event_id
    if waiting:
        point = last
    while point is not None and (unheard := _unheard(point, asked, ended)):
        point = min(unheard)
    return point


def _unheard(point: int, asked: dict[int, int], ended: dict[int, int]) -> list[int]:
    """Return the tasks that asked for children whose start comes before a point, and their end after it or never."""
    return [task for child, task in asked.items() if child < point <= ended.get(child, point)]
