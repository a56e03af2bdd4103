"""The two-phase transfers of the published vectors, as entries of ours.

Invariant: one step of a vector is one entry, a chain is an entry of several transfers, a batch is several entries; `error` names
the result, no error means `created`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from domain.ledger.accounts import Account, Balances, NormalSide
from domain.ledger.entries import EntryOutcome, JournalEntry, LedgerResult, Transfer, capture, hold, post, void

VECTORS = Path(__file__).parents[1] / "vectors"
TENANT = "default"
CURRENCY = "USD"
DIFFERENT = "exists_with_different_"
"""TigerBeetle says which field differs; ours is one result."""

LIMITED_SIDES = {
    "debits_must_not_exceed_credits": NormalSide.CREDIT,
    "credits_must_not_exceed_debits": NormalSide.DEBIT,
}


@dataclass(frozen=True)
class Step:
    """One step: entries with the results they must have, balances that must hold, or a wait in seconds."""

    entries: tuple[JournalEntry, ...] = ()
    results: tuple[LedgerResult, ...] = ()
    failed: tuple[str | None, ...] = ()
    balances: dict[str, Balances] | None = None
    wait_s: float = 0.0

    def is_answered_by(self, outcomes: list[EntryOutcome]) -> bool:
        """Whether these outcomes are those of the vector, and name the transfer that it names."""
        return tuple(outcome.result for outcome in outcomes) == self.results and all(
            failed is None or outcome.failed_transfer == failed
            for outcome, failed in zip(outcomes, self.failed, strict=True)
        )


@dataclass(frozen=True)
class Case:
    """A ledger that begins empty, and what is done to it."""

    name: str
    accounts: list[Account]
    _steps: list[dict[str, Any]]

    def steps(self, start: datetime) -> list[Step]:
        """All steps in order; expiries are counted from `start`."""
        return [_step(number, step, start) for number, step in enumerate(self._steps)]


def cases() -> list[Case]:
    """The vector of the two phases, and more of its kind."""
    first = json.loads((VECTORS / "two_phase_transfers.json").read_text())
    more = json.loads((VECTORS / "more_two_phase_transfers.json").read_text())["cases"]
    return [
        Case(case["name"], [_account(account) for account in case["accounts"]], case["steps"])
        for case in ({"name": "two_phase_transfers", **first}, *more)
    ]


def _account(account: str | dict[str, str]) -> Account:
    if isinstance(account, str):
        return Account(TENANT, account, CURRENCY, NormalSide.CREDIT, may_go_negative=True)
    return Account(TENANT, account["id"], CURRENCY, LIMITED_SIDES[account["limit"]])


def _step(number: int, step: dict[str, Any], start: datetime) -> Step:
    if "balances" in step:
        return Step(balances={account: Balances(*sums) for account, sums in step["balances"].items()})
    if "wait_seconds" in step:
        return Step(wait_s=step["wait_seconds"])
    parts = step.get("batch", [step])
    return Step(
        tuple(_entry(f"step-{number}-{place}", part, start) for place, part in enumerate(parts)),
        tuple(_result(part) for part in parts),
        tuple(part.get("failed") for part in parts),
    )


def _result(step: dict[str, Any]) -> LedgerResult:
    error = step.get("error", "created")
    return LedgerResult.EXISTS_WITH_DIFFERENT_CONTENT if error.startswith(DIFFERENT) else LedgerResult(error)


def _entry(name: str, step: dict[str, Any], start: datetime) -> JournalEntry:
    """A transfer that is sent again under its id is the same entry again."""
    if "chain" in step:
        return JournalEntry(TENANT, name, tuple(_transfer(part["id"], part, start) for part in step["chain"]))
    key = step.get("id", name)
    return JournalEntry(TENANT, f"entry-{key}", (_transfer(key, step, start),))


def _transfer(key: str, step: dict[str, Any], start: datetime) -> Transfer:
    match step["do"]:
        case "post":
            return post(key, step["debit"], step["credit"], step["amount"], CURRENCY)
        case "hold":
            seconds = step.get("expires_in_seconds")
            expires_at = None if seconds is None else start + timedelta(seconds=seconds)
            return hold(key, step["debit"], step["credit"], step["amount"], CURRENCY, expires_at)
        case "capture":
            return capture(key, step["of"], None if step["amount"] == "all" else step["amount"])
        case "void":
            return void(key, step["of"])
        case other:
            raise ValueError(f"the vector has a step {other!r} that this test does not know")
