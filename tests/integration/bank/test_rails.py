"""Payouts and collections: settled or rejected by rule, once per key, and found again by it."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from activities.rail_port import (
    CollectionRequest,
    PayoutRequest,
    RailOutcome,
    RailOutcomeUnknown,
    RailRejected,
    RailUnavailable,
)
from infra.bank.rails import RETURNS, iban_valid
from infra.gateways.bank_client import BankClient
from infra.gateways.rails import SandboxRail
from tests.integration.bank.cardholder import Cardholder
from tests.support.bank_process import free_port

NewKey = Callable[[str], str]
CODES: dict[str, dict[str, str]] = json.loads((Path(__file__).parents[2] / "vectors" / "return_codes.json").read_text())
# The examples of ISO 13616's registry for Germany and the United Kingdom.
VALID_IBANS = ["DE89370400440532013000", "GB29NWBK60161331926819"]


def _collection(payment_id: str, key: str, mandate: str, amount_minor: int = 2500) -> CollectionRequest:
    return CollectionRequest(key, payment_id, amount_minor, "EUR", mandate)


def test_every_return_uses_published_codes_and_every_published_ach_return_is_used() -> None:
    reasons = {returned.reason_code for returned in RETURNS.values()} - {None}
    returns = {returned.return_code for returned in RETURNS.values()} - {None}
    assert reasons == CODES["iso20022_reason"].keys()
    assert returns == CODES["ach_return"].keys()


@pytest.mark.parametrize("reason", RETURNS)
async def test_a_mandate_that_names_a_reason_is_rejected_with_its_codes(
    rail: SandboxRail, payment_id: str, new_key: NewKey, reason: str
) -> None:
    result = await rail.collect(_collection(payment_id, new_key("collect"), f"mdt_{reason}"))
    assert (result.outcome, result.status, result.reason) == (RailOutcome.REJECTED, "RJCT", reason)
    assert (result.reason_code, result.return_code) == (RETURNS[reason].reason_code, RETURNS[reason].return_code)


async def test_an_ordinary_mandate_or_account_settles(rail: SandboxRail, payment_id: str, new_key: NewKey) -> None:
    collected = await rail.collect(_collection(payment_id, new_key("collect"), "mdt_anyone"))
    paid = await rail.pay_out(PayoutRequest(new_key("payout"), payment_id, 9900, "EUR", "acct_anyone"))
    assert [result.status for result in (collected, paid)] == ["ACSC", "ACSC"]
    assert (collected.amount_minor, paid.amount_minor) == (2500, 9900)


@pytest.mark.parametrize(
    ("rule", "outcomes"),
    [("x2", "RRSS"), ("at_2", "SRSS"), ("at_1_3", "RSRS")],
)
async def test_a_mandate_may_be_rejected_on_named_attempts_only(
    rail: SandboxRail, payment_id: str, new_key: NewKey, rule: str, outcomes: str
) -> None:
    mandate = f"mdt_insufficient_funds_{rule}.{payment_id}"
    seen = ""
    for _ in outcomes:
        request = _collection(payment_id, new_key("collect"), mandate)
        result = await rail.collect(request)
        assert (await rail.collect(request)).rail_reference == result.rail_reference, "a repeat is no attempt"
        seen += "S" if result.outcome is RailOutcome.SETTLED else "R"
    assert seen == outcomes


@pytest.mark.parametrize("iban", VALID_IBANS)
async def test_a_payout_to_an_iban_settles_when_its_check_digits_are_right(
    rail: SandboxRail, payment_id: str, new_key: NewKey, iban: str
) -> None:
    assert iban_valid(iban)
    settled = await rail.pay_out(PayoutRequest(new_key("payout"), payment_id, 100, "EUR", iban))
    wrong = f"{iban[:-1]}{(int(iban[-1]) + 1) % 10}"
    rejected = await rail.pay_out(PayoutRequest(new_key("payout"), payment_id, 100, "EUR", wrong))
    assert (settled.outcome, rejected.outcome) == (RailOutcome.SETTLED, RailOutcome.REJECTED)
    assert (rejected.reason_code, rejected.return_code) == ("AC01", "R03")


async def test_an_account_or_mandate_of_another_kind_is_a_refused_request(
    rail: SandboxRail, payment_id: str, new_key: NewKey
) -> None:
    with pytest.raises(RailRejected) as account:
        await rail.pay_out(PayoutRequest(new_key("payout"), payment_id, 100, "EUR", "somewhere"))
    with pytest.raises(RailRejected) as mandate:
        await rail.collect(_collection(payment_id, new_key("collect"), "acct_anyone"))
    assert (account.value.code, mandate.value.code) == ("invalid_account", "invalid_mandate")


async def test_equal_payouts_at_once_pay_once(
    rail: SandboxRail, cardholder: Cardholder, payment_id: str, new_key: NewKey
) -> None:
    request = PayoutRequest(new_key("payout"), payment_id, 100, "EUR", "acct_anyone")
    results = await asyncio.gather(*(rail.pay_out(request) for _ in range(20)))
    assert len({result.rail_reference for result in results}) == 1
    assert [row["settled_minor"] for row in await cardholder.recorded(payment_id)] == [-100]


@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after", "error_5xx_after", "connection_drop"])
@pytest.mark.parametrize("operation", ["payout", "collection"])
async def test_a_missing_answer_is_unknown_until_an_inquiry(
    rail: SandboxRail, cardholder: Cardholder, payment_id: str, new_key: NewKey, operation: str, kind: str
) -> None:
    key = new_key(operation)
    await cardholder.arm(operation, kind, payment_id)

    async def send() -> RailOutcome:
        if operation == "payout":
            return (await rail.pay_out(PayoutRequest(key, payment_id, 100, "EUR", "acct_anyone"))).outcome
        return (await rail.collect(_collection(payment_id, key, "mdt_anyone"))).outcome

    with pytest.raises(RailOutcomeUnknown):
        await send()
    assert (await rail.inquire(key) is None) == (kind == "timeout_before")
    assert await send() is RailOutcome.SETTLED
    assert len(await cardholder.recorded(payment_id)) == 1


async def test_an_unreachable_rail_has_not_got_the_request_and_cannot_be_asked() -> None:
    async with BankClient(f"http://127.0.0.1:{free_port()}") as nobody:
        rail = SandboxRail(nobody)
        with pytest.raises(RailUnavailable):
            await rail.pay_out(PayoutRequest("k:1", "loan_1", 100, "EUR", "acct_anyone"))
        with pytest.raises(RailOutcomeUnknown):
            await rail.inquire("k:1")
