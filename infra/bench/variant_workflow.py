"""A workflow of trivial steps, to price each of Temporal's means on its own: what a payment is made of, with nothing in it.

Invariant: its steps do nothing, so what it costs beyond the empty workflow is the price of the means.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.common import SearchAttributeKey

PAYMENT_STATUS = SearchAttributeKey.for_keyword("PaymentStatus")
STEP_TIMEOUT = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the workflow does. `local_steps` and `ordinary_steps` are activities, an ordinary one after the first local one.

    `together` runs the local ones at the same time; `attributes` upserts a search attribute once; `details` sets the details
    that operators see, after each step.
    """

    local_steps: int = 0
    ordinary_steps: int = 0
    together: bool = False
    attributes: bool = False
    details: bool = False


@activity.defn
async def local_step(number: int) -> int:
    """Return the number."""
    return number


@activity.defn
async def ordinary_step(number: int) -> int:
    """Return the number."""
    return number


@workflow.defn
class VariantWorkflow:
    """Follows a recipe."""

    def __init__(self) -> None:
        self._done = False

    @workflow.run
    async def run(self, recipe: Recipe) -> str:
        """Take all steps and return a word."""
        if recipe.together:
            await asyncio.gather(*(self._local(number) for number in range(recipe.local_steps)))
        else:
            await self._in_turn(recipe)
        if recipe.attributes:
            workflow.upsert_search_attributes([PAYMENT_STATUS.value_set("succeeded")])
        self._done = True
        await workflow.wait_condition(workflow.all_handlers_finished)
        return "done"

    @workflow.update
    async def submit(self) -> str:
        """Return a word when the steps are done."""
        await workflow.wait_condition(lambda: self._done)
        return "done"

    async def _in_turn(self, recipe: Recipe) -> None:
        for number in range(max(recipe.local_steps, recipe.ordinary_steps)):
            if number < recipe.local_steps:
                await self._local(number)
            if number < recipe.ordinary_steps:
                await workflow.execute_activity(ordinary_step, number, start_to_close_timeout=STEP_TIMEOUT)
            if recipe.details:
                workflow.set_current_details(f"**Step {number}** is done.\n\nNothing waits.")

    async def _local(self, number: int) -> None:
        await workflow.execute_local_activity(local_step, number, start_to_close_timeout=STEP_TIMEOUT)
