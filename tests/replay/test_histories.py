"""Every recorded history replays against the workflows as they are now, in a worker with a cache and in one without."""

from __future__ import annotations

import json
import re
import socket
import sys
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory

from tests.replay.canonical import payload_value
from tests.replay.paths import LOAN_SECOND_RUNS
from tests.replay.record import ALL_PATHS, HISTORIES
from workers.replay import MAX_CUTS, SERVED, cut_at_tasks, is_replayable, read_histories, replay

ENCODED = re.compile(r'"data":"[^"]*"')
"""A payload as it is kept; what it says is looked at decoded, for base 64 may spell anything."""
REPOSITORY = Path(__file__).resolve().parents[2]
MAX_BYTES = 64 * 1024
LOAN_MAX_BYTES = 192 * 1024
"""A loan's whole life has more steps than a payment's."""

SECOND_RUNS = {"terminated_while_authorized_recovered", "terminated_during_the_authorization_recovered"}
"""Histories of a path's second run."""

MUST_BE_RECORDED = {
    "success": "charged_at_once",
    "manual capture": "captured_by_hand",
    "partial capture": "captured_in_part",
    "repeated capture": "captured_repeatedly",
    "decline": "declined",
    "decline, then another card": "declined_then_another_card",
    "challenge answered": "challenge_answered",
    "challenge timed out": "challenge_timed_out",
    "cancelled by the client": "canceled_while_authorized",
    "cancelled in the middle of the saga": "canceled_in_temporal_during_the_authorization",
    "timeout, then inquiry: never arrived": "authorization_lost_before_the_bank",
    "timeout, then inquiry: had happened": "authorization_lost_after_the_bank",
    "authorization expired": "authorization_expired",
    "refund, whole": "refunded_whole",
    "refund, partial": "refunded_in_part",
    "refund, failed": "refund_declined",
    "refund, unknown": "refund_never_learned_then_resolved",
    "review and retry": "reviewed_and_retried",
    "review and resolve": "reviewed_and_resolved_as_paid",
    "wallet": "wallet_transfer",
    "wallet without funds": "wallet_without_funds",
    "limit exceeded": "limit_exceeded",
    "terminated": "terminated_while_authorized",
    "recovered": "terminated_while_authorized_recovered",
}


@pytest.fixture(scope="module")
def histories() -> list[WorkflowHistory]:
    return read_histories(HISTORIES)


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return {path.stem: path.read_text() for path in sorted(HISTORIES.glob("*.json"))}


async def test_every_recorded_history_replays_cached_and_uncached(histories: list[WorkflowHistory]) -> None:
    replayed = await replay(histories)
    assert [str(failure) for failure in replayed.failures] == []
    assert replayed.histories == len(histories)


async def test_a_replay_of_nothing_does_not_pass() -> None:
    assert not (await replay([])).passed


@pytest.mark.parametrize("path", MUST_BE_RECORDED.values(), ids=MUST_BE_RECORDED.keys())
def test_each_path_that_the_business_knows_has_a_history(texts: dict[str, str], path: str) -> None:
    assert path in texts


def test_the_histories_are_those_of_the_recorders_paths(texts: dict[str, str]) -> None:
    assert set(texts) == ALL_PATHS | SECOND_RUNS | LOAN_SECOND_RUNS, "record them anew: python -m tests.replay.record"


def test_every_workflow_that_a_worker_serves_has_a_history(histories: list[WorkflowHistory]) -> None:
    recorded = {
        history.events[0].workflow_execution_started_event_attributes.workflow_type.name for history in histories
    }
    assert recorded == {workflow.__name__ for workflow in SERVED}


def test_every_kind_of_activity_that_workflows_call_is_recorded(texts: dict[str, str]) -> None:
    called = set()
    for text in texts.values():
        for event in json.loads(text)["events"]:
            if scheduled := event.get("activityTaskScheduledEventAttributes"):
                called.add(scheduled["activityType"]["name"])
            if marker := event.get("markerRecordedEventAttributes"):
                called.add(payload_value(marker["details"]["data"]["payloads"][0]["data"])["activity_type"])
    assert called >= {
        *("open_payment", "reserve_funds", "book_payment", "release_funds", "note_progress", "read_payment"),
        "read_refund",
        *("open_refund", "book_refund", "reconcile_page", "expire_holds"),
        *("authorize", "capture", "void", "refund", "reverse", "inquire"),
    }


def test_no_history_names_the_machine_that_recorded_it(texts: dict[str, str]) -> None:
    secrets = {str(REPOSITORY), str(Path.home()), sys.prefix, "site-packages", "stackTrace"}
    host = re.compile(rf"\b{re.escape(socket.gethostname())}\b")  # a short name may be a part of an id
    for name, text in texts.items():
        decoded = ENCODED.sub("", text) + " ".join(_decoded(json.loads(text)))
        assert not [secret for secret in secrets if secret in decoded], name
        assert not host.search(decoded), name
        assert '"identity":"recorder"' in text


def test_no_history_is_large(texts: dict[str, str]) -> None:
    most = {name: LOAN_MAX_BYTES if name.startswith("loan_") else MAX_BYTES for name in texts}
    assert {name: len(text) for name, text in texts.items() if len(text) > most[name]} == {}


def test_a_cut_stands_at_each_completed_workflow_task(histories: list[WorkflowHistory]) -> None:
    history = next(each for each in histories if each.workflow_id == "captured_repeatedly")
    tasks = sum(event.HasField("workflow_task_completed_event_attributes") for event in history.events)
    cuts = list(cut_at_tasks(history))
    assert len(cuts) == tasks > 2
    assert list(cuts[-1].events) == list(history.events)


def test_a_long_history_is_cut_at_a_bounded_number_of_tasks_from_first_to_last(
    histories: list[WorkflowHistory],
) -> None:
    longest = max(histories, key=lambda each: len(each.events))
    cuts = [len(cut.events) for cut in cut_at_tasks(longest)]
    assert len(cuts) == MAX_CUTS
    assert cuts == sorted(set(cuts))
    assert cuts[-1] == len(longest.events)


def test_a_workflow_that_no_worker_has_seen_is_not_replayed(histories: list[WorkflowHistory]) -> None:
    unseen = WorkflowHistory("unseen", histories[0].events[:2])
    assert not is_replayable(unseen)
    assert list(cut_at_tasks(unseen)) == []


def _decoded(value: object) -> list[str]:
    match value:
        case {"data": str(data), **rest}:
            return [str(payload_value(data)), *_decoded(rest)]
        case dict():
            return [text for inner in value.values() for text in _decoded(inner)]
        case list():
            return [text for inner in value for text in _decoded(inner)]
    return []
