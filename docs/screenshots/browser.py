"""Headless Chromium over its debugging pipe: opens pages, waits until they show something, and takes pictures.

Invariant: nothing is photographed before a named text is on the page, so no picture shows a page half loaded. The browser has
a profile of its own, which vanishes with it, and talks to this machine only.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fcntl import F_DUPFD, fcntl
from pathlib import Path
from typing import Any

BINARIES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
READ_FD, WRITE_FD, FIRST_OTHER_FD = 3, 4, 10
"""Where Chromium reads commands and writes events, as `--remote-debugging-pipe` fixes it; ours lie above."""

ANSWER_LIMIT_BYTES = 64 * 1024 * 1024
COMMAND_TIMEOUT_S = 30.0
CONTENT_TIMEOUT_S = 30.0
POLL_INTERVAL_S = 0.1
STOP_TIMEOUT_S = 10.0


class BrowserError(Exception):
    """The browser is missing, refused a command, or never showed what was waited for."""


@dataclass(frozen=True, slots=True)
class Box:
    """Part of a page, in CSS pixels."""

    x: float
    y: float
    width: float
    height: float


@dataclass
class Page:
    """One tab."""

    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter
    _session: str = ""
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    async def command(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command of the DevTools protocol and return its result. Raises BrowserError."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._writer.write(json.dumps(message).encode() + b"\0")
        async with asyncio.timeout(COMMAND_TIMEOUT_S):
            while True:
                answer: dict[str, Any] = json.loads((await self._reader.readuntil(b"\0"))[:-1])
                if answer.get("id") == number:
                    break
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def attach(self) -> None:
        """Open the tab."""
        target = await self.command("Target.createTarget", url="about:blank")
        attached = await self.command("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]

    async def close(self) -> None:
        """End the browser."""
        self._session = ""
        await self.command("Browser.close")

    async def resize(self, width: int, height: int) -> None:
        """Give the page a size in CSS pixels."""
        await self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    async def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page."""
        answer = await self.command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise BrowserError(f"{expression}: {answer['exceptionDetails'].get('exception', {}).get('description')}")
        return answer["result"].get("value")

    async def open(self, url: str, *texts: str) -> None:
        """Go to an address and wait until the page shows each of the texts."""
        await self.command("Page.navigate", url=url)
        for text in texts:
            await self.wait_for_text(text)

    async def wait_for(self, expression: str, what: str) -> None:
        """Return once the expression is true. Raises BrowserError after the bound."""
        try:
            async with asyncio.timeout(CONTENT_TIMEOUT_S):
                while not await self.evaluate(f"Boolean({expression})"):  # noqa: ASYNC110 - a page has no event for it
                    await asyncio.sleep(POLL_INTERVAL_S)
        except TimeoutError:
            shown = await self.evaluate("document.body.innerText")
            raise BrowserError(f"{what}: not within {CONTENT_TIMEOUT_S:g} s; the page shows:\n{shown}") from None

    async def wait_for_text(self, text: str) -> None:
        """Return once the page shows the text."""
        await self.wait_for(f"document.body?.innerText.includes({json.dumps(text)})", f"the text {text!r}")

    async def box_of(self, selector: str) -> Box:
        """Return where the first element of the selector is."""
        await self.wait_for(f"document.querySelector({json.dumps(selector)})", selector)
        return Box(
            **await self.evaluate(
                f"(() => {{ const b = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
                " return {x: b.x, y: b.y, width: b.width, height: b.height} })()"
            )
        )

    async def picture(self, box: Box) -> bytes:
        """Return that part of the page as PNG."""
        clip = {"x": box.x, "y": box.y, "width": box.width, "height": box.height, "scale": 1}
        answer = await self.command("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        return base64.b64decode(answer["data"])


def find_browser() -> str:
    """Return the browser's program. Raises BrowserError naming the package when there is none."""
    for name in BINARIES:
        path = shutil.which(name)
        if path is not None:
            return path
    raise BrowserError("no Chromium found; on Debian: apt-get install chromium fonts-dejavu-core")


@asynccontextmanager
async def open_page() -> AsyncIterator[Page]:
    """Start a browser with one tab; both are gone afterwards."""
    program, profile = find_browser(), Path(tempfile.mkdtemp(prefix="clearhold-browser-"))
    commands_read, commands_write = _pipe()
    events_read, events_write = _pipe()

    def place() -> None:
        os.dup2(commands_read, READ_FD)
        os.dup2(events_write, WRITE_FD)

    process = await asyncio.create_subprocess_exec(
        program,
        *FLAGS,
        f"--user-data-dir={profile}",
        preexec_fn=place,
        pass_fds=(READ_FD, WRITE_FD),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    os.close(commands_read)
    os.close(events_write)
    try:
        page = Page(await _reader(events_read), await _writer(commands_write))
        await page.attach()
        yield page
        await page.close()
    finally:
        try:
            await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            process.kill()
            await process.wait()
        shutil.rmtree(profile, ignore_errors=True)


def _pipe() -> tuple[int, int]:
    """Return a pipe whose ends lie above the numbers Chromium wants."""
    ends = os.pipe()
    moved = fcntl(ends[0], F_DUPFD, FIRST_OTHER_FD), fcntl(ends[1], F_DUPFD, FIRST_OTHER_FD)
    for end in ends:
        os.close(end)
    return moved


async def _reader(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=ANSWER_LIMIT_BYTES)
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(descriptor, "rb", 0))
    return reader


async def _writer(descriptor: int) -> asyncio.StreamWriter:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.streams.FlowControlMixin(loop=loop), os.fdopen(descriptor, "wb", 0)
    )
    return asyncio.StreamWriter(transport, protocol, None, loop)
