"""A sandbox credit bureau: the same person always gets the same score.

Invariant: the score follows from the name alone and nothing is stored. A name that ends in `SCORE nnn` gets that score and
`NO HISTORY` none, so that every path can be walked on purpose.
"""

from __future__ import annotations

import hashlib
import re

from activities.credit_bureau_port import BureauReport, BureauRequest

LOWEST_SCORE, HIGHEST_SCORE = 300, 850
_TYPICAL_FROM, _TYPICAL_SPAN = 560, 280
_CHOSEN = re.compile(r"\bSCORE (?P<score>[3-8]\d\d)$")


class SandboxBureau:
    """A `CreditBureau` without a server."""

    async def report(self, request: BureauRequest) -> BureauReport:
        """Report a score made of the name."""
        name = " ".join(request.name.upper().split())
        digest = hashlib.sha256(f"{name}/{request.date_of_birth}".encode()).digest()
        reference = f"bur_{digest.hex()[:16]}"
        if name.endswith("NO HISTORY"):
            return BureauReport(None, reference)
        chosen = _CHOSEN.search(name)
        score = int(chosen["score"]) if chosen else _TYPICAL_FROM + int.from_bytes(digest[:4], "big") % _TYPICAL_SPAN
        return BureauReport(min(max(score, LOWEST_SCORE), HIGHEST_SCORE), reference)
