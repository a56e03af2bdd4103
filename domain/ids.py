"""Where every identifier is made.

Invariant: a payment's id is its workflow id and is derived from the tenant and the idempotency key alone. So a client that
repeats a call, an API process that died between two lines, or two API processes at once all reach the same workflow, even
if the idempotency table were lost. The key of every effect starts with that id; none holds a run id, which a reset changes.
"""

from __future__ import annotations

import base64
import hashlib

_ID_CHARACTERS = 26
"""26 base-32 characters carry 130 bits: two keys meet by chance in no lifetime of the system."""


def _derived(prefix: str, *parts: str) -> str:
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()
    return f"{prefix}_{base64.b32encode(digest).decode().lower()[:_ID_CHARACTERS]}"


def payment_id(tenant_id: str, idempotency_key: str) -> str:
    """Return the payment's id (`pay_…`), which is also its workflow id."""
    return _derived("pay", "payment", tenant_id, idempotency_key)


def refund_id(tenant_id: str, idempotency_key: str) -> str:
    """Return the refund's id (`re_…`), which is also its workflow id."""
    return _derived("re", "refund", tenant_id, idempotency_key)


def account_id(tenant_id: str, idempotency_key: str) -> str:
    """Return the id (`acct_…`) of an account that the client did not name."""
    return _derived("acct", "account", tenant_id, idempotency_key)


def update_id(idempotency_key: str) -> str:
    """Return the id under which Temporal deduplicates a client's command."""
    return _derived("upd", "update", idempotency_key)


def loan_id(tenant_id: str, idempotency_key: str) -> str:
    """Return the loan's id (`ln_…`), which is also its workflow id."""
    return _derived("ln", "loan", tenant_id, idempotency_key)


def clock_id(tenant_id: str, idempotency_key: str) -> str:
    """Return the test clock's id (`clk_…`), which is also its workflow id."""
    return _derived("clk", "clock", tenant_id, idempotency_key)


def loan_payment_id(loan_id: str, purpose: str, number: int) -> str:
    """Return the id of the payment that moves money for a loan: `purpose` is disbursement, repayment and so on."""
    return _derived("pay", "loan", loan_id, purpose, str(number))


def loan_refund_id(payment_id: str, number: int) -> str:
    """Return the id of a refund that takes a loan's payment back; one that failed is tried again under another number."""
    return _derived("re", "loan", payment_id, str(number))


def chargeback_id(payment_id: str) -> str:
    """Return the id of the refund that notes on a loan's payment that its money was taken back."""
    return _derived("re", "chargeback", payment_id)


def successor_loan_id(loan_id: str) -> str:
    """Return the id of the loan that takes the place of one that was rescheduled, which happens to a loan only once."""
    return _derived("ln", "successor", loan_id)


def clearing_account(gateway: str, currency: str) -> str:
    """Return the ledger account that holds what a gateway owes the tenant in one currency."""
    return f"clearing:{gateway}:{currency}"


def effect_key(owner_id: str, step: str, number: int) -> str:
    """Return the key of one effect, `<payment id>:<step>:<number>`: given to the gateway and unique in the ledger."""
    return f"{owner_id}:{step}:{number}"
