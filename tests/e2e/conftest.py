"""One whole stack for the crash tests: real processes, killed with SIGKILL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from infra.drill.caller import open_caller
from infra.drill.keys import make_key
from infra.local.stack import LocalStack, StackOptions
from tests.e2e.scene import Scene

KILLABLE = {"synchronous_commit": "on"}
"""A killed server keeps what it acknowledged when that was handed to the kernel; only a loss of power asks for fsync."""


WITHIN, APART = "payments within the API", "payments in workers of their own"
"""Where payments run."""

BOTH = pytest.mark.parametrize("stack", [WITHIN, APART], indirect=True, scope="module")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[LocalStack]:
    """Everything, each part a process of its own, over a folder that vanishes; payments run where the tests say (WITHIN)."""
    folder: Path = tmp_path_factory.mktemp("stack")
    environment = {"CLEARHOLD_API_RUNS_PAYMENTS": str(getattr(request, "param", WITHIN) == WITHIN)}
    options = StackOptions(folder, durable=False, postgres_settings=KILLABLE, environment=environment)
    with LocalStack(options) as running:
        running.start()
        yield running


@pytest.fixture(scope="module")
async def scene(stack: LocalStack) -> AsyncIterator[Scene]:
    """The stack, and a client with a key of its own."""
    key = await make_key(stack.postgres.owner_url(), "crash tests")
    async with open_caller(stack.ports.api_url, stack.ports.bank_url, key) as caller:
        yield Scene(stack, caller)
