"""A stack for the crash tests of loans, whose worker has a connection for each step that a test holds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from infra.drill.keys import make_key
from infra.local.stack import LocalStack, StackOptions
from tests.e2e.conftest import KILLABLE
from tests.e2e.loans.gates import Gates
from tests.e2e.loans.lending import Lending, desk
from tests.e2e.scene import Scene

HELD_STEPS_MAX = {"CLEARHOLD_DATABASE_POOL_MAX": "40", "CLEARHOLD_DATABASE_LOCK_TIMEOUT_S": "9"}


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """Everything, each part a process of its own, over a folder that vanishes."""
    options = StackOptions(
        tmp_path_factory.mktemp("stack"), durable=False, postgres_settings=KILLABLE, environment=HELD_STEPS_MAX
    )
    with LocalStack(options) as running:
        running.start()
        yield running


@pytest.fixture(scope="module")
async def lending(scene: Scene) -> AsyncIterator[Lending]:
    """Two of the lender's people over the stack, and gates in its database."""
    gates = Gates(scene.stack)
    await gates.install()
    key = await make_key(scene.stack.postgres.owner_url(), "loans")
    async with desk(scene, key, "ana") as maker, desk(scene, key, "ben") as checker:
        yield Lending(scene, gates, maker, checker)
