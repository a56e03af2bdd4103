"""The loans of the running API, fuzzed from their own description."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.api.test_fuzzing import SEED
from tests.support.api_process import REPOSITORY, running_api
from tests.support.lending import Lending

PATHS = "^/v1/(loan|test_clock)"
OPERATIONS = 34
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
EXAMPLES_PER_OPERATION = 8
PATIENCE_S = 280.0


async def _fuzz(url: str, token: str, directory: Path, phases: str) -> tuple[int, str]:
    fuzzer = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION),
        "run", f"{url}/openapi.json", "--checks", "all", "--phases", phases,
        "--include-path-regex", PATHS, "--seed", str(SEED), "--no-color", "--max-examples", str(EXAMPLES_PER_OPERATION),
        "--generation-database", "none", "--continue-on-failure",
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


@pytest.mark.timeout(400)
@pytest.mark.parametrize("phases", ["examples,coverage", "fuzzing,stateful"])
async def test_the_api_of_loans_holds_to_its_description_whatever_is_sent(
    lender: Lending, tmp_path: Path, phases: str
) -> None:
    """Every check of the fuzzer, as for payments: see `tests.api.test_fuzzing`."""
    await lender.give("borrower", 100_000_000)
    async with running_api(lender.world.settings, tmp_path) as api:
        status, said = await _fuzz(api.url, lender.world.token, tmp_path, phases)
        assert status == 0, said
        assert f"{OPERATIONS} selected" in said
        assert await lender.world.count("test_clocks") > 0
        assert "coverage" not in phases or await lender.world.count("loans") > 0  # only examples name real accounts
        assert "request failed" not in api.log_file.read_text()
