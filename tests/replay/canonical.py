"""The form in which histories are kept: no trace of the machine that recorded them, one event a line.

Invariant: nothing that a replay looks at is touched: events, their order, their attributes, payloads and SDK flags stay.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from temporalio.client import WorkflowHistory

RECORDER = "recorder"
"""Stands where a process named itself: identities are `pid@host`, sticky queues carry them, build ids are digests."""

TASK_QUEUE = "payments"

_NAMES_OF_PROCESSES = frozenset({"identity", "buildId", "binaryChecksum"})
_SETS = frozenset({"coreUsedFlags", "langUsedFlags"})
_VOLATILE = (
    re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?"),
    re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
    re.compile(r"\b00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\b"),
)
"""Times, run and request ids, traces: different in every recording of the same story."""
_OF_TODAY = re.compile(r"\b\d{4}-\d\d-\d\d\b|\b\d+ min\b")
"""Days and timers are volatile too where a loan lives in real time; on a test clock they are a part of the story."""
_FRACTION_OF_SECONDS = re.compile(r"\d+\.\d+s")
_VOLATILE_FIELDS = frozenset({"taskId", "historySizeBytes", "requestId", "serviceTime", "seconds", "nanos"})


def canonical(history: WorkflowHistory, task_queue: str) -> str:
    """Return a history as the text of its file; `task_queue` is the name of its queue while it was recorded."""
    events = _scrubbed(history.to_json_dict())["events"]
    lines = ",\n".join(json.dumps(event, sort_keys=True, separators=(",", ":")) for event in events)
    return '{"events":[\n' + lines.replace(task_queue, TASK_QUEUE) + "\n]}\n"


def story(text: str) -> Any:
    """Return what two recordings of one story have in common: all but times, ids and sizes. Payloads are decoded."""
    told = _story(json.loads(text))
    if '"test_clock": null' in json.dumps(told["events"][0]):
        return json.loads(_OF_TODAY.sub("*", json.dumps(told)))
    return told


def payload_value(data: str) -> Any:
    """Return what a payload holds: every one of ours is JSON."""
    return json.loads(base64.b64decode(data))


def _scrubbed(value: Any) -> Any:
    match value:
        case {"kind": "TASK_QUEUE_KIND_STICKY"}:
            return {**value, "name": f"{RECORDER}-sticky"}
        case dict():
            return {
                key: _scrubbed_field(key, inner)
                for key, inner in value.items()
                if key != "stackTrace"  # it names files of the recording machine
            }
        case list():
            return [_scrubbed(inner) for inner in value]
    return value


def _scrubbed_field(key: str, value: Any) -> Any:
    if key in _NAMES_OF_PROCESSES:
        return RECORDER
    return sorted(value) if key in _SETS else _scrubbed(value)


def _story(value: Any) -> Any:
    match value:
        case {"data": str(data), "metadata": _}:
            return _story(payload_value(data))
        case dict():
            return {key: _story(inner) for key, inner in value.items() if key not in _VOLATILE_FIELDS}
        case list():
            return [_story(inner) for inner in value]
        case str():
            if _FRACTION_OF_SECONDS.fullmatch(value):
                return f"{float(value[:-1]) / 60:.0f} min"  # a timer for what is left of a time
            for pattern in _VOLATILE:
                value = pattern.sub("*", value)
    return value
