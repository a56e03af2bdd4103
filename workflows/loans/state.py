"""What one run of a loan hands on to the next, small enough for Temporal however long the loan is.

A payload of more than two megabytes is refused, and a loan of fifty weekly years would come near. So a large state is carried
compressed; a small one stays readable in the Temporal UI.

Invariant: what is unpacked is what was packed.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from workflows.loans.messages import LoanOrder, LoanState

READABLE_BYTES_MAX = 64 * 1024


class Converter(Protocol):
    """What turns values into payloads: `workflow.payload_converter()`."""

    def to_payloads(self, values: Sequence[Any], /) -> list[Any]:
        """Return a payload for each value."""
        ...

    def from_payloads(self, payloads: Sequence[Any], type_hints: list[type] | None = None, /) -> list[Any]:
        """Return a value of its type for each payload."""
        ...


def hand_on(order: LoanOrder, state: LoanState, converter: Converter) -> LoanOrder:
    """Return the order of the next run."""
    (payload,) = converter.to_payloads([state])
    if len(payload.data) <= READABLE_BYTES_MAX:
        return replace(order, state=state, packed=None)
    packed = base64.b64encode(zlib.compress(payload.data)).decode()
    return replace(order, state=None, packed=packed)


def carried(order: LoanOrder, converter: Converter) -> LoanState | None:
    """Return the state that an order carries; None for a new loan."""
    if order.packed is None:
        return order.state
    (payload,) = converter.to_payloads([{}])  # a payload of the converter's own kind
    payload.data = zlib.decompress(base64.b64decode(order.packed))
    state: LoanState
    (state,) = converter.from_payloads([payload], [LoanState])
    return state
