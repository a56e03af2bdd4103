"""The gateway adapter against the real bank, and against answers the bank would never give."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from activities.gateway_port import (
    AuthorizeRequest,
    CaptureMode,
    CaptureRequest,
    CardGateway,
    GatewayOperation,
    GatewayOutcome,
    GatewayOutcomeUnknown,
    GatewayRejected,
    GatewayUnavailable,
    RefundRequest,
    VoidRequest,
)
from infra.gateways.bank_client import BankClient, Timeouts
from infra.gateways.sandbox import SandboxGateway
from tests.integration.bank.cardholder import Cardholder
from tests.support.bank_process import BankProcess, free_port

NewKey = Callable[[str], str]


def _request(payment_id: str, key: str, token: str, capture: CaptureMode = CaptureMode.MANUAL) -> AuthorizeRequest:
    return AuthorizeRequest(key, payment_id, 1000, "USD", token, capture)


@asynccontextmanager
async def _always_answering(raw: bytes) -> AsyncIterator[CardGateway]:
    """A server that answers every request with the same bytes and hangs up."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, BankClient(f"http://127.0.0.1:{port}", Timeouts(read_s=0.5)) as client:
        yield SandboxGateway(client)


def _http(status: str, body: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


async def test_the_life_of_a_manual_capture_through_the_port(
    gateway: CardGateway, cardholder: Cardholder, payment_id: str, new_key: NewKey
) -> None:
    held = await gateway.authorize(_request(payment_id, new_key("authorize"), await cardholder.token()))
    assert (held.operation, held.outcome, held.raw_status) == (
        GatewayOperation.AUTHORIZE, GatewayOutcome.APPROVED, "authorized",
    )  # fmt: skip
    assert held.gateway_reference is not None
    assert held.network_transaction_id is not None
    assert held.expires_at is not None
    reference = held.gateway_reference
    captured = await gateway.capture(CaptureRequest(new_key("capture"), payment_id, reference, 600, "USD", final=False))
    assert (captured.operation, captured.amount_minor, captured.raw_status) == (
        GatewayOperation.CAPTURE, 600, "partially_captured",
    )  # fmt: skip
    voided = await gateway.void(VoidRequest(new_key("void"), payment_id, reference))
    assert (voided.operation, voided.amount_minor) == (GatewayOperation.VOID, 400)
    refunded = await gateway.refund(RefundRequest(new_key("refund"), payment_id, reference, 600, "USD"))
    assert (refunded.operation, refunded.amount_minor) == (GatewayOperation.REFUND, 600)
    assert len({result.operation_reference for result in (held, captured, voided, refunded)}) == 4


async def test_a_sale_says_so(gateway: CardGateway, cardholder: Cardholder, payment_id: str, new_key: NewKey) -> None:
    token = await cardholder.token()
    sale = await gateway.authorize(_request(payment_id, new_key("authorize"), token, CaptureMode.AUTOMATIC))
    assert (sale.operation, sale.raw_status, sale.response_code) == (GatewayOperation.SALE, "captured", "00")


async def test_a_decline_is_a_result(
    gateway: CardGateway, cardholder: Cardholder, payment_id: str, new_key: NewKey
) -> None:
    token = await cardholder.token("4000000000009995")
    declined = await gateway.authorize(_request(payment_id, new_key("authorize"), token))
    assert (declined.outcome, declined.decline_code, declined.response_code) == (
        GatewayOutcome.DECLINED, "insufficient_funds", "51",
    )  # fmt: skip
    assert declined.gateway_reference is None


async def test_a_challenge_is_a_result_and_its_id_goes_on_with_a_new_key(
    gateway: CardGateway, cardholder: Cardholder, payment_id: str, new_key: NewKey
) -> None:
    token = await cardholder.token("4000002760003184")
    stopped = await gateway.authorize(_request(payment_id, new_key("authorize"), token))
    assert stopped.outcome is GatewayOutcome.REQUIRES_ACTION
    await cardholder.post(f"/challenges/{stopped.challenge_id}/complete", {"outcome": "authenticated"})
    request = AuthorizeRequest(
        new_key("authorize"), payment_id, 1000, "USD", token, CaptureMode.MANUAL, stopped.challenge_id
    )
    assert (await gateway.authorize(request)).outcome is GatewayOutcome.APPROVED


async def test_a_capture_beyond_the_hold_is_declined_and_one_of_nothing_is_rejected(
    gateway: CardGateway, cardholder: Cardholder, payment_id: str, new_key: NewKey
) -> None:
    hold = await cardholder.hold(payment_id)
    over = await gateway.capture(CaptureRequest(new_key("capture"), payment_id, hold, 1001, "USD", final=True))
    assert (over.outcome, over.decline_code) == (GatewayOutcome.DECLINED, "amount_exceeds_authorized")
    assert over.gateway_reference == hold
    with pytest.raises(GatewayRejected) as nothing:
        await gateway.capture(CaptureRequest(new_key("capture"), payment_id, "auth_none", 1, "USD", final=True))
    assert (nothing.value.status, nothing.value.code) == (404, "authorization_not_found")


async def test_a_key_used_for_another_request_is_rejected(
    gateway: CardGateway, cardholder: Cardholder, payment_id: str, new_key: NewKey
) -> None:
    key, token = new_key("authorize"), await cardholder.token()
    await gateway.authorize(_request(payment_id, key, token))
    with pytest.raises(GatewayRejected) as reused:
        await gateway.authorize(_request(payment_id, key, token, CaptureMode.AUTOMATIC))
    assert (reused.value.status, reused.value.code) == (422, "key_reused")


async def test_an_inquiry_gives_the_first_answer_or_none(
    gateway: CardGateway, cardholder: Cardholder, payment_id: str, new_key: NewKey
) -> None:
    key = new_key("authorize")
    assert await gateway.inquire(key) is None
    first = await gateway.authorize(_request(payment_id, key, await cardholder.token()))
    found = await gateway.inquire(key)
    assert found is not None
    assert found.replayed
    assert not first.replayed
    assert found.operation_reference == first.operation_reference


async def test_an_unreachable_bank_has_not_got_the_request_and_cannot_be_asked() -> None:
    async with BankClient(f"http://127.0.0.1:{free_port()}") as nobody:
        gateway = SandboxGateway(nobody)
        with pytest.raises(GatewayUnavailable):
            await gateway.authorize(_request("pay_1", "pay_1:a", "tok_any"))
        with pytest.raises(GatewayOutcomeUnknown):
            await gateway.inquire("pay_1:a")


async def test_a_full_pool_has_not_sent_the_request(
    bank: BankProcess, cardholder: Cardholder, payment_id: str, new_key: NewKey
) -> None:
    await cardholder.arm("authorize", "timeout_before", payment_id)
    token = await cardholder.token()
    bounds = Timeouts(read_s=2.0, pool_s=0.1)
    async with BankClient(bank.url, bounds, max_connections=1) as client:
        gateway = SandboxGateway(client)
        first = asyncio.create_task(gateway.authorize(_request(payment_id, new_key("authorize"), token)))
        await asyncio.sleep(0)
        with pytest.raises(GatewayUnavailable, match="PoolTimeout"):
            await gateway.authorize(_request(f"other_{payment_id}", new_key("authorize"), token))
        with pytest.raises(GatewayOutcomeUnknown):
            await first


@pytest.mark.parametrize(
    "raw",
    [
        _http("200 OK", "not json"),
        _http("200 OK", "[]"),
        _http("200 OK", '{"outcome": "approved"}'),
        _http("200 OK", '{"outcome": "perhaps", "operation": "sale"}'),
        _http("500 Internal Server Error", "{}"),
        _http("502 Bad Gateway", "<html>"),
        _http("503 Service Unavailable", ""),
        _http("404 Not Found", "<html>"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"nonsense\r\n\r\n",
        b"",
    ],
)
async def test_an_answer_that_cannot_be_read_is_an_unknown_outcome(raw: bytes) -> None:
    async with _always_answering(raw) as gateway:
        with pytest.raises(GatewayOutcomeUnknown):
            await gateway.authorize(_request("pay_1", "pay_1:a", "tok_any"))
        with pytest.raises(GatewayOutcomeUnknown):
            await gateway.inquire("pay_1:a")


async def test_a_request_turned_away_by_a_rate_limit_was_not_carried_out() -> None:
    async with _always_answering(_http("429 Too Many Requests", '{"code": "rate_limited"}')) as gateway:
        with pytest.raises(GatewayUnavailable, match="rate_limited"):
            await gateway.authorize(_request("pay_1", "pay_1:a", "tok_any"))


async def test_a_missing_page_of_something_else_is_not_taken_for_never_arrived() -> None:
    async with _always_answering(_http("404 Not Found", '{"code": "no_such_route"}')) as gateway:
        with pytest.raises(GatewayOutcomeUnknown):
            await gateway.inquire("pay_1:a")
