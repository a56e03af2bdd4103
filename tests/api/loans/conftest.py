"""A lender over the API's world, for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.api_world import ApiWorld
from tests.support.lending import Lending, lending


@pytest.fixture
async def lender(world: ApiWorld) -> AsyncIterator[Lending]:
    async with lending(world) as made:
        yield made
