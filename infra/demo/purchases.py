"""Real purchases of an online shop, and what the demonstration does with each.

Invariant: the plan is a function of the file alone, so every run plays the same payments and expects the same outcomes.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from domain.money import Money

PURCHASES = Path(__file__).resolve().parents[2] / "examples" / "purchases.csv"
CURRENCY = "USD"

GOOD_CARD = "4242424242424242"
CHALLENGED_CARD = "4000002760003184"
DECLINED_CARDS = {
    "4000000000000002": "card_declined",
    "4000000000009995": "insufficient_funds",
    "4000000000000069": "expired_card",
    "4000000000000127": "incorrect_cvc",
    "4000000000000119": "processing_error",
}


class Story(StrEnum):
    """What happens to a payment."""

    PAID = "paid at once"
    DECLINED = "declined"
    OTHER_CARD = "declined, then another card"
    CHALLENGED = "cardholder challenged"
    CAPTURED = "captured by hand"
    CAPTURED_PARTLY = "captured in part"
    CAPTURED_TWICE = "captured in two parts"
    CANCELED = "authorized, then canceled"
    REFUNDED = "refunded"
    REFUNDED_PARTLY = "refunded in two parts"


_STORIES = (
    *(Story.PAID,) * 9,
    Story.DECLINED,
    Story.OTHER_CARD,
    Story.CHALLENGED,
    Story.CAPTURED,
    Story.CAPTURED_PARTLY,
    Story.CAPTURED_TWICE,
    Story.CANCELED,
    Story.REFUNDED,
    Story.REFUNDED_PARTLY,
    Story.DECLINED,
    Story.PAID,
)

_ENDS = {
    Story.DECLINED: "failed",
    Story.CANCELED: "canceled",
    Story.CAPTURED_PARTLY: "partially_captured",
}


@dataclass(frozen=True, slots=True)
class Purchase:
    """One purchase of the file: who, when (YYYY-MM-DD), how many items, for how much (cents)."""

    number: int
    customer: str
    purchased_on: str
    items: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A purchase, what happens to it, and how it must end."""

    purchase: Purchase
    story: Story

    @property
    def key(self) -> str:
        """The idempotency key of its payment."""
        return f"purchase-{self.purchase.number}"

    @property
    def card(self) -> str:
        """The test card it starts with."""
        if self.story in (Story.DECLINED, Story.OTHER_CARD):
            return list(DECLINED_CARDS)[self.purchase.number % len(DECLINED_CARDS)]
        return CHALLENGED_CARD if self.story is Story.CHALLENGED else GOOD_CARD

    @property
    def by_hand(self) -> bool:
        """Whether it is captured by hand."""
        return self.story in (Story.CAPTURED, Story.CAPTURED_PARTLY, Story.CAPTURED_TWICE, Story.CANCELED)

    @property
    def part_minor(self) -> int:
        """The first part of what is captured or refunded in parts: about a third, at least one cent."""
        return max(1, self.purchase.amount_minor // 3)

    @property
    def status(self) -> str:
        """The status it must end with."""
        return _ENDS.get(self.story, "succeeded")

    @property
    def captured_minor(self) -> int:
        """What must be captured."""
        if self.story in (Story.DECLINED, Story.CANCELED):
            return 0
        return self.part_minor if self.story is Story.CAPTURED_PARTLY else self.purchase.amount_minor

    @property
    def refunded_minor(self) -> int:
        """What must be refunded."""
        if self.story is Story.REFUNDED:
            return self.captured_minor
        return 2 * self.part_minor if self.story is Story.REFUNDED_PARTLY else 0

    @property
    def net_minor(self) -> int:
        """What must remain with the merchant, at the bank and in the ledger alike."""
        return self.captured_minor - self.refunded_minor


def read_purchases(path: Path = PURCHASES) -> list[Purchase]:
    """Read every purchase of the file."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Purchase(
                number,
                row["customer"],
                row["purchased_on"],
                int(row["items"]),
                Money.from_major(row["amount_usd"], CURRENCY).minor,
            )
            for number, row in enumerate(csv.DictReader(file), start=1)
        ]


def plan_payments(purchases: list[Purchase], count: int) -> list[Plan]:
    """Plan the first `count` purchases of more than two cents, so that parts are possible."""
    payable = [purchase for purchase in purchases if purchase.amount_minor > len(("whole", "part", "part"))]
    return [Plan(purchase, _STORIES[index % len(_STORIES)]) for index, purchase in enumerate(payable[:count])]


def zero_purchases(purchases: list[Purchase]) -> list[Purchase]:
    """Return the purchases of nothing: each must be refused."""
    return [purchase for purchase in purchases if purchase.amount_minor == 0]
