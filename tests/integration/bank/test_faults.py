"""Each fault on demand, seen through the gateway port: what is known afterwards, and how it is found out."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from activities.gateway_port import (
    AuthorizeRequest,
    CaptureMode,
    CaptureRequest,
    GatewayOutcome,
    GatewayOutcomeUnknown,
    GatewayResult,
    RefundRequest,
    ReverseRequest,
    VoidRequest,
)
from infra.gateways.bank_client import BankClient
from infra.gateways.sandbox import SandboxGateway
from tests.integration.bank.cardholder import Cardholder
from tests.integration.bank.conftest import READ_TIMEOUT_S
from tests.support.bank_process import BankProcess, running_bank

NewKey = Callable[[str], str]
NOTHING_DONE = ["timeout_before", "error_5xx_before", "connection_drop_before"]
WORK_DONE = ["timeout_after", "error_5xx_after", "connection_drop", "in_progress"]
POLL_S = 0.02
POLL_BOUND_S = 10.0
STOPS_WITHIN_S = 6.0


def _sale(payment_id: str, key: str, token: str) -> AuthorizeRequest:
    return AuthorizeRequest(key, payment_id, 1000, "USD", token, CaptureMode.AUTOMATIC)


@pytest.mark.parametrize("kind", NOTHING_DONE)
async def test_a_fault_before_the_work_leaves_the_outcome_unknown_until_an_inquiry_finds_nothing(
    gateway: SandboxGateway, cardholder: Cardholder, payment_id: str, new_key: NewKey, kind: str
) -> None:
    request = _sale(payment_id, new_key("authorize"), await cardholder.token())
    await cardholder.arm("authorize", kind, payment_id)
    with pytest.raises(GatewayOutcomeUnknown):
        await gateway.authorize(request)
    assert await gateway.inquire(request.key) is None
    resent = await gateway.authorize(request)
    assert (resent.outcome, resent.replayed) == (GatewayOutcome.APPROVED, False)


@pytest.mark.parametrize("kind", WORK_DONE)
async def test_a_fault_after_the_work_leaves_the_outcome_unknown_until_an_inquiry_finds_it(
    gateway: SandboxGateway, cardholder: Cardholder, payment_id: str, new_key: NewKey, kind: str
) -> None:
    request = _sale(payment_id, new_key("authorize"), await cardholder.token())
    await cardholder.arm("authorize", kind, payment_id)
    with pytest.raises(GatewayOutcomeUnknown):
        await gateway.authorize(request)
    found = await gateway.inquire(request.key)
    assert found is not None
    assert (found.outcome, found.replayed) == (GatewayOutcome.APPROVED, True)
    assert await gateway.authorize(request) == found
    assert len(await cardholder.recorded(payment_id)) == 1


@pytest.mark.parametrize("kind", [*NOTHING_DONE, *WORK_DONE])
async def test_every_money_operation_can_be_made_to_fail_and_is_finished_by_its_key(
    gateway: SandboxGateway, cardholder: Cardholder, payment_id: str, new_key: NewKey, kind: str
) -> None:
    authorize_key = new_key("authorize")
    hold = (await cardholder.authorize(payment_id, authorize_key)).json()["authorization_id"]
    capture = CaptureRequest(new_key("capture"), payment_id, hold, 600, "USD", final=False)
    void = VoidRequest(new_key("void"), payment_id, hold)
    refund = RefundRequest(new_key("refund"), payment_id, hold, 500, "USD")
    reversal = ReverseRequest(new_key("reverse"), payment_id, authorize_key)
    steps: list[tuple[str, str, Callable[[], Awaitable[GatewayResult]]]] = [
        ("capture", capture.key, lambda: gateway.capture(capture)),
        ("void", void.key, lambda: gateway.void(void)),
        ("refund", refund.key, lambda: gateway.refund(refund)),
        ("reversal", reversal.key, lambda: gateway.reverse(reversal)),
    ]
    for operation, key, send in steps:
        await cardholder.arm(operation, kind, payment_id)
        with pytest.raises(GatewayOutcomeUnknown):
            await send()
        assert (await gateway.inquire(key) is None) == (kind in NOTHING_DONE)
        assert (await send()).outcome is GatewayOutcome.APPROVED
    state = await cardholder.state(hold)
    assert (state["captured_minor"], state["refunded_minor"], state["reversed_minor"]) == (600, 500, 100)


@pytest.mark.parametrize("kind", [*NOTHING_DONE, "timeout_after", "error_5xx_after", "connection_drop"])
async def test_a_failed_inquiry_leaves_the_outcome_unknown(
    gateway: SandboxGateway, cardholder: Cardholder, payment_id: str, new_key: NewKey, kind: str
) -> None:
    request = _sale(payment_id, new_key("authorize"), await cardholder.token())
    await gateway.authorize(request)
    await cardholder.arm("inquiry", kind, payment_id)
    with pytest.raises(GatewayOutcomeUnknown):
        await gateway.inquire(request.key)
    assert await gateway.inquire(request.key) is not None


async def test_a_timeout_ends_after_the_read_timeout(
    gateway: SandboxGateway, cardholder: Cardholder, payment_id: str, new_key: NewKey
) -> None:
    request = _sale(payment_id, new_key("authorize"), await cardholder.token())
    await cardholder.arm("authorize", "timeout_before", payment_id)
    started = time.monotonic()
    with pytest.raises(GatewayOutcomeUnknown, match="ReadTimeout"):
        await gateway.authorize(request)
    assert READ_TIMEOUT_S <= time.monotonic() - started < READ_TIMEOUT_S + 5


async def test_a_slow_answer_within_the_timeout_is_an_answer(
    gateway: SandboxGateway, cardholder: Cardholder, payment_id: str, new_key: NewKey
) -> None:
    request = _sale(payment_id, new_key("authorize"), await cardholder.token())
    await cardholder.arm("authorize", "slow", payment_id, delay_s=READ_TIMEOUT_S / 5)
    started = time.monotonic()
    assert (await gateway.authorize(request)).outcome is GatewayOutcome.APPROVED
    assert time.monotonic() - started >= READ_TIMEOUT_S / 5


async def test_an_inquiry_that_overtakes_its_request_does_no_harm_because_the_resend_has_the_same_key(
    bank: BankProcess, gateway: SandboxGateway, cardholder: Cardholder, payment_id: str, new_key: NewKey
) -> None:
    request = _sale(payment_id, new_key("authorize"), await cardholder.token())
    await cardholder.arm("authorize", "slow", payment_id, delay_s=READ_TIMEOUT_S * 2)
    with pytest.raises(GatewayOutcomeUnknown):
        await gateway.authorize(request)
    assert await gateway.inquire(request.key) is None, "the request is still waiting inside the bank"
    resent = await gateway.authorize(request)
    await _logged_times(bank, request.key, 2)
    found = await gateway.inquire(request.key)
    assert found is not None
    assert found.operation_reference == resent.operation_reference
    assert len(await cardholder.recorded(payment_id)) == 1


async def test_a_reversal_bars_a_request_that_is_still_waiting_inside_the_bank(
    bank: BankProcess, gateway: SandboxGateway, cardholder: Cardholder, payment_id: str, new_key: NewKey
) -> None:
    request = _sale(payment_id, new_key("authorize"), await cardholder.token())
    await cardholder.arm("authorize", "slow", payment_id, delay_s=READ_TIMEOUT_S * 2)
    with pytest.raises(GatewayOutcomeUnknown):
        await gateway.authorize(request)
    reversal = await gateway.reverse(ReverseRequest(new_key("reverse"), payment_id, request.key))
    assert (reversal.outcome, reversal.amount_minor) == (GatewayOutcome.APPROVED, 0)
    await _logged_times(bank, request.key, 1)
    found = await gateway.inquire(request.key)
    assert found is not None
    assert (found.outcome, found.decline_code) == (GatewayOutcome.DECLINED, "reversed")
    assert sum(row["settled_minor"] for row in await cardholder.recorded(payment_id)) == 0


async def test_a_duplicated_request_is_carried_out_once_and_answered_as_a_replay(
    gateway: SandboxGateway, cardholder: Cardholder, payment_id: str, new_key: NewKey
) -> None:
    request = _sale(payment_id, new_key("authorize"), await cardholder.token())
    await cardholder.arm("authorize", "duplicate", payment_id)
    result = await gateway.authorize(request)
    assert (result.outcome, result.replayed) == (GatewayOutcome.APPROVED, True)
    assert len(await cardholder.recorded(payment_id)) == 1


async def test_a_fault_strikes_as_often_as_told_and_only_its_matches(
    gateway: SandboxGateway, cardholder: Cardholder, payment_id: str, new_key: NewKey
) -> None:
    token = await cardholder.token()
    await cardholder.arm("any", "error_5xx_before", payment_id, times=2)
    other = await gateway.authorize(_sale(f"other_{payment_id}", new_key("authorize"), token))
    assert other.outcome is GatewayOutcome.APPROVED
    request = _sale(payment_id, new_key("authorize"), token)
    for _ in range(2):
        with pytest.raises(GatewayOutcomeUnknown):
            await gateway.authorize(request)
    assert (await gateway.authorize(request)).outcome is GatewayOutcome.APPROVED
    (rule,) = (await cardholder.get("/admin/faults")).json()["faults"]
    assert (rule["struck"], rule["remaining"]) == (2, 0)


async def test_a_fault_without_a_number_of_times_strikes_until_it_is_cleared(
    gateway: SandboxGateway, cardholder: Cardholder, payment_id: str, new_key: NewKey
) -> None:
    request = _sale(payment_id, new_key("authorize"), await cardholder.token())
    await cardholder.arm("authorize", "error_5xx_before", payment_id, times=None)
    for _ in range(5):
        with pytest.raises(GatewayOutcomeUnknown):
            await gateway.authorize(request)
    await cardholder.clear_faults()
    assert (await gateway.authorize(request)).outcome is GatewayOutcome.APPROVED


async def test_unknown_faults_are_refused(cardholder: Cardholder) -> None:
    for order in (
        {"operation": "authorize", "kind": "earthquake"},
        {"operation": "dance", "kind": "slow"},
        {"operation": "authorize", "kind": "slow", "times": 0},
        {"operation": "authorize", "kind": "slow", "delay_s": 1e9},
    ):
        answer = await cardholder.post("/admin/faults", order)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_a_bank_that_holds_a_request_still_stops_in_time(tmp_path: Path) -> None:
    async with running_bank(tmp_path) as bank, BankClient(bank.url) as client:
        await client.post("/admin/faults", {"operation": "any", "kind": "timeout_before"})
        held = asyncio.create_task(SandboxGateway(client).inquire("pay_1:a:1"))
        async with asyncio.timeout(POLL_BOUND_S):
            while not (await client.get("/admin/faults")).body["faults"][0]["struck"]:
                await asyncio.sleep(POLL_S)
        started = time.monotonic()
        await bank.stop()
        assert time.monotonic() - started < STOPS_WITHIN_S
        with pytest.raises(GatewayOutcomeUnknown):
            await held


async def _logged_times(bank: BankProcess, key: str, times: int) -> None:
    """Wait until the bank has carried out that many requests with a key."""
    async with asyncio.timeout(POLL_BOUND_S):
        while bank.log_file.read_text().count(f"key={key} ") < times:
            await asyncio.sleep(POLL_S)
