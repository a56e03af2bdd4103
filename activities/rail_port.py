"""What a loan asks of a bank rail: a payout to an account, a collection against a mandate, and an inquiry.

Invariant: as with a card gateway, a definite answer is a `RailResult` (a rejection included), and an exception's class
says whether money may have moved:

    RailError
    ├── RailRejected         refused for good, nothing happened: our request is wrong
    ├── RailUnavailable      never left this process: nothing happened, safe to send
    └── RailOutcomeUnknown   may or may not have happened: inquire first

A resend always carries the same key: an inquiry that answers None may have overtaken the request it asks about.
Status words are ISO 20022 external payment transaction status codes, reasons ISO 20022 external status reason codes,
and return codes those of NACHA.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class RailOperation(StrEnum):
    """Direction of a transfer, seen from us: a payout leaves, a collection comes in."""

    PAYOUT = "payout"
    COLLECTION = "collection"


class RailOutcome(StrEnum):
    """How the rail decided."""

    SETTLED = "settled"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class PayoutRequest:
    """Send `amount_minor` (minor units of `currency`) to `account`, an account token (`acct_...`) or an IBAN."""

    key: str
    reference: str
    amount_minor: int
    currency: str
    account: str


@dataclass(frozen=True, slots=True)
class CollectionRequest:
    """Pull `amount_minor` (minor units of `currency`) by direct debit under `mandate` (`mdt_...`)."""

    key: str
    reference: str
    amount_minor: int
    currency: str
    mandate: str


@dataclass(frozen=True, slots=True)
class RailResult:
    """One definite answer of the rail.

    `status` is ACSC or RJCT. A rejection has a `reason` in words, a `return_code` (NACHA) and, where ISO 20022 has an
    equivalent among the codes in use, a `reason_code`.
    """

    operation: RailOperation
    outcome: RailOutcome
    rail_reference: str
    amount_minor: int
    currency: str
    status: str
    reason: str | None = None
    reason_code: str | None = None
    return_code: str | None = None
    replayed: bool = False


class RailError(Exception):
    """No definite answer came of a request; the subclass says what is known."""


class RailRejected(RailError):
    """The rail refused the request itself and did nothing. Repeating it unchanged cannot succeed.

    `status` is the HTTP status (or 0), `code` the rail's stable word for the reason.
    """

    def __init__(self, code: str, detail: str, status: int = 0) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.status = status


class RailUnavailable(RailError):
    """The request was not sent, or was turned away unread: nothing happened."""


class RailOutcomeUnknown(RailError):
    """The request left and no usable answer came back: inquire with its key."""


class BankRail(Protocol):
    """A rail for bank transfers. Each method returns a definite `RailResult` or raises a `RailError`."""

    async def pay_out(self, request: PayoutRequest) -> RailResult:
        """Send money to an account."""
        ...

    async def collect(self, request: CollectionRequest) -> RailResult:
        """Pull money under a direct debit mandate."""
        ...

    async def inquire(self, key: str) -> RailResult | None:
        """Return the stored answer for `key`, or None when the rail has not seen it (so far).

        Raises `RailOutcomeUnknown` for every failure to get an answer, an unreachable rail included.
        """
        ...
