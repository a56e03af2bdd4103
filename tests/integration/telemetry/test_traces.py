"""One trace from the client's call to the bank, with nothing in it that must not be kept."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from api.telemetry import REMOVED
from infra.temporal_client import connect
from tests.integration.telemetry.conftest import GOOD_CARD, TelemetryWorld, until

CLIENT_TRACE = "0af7651916cd43dd8448eb211c80319c"
CLIENT_SPAN = "b7ad6b7169203331"

PAYMENT = (
    "POST /v1/payments",
    "StartUpdateWithStartWorkflow:PaymentWorkflow",
    "RunWorkflow:PaymentWorkflow",
    "HandleUpdate:submit",
    "StartActivity:open_payment",
    "RunActivity:open_payment",
    "StartActivity:authorize",
    "RunActivity:authorize",
    "POST",
    "StartActivity:book_payment",
    "RunActivity:book_payment",
    "CompleteWorkflow:PaymentWorkflow",
)
"""The spans of a card payment, each once; besides them each database step has one."""


def ancestry(spans: Sequence[ReadableSpan], span: ReadableSpan) -> list[str]:
    """Return the names from a span up to the last one whose parent is not in the trace."""
    by_id = {each.context.span_id: each for each in spans if each.context}
    names = [span.name]
    while span.parent is not None and span.parent.span_id in by_id:
        span = by_id[span.parent.span_id]
        names.append(span.name)
    return names


def only(spans: Sequence[ReadableSpan], name: str) -> ReadableSpan:
    """Return the one span of that name."""
    (found,) = [span for span in spans if span.name == name]
    return found


async def stored_trace_id(world: TelemetryWorld, payment_id: str) -> str:
    async with await psycopg.AsyncConnection.connect(world.database.owner_url) as connection:
        row = await (await connection.execute("SELECT trace_id FROM payments WHERE id = %s", [payment_id])).fetchone()
    assert row is not None
    return str(row[0])


async def test_a_payment_is_one_trace_with_every_step_in_it_once(world: TelemetryWorld) -> None:
    spans = await world.trace_of(await world.pay())

    assert sorted(span.name for span in spans) == sorted([*PAYMENT, "sql payment_apply", "sql payment_apply"])


async def test_the_call_to_the_bank_descends_from_the_clients_call(world: TelemetryWorld) -> None:
    spans = await world.trace_of(await world.pay())
    to_bank = only(spans, "POST")

    assert to_bank.kind is SpanKind.CLIENT
    assert to_bank.attributes is not None
    assert to_bank.attributes["http.url"] == f"{world.bank_process.url}/authorizations"
    assert ancestry(spans, to_bank) == [
        "POST",
        "RunActivity:authorize",
        "StartActivity:authorize",
        "StartUpdateWithStartWorkflow:PaymentWorkflow",
        "POST /v1/payments",
    ]


async def test_each_database_step_descends_from_its_activity_and_names_the_payment(world: TelemetryWorld) -> None:
    answer = await world.pay()
    spans = await world.trace_of(answer)
    steps = [span for span in spans if span.name == "sql payment_apply"]

    assert sorted(ancestry(spans, step)[1] for step in steps) == [
        "RunActivity:book_payment",
        "RunActivity:open_payment",
    ]
    for step in steps:
        assert ancestry(spans, step)[-1] == "POST /v1/payments"
        assert (step.attributes or {})["clearhold.owner_id"] == answer.json()["id"]


async def test_the_workflow_and_its_update_hang_under_the_call_that_started_them(world: TelemetryWorld) -> None:
    spans = await world.trace_of(await world.pay())

    for name in ("RunWorkflow:PaymentWorkflow", "HandleUpdate:submit", "CompleteWorkflow:PaymentWorkflow"):
        assert ancestry(spans, only(spans, name))[1:] == [
            "StartUpdateWithStartWorkflow:PaymentWorkflow",
            "POST /v1/payments",
        ]
    root = only(spans, "POST /v1/payments")
    assert root.kind is SpanKind.SERVER
    assert root.parent is None


async def test_answer_row_and_bank_statement_name_the_same_trace(world: TelemetryWorld) -> None:
    answer = await world.pay()
    payment_id, trace_id = answer.json()["id"], answer.headers["Trace-Id"]

    assert await stored_trace_id(world, payment_id) == trace_id
    assert [operation["trace_id"] for operation in await world.statement(payment_id)] == [trace_id]


async def test_a_client_that_sends_a_trace_finds_the_payment_in_its_own(world: TelemetryWorld) -> None:
    answer = await world.pay({"traceparent": f"00-{CLIENT_TRACE}-{CLIENT_SPAN}-01"})
    root = only(await world.trace_of(answer), "POST /v1/payments")

    assert answer.headers["Trace-Id"] == CLIENT_TRACE
    assert root.parent is not None
    assert f"{root.parent.span_id:016x}" == CLIENT_SPAN
    assert [operation["trace_id"] for operation in await world.statement(answer.json()["id"])] == [CLIENT_TRACE]


async def test_a_payment_that_is_not_sampled_keeps_its_trace_id_everywhere_and_no_span(world: TelemetryWorld) -> None:
    unsampled = CLIENT_TRACE[::-1]
    answer = await world.pay({"traceparent": f"00-{unsampled}-{CLIENT_SPAN}-00"})
    payment_id = answer.json()["id"]

    assert answer.headers["Trace-Id"] == unsampled
    assert await stored_trace_id(world, payment_id) == unsampled
    assert [operation["trace_id"] for operation in await world.statement(payment_id)] == [unsampled]
    (line,) = await world.lines_about(payment_id, "activity done")
    assert line["trace_id"] == unsampled
    assert world.spans(unsampled) == []


async def test_what_a_client_writes_beside_its_traces_ids_goes_no_further(world: TelemetryWorld) -> None:
    """`baggage` and `tracestate` are free texts: a card number in them would stand in Temporal's histories."""
    answer = await world.pay(
        {
            "traceparent": f"00-{CLIENT_TRACE[1:]}1-{CLIENT_SPAN}-01",
            "tracestate": f"vendor={GOOD_CARD}",
            "baggage": f"card={GOOD_CARD}",
        }
    )
    assert answer.headers["Trace-Id"] == f"{CLIENT_TRACE[1:]}1"
    await world.trace_of(answer)

    client = await connect(world.settings)
    history = await client.get_workflow_handle(answer.json()["id"]).fetch_history()
    kept = b"".join(event.SerializeToString() for event in history.events)
    assert b"traceparent" in kept
    for text in (b"tracestate", b"baggage", GOOD_CARD.encode()):
        assert text not in kept
    assert [span for span in world.spans(answer.headers["Trace-Id"]) if span.context and span.context.trace_state] == []


async def test_a_lost_answer_and_the_inquiry_that_follows_stay_in_the_trace(world: TelemetryWorld) -> None:
    fault = {"operation": "authorize", "kind": "timeout_after", "times": 1}
    assert (await world.bank.post("/admin/faults", json=fault)).status_code == 201
    spans = await world.trace_of(await world.pay())

    assert only(spans, "RunActivity:authorize").status.status_code is StatusCode.ERROR
    assert ancestry(spans, only(spans, "GET"))[1] == "RunActivity:inquire"
    assert {ancestry(spans, span)[-1] for span in spans} == {"POST /v1/payments"}


async def test_a_card_number_in_an_address_reaches_no_span(world: TelemetryWorld) -> None:
    spaced = "%20".join((GOOD_CARD[:4], GOOD_CARD[4:8], GOOD_CARD[8:12], GOOD_CARD[12:]))
    for path in (f"/v1/payments/{GOOD_CARD}", f"/v1/payments?cursor={GOOD_CARD}", f"/v1/payments?cursor={spaced}"):
        refused = await world.http.get(path, headers={"User-Agent": f"client/{GOOD_CARD}"})
        assert refused.status_code == 422, refused.text
        (span,) = world.spans(refused.headers["Trace-Id"])
        assert span.attributes is not None
        assert span.attributes["http.url"] == REMOVED
        assert not any(number in str(span.attributes) for number in (GOOD_CARD, spaced))


async def test_neither_card_number_nor_key_is_in_any_span_or_log_line(world: TelemetryWorld) -> None:
    paid = await world.pay()
    await world.trace_of(paid)
    in_body = await world.http.post(
        "/v1/payments",
        json={"amount": 1, "currency": "USD", "account": "merchant", "payment_method": {"number": GOOD_CARD}},
        headers={"Idempotency-Key": "a-card-in-the-body"},
    )
    assert in_body.status_code == 422, in_body.text
    wrong_key = world.api_key[:-4] + "0000"
    unauthenticated = await world.http.get("/v1/payments", headers={"Authorization": f"Bearer {wrong_key}"})
    assert unauthenticated.status_code == 401
    await until("the refusals' spans", lambda: bool(world.spans(unauthenticated.headers["Trace-Id"])))

    secrets = (GOOD_CARD, world.api_key, wrong_key, world.api_key.rpartition("_")[2])
    written = [span.to_json() for span in world.exporter.get_finished_spans()] + world.log.getvalue().splitlines()
    assert len(written) > len(PAYMENT)
    assert [line for line in written if any(secret in line for secret in secrets)] == []
    assert GOOD_CARD not in world.bank_process.log_file.read_text()
