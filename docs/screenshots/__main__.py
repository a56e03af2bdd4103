"""`python -m docs.screenshots`: makes the pictures of the operators' page anew, from a real stack in a temporary folder.

Invariant: a picture is taken only when the page shows what the text beside it says. Needs Chromium (on Debian:
`apt-get install chromium fonts-dejavu-core`) and the development requirements.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

import httpx
from temporalio.client import Client

from docs.screenshots.album import Album
from docs.screenshots.browser import open_page
from docs.screenshots.situations import Play
from infra.cli.access import ensure_development_key
from infra.local.stack import LocalStack, StackOptions

IMAGES = Path(__file__).resolve().parents[1] / "images"
HTTP_TIMEOUT_S = 60.0
ENVIRONMENT = {"CLEARHOLD_GATEWAY_READ_TIMEOUT_S": "1", "CLEARHOLD_API_RUNS_PAYMENTS": "false"}
"""The lost answer is given up soon, and a payment waits when the workers are stopped; everything else is as delivered."""


async def photograph(stack: LocalStack, key: str) -> None:
    """Play the payments and take the pictures."""
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        httpx.AsyncClient(
            base_url=stack.ports.api_url, headers=headers, timeout=HTTP_TIMEOUT_S, trust_env=False
        ) as api,
        httpx.AsyncClient(base_url=stack.ports.bank_url, timeout=HTTP_TIMEOUT_S, trust_env=False) as bank,
        open_page() as page,
    ):
        temporal = await Client.connect(stack.temporal.address)
        play = Play(api, bank, temporal)
        situations = await play.play()
        album = Album(page, stack.ports.temporal_ui_url, IMAGES)
        await album.prepare()
        await album.photograph_lists()
        await album.photograph_waiting(situations.waiting)
        await album.photograph_succeeded(situations.succeeded)
        await album.photograph_unknown(situations.unknown)
        await album.photograph_review(situations.review)
        await play.wait_for_status(situations.review, "canceled")
        await album.photograph_resolved(situations.review)
        await play.heal_bank()
        await play.wait_for_status(situations.unknown, "succeeded")
        await album.photograph_schedule()
        await asyncio.to_thread(stack.stop_part, "worker-1")
        await album.photograph_no_workers(await play.start_without_worker())


def main() -> None:
    """Run a stack and photograph it."""
    folder = Path(tempfile.mkdtemp(prefix="clearhold-screenshots-"))
    try:
        with LocalStack(StackOptions(folder, durable=False, environment=ENVIRONMENT)) as stack:
            stack.start()
            key = ensure_development_key(folder, stack.postgres.owner_url())
            asyncio.run(photograph(stack, key))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
