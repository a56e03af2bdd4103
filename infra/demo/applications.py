"""Real mortgage applications of 1990, what our rules say of them, and how that compares with what the lender decided.

Invariant: nothing of a row is guessed: a value that is missing stays missing, and the policy's rule for missing values decides.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from domain.loans.credit import STATEMENTS, CreditApplication, Decision, Outcome, Reason, decide
from domain.loans.credit_policies import MORTGAGE

APPLICATIONS = Path(__file__).resolve().parents[2] / "examples" / "loan_applications.csv"
POLICY = MORTGAGE


@dataclass(frozen=True, slots=True)
class RealApplication:
    """One row of the file: its number there, its values as written, and whether the lender denied it."""

    number: int
    values: Mapping[str, str]
    denied: bool

    @property
    def credit(self) -> CreditApplication:
        """What a decision is made on; `NA` is missing."""
        return CreditApplication.parse(self.values)

    def facts(self) -> dict[str, Any]:
        """Return the same as the API takes it: decimal strings, yes and no as booleans."""
        facts: dict[str, Any] = {}
        for name in CreditApplication.__slots__:
            text = self.values.get(name, "NA").strip()
            if text in ("", "NA"):
                continue
            facts[name] = text == "yes" if text in ("yes", "no") else text
        return facts


@dataclass(frozen=True, slots=True)
class Decided:
    """An application and our decision on it."""

    application: RealApplication
    outcome: Outcome
    reasons: tuple[Reason, ...]

    @classmethod
    def of(cls, application: RealApplication, decision: Decision) -> Decided:
        """Return what matters of a decision."""
        return cls(application, decision.outcome, decision.reasons)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Our decisions against the lender's. Those that are referred to a person agree with nobody."""

    decided: Sequence[Decided]

    def count(self, outcome: Outcome, *, denied: bool) -> int:
        """Return how many of the applications that the lender denied (or did not) came out so."""
        return sum(each.outcome is outcome and each.application.denied is denied for each in self.decided)

    @property
    def alone(self) -> int:
        """How many the rules decided without a person."""
        return sum(each.outcome is not Outcome.REFER for each in self.decided)

    @property
    def agreed(self) -> int:
        """How many of those the lender decided alike."""
        return self.count(Outcome.APPROVE, denied=False) + self.count(Outcome.DECLINE, denied=True)

    @property
    def reasons(self) -> Counter[tuple[Outcome, Reason]]:
        """How often each reason was given, by outcome."""
        return Counter((each.outcome, reason) for each in self.decided for reason in each.reasons)

    def summary(self) -> list[str]:
        """Return the comparison in a few lines."""
        total = len(self.decided)
        referred = [self.count(Outcome.REFER, denied=denied) for denied in (False, True)]
        share = f"{100 * self.agreed / self.alone:.1f} %" if self.alone else "none"
        return [
            f"{total} applications: {self.alone} decided by the rules, {total - self.alone} referred to a person",
            f"agreement with the lender: {self.agreed} of {self.alone} ({share})",
            f"approved by us, denied by them: {self.count(Outcome.APPROVE, denied=True)}",
            f"declined by us, approved by them: {self.count(Outcome.DECLINE, denied=False)}",
            f"referred by us: {referred[0]} approved by them, {referred[1]} denied by them",
        ]


def read_applications(path: Path = APPLICATIONS) -> list[RealApplication]:
    """Read every application of the file."""
    with path.open(newline="", encoding="utf-8") as file:
        return [RealApplication(int(row["application"]), row, row["denied"] == "yes") for row in csv.DictReader(file)]


def spread(applications: Sequence[RealApplication], count: int) -> list[RealApplication]:
    """Return `count` of them, evenly over the file; the same ones every time."""
    step = max(len(applications) // count, 1)
    return list(applications[::step][:count])


def decide_all(applications: Sequence[RealApplication]) -> Comparison:
    """Decide every application by the policy."""
    return Comparison([Decided.of(each, decide(each.credit, POLICY)) for each in applications])


def matrix_table(comparison: Comparison) -> Table:
    """Return our outcomes against the lender's."""
    table = Table(title=f"{len(comparison.decided)} real applications, by {POLICY.version}")
    for name in ("we", "lender approved", "lender denied", "together"):
        table.add_column(name, justify="left" if name == "we" else "right")
    for outcome in Outcome:
        approved, denied = (comparison.count(outcome, denied=flag) for flag in (False, True))
        table.add_row(outcome.value, str(approved), str(denied), str(approved + denied))
    return table


def reasons_table(comparison: Comparison) -> Table:
    """Return how often each reason was given, in the words of a letter to the applicant."""
    table = Table(title="decisions by reason (an application may have up to four)")
    for name in ("we", "reason", "how often"):
        table.add_column(name, justify="right" if name == "how often" else "left")
    order = list(Outcome)
    found = sorted(comparison.reasons.items(), key=lambda item: (order.index(item[0][0]), -item[1]))
    for (outcome, reason), often in found:
        table.add_row(outcome.value, STATEMENTS[reason], str(often))
    return table
