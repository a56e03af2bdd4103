"""What the API remembers of accounts, to refuse at once what the ledger would refuse anyway.

Invariant: the ledger has the last word. What is remembered may be CACHE_TTL_S old, and only ever leads to an earlier no; an
account that is not remembered is looked up before it is called unknown.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from api import problems
from api.problems import FieldError, Problem, ProblemType
from domain.ledger.accounts import Account, AccountStatus
from infra.postgres.account_reads import AccountReads

CACHE_TTL_S = 5.0
CACHE_MAX = 10_000


@dataclass(frozen=True, slots=True)
class _Remembered:
    account: Account
    until: float


class AccountDirectory:
    """Accounts by tenant and id, remembered for a moment."""

    def __init__(self, reads: AccountReads) -> None:
        self._reads = reads
        self._cache: OrderedDict[tuple[str, str], _Remembered] = OrderedDict()

    def forget(self, tenant_id: str, account_id: str) -> None:
        """Look the account up again the next time."""
        self._cache.pop((tenant_id, account_id), None)

    async def require_payable(self, tenant_id: str, currency: str, roles: Mapping[str, str]) -> None:
        """Check that accounts exist, are open and of the currency; `roles` maps JSON pointers to account ids.

        Raises Problem 422: account_not_found, account_closed or currency_mismatch.
        """
        accounts = await self._find(tenant_id, [*roles.values()])
        for pointer, account_id in roles.items():
            account = accounts.get(account_id)
            if account is None:
                raise _refusal(problems.ACCOUNT_NOT_FOUND, pointer, f"There is no account {account_id}.")
            if account.currency != currency:
                detail = f"Account {account_id} is in {account.currency}, the payment in {currency}."
                raise _refusal(problems.CURRENCY_MISMATCH, pointer, detail)
            if account.status is AccountStatus.CLOSED:
                raise _refusal(problems.ACCOUNT_CLOSED, pointer, f"Account {account_id} is closed.")

    async def _find(self, tenant_id: str, account_ids: list[str]) -> dict[str, Account]:
        now = time.monotonic()
        found: dict[str, Account] = {}
        missing = []
        for account_id in account_ids:
            remembered = self._cache.get((tenant_id, account_id))
            if remembered is not None and remembered.until > now:
                found[account_id] = remembered.account
            else:
                missing.append(account_id)
        if missing:
            for account_id, stored in (await self._reads.accounts(tenant_id, missing)).items():
                found[account_id] = stored.account
                self._cache[tenant_id, account_id] = _Remembered(stored.account, now + CACHE_TTL_S)
                self._cache.move_to_end((tenant_id, account_id))
            while len(self._cache) > CACHE_MAX:
                self._cache.popitem(last=False)
        return found


def _refusal(kind: ProblemType, pointer: str, detail: str) -> Problem:
    return Problem(kind, detail, errors=[FieldError(pointer, detail)])
