"""Where the next page begins, as an opaque text.

Invariant: a cursor holds a position and nothing else; one that is not ours is refused.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Query

from api import problems
from api.problems import Problem
from domain.payments.payment import Payment
from infra.postgres.payment_reads import Position

Cursor = Annotated[str | None, Query(description="`next_cursor` of the page before.", max_length=200)]
"""The query parameter of every list."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PAYMENT = re.compile(r"([0-9]{1,17}):(pay_[a-z0-9]{1,60})")
_LOAN = re.compile(r"([0-9]{1,17}):(ln_[a-z0-9]{1,60})")
_NUMBER = re.compile(r"n([0-9]{1,19})")


def payment_cursor(last: Payment) -> str:
    """Return the cursor of the page after this payment."""
    return _moment_cursor(last.created_at, last.id)


def payment_position(cursor: str) -> Position:
    """Return where the page begins. Raises Problem 400."""
    return _moment_position(_PAYMENT, cursor)


def loan_cursor(created_at: datetime, loan_id: str) -> str:
    """Return the cursor of the page after this loan."""
    return _moment_cursor(created_at, loan_id)


def loan_position(cursor: str) -> Position:
    """Return where the page begins. Raises Problem 400."""
    return _moment_position(_LOAN, cursor)


def number_cursor(last: int) -> str:
    """Return the cursor of the page after the row of that number."""
    return _encode(f"n{last}")


def number_position(cursor: str) -> int:
    """Return where the page begins. Raises Problem 400."""
    match = _NUMBER.fullmatch(_decode(cursor))
    if match is None or int(match[1]) >= 2**63:
        raise _invalid()
    return int(match[1])


def _moment_cursor(at: datetime, resource_id: str) -> str:
    return _encode(f"{(at - _EPOCH) // _MICROSECOND}:{resource_id}")


def _moment_position(pattern: re.Pattern[str], cursor: str) -> Position:
    match = pattern.fullmatch(_decode(cursor))
    if match is None:
        raise _invalid()
    return _EPOCH + int(match[1]) * _MICROSECOND, match[2]


def _encode(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(cursor: str) -> str:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
    except (UnicodeError, binascii.Error):
        raise _invalid() from None


def _invalid() -> Problem:
    return Problem(problems.INVALID_CURSOR, "This cursor is not one that this API gave.")
