"""The bank killed without warning: what it answered it knows, and what it knows happened once."""

import asyncio
import sqlite3
from pathlib import Path

import httpx
import pytest

from activities.gateway_port import AuthorizeRequest, CaptureMode, GatewayError, GatewayResult, GatewayUnavailable
from infra.bank.storage import open_reader
from infra.gateways.bank_client import BankClient
from infra.gateways.sandbox import SandboxGateway
from tests.integration.bank.cardholder import Cardholder
from tests.support.bank_process import BankProcess, running_bank

PAYMENTS = 200
KILLED_AFTER = 40
SELLERS = 16
WAIT_S = 20.0


async def test_a_killed_bank_remembers_what_it_answered(tmp_path: Path) -> None:
    async with running_bank(tmp_path) as bank, httpx.AsyncClient(base_url=bank.url, trust_env=False) as http:
        cardholder = Cardholder(http)
        token = await cardholder.token()
        answer = await cardholder.authorize("pay_1", "pay_1:authorize:1", token=token)
        hold = answer.json()["authorization_id"]
        await bank.restart()
        again = await cardholder.authorize("pay_1", "pay_1:authorize:1", token=token)
        assert again.content == answer.content
        assert again.headers["Idempotent-Replayed"] == "true"
        assert (await cardholder.act(hold, "captures", "pay_1", "pay_1:c:1", amount_minor=900)).status_code == 200
        await bank.restart()
        assert (await cardholder.act(hold, "void", "pay_1", "pay_1:v:1")).json()["amount_minor"] == 100
        await bank.restart()
        assert (await cardholder.act(hold, "refunds", "pay_1", "pay_1:r:1", amount_minor=900)).status_code == 200
        await bank.restart()
        state = await cardholder.state(hold)
        assert (state["captured_minor"], state["released_minor"], state["refunded_minor"]) == (900, 100, 900)
        fingerprints = [(await cardholder.exchange("4242424242424242")).json()["fingerprint"]]
        fingerprints.append((await cardholder.get(f"/tokens/{token}")).json()["fingerprint"])
        assert len(set(fingerprints)) == 1


async def test_a_bank_killed_under_load_loses_no_answer_and_repeats_no_sale(tmp_path: Path) -> None:
    async with running_bank(tmp_path) as bank, BankClient(bank.url) as client:
        gateway = SandboxGateway(client)
        token = (await client.post("/tokens", _card_fields())).body["id"]
        requests = [_sale(number, token) for number in range(PAYMENTS)]
        answered: dict[str, GatewayResult] = {}
        failed: list[str] = []
        enough = asyncio.Event()

        async def sell(request: AuthorizeRequest) -> None:
            try:
                answered[request.key] = await gateway.authorize(request)
            except GatewayError:
                failed.append(request.key)
            if len(answered) >= KILLED_AFTER:
                enough.set()

        pending = iter(requests)

        async def seller() -> None:
            for request in pending:
                await sell(request)

        selling = asyncio.gather(*(seller() for _ in range(SELLERS)))
        await asyncio.wait_for(enough.wait(), WAIT_S)
        await bank.kill()
        await selling
        assert failed, "the kill came too late to prove anything"

        await bank.start()
        for key, result in answered.items():
            found = await gateway.inquire(key)
            assert found is not None
            assert found.operation_reference == result.operation_reference
        resent = [await gateway.authorize(request) for request in requests]
        assert all(result.outcome == "approved" for result in resent)
        totals = (await client.get("/statement/totals")).body["totals"]["USD"]
        assert (totals["operations"], totals["net_settled_minor"]) == (PAYMENTS, PAYMENTS * 100)


async def test_a_dead_bank_is_unavailable_and_not_an_unknown_outcome(tmp_path: Path) -> None:
    async with running_bank(tmp_path) as bank, BankClient(bank.url) as client:
        await bank.kill()
        with pytest.raises(GatewayUnavailable):
            await SandboxGateway(client).authorize(_sale(1, "tok_any"))


async def test_the_database_itself_refuses_to_change_or_forget_an_operation(tmp_path: Path) -> None:
    async with running_bank(tmp_path) as bank, httpx.AsyncClient(base_url=bank.url, trust_env=False) as http:
        await Cardholder(http).hold("pay_1")
        for statement in ("UPDATE operation SET amount_minor = 1", "DELETE FROM operation"):
            with pytest.raises(sqlite3.IntegrityError, match="never"):
                _tamper(bank, statement)
        with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
            _tamper(bank, "UPDATE authorization SET captured_minor = amount_minor + 1")


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    reader = open_reader(tmp_path / "empty.sqlite3")
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("CREATE TABLE anything (id INTEGER)")
    reader.close()


def _tamper(bank: BankProcess, statement: str) -> None:
    connection = sqlite3.connect(bank.data_file, isolation_level=None)
    try:
        connection.execute(statement)
    finally:
        connection.close()


def _sale(number: int, token: str) -> AuthorizeRequest:
    payment_id = f"pay_{number}"
    return AuthorizeRequest(f"{payment_id}:authorize:1", payment_id, 100, "USD", token, CaptureMode.AUTOMATIC)


def _card_fields() -> dict[str, object]:
    return {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123"}
