"""How each step of a payment is booked: the only place that turns payments into journal entries.

Invariant: a key is `<payment id>:<step>:<number>` and names the same entry for ever, so booking twice books once.

    reserve   hold      debit account → credit account, the whole amount
    capture   capture   of that hold, the captured part; the last one releases the rest
    transfer  post      wallet to wallet without a hold, when captured at once
    release   void      what is left of the hold
    settle    post      what an operator found to be captured, after the hold was released
    refund    hold, then capture, the other way round
"""

from __future__ import annotations

from datetime import datetime

from domain.ids import effect_key
from domain.ledger.entries import JournalEntry, Transfer, capture, hold, post, void
from domain.payments.payment import Payment


def hold_key(payment: Payment) -> str:
    """Return the key of the hold that the present attempt makes."""
    return effect_key(payment.id, "hold", payment.attempt)


def _entry(payment: Payment, transfer: Transfer, what: str) -> JournalEntry:
    return JournalEntry(payment.tenant_id, transfer.key, (transfer,), payment.id, f"{what} {payment.id}")


def reserve(payment: Payment, expires_at: datetime) -> JournalEntry:
    """Hold the whole amount for the present attempt; `expires_at` (UTC) is a backstop, should nobody release it."""
    held = hold(
        hold_key(payment),
        payment.debit_account,
        payment.credit_account,
        payment.amount_minor,
        payment.currency,
        expires_at,
    )
    return _entry(payment, held, "Reserve for")


def transfer(payment: Payment) -> JournalEntry:
    """Move the whole amount now, wallet to wallet."""
    key = effect_key(payment.id, "transfer", payment.attempt)
    accounts = payment.debit_account, payment.credit_account
    return _entry(payment, post(key, *accounts, payment.amount_minor, payment.currency), "Transfer for")


def book_capture(payment: Payment, amount_minor: int, *, final: bool) -> JournalEntry:
    """Post `amount_minor` of the hold; `final` releases the rest."""
    key = effect_key(payment.id, "capture", payment.captures)
    return _entry(payment, capture(key, hold_key(payment), amount_minor, final=final), "Capture of")


def release(payment: Payment) -> JournalEntry:
    """Void what is left of the hold of the present attempt."""
    return _entry(payment, void(effect_key(payment.id, "release", payment.attempt), hold_key(payment)), "Release for")


def settle_by_hand(payment: Payment) -> JournalEntry:
    """Move what is not captured yet, because an operator found that the gateway did take it. The hold is gone by then."""
    key = effect_key(payment.id, "settle", 1)
    rest = payment.amount_minor - payment.amount_captured_minor
    return _entry(payment, post(key, payment.debit_account, payment.credit_account, rest, payment.currency), "Settle")


def reserve_refund(payment: Payment, refund_id: str, amount_minor: int) -> JournalEntry:
    """Hold what will be refunded on the paid account, so that it cannot be spent meanwhile."""
    key = effect_key(refund_id, "hold", 1)
    back = hold(key, payment.credit_account, payment.debit_account, amount_minor, payment.currency)
    return JournalEntry(payment.tenant_id, key, (back,), payment.id, f"Reserve for refund {refund_id}")


def book_refund(payment: Payment, refund_id: str) -> JournalEntry:
    """Post the refund's hold."""
    key = effect_key(refund_id, "capture", 1)
    done = capture(key, effect_key(refund_id, "hold", 1))
    return JournalEntry(payment.tenant_id, key, (done,), payment.id, f"Refund {refund_id}")


def charge_back(payment: Payment, refund_id: str, amount_minor: int) -> JournalEntry:
    """Move money back that was taken back from outside: nothing was asked of us, so nothing is held first."""
    key = effect_key(refund_id, "chargeback", 1)
    back = post(key, payment.credit_account, payment.debit_account, amount_minor, payment.currency)
    return JournalEntry(payment.tenant_id, key, (back,), payment.id, f"Charge back {payment.id}")


def release_refund(payment: Payment, refund_id: str) -> JournalEntry:
    """Void the refund's hold."""
    key = effect_key(refund_id, "release", 1)
    undone = void(key, effect_key(refund_id, "hold", 1))
    return JournalEntry(payment.tenant_id, key, (undone,), payment.id, f"Release for refund {refund_id}")
