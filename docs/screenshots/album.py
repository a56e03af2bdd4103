"""The pictures: which page of the Temporal UI each shows, and what must be on it.

Invariant: a picture ends above the first path of the machine it was taken on (stack traces hold such), and is small enough to
live in the repository.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from docs.screenshots.browser import Box, Page

NAMESPACE = "default"
WIDTH, NARROW, HEIGHT = 1300, 1180, 3200
"""So high that a whole history is drawn."""

SIDEBAR, TOP, MARGIN = 64, 50, 12
"""What is left out of every picture (the UI's own navigation), and what is left around; in CSS pixels."""

COLORS = 128
MAX_BYTES = 150_000
COLUMNS = ("Status", "Workflow ID", "PaymentStatus", "Amount", "Currency", "AccountId")
RESOLUTION = {"actor": "on-call", "outcome": "canceled", "note": "Voided in the bank's portal; nothing was captured."}

STILL = """addEventListener('DOMContentLoaded', () => {
  const style = document.createElement('style');
  style.textContent = '*{transition:none!important;animation:none!important}[aria-label^="Scroll to"]{display:none!important}';
  document.head.append(style);
})"""
"""Nothing moves while it is photographed, and the button that scrolls hides nothing."""

FINISH_MOVING = """new Promise(done => {
  for (const each of document.getAnimations()) { try { each.finish() } catch { each.cancel() } }
  requestAnimationFrame(() => requestAnimationFrame(done));
})"""
"""What the page's own scripts move is put where it was going."""

_DIALOG = "dialog[open]"
_MARKDOWN = "[...document.querySelectorAll('iframe')].map(each => each.contentDocument?.body?.innerText ?? '').join()"
_EVERYTHING = f"document.body.innerText + {_MARKDOWN}"
"""The text of the page and of the frames in which the UI shows Markdown."""

_INNERMOST = """text => {
  const shows = each => each.offsetParent !== null && each.innerText?.includes(text);
  const found = [...document.querySelectorAll('main *')].find(
    each => shows(each) && ![...each.children].some(shows));
  const box = found.getBoundingClientRect();
  return {top: box.top, bottom: box.bottom};
}"""
"""Where the first element that shows a text itself lies on the page."""


class Album:
    """Takes pictures of one Temporal UI."""

    def __init__(self, page: Page, ui_url: str, folder: Path) -> None:
        self._page, self._ui, self._folder = page, f"{ui_url}/namespaces/{NAMESPACE}", folder

    async def prepare(self) -> None:
        """Show payments in the list's columns, as an operator does once with the list's gear, and histories from the start."""
        self._folder.mkdir(exist_ok=True)
        await self._page.resize(WIDTH, HEIGHT)
        await self._page.command("Page.addScriptToEvaluateOnNewDocument", source=STILL)
        await self._page.open(f"{self._ui}/workflows", "Add Filter")
        columns = json.dumps({NAMESPACE: [{"label": name} for name in COLUMNS]})
        await self._page.evaluate(f"localStorage.setItem('namespace-workflow-table-columns', {json.dumps(columns)})")
        await self._press("Collapse saved views")

    async def photograph_lists(self) -> None:
        """The list under three filters."""
        await self._list("AccountId = 'cdnow'", "list", "requires_action", 620)
        await self._list("NeedsReview = true", "list-needs-review", "needs_review", 310)
        await self._list("PaymentStatus = 'requires_capture'", "list-requires-capture", "requires_capture", 310)

    async def photograph_waiting(self, payment: str) -> None:
        """What a payment that waits for its capture says of itself."""
        await self._open(payment, "user-metadata", "Waits for", "requires_capture", "Card payment of")
        await self._take("waiting", TOP, await self._top_of("Events with Metadata") - 2 * MARGIN)

    async def photograph_succeeded(self, payment: str) -> None:
        """The history of a payment that went well, event by event."""
        await self._open(payment, "history", "Event History", "authorized and captured")
        await self._press("Descending")  # the button names the present order
        await self._page.wait_for_text("Ascending")
        await self._take(
            "history-succeeded",
            await self._top_of("Event History"),
            await self._bottom_of("Workflow Execution Completed"),
        )

    async def photograph_unknown(self, payment: str) -> None:
        """A payment whose answer was lost: its timeline, and the activity that asks."""
        await self._open(payment, "history", "Event History", "No answer to the authorize", "Pending Activity")
        await self._take(
            "unknown-history", await self._top_of("Event History"), await self._bottom_of("Pending Activity")
        )
        await self._page.resize(NARROW, HEIGHT)  # the failure stands below, and its stack trace can be left out
        await self._open(payment, "pending-activities", "Last Failure", "inquiry failed")
        await self._take("unknown-pending", TOP, await self._bottom_of('"message"'), NARROW)
        await self._page.resize(WIDTH, HEIGHT)

    async def photograph_review(self, payment: str) -> None:
        """A payment that needs a person, and the dialog that ends it; the dialog is sent."""
        await self._open(payment, "user-metadata", "needs_review", "could not reverse", "Card payment of")
        await self._take("review", TOP, await self._top_of("Events with Metadata") - 2 * MARGIN)
        await self._press("More Actions")
        await self._press("Send an Update")
        await self._click(f"{_DIALOG} [data-testid=update-select-button]")
        await self._press("resolve")
        await self._page.evaluate(f"document.querySelector('{_DIALOG} .cm-content').focus()")
        await self._page.command("Input.insertText", text=json.dumps(RESOLUTION))
        await self._page.wait_for_text("Voided in the bank")
        await self._save("review-update", await self._page.box_of(_DIALOG))
        await self._press("Submit")

    async def photograph_resolved(self, payment: str) -> None:
        """The same payment afterwards."""
        await self._open(payment, "history", "Completed", "Resolved as canceled")
        top = await self._top_of("could not reverse the authorization")
        await self._take("review-resolved", top - MARGIN / 2, await self._bottom_of("Workflow Execution Completed"))

    async def photograph_schedule(self) -> None:
        """The schedule of reconciliation."""
        await self._page.open(f"{self._ui}/schedules/reconciliation", "Recent Runs", "Upcoming Runs", "Completed")
        await self._take("schedule", TOP, await self._bottom_of('"interval"') + 2 * MARGIN)

    async def photograph_no_workers(self, payment: str) -> None:
        """A payment that was taken while no worker ran."""
        await self._open(payment, "history", "Event History", "Workflow Task Scheduled")
        top = await self._top_of("Event History")
        await self._take("no-workers", top, await self._bottom_of("Workflow Task Scheduled"))

    # How

    async def _list(self, query: str, name: str, text: str, bottom: float) -> None:
        await self._page.open(f"{self._ui}/workflows?query={quote(query)}", "Add Filter", text)
        await self._click("[data-testid=toggle-manual-query]")
        await self._take(name, TOP, bottom)

    async def _open(self, workflow_id: str, tab: str, *texts: str) -> None:
        link = f"document.querySelector('a[href$=\"/{tab}\"]')"
        await self._page.open(f"{self._ui}/workflows/{workflow_id}", "User Metadata")
        await self._page.wait_for(link, f"the tab {tab}")
        await self._page.evaluate(f"{link}.click()")
        for text in texts:
            await self._page.wait_for(f"({_EVERYTHING}).includes({json.dumps(text)})", f"the text {text!r}")

    async def _press(self, label: str) -> None:
        found = (
            "[...document.querySelectorAll('button, [role=option], [role=menuitem]')].find(each => each.offsetParent && "
            f"[each.innerText.trim(), each.getAttribute('aria-label')].includes({json.dumps(label)}))"
        )
        await self._page.wait_for(found, f"the button {label!r}")
        await self._page.evaluate(f"{found}.click()")

    async def _click(self, selector: str) -> None:
        await self._page.box_of(selector)
        await self._page.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    async def _top_of(self, text: str) -> float:
        return float(await self._page.evaluate(f"({_INNERMOST})({json.dumps(text)}).top"))

    async def _bottom_of(self, text: str) -> float:
        return float(await self._page.evaluate(f"({_INNERMOST})({json.dumps(text)}).bottom"))

    async def _take(self, name: str, top: float, bottom: float, width: float = WIDTH) -> None:
        await self._save(name, Box(SIDEBAR, top, width - SIDEBAR, bottom - top + MARGIN))

    async def _save(self, name: str, box: Box) -> None:
        """Write `<name>.png`. Raises RuntimeError when it is too large."""
        path = self._folder / f"{name}.png"
        await self._page.evaluate(FINISH_MOVING)
        with Image.open(io.BytesIO(await self._page.picture(box))) as picture:
            picture.convert("RGB").quantize(COLORS).save(path, optimize=True)
        if path.stat().st_size > MAX_BYTES:
            raise RuntimeError(f"{path} has {path.stat().st_size} bytes, more than {MAX_BYTES}")
