"""Random lives of authorizations against a model of plain numbers: the bank never gives what it does not have."""

import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from infra.bank import accounts, authorizations
from infra.bank.cards import Behaviour, Card
from infra.bank.messages import AuthorizationOrder, CaptureOrder, RefundOrder, ReversalOrder, VoidOrder
from infra.bank.operations import Decision, Instruction, Kind, Outcome, digest_of, perform
from infra.bank.statement import total_by_currency
from infra.bank.storage import open_writer

HOUR_MS = 3_600_000
amounts = st.integers(min_value=1, max_value=500)


class Held:
    """What the model knows of one authorization."""

    def __init__(self, key: str, authorization_id: str, amount_minor: int, captured_minor: int) -> None:
        self.key = key
        self.authorization_id = authorization_id
        self.amount_minor = amount_minor
        self.held_minor = amount_minor - captured_minor
        self.captured_minor = captured_minor
        self.returned_minor = 0
        self.reversed = False


class BankBooks(RuleBasedStateMachine):
    """Every operation goes through `perform`, twice now and then, and is predicted by arithmetic."""

    authorizations = Bundle("authorizations")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.data_file = Path(self.folder.name) / "bank.sqlite3"
        self.connection: sqlite3.Connection = open_writer(self.data_file)
        self.connection.execute("PRAGMA synchronous = OFF")
        self.token = accounts.store_card(self.connection, Card("visa", "4242", 12, 2040, "f", Behaviour()))
        self.numbers = 0
        self.known: list[Held] = []

    def teardown(self) -> None:
        self.connection.close()
        self.folder.cleanup()

    def _perform(self, decide: Callable[[], Decision], *, twice: bool) -> tuple[str, int]:
        self.numbers += 1
        key = f"k:{self.numbers}"
        instruction = Instruction(key, "pay", digest_of(key, {}), None)
        decided: list[Decision] = []

        def once() -> Decision:
            decided.append(decide())
            return decided[-1]

        answer = perform(self.connection, instruction, once)
        if twice:
            again = perform(self.connection, instruction, once)
            assert (again.body, again.replayed) == (answer.body, True)
        assert len(decided) == 1
        return decided[0].outcome, decided[0].amount_minor

    @rule(target=authorizations, amount=amounts, sale=st.booleans(), twice=st.booleans())
    def authorize(self, amount: int, sale: bool, twice: bool) -> Held:
        order = AuthorizationOrder(
            reference="pay", amount_minor=amount, currency="USD", token=self.token,
            capture="automatic" if sale else "manual",
        )  # fmt: skip
        outcome, _ = self._perform(lambda: authorizations.authorize(self.connection, order, HOUR_MS), twice=twice)
        assert outcome == Outcome.APPROVED
        row = self.connection.execute("SELECT key, subject, kind FROM operation ORDER BY seq DESC LIMIT 1").fetchone()
        assert row["kind"] == (Kind.SALE if sale else Kind.AUTHORIZE)
        held = Held(row["key"], row["subject"], amount, amount if sale else 0)
        self.known.append(held)
        return held

    @rule(held=authorizations, amount=amounts, final=st.booleans(), twice=st.booleans())
    def capture(self, held: Held, amount: int, final: bool, twice: bool) -> None:
        order = CaptureOrder(reference="pay", amount_minor=amount, currency="USD", final=final)
        outcome, _ = self._perform(
            lambda: authorizations.capture(self.connection, held.authorization_id, order), twice=twice
        )
        assert (outcome == Outcome.APPROVED) == (amount <= held.held_minor)
        if outcome == Outcome.APPROVED:
            held.captured_minor += amount
            held.held_minor = 0 if final else held.held_minor - amount

    @rule(held=authorizations, twice=st.booleans())
    def void(self, held: Held, twice: bool) -> None:
        order = VoidOrder(reference="pay")
        outcome, amount = self._perform(
            lambda: authorizations.void(self.connection, held.authorization_id, order), twice=twice
        )
        assert (outcome == Outcome.APPROVED, amount) == (held.held_minor > 0, held.held_minor)
        held.held_minor = 0

    @rule(held=authorizations, amount=amounts, twice=st.booleans())
    def refund(self, held: Held, amount: int, twice: bool) -> None:
        order = RefundOrder(reference="pay", amount_minor=amount, currency="USD")
        outcome, _ = self._perform(
            lambda: authorizations.refund(self.connection, held.authorization_id, order), twice=twice
        )
        refundable = not held.reversed and amount <= held.captured_minor - held.returned_minor
        assert (outcome == Outcome.APPROVED) == refundable
        held.returned_minor += amount if refundable else 0

    @rule(held=authorizations, twice=st.booleans())
    def reverse(self, held: Held, twice: bool) -> None:
        order = ReversalOrder(reference="pay", original_key=held.key)
        outcome, amount = self._perform(lambda: authorizations.reverse(self.connection, order), twice=twice)
        undone = 0 if held.reversed else held.held_minor + held.captured_minor - held.returned_minor
        assert (outcome, amount) == (Outcome.APPROVED, undone)
        held.held_minor, held.returned_minor, held.reversed = 0, held.captured_minor, True

    @invariant()
    def the_books_agree_with_the_model(self) -> None:
        if not self.known:
            return
        totals = total_by_currency(self.data_file)["totals"]["USD"]
        assert totals["authorized_minor"] == sum(held.amount_minor for held in self.known)
        assert totals["captured_minor"] == sum(held.captured_minor for held in self.known)
        assert totals["held_minor"] == sum(held.held_minor for held in self.known)
        assert totals["refunded_minor"] + totals["reversed_minor"] == sum(held.returned_minor for held in self.known)
        assert totals["net_settled_minor"] == sum(held.captured_minor - held.returned_minor for held in self.known)


TestTheBooksOfRandomLives = BankBooks.TestCase
TestTheBooksOfRandomLives.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
