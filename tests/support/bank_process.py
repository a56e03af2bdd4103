"""The sandbox bank as a real process on a free loopback port, to be stopped, killed and started again.

Invariant: the port and the data file stay the same over restarts, and no process outlives `running_bank`.
"""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

REPOSITORY = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
POLL_INTERVAL_S = 0.05


@dataclass(slots=True)
class BankProcess:
    """A bank over `directory/bank.sqlite3`, logging to `directory/bank.log`."""

    directory: Path
    port: int
    arguments: tuple[str, ...] = ()
    _process: asyncio.subprocess.Process | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def data_file(self) -> Path:
        return self.directory / "bank.sqlite3"

    @property
    def log_file(self) -> Path:
        return self.directory / "bank.log"

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the bank is not running")
        return self._process.pid

    async def start(self) -> None:
        """Start the process and wait until it answers; raises RuntimeError with its log when it does not."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "infra.bank", "--port", str(self.port), "--data", str(self.data_file),
                *self.arguments, cwd=REPOSITORY, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            async with asyncio.timeout(START_TIMEOUT_S), httpx.AsyncClient(trust_env=False) as http:
                while not await self._answers(http):
                    await asyncio.sleep(POLL_INTERVAL_S)
        except TimeoutError:
            await self.kill()
            raise RuntimeError(f"the bank did not answer in time:\n{self.log_file.read_text()}") from None

    async def kill(self) -> None:
        """End the process with SIGKILL: it gets no chance to write anything."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """End the process with SIGTERM."""
        await self._end(signal.SIGTERM)

    async def restart(self) -> None:
        """Kill the process and start another on the same memory and port."""
        await self.kill()
        await self.start()

    async def _answers(self, http: httpx.AsyncClient) -> bool:
        if self._process is None or self._process.returncode is not None:
            raise RuntimeError(f"the bank ended at once:\n{self.log_file.read_text()}")
        try:
            return (await http.get(f"{self.url}/health")).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    async def _end(self, how: signal.Signals) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        self._process.send_signal(how)
        try:
            await asyncio.wait_for(self._process.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@asynccontextmanager
async def running_bank(directory: Path, *arguments: str) -> AsyncIterator[BankProcess]:
    """Run a bank in `directory` (made when missing) for the length of the block."""
    bank = BankProcess(directory, free_port(), arguments)
    try:
        await bank.start()
        yield bank
    finally:
        await bank.stop()
