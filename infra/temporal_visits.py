"""What the SDK does with each payload of a workflow task before and after the workflow sees it, left out where it is nothing.

It goes through every message three times each way, for a codec and for storage outside of Temporal, also when a worker has
neither. That was a tenth of a worker's CPU (docs/performance).

Invariant: with a codec or a storage the SDK's own functions run, unchanged.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from temporalio.bridge import worker as bridge
from temporalio.converter import DataConverter
from temporalio.converter._extstore import StorageOperationMetrics

Visit = Callable[..., Awaitable[StorageOperationMetrics]]
"""`decode_activation` or `encode_completion`: a message, its converter, two options; it changes payloads in place."""

NAMES = ("decode_activation", "encode_completion")


def skip_idle_visits() -> None:
    """Let this process's workers leave out what has no effect. Calling it again changes nothing."""
    for name in NAMES:
        visit = getattr(bridge, name)
        if not hasattr(visit, "__wrapped__"):
            setattr(bridge, name, _unless_idle(visit))


def _unless_idle(visit: Visit) -> Visit:
    @wraps(visit)
    async def visited(
        message: Any, data_converter: DataConverter, *options: Any, **named: Any
    ) -> StorageOperationMetrics:
        if data_converter.payload_codec is None and data_converter.external_storage is None:
            return StorageOperationMetrics()
        return await visit(message, data_converter, *options, **named)

    return visited
