"""The state tables of payments, operations and refunds, and the payment that moves through them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import IllegalTransition, InvalidAmount
from domain.payments.payment import MAX_CAPTURES, CaptureMethod, Payment, PaymentKind
from domain.payments.refund import REFUND_TRANSITIONS, RefundStatus
from domain.payments.status import (
    OPERATION_TRANSITIONS,
    PAYMENT_TRANSITIONS,
    OperationAction,
    OperationStatus,
    PaymentAction,
    PaymentStatus,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def payment(**changes: object) -> Payment:
    """A card payment of 29.33 USD that is ready to be confirmed."""
    values: dict[str, object] = {
        "tenant_id": "default",
        "id": "pay_1",
        "kind": PaymentKind.CARD,
        "amount_minor": 2933,
        "currency": "USD",
        "capture_method": CaptureMethod.MANUAL,
        "debit_account": "clearing",
        "credit_account": "merchant",
        "created_at": NOW,
        "status": PaymentStatus.REQUIRES_CONFIRMATION,
    }
    return Payment(**(values | changes))  # type: ignore[arg-type]


def authorized() -> Payment:
    """The same, authorized."""
    return payment().confirm().authorized("auth_1", NOW)


@pytest.mark.parametrize("status", list(PaymentStatus))
@pytest.mark.parametrize("action", list(PaymentAction))
def test_an_action_that_the_table_does_not_list_is_refused(status: PaymentStatus, action: PaymentAction) -> None:
    listed = {(before, move) for before, move, _ in PAYMENT_TRANSITIONS.rows()}
    if (status, action) in listed:
        assert PAYMENT_TRANSITIONS.after(status, action) in PaymentStatus
    else:
        with pytest.raises(IllegalTransition):
            PAYMENT_TRANSITIONS.after(status, action)


def test_a_final_payment_moves_no_more() -> None:
    leaving = {before for before, _, _ in PAYMENT_TRANSITIONS.rows()}
    final = {status for status in PaymentStatus if status.is_final}
    assert final == {
        PaymentStatus.SUCCEEDED,
        PaymentStatus.PARTIALLY_CAPTURED,
        PaymentStatus.CANCELED,
        PaymentStatus.EXPIRED,
        PaymentStatus.FAILED,
    }
    assert leaving & final == set()
    assert leaving | final == set(PaymentStatus)


def test_every_status_can_be_reached() -> None:
    reached = {PaymentStatus.REQUIRES_PAYMENT_METHOD}
    for _ in PaymentStatus:
        reached |= {after for before, _, after in PAYMENT_TRANSITIONS.rows() if before in reached}
    assert reached == set(PaymentStatus)


def test_an_unknown_operation_can_still_be_learned_and_an_ended_one_cannot_change() -> None:
    assert OPERATION_TRANSITIONS.after(OperationStatus.UNKNOWN, OperationAction.SUCCEED) is OperationStatus.SUCCEEDED
    for ended in (OperationStatus.SUCCEEDED, OperationStatus.FAILED):
        for action in OperationAction:
            assert not OPERATION_TRANSITIONS.allows(ended, action)


def test_a_final_refund_moves_no_more() -> None:
    leaving = {before for before, _, _ in REFUND_TRANSITIONS.rows()}
    assert leaving & {status for status in RefundStatus if status.is_final} == set()


@pytest.mark.parametrize("amount", [0, -1, 2934])
def test_a_capture_is_positive_and_within_the_authorization(amount: int) -> None:
    with pytest.raises(InvalidAmount):
        authorized().begin_capture(amount)


def test_captures_of_one_payment_are_bounded() -> None:
    moved = authorized()
    for _ in range(MAX_CAPTURES):
        moved = moved.begin_capture(1).captured(1, final=False)
    with pytest.raises(IllegalTransition):
        moved.begin_capture(1)


def test_what_was_captured_is_kept_when_the_rest_is_given_up() -> None:
    part = authorized().begin_capture(1000).captured(1000, final=False)
    for ended in (part.canceled("x"), part.expired(), part.failed("x", "y")):
        assert ended.status is PaymentStatus.PARTIALLY_CAPTURED
        assert ended.amount_captured_minor == 1000


def test_a_payment_names_the_commands_that_stand_and_not_the_capture_that_was_undone() -> None:
    captured = authorized().begin_capture(10).taking("one").captured(10, final=False)
    under_way = captured.begin_capture(5).taking("two")
    assert under_way.commands == ("one", "two")
    assert under_way.failed("lost", "It was undone.").commands == ("one",)
    assert captured.canceled("by the client").commands == ("one",)


def test_a_wallet_attached_later_becomes_the_payer() -> None:
    waiting = payment(kind=PaymentKind.WALLET, status=PaymentStatus.REQUIRES_PAYMENT_METHOD)
    assert waiting.attach("wallet-2").debit_account == "wallet-2"
    assert payment(status=PaymentStatus.REQUIRES_PAYMENT_METHOD).attach("tok_2").debit_account == "clearing"


@given(st.lists(st.tuples(st.integers(1, 3000), st.booleans()), max_size=12))
def test_captured_never_exceeds_the_amount_and_every_move_raises_the_version(parts: list[tuple[int, bool]]) -> None:
    moved = authorized()
    for amount, final in parts:
        before = moved
        try:
            moved = moved.begin_capture(amount).captured(amount, final=final)
        except (InvalidAmount, IllegalTransition):
            continue
        assert moved.version > before.version
        assert before.amount_captured_minor < moved.amount_captured_minor <= moved.amount_minor
    assert (moved.status is PaymentStatus.SUCCEEDED) == (moved.amount_captured_minor == moved.amount_minor)
