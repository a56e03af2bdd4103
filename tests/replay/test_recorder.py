"""The form of histories, and how the recorder writes them."""

from __future__ import annotations

import json
from pathlib import Path

from temporalio.client import WorkflowHistory

from tests.replay.canonical import canonical, payload_value, story
from tests.replay.record import HISTORIES, write

TEXT = (HISTORIES / "gateway_unreachable_for_a_while.json").read_text()


def variant(before: str, after: str) -> str:
    assert before in TEXT
    return TEXT.replace(before, after)


def test_a_canonical_history_is_its_own_canonical_form() -> None:
    history = WorkflowHistory.from_json("gateway_unreachable_for_a_while", TEXT)
    assert canonical(history, "payments") == TEXT
    assert list(WorkflowHistory.from_json("", TEXT).events) == list(history.events)


def test_an_event_stands_on_each_line() -> None:
    lines = TEXT.splitlines()
    events = [json.loads(line.removesuffix(",")) for line in lines[1:-1]]
    assert [int(event["eventId"]) for event in events] == list(range(1, len(events) + 1))


def test_processes_queues_and_stack_traces_are_scrubbed() -> None:
    dirty = json.loads(TEXT)
    task = next(
        e["workflowTaskStartedEventAttributes"] for e in dirty["events"] if "workflowTaskStartedEventAttributes" in e
    )
    task["identity"] = "4711@somewhere"
    sticky = next(
        e["workflowTaskScheduledEventAttributes"]["taskQueue"]
        for e in dirty["events"]
        if e.get("workflowTaskScheduledEventAttributes", {}).get("taskQueue", {}).get("kind")
        == "TASK_QUEUE_KIND_STICKY"
    )
    sticky["name"] = "4711@somewhere-sticky"
    history = WorkflowHistory.from_json("", json.dumps(dirty))
    failed = history.events[8].activity_task_failed_event_attributes
    failed.failure.stack_trace = "File somewhere"
    assert "somewhere" not in canonical(history, "payments")


def test_times_ids_and_traces_are_no_part_of_a_story_but_payloads_are() -> None:
    first = json.loads(TEXT)["events"][0]
    run_id = first["workflowExecutionStartedEventAttributes"]["originalExecutionRunId"]
    assert story(TEXT) == story(variant(run_id, "01234567-89ab-cdef-0123-456789abcdef"))
    assert story(TEXT) == story(variant(first["eventTime"], "2001-01-01T00:00:00.1Z"))
    assert story(TEXT) != story(variant('"name":"authorize"', '"name":"void"'))
    summary = first["userMetadata"]["summary"]["data"]
    assert payload_value(summary) == "Card payment of 29.33 USD to merchant"
    assert story(TEXT) != story(variant(summary, "IkFub3RoZXIi"))


def test_what_did_not_change_is_kept_and_what_no_path_records_any_more_is_removed(tmp_path: Path) -> None:
    first = json.loads(TEXT)["events"][0]["eventTime"]
    same, other = variant(first, "2001-01-01T00:00:00.1Z"), variant('"name":"authorize"', '"name":"void"')
    (tmp_path / "left_over.json").write_text(TEXT)
    done = write({"a": TEXT, "b": TEXT}, tmp_path, complete=True, force=False)
    assert done == {"added": ["a", "b"], "changed": [], "kept": [], "removed": ["left_over"]}
    done = write({"a": same, "b": other}, tmp_path, complete=True, force=False)
    assert done == {"added": [], "changed": ["b"], "kept": ["a"], "removed": []}
    assert (tmp_path / "a.json").read_text() == TEXT
    done = write({"a": same}, tmp_path, complete=False, force=True)
    assert done == {"added": [], "changed": ["a"], "kept": [], "removed": []}
    assert (tmp_path / "b.json").exists()
