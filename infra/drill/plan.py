"""What a drill does: which payments its clients play, which parts die when, and what the bank does wrong meanwhile.

Invariant: everything here is a function of the seed, so a seed reproduces the plan. How processes interleave it cannot fix; what
must be true at the end is the same however they do.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from infra.bank.faults import FaultKind, FaultyOperation
from infra.local.stack import API, BANK, POSTGRES, TEMPORAL

CURRENCIES = ("USD", "JPY", "KWD")
WALLETS = 4
"""Wallets in each currency, filled before the drill begins."""

WALLET_FILL_MINOR = 1_000_000
"""What one fill brings: as much as one payment may."""

WALLET_FILL_LASTS_S = 1_200.0
"""How long one fill surely lasts, at the rate that one machine plays."""

AMOUNT_MIN_MINOR, AMOUNT_MAX_MINOR = 10, 2_000

GOOD_CARD = "4242424242424242"
CHALLENGED_CARD = "4000002760003184"
DECLINED_CARDS = ("4000000000000002", "4000000000009995", "4000000000000069", "4000000000000127")

FIRST_BLOW_S = 2.0
BLOW_PAUSE_S = (1.0, 10.0)
AWAY_S = (0.0, 3.0)
DOUBLE_BLOW_SHARE = 0.2
MISCHIEF_PAUSE_S = (1.0, 6.0)
MISCHIEF_DELAY_S = (0.2, 3.0)
MISCHIEF_TIMES_MAX = 3
FAULTY = (
    FaultyOperation.AUTHORIZE,
    FaultyOperation.CAPTURE,
    FaultyOperation.REFUND,
    FaultyOperation.REVERSAL,
    FaultyOperation.VOID,
    FaultyOperation.INQUIRY,
)


class Story(StrEnum):
    """What happens to a payment."""

    SALE = "paid by card"
    DECLINED = "declined"
    OTHER_CARD = "declined, then another card"
    CHALLENGED = "cardholder challenged"
    CAPTURED = "captured by hand"
    CAPTURED_PARTLY = "captured in part"
    CAPTURED_TWICE = "captured in two parts"
    CANCELED = "authorized, then canceled"
    CANCELED_LATE = "captured in part, the rest canceled"
    REFUNDED = "refunded"
    REFUNDED_PARTLY = "refunded in two parts"
    WALLET = "paid from a wallet"
    WALLET_CAPTURED = "reserved in a wallet, then captured in part"
    WALLET_CANCELED = "reserved in a wallet, then canceled"
    WALLET_REFUNDED = "paid from a wallet, then refunded"


_BY_HAND = frozenset(
    {
        Story.CAPTURED,
        Story.CAPTURED_PARTLY,
        Story.CAPTURED_TWICE,
        Story.CANCELED,
        Story.CANCELED_LATE,
        Story.WALLET_CAPTURED,
        Story.WALLET_CANCELED,
    }
)
_FROM_WALLET = frozenset({Story.WALLET, Story.WALLET_CAPTURED, Story.WALLET_CANCELED, Story.WALLET_REFUNDED})
_ENDS = {
    Story.DECLINED: "failed",
    Story.CANCELED: "canceled",
    Story.CANCELED_LATE: "partially_captured",
    Story.WALLET_CANCELED: "canceled",
    Story.CAPTURED_PARTLY: "partially_captured",
    Story.WALLET_CAPTURED: "partially_captured",
}
_NOTHING_CAPTURED = frozenset({Story.DECLINED, Story.CANCELED, Story.WALLET_CANCELED})
_PART_CAPTURED = frozenset({Story.CAPTURED_PARTLY, Story.CANCELED_LATE, Story.WALLET_CAPTURED})


@dataclass(frozen=True, slots=True)
class Errand:
    """One payment to play, and how it must end. Amounts in minor units of the currency."""

    key: str
    story: Story
    amount_minor: int
    currency: str
    wallet: int
    declined_card: str

    @property
    def card(self) -> str:
        """The test card it starts with."""
        if self.story in (Story.DECLINED, Story.OTHER_CARD):
            return self.declined_card
        return CHALLENGED_CARD if self.story is Story.CHALLENGED else GOOD_CARD

    @property
    def by_hand(self) -> bool:
        """Whether it is captured by hand."""
        return self.story in _BY_HAND

    @property
    def from_wallet(self) -> bool:
        """Whether a wallet pays."""
        return self.story in _FROM_WALLET

    @property
    def part_minor(self) -> int:
        """What is captured or refunded of it at a time, where that happens in parts."""
        return self.amount_minor // 3

    @property
    def status(self) -> str:
        """The status it must end with."""
        return _ENDS.get(self.story, "succeeded")

    @property
    def captured_minor(self) -> int:
        """What must be captured."""
        if self.story in _NOTHING_CAPTURED:
            return 0
        return self.part_minor if self.story in _PART_CAPTURED else self.amount_minor

    @property
    def refunded_minor(self) -> int:
        """What must be refunded."""
        if self.story in (Story.REFUNDED, Story.WALLET_REFUNDED):
            return self.amount_minor
        return 2 * self.part_minor if self.story is Story.REFUNDED_PARTLY else 0


@dataclass(frozen=True, slots=True)
class Blow:
    """Parts that die together, `at_s` seconds into the drill, and how long they stay away."""

    at_s: float
    parts: tuple[str, ...]
    away_s: float


@dataclass(frozen=True, slots=True)
class Mischief:
    """A fault of the bank, armed `at_s` seconds into the drill."""

    at_s: float
    operation: FaultyOperation
    kind: FaultKind
    times: int
    delay_s: float


def errands(seed: int, client: int) -> Iterator[Errand]:
    """Yield what one client plays, without end."""
    chance = random.Random(f"errands/{seed}/{client}")  # noqa: S311 - a plan, no secret
    number = 0
    while True:
        number += 1
        yield Errand(
            f"drill-{seed}-{client}-{number}",
            chance.choice(list(Story)),
            chance.randint(AMOUNT_MIN_MINOR, AMOUNT_MAX_MINOR),
            chance.choice(CURRENCIES),
            chance.randrange(WALLETS),
            chance.choice(DECLINED_CARDS),
        )


def blows(seed: int, duration_s: float, workers: int) -> list[Blow]:
    """Return who dies when."""
    chance = random.Random(f"blows/{seed}")  # noqa: S311 - a plan, no secret
    parts = [*(f"worker-{number + 1}" for number in range(workers)), API, TEMPORAL, BANK, POSTGRES]
    planned, at_s = [], FIRST_BLOW_S
    while at_s < duration_s:
        count = 2 if chance.random() < DOUBLE_BLOW_SHARE else 1
        blow = Blow(at_s, tuple(chance.sample(parts, count)), chance.uniform(*AWAY_S))
        planned.append(blow)
        at_s += blow.away_s + chance.uniform(*BLOW_PAUSE_S)
    return planned


def mischiefs(seed: int, duration_s: float) -> list[Mischief]:
    """Return what the bank does wrong when."""
    chance = random.Random(f"mischiefs/{seed}")  # noqa: S311 - a plan, no secret
    planned, at_s = [], 0.0
    while (at_s := at_s + chance.uniform(*MISCHIEF_PAUSE_S)) < duration_s:
        planned.append(
            Mischief(
                at_s,
                chance.choice(FAULTY),
                chance.choice(list(FaultKind)),
                chance.randint(1, MISCHIEF_TIMES_MAX),
                chance.uniform(*MISCHIEF_DELAY_S),
            )
        )
    return planned
