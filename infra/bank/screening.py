"""Sanctions screening against a small list made for tests.

Invariant: the same name gets the same answer, and the list holds organisations invented for tests only. The name itself
is not kept: an applicant's identity is no business of a sandbox.
"""

import sqlite3
import unicodedata
from dataclasses import dataclass
from difflib import SequenceMatcher

from infra.bank.messages import Applicant
from infra.bank.operations import new_reference, now_ms

MATCH_SCORE = 90
WEAK_MATCH_SCORE = 75
TIMEOUT_NAME = "TEST SCREENING TIMEOUT"


@dataclass(frozen=True, slots=True)
class ListEntry:
    """A sanctioned organisation; with a `country`, an exact name elsewhere is only a weak match."""

    name: str
    country: str | None = None


SANCTIONS_LIST: tuple[ListEntry, ...] = (
    ListEntry("TEST SANCTIONED PARTY"),
    ListEntry("EMBARGOED SAMPLE TRADING COMPANY"),
    ListEntry("BLOCKED EXAMPLE SHIPPING LINES"),
    ListEntry("FROZEN SPECIMEN HOLDINGS", country="AQ"),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """The closest entry of the list and how close it is, 0 to 100."""

    outcome: str
    score: int
    list_entry: str | None


def times_out(name: str) -> bool:
    """Tell whether this name makes the provider hang."""
    return _normalize(name) == _normalize(TIMEOUT_NAME)


def screen(applicant: Applicant) -> Finding:
    """Compare a name with the list: 90 and more is a match, 75 and more a weak match."""
    name = _normalize(applicant.name)
    entry, score = max(
        ((entry, _similarity(name, _normalize(entry.name))) for entry in SANCTIONS_LIST), key=lambda pair: pair[1]
    )
    if score < WEAK_MATCH_SCORE:
        return Finding("clear", score, None)
    elsewhere = entry.country is not None and entry.country != applicant.country
    outcome = "weak_match" if score < MATCH_SCORE or elsewhere else "match"
    return Finding(outcome, score, entry.name)


def keep(
    connection: sqlite3.Connection, applicant: Applicant, finding: Finding, trace_id: str | None
) -> dict[str, str | int | None]:
    """Record a screening and return its answer."""
    screening_id = new_reference("scr")
    connection.execute(
        "INSERT INTO screening (id, reference, outcome, score, list_entry, trace_id, created_at_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (screening_id, applicant.reference, finding.outcome, finding.score, finding.list_entry, trace_id, now_ms()),
    )
    return {
        "id": screening_id,
        "reference": applicant.reference,
        "outcome": finding.outcome,
        "score": finding.score,
        "list_entry": finding.list_entry,
    }


def _normalize(name: str) -> str:
    """Upper case without accents or punctuation, words in alphabetical order: word order does not hide a match."""
    plain = unicodedata.normalize("NFKD", name)
    letters = "".join(character if character.isalnum() else " " for character in plain if not _is_accent(character))
    return " ".join(sorted(letters.upper().split()))


def _is_accent(character: str) -> bool:
    return unicodedata.combining(character) != 0


def _similarity(name: str, other: str) -> int:
    return round(100 * SequenceMatcher(None, name, other, autojunk=False).ratio())
