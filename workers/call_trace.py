"""Commands to running workflows stand in the trace of the call that sent them.

Invariant: it changes no command that a workflow gives, only which span it stands under: so a history replays with it and without.

The SDK's tracing puts all that a workflow ever does under the call that started it. A loan is repaid years after that, by another
call; what a repayment does is found in the trace of the repayment. The workflow does its part by carrying a command out in the
context of its handler (`workflows/command_queue.py`).
"""

from __future__ import annotations

from typing import Any

from opentelemetry import context, propagate
from temporalio.converter import PayloadConverter
from temporalio.worker import (
    HandleUpdateInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

HEADER = "_tracer-data"
"""Where `temporalio.contrib.opentelemetry.TracingInterceptor` keeps the trace of a call (its `header_key`)."""


class CallTrace(Interceptor):
    """Give it to the worker; behind the client's tracing, whose context it goes on from."""

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002, ARG002 - the SDK's
    ) -> type[WorkflowInboundInterceptor]:
        """Return what updates run through."""
        return _TracedUpdates


class _TracedUpdates(WorkflowInboundInterceptor):
    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:  # noqa: A002 - the SDK's
        header = input.headers.get(HEADER)
        if header is None:
            return await super().handle_update_handler(input)
        (carrier,) = PayloadConverter.default.from_payloads([header])
        # Never detached: a handler has a task, and so a context, of its own, which ends with it, or is thrown away elsewhere.
        context.attach(propagate.extract(carrier, context.get_current()))
        return await super().handle_update_handler(input)
