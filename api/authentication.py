"""Who calls: the tenant behind an API key.

Invariant: a key is compared in constant time, and is honoured for at most CACHE_TTL_S after it was revoked. The cache is
bounded and remembers unknown prefixes too, so that guessing costs the database little.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass

from starlette.requests import Request

from api import problems
from api.problems import Problem
from infra.postgres.api_keys import KeyRecord, digest_of, find_key, prefix_of
from infra.postgres.pool import Pool

CACHE_TTL_S = 5.0
"""How long an API process believes what it read of a key."""

CACHE_MAX = 2_000
"""Most keys remembered by one process."""

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="clearhold"'}


@dataclass(frozen=True, slots=True)
class _Remembered:
    key: KeyRecord | None
    until: float


class Authenticator:
    """Knows which tenant a key belongs to."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._cache: OrderedDict[str, _Remembered] = OrderedDict()

    async def tenant_of(self, request: Request) -> str:
        """Return the caller's tenant. Raises Problem 401."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Problem(
                problems.UNAUTHENTICATED, "The header `Authorization: Bearer ch_…` is missing.", headers=_CHALLENGE
            )
        prefix = prefix_of(token)
        key = None if prefix is None else await self._find(prefix)
        if key is None or not key.fits(digest_of(token)):
            raise Problem(problems.UNAUTHENTICATED, "The API key is unknown or revoked.", headers=_CHALLENGE)
        return key.tenant_id

    async def _find(self, prefix: str) -> KeyRecord | None:
        now = time.monotonic()
        remembered = self._cache.get(prefix)
        if remembered is None or remembered.until <= now:
            remembered = _Remembered(await find_key(self._pool, prefix), now + CACHE_TTL_S)
            self._cache[prefix] = remembered
            self._cache.move_to_end(prefix)
            while len(self._cache) > CACHE_MAX:
                self._cache.popitem(last=False)
        return remembered.key
