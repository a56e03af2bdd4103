"""What one person proposes and another must approve: manual approval, restructuring, write-off, and undoing it.

Invariant: the checker is never the maker, however the name is written. Who the actors are is the caller's word until there is
authentication; the model will not change then.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from domain.errors import DomainError
from domain.loans.changes import Restructure

MAX_OPEN_PROPOSALS = 5
MAX_ACTOR = 200


class ProposalKind(StrEnum):
    """What is proposed."""

    APPROVAL = "approval"
    RESTRUCTURE = "restructure"
    WRITE_OFF = "write_off"
    UNDO_WRITE_OFF = "undo_write_off"


class ProposalStatus(StrEnum):
    """What became of it."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"


class SecondPersonRequired(DomainError):
    """The maker of a proposal tried to approve it."""

    code = "second_person_required"
    advice = "Have another person approve it."


class ProposalNotOpen(DomainError):
    """There is no such open proposal, or too many are open."""

    code = "proposal_not_open"
    advice = "Read the loan's open proposals."


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change that waits for a second person. `restructure` is what would change, for a restructuring."""

    number: int
    kind: ProposalKind
    maker: str
    made_at: datetime
    note: str = ""
    restructure: Restructure | None = None
    status: ProposalStatus = ProposalStatus.PENDING
    checker: str | None = None
    checked_at: datetime | None = None

    def checked(self, checker: str, at: datetime, *, approve: bool) -> Proposal:
        """Return the proposal as decided by a second person. Raises SecondPersonRequired for its maker."""
        if is_same_person(checker, self.maker):
            raise SecondPersonRequired(f"{checker} made proposal {self.number} and cannot decide it as well.")
        status = ProposalStatus.APPROVED if approve else ProposalStatus.REJECTED
        return replace(self, status=status, checker=checker, checked_at=at)


def is_same_person(one: str, other: str) -> bool:
    """Tell whether two names are one: case, blanks, and how a letter is encoded make nobody another person."""
    return _plain(one) == _plain(other)


def _plain(name: str) -> str:
    seen = "".join(sign for sign in unicodedata.normalize("NFKC", name) if unicodedata.category(sign) != "Cf")
    return " ".join(seen.casefold().split())


def require_actor(actor: str) -> None:
    """Raise DomainError when nobody is named."""
    if not _plain(actor) or len(actor) > MAX_ACTOR:
        raise DomainError("No actor is named.", advice="Name the person who acts.")
