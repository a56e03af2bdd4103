"""The emptiest workflow: what a payment is measured against. It takes a text and returns it."""

from __future__ import annotations

from temporalio import workflow


@workflow.defn
class TrivialWorkflow:
    """Starts, and ends."""

    @workflow.run
    async def run(self, text: str) -> str:
        """Return the text."""
        return text
