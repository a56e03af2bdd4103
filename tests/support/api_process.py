"""`python -m api` as a real process on a free loopback port.

Invariant: no process outlives `running_api`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from infra.local.ports import PortAllocator
from infra.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
POLL_INTERVAL_S = 0.05
_HANDED_ON = (
    "database_url",
    "temporal_address",
    "temporal_ui_url",
    "payment_task_queue",
    "loan_task_queue",
    "api_in_flight_max",
    "api_shutdown_grace_s",
)


@dataclass(slots=True)
class ApiProcess:
    """A running API."""

    process: asyncio.subprocess.Process
    url: str
    log_file: Path

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Signal the process, wait for its end, and return its exit status."""
        if self.process.returncode is None:
            self.process.send_signal(how)
        return await asyncio.wait_for(self.process.wait(), STOP_TIMEOUT_S)


@asynccontextmanager
async def running_api(settings: Settings, directory: Path) -> AsyncIterator[ApiProcess]:
    """Run an API with these settings for the length of the block, and wait until it answers."""
    port = PortAllocator().free()
    named = {f"CLEARHOLD_{name.upper()}": str(getattr(settings, name)) for name in _HANDED_ON}
    environment = {**os.environ, **named, "CLEARHOLD_API_PORT": str(port)}
    log_file = directory / f"api-{port}.log"
    with log_file.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-W", "error::RuntimeWarning", "-m", "api", cwd=REPOSITORY, env=environment, stdout=log, stderr=log
        )  # fmt: skip
    api = ApiProcess(process, f"http://127.0.0.1:{port}", log_file)
    try:
        async with asyncio.timeout(START_TIMEOUT_S), httpx.AsyncClient(trust_env=False) as http:
            while not await _answers(api, http):
                await asyncio.sleep(POLL_INTERVAL_S)
        yield api
    finally:
        if process.returncode is None:
            try:
                await api.stop()
            except TimeoutError:
                process.kill()
                await process.wait()


async def _answers(api: ApiProcess, http: httpx.AsyncClient) -> bool:
    if api.process.returncode is not None:
        raise RuntimeError(f"the API ended with {api.process.returncode}:\n{api.log_file.read_text()}")
    try:
        return (await http.get(f"{api.url}/livez")).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
