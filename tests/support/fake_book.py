"""A payment book in memory: the ledger's rules for the few entries that payments make, and every record it was given."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from activities.payment_book_port import RefundRecord
from domain.ledger.entries import JournalEntry, LedgerResult, TransferKind
from domain.payments.payment import Payment
from domain.payments.record import LIMIT_EXCEEDED, OVERTAKEN, Operation, PaymentRecord, RecordOutcome, TimelineEvent
from domain.payments.refund import Refund, RefundStatus
from domain.payments.status import OperationStatus

DATABASE_DOWN = "database is down"
_OPEN = (OperationStatus.PENDING, OperationStatus.UNKNOWN)


@dataclass
class _Hold:
    debit: str
    credit: str
    left: int
    state: str = "pending"


@dataclass
class FakePaymentBook:
    """`balances` are credits less debits. `refuse` answers the entry of a step (`hold`, `capture`, …) with that result;
    `fail_times` makes a step raise that often before it works; `lose_answer` writes the step, then raises once."""

    funds: dict[str, int] = field(default_factory=dict)
    refuse: dict[str, str] = field(default_factory=dict)
    fail_times: Counter[str] = field(default_factory=Counter)
    lose_answer: set[str] = field(default_factory=set)
    max_amount_minor: int = 10**9
    payments: dict[str, Payment] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)
    events: dict[str, TimelineEvent] = field(default_factory=dict)
    entries: dict[str, JournalEntry] = field(default_factory=dict)
    posted: Counter[str] = field(default_factory=Counter)
    holds: dict[str, _Hold] = field(default_factory=dict)

    @property
    def held(self) -> int:
        """The sum of live holds, in minor units."""
        return sum(hold.left for hold in self.holds.values() if hold.state == "pending")

    @property
    def story(self) -> list[str]:
        """The names of the events, in order."""
        return [event.name for event in self.events.values()]

    async def record(self, record: PaymentRecord) -> RecordOutcome:
        step = record.entry.key.split(":")[1] if record.entry else record.events[0].name
        self._stumble(step)
        known = self.payments.get(record.payment.id)
        if record.moves and known is not None and known.version >= record.payment.version:
            return RecordOutcome(LedgerResult.EXISTS if record.events[0].key in self.events else OVERTAKEN)
        if record.check_limits and known is None and record.payment.amount_minor > self.max_amount_minor:
            return RecordOutcome(LIMIT_EXCEEDED, "too much")
        result = self._book(record.entry, step)
        if record.entry is None and record.events[0].key in self.events:
            result = LedgerResult.EXISTS
        if result not in ("created", "exists"):
            return RecordOutcome(result)
        if known is None or known.version < record.payment.version:
            self.payments[record.payment.id] = record.payment
        self._note(record)
        return RecordOutcome(result)

    async def record_refund(self, record: RefundRecord) -> RecordOutcome:
        refund = record.refund
        step = record.events[0].name
        self._stumble(step)
        known = self.refunds.get(refund.id)
        if known is not None and (
            known.version > refund.version or (known.version == refund.version and known.status is not refund.status)
        ):
            return RecordOutcome(OVERTAKEN)
        if record.open and known is None:
            reserved = sum(
                r.amount_minor
                for r in self.refunds.values()
                if r.payment_id == refund.payment_id and r.status is not RefundStatus.FAILED
            )
            if reserved + refund.amount_minor > self.payments[refund.payment_id].amount_captured_minor:
                return RecordOutcome("refund_exceeds_captured", "too much")
        result = self._book(record.entry, f"refund_{record.entry.key.split(':')[1]}" if record.entry else "")
        if result in ("created", "exists"):
            if known is None or known.version < refund.version:
                self.refunds[refund.id] = refund
            self._note(record)
        return RecordOutcome(result)

    async def read(self, tenant_id: str, payment_id: str) -> Payment | None:
        return self.payments.get(payment_id)

    async def read_refund(self, tenant_id: str, refund_id: str) -> Refund | None:
        return self.refunds.get(refund_id)

    def _note(self, record: PaymentRecord | RefundRecord) -> None:
        for operation in record.operations:
            known = self.operations.get(operation.key)
            if known is None or known.status in _OPEN:
                self.operations[operation.key] = operation
        for event in record.events:
            self.events.setdefault(event.key, event)
        if any(event.name in self.lose_answer for event in record.events):
            self.lose_answer -= {event.name for event in record.events}
            raise ConnectionError(DATABASE_DOWN)

    def _stumble(self, step: str) -> None:
        if self.fail_times[step] > 0:
            self.fail_times[step] -= 1
            raise ConnectionError(DATABASE_DOWN)

    def _book(self, entry: JournalEntry | None, step: str) -> str:
        if entry is None:
            return LedgerResult.CREATED
        if entry.key in self.entries:
            same = self.entries[entry.key] == entry
            return LedgerResult.EXISTS if same else LedgerResult.EXISTS_WITH_DIFFERENT_CONTENT
        if step in self.refuse:
            return self.refuse[step]
        (transfer,) = entry.transfers
        match transfer.kind:
            case TransferKind.POST | TransferKind.HOLD:
                assert transfer.debit
                assert transfer.credit
                amount = transfer.amount_minor or 0
                limit = self.funds.get(transfer.debit)
                out = sum(h.left for h in self.holds.values() if h.debit == transfer.debit and h.state == "pending")
                if limit is not None and limit + self.posted[transfer.debit] - out < amount:
                    return LedgerResult.EXCEEDS_CREDITS
                if transfer.kind is TransferKind.HOLD:
                    self.holds[transfer.key] = _Hold(transfer.debit, transfer.credit, amount)
                else:
                    self._move(transfer.debit, transfer.credit, amount)
            case _:
                refusal = self._settle(transfer.hold or "", transfer.kind, transfer.amount_minor, transfer.final)
                if refusal:
                    return refusal
        self.entries[entry.key] = entry
        return LedgerResult.CREATED

    def _settle(self, key: str, kind: TransferKind, amount: int | None, final: bool) -> str | None:
        hold = self.holds.get(key)
        if hold is None:
            return LedgerResult.PENDING_TRANSFER_NOT_FOUND
        if hold.state != "pending":
            return f"pending_transfer_already_{hold.state}"
        if kind is TransferKind.VOID:
            hold.left, hold.state = 0, "voided"
            return None
        taken = hold.left if amount is None else amount
        if taken > hold.left:
            return LedgerResult.EXCEEDS_PENDING_TRANSFER_AMOUNT
        self._move(hold.debit, hold.credit, taken)
        hold.left = 0 if final else hold.left - taken
        if hold.left == 0:
            hold.state = "posted"
        return None

    def _move(self, debit: str, credit: str, amount: int) -> None:
        self.posted[debit] -= amount
        self.posted[credit] += amount
