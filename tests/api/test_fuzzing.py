"""The running API, fuzzed from its own description."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import httpx

from tests.support.api_process import REPOSITORY, running_api
from tests.support.api_world import ApiWorld, new_key

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
PATHS = "^/(v1/(payments|refunds|accounts)|livez|readyz)"
"""Loans are served by workers of their own, and fuzzed with their tests."""

PHASES = "examples,coverage,fuzzing,stateful"
OPERATIONS = 21
EXAMPLES_PER_OPERATION = 25
SEED = 20_261_123
PATIENCE_S = 240.0


async def _fuzz(url: str, token: str, directory: Path) -> tuple[int, str]:
    fuzzer = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION),
        "run", f"{url}/openapi.json", "--include-path-regex", PATHS,
        "--checks", "all", "--phases", PHASES, "--seed", str(SEED), "--no-color",
        "--max-examples", str(EXAMPLES_PER_OPERATION), "--generation-database", "none", "--continue-on-failure",
        cwd=directory, env={**os.environ, "CLEARHOLD_TEST_API_KEY": token, "PYTHONPATH": str(REPOSITORY)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        said, _ = await asyncio.wait_for(fuzzer.communicate(), PATIENCE_S)
    finally:
        if fuzzer.returncode is None:
            fuzzer.kill()
            await fuzzer.wait()
    return fuzzer.returncode or 0, said.decode()


async def test_the_api_holds_to_its_description_whatever_is_sent(world: ApiWorld, tmp_path: Path) -> None:
    """Every check of the fuzzer: no server error, only described statuses, types, headers and shapes; what violates the
    description is refused and what fits it is not; keys are needed; methods are as told; nothing is used after its end."""
    await world.open_account("acct_merchant")
    for account in ("acct_shop", "acct_guest"):
        await world.open_account(account, "JPY")
    await world.fund("acct_guest", 1_000_000_000, "JPY")
    async with running_api(world.settings, tmp_path) as api:
        status, said = await _fuzz(api.url, world.token, tmp_path)
        assert status == 0, said
        assert f"{OPERATIONS} selected" in said
        assert await world.count("payments") > 0
        assert "request failed" not in api.log_file.read_text()


async def test_a_process_told_to_stop_finishes_what_it_has_and_ends_well(world: ApiWorld, tmp_path: Path) -> None:
    async with running_api(world.settings, tmp_path) as api:
        headers = {"Authorization": f"Bearer {world.token}", "Idempotency-Key": new_key()}
        body = {
            "amount": 1,
            "currency": "USD",
            "account": "merchant",
            "payment_method": {"type": "card", "token": "tok_1"},
        }
        async with httpx.AsyncClient(base_url=api.url, headers=headers, trust_env=False, timeout=30) as http:
            world.gateway.reached.clear()
            under_way = asyncio.create_task(http.post("/v1/payments", json=body))
            await asyncio.wait_for(world.gateway.reached.wait(), 30)
            status = await api.stop(signal.SIGTERM)
            answer = await under_way
        assert (status, answer.status_code) == (0, 201)
        assert "Traceback" not in api.log_file.read_text()
