"""The two-phase transfers of the published vector, as entries of ours.

Invariant: one step of the vector is one entry; `error` names the result, no error means `created`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from domain.ledger.accounts import Account, Balances, NormalSide
from domain.ledger.entries import JournalEntry, LedgerResult, Transfer, capture, hold, post, void

VECTOR = Path(__file__).parents[1] / "vectors" / "two_phase_transfers.json"
TENANT = "default"
CURRENCY = "USD"


@dataclass(frozen=True)
class Step:
    """One step: an entry with the result it must have, balances that must hold, or a wait in seconds."""

    entry: JournalEntry | None = None
    result: LedgerResult = LedgerResult.CREATED
    balances: dict[str, Balances] | None = None
    wait_s: float = 0.0


def accounts() -> list[Account]:
    """Both accounts, neither of them limited."""
    names: list[str] = json.loads(VECTOR.read_text())["accounts"]
    return [Account(TENANT, name, CURRENCY, NormalSide.CREDIT, may_go_negative=True) for name in names]


def steps(start: datetime) -> list[Step]:
    """All steps in order; expiries are counted from `start`."""
    return [_step(number, step, start) for number, step in enumerate(json.loads(VECTOR.read_text())["steps"])]


def _step(number: int, step: dict[str, Any], start: datetime) -> Step:
    if "balances" in step:
        return Step(balances={account: Balances(*sums) for account, sums in step["balances"].items()})
    if "wait_seconds" in step:
        return Step(wait_s=step["wait_seconds"])
    key = step.get("id", f"step-{number}")
    entry = JournalEntry(TENANT, f"entry-{number}", (_transfer(key, step, start),))
    return Step(entry, LedgerResult(step.get("error", "created")))


def _transfer(key: str, step: dict[str, Any], start: datetime) -> Transfer:
    match step["do"]:
        case "post":
            return post(key, step["debit"], step["credit"], step["amount"], CURRENCY)
        case "hold":
            seconds = step.get("expires_in_seconds")
            expires_at = None if seconds is None else start + timedelta(seconds=seconds)
            return hold(key, step["debit"], step["credit"], step["amount"], CURRENCY, expires_at)
        case "capture":
            return capture(key, step["of"], step["amount"])
        case "void":
            return void(key, step["of"])
        case other:
            raise ValueError(f"the vector has a step {other!r} that this test does not know")
