"""One bank process for all tests of this folder; a test that kills or counts starts its own."""

import itertools
import secrets
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from infra.gateways.bank_client import BankClient, Timeouts
from infra.gateways.rails import SandboxRail
from infra.gateways.sandbox import SandboxGateway
from tests.integration.bank.cardholder import Cardholder
from tests.support.bank_process import BankProcess, running_bank

READ_TIMEOUT_S = 0.5


@pytest.fixture(scope="session")
async def bank(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BankProcess]:
    async with running_bank(tmp_path_factory.mktemp("bank")) as process:
        yield process


@pytest.fixture
async def http(bank: BankProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=bank.url, trust_env=False, timeout=20.0) as client:
        yield client
        await client.delete("/admin/faults")


@pytest.fixture
async def cardholder(http: httpx.AsyncClient) -> Cardholder:
    return Cardholder(http)


@pytest.fixture
async def client(bank: BankProcess) -> AsyncIterator[BankClient]:
    async with BankClient(bank.url, Timeouts(read_s=READ_TIMEOUT_S)) as client:
        yield client


@pytest.fixture
async def gateway(client: BankClient) -> SandboxGateway:
    return SandboxGateway(client)


@pytest.fixture
async def rail(client: BankClient) -> SandboxRail:
    return SandboxRail(client)


@pytest.fixture
def payment_id() -> str:
    return f"pay_{secrets.token_hex(8)}"


@pytest.fixture
def new_key(payment_id: str) -> Callable[[str], str]:
    """Number the keys of a payment as its workflow does: `<payment id>:<step>:<number>`."""
    numbers = itertools.count(1)
    return lambda step: f"{payment_id}:{step}:{next(numbers)}"
