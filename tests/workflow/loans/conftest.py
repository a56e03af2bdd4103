"""A world of fakes for each loan test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client

from tests.support.loan_world import LoanWorld, loan_world


@pytest.fixture
async def loans(client: Client) -> AsyncIterator[LoanWorld]:
    async with loan_world(client) as made:
        yield made
